//! What sampling would do, without drawing anything: its timesteps and the coefficients of its steps.

use crate::choices::{Eta, Model};
use crate::error::{Error, Result};
use crate::job::{Request, Within};
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{Sampler, Solver, Trajectory};
use serde::{Deserialize, Serialize};

/// Plans the steps that a [`Sample`](crate::Sample) with the same fields would take, as far as they do not depend on the network's predictions.
///
/// ```
/// use ddim_engine::{Control, Engine, Eta, Plan};
///
/// let request = Plan { steps: 10, eta: Eta::Value(1.0), ..Plan::default() };
/// let plan = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// let last = plan.steps.last().unwrap();
/// assert_eq!((plan.steps.len(), last.next_timestep, last.alpha_bar_next), (10, None, 1.0));
/// // Eq. 12 keeps the variance of the marginal: direction² + σ² = 1 - ᾱ_next.
/// assert!(plan.steps.iter().all(|s| (s.direction.powi(2) + s.sigma.powi(2) - (1.0 - s.alpha_bar_next)).abs() < 1e-12));
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The model, and how to run it.
    pub model: Model,
    /// S, the number of steps.
    pub steps: usize,
    /// Noise added while sampling.
    pub eta: Eta,
    /// How the S timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How a step uses earlier predictions of the network.
    #[serde(with = "crate::choices::by_name")]
    pub solver: Solver,
    /// Exactly these code timesteps, in descending order, instead of `steps`.
    pub timesteps: Option<Vec<usize>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { model: Model::default(), steps: 50, eta: Eta::Value(0.0), trajectory: None, solver: Solver::Ddim, timesteps: None }
    }
}

/// The result of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "plan")]
pub struct PlanReport {
    /// The model, as named in the request.
    pub model: String,
    /// Name of the spacing of timesteps.
    pub trajectory: String,
    /// Code timesteps in the order in which they are visited.
    pub timesteps: Vec<usize>,
    /// Network evaluations per image; guidance takes each twice.
    pub evaluations: usize,
    /// ᾱ of each code timestep 0..T of training.
    pub alpha_bar: Vec<f64>,
    /// The steps, in sampling order.
    pub steps: Vec<PlannedStep>,
}

/// The coefficients of one step of Eq. 12: x_next = √ᾱ_next · predicted x_0 + direction · ε + σ · noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedStep {
    /// The code timestep at which the network is evaluated.
    pub timestep: usize,
    /// The next code timestep. None where the step leads to the image itself.
    pub next_timestep: Option<usize>,
    /// ᾱ at `timestep`.
    pub alpha_bar: f64,
    /// ᾱ at `next_timestep`; 1 for the image.
    pub alpha_bar_next: f64,
    /// Coefficient of ε, √(1 - ᾱ_next - σ²).
    pub direction: f64,
    /// σ, the standard deviation of the added noise: Eq. 16, or σ̂.
    pub sigma: f64,
}

impl PlannedStep {
    /// Those of a sampler.
    pub(crate) fn of(sampler: &Sampler) -> Vec<Self> {
        let step = |s: &ddim::Step| Self {
            timestep: s.level - 1,
            next_timestep: s.next.checked_sub(1),
            alpha_bar: s.alpha_bar,
            alpha_bar_next: s.alpha_bar_next,
            direction: s.direction,
            sigma: s.sigma,
        };
        sampler.steps().iter().map(step).collect()
    }
}

/// The timesteps of a request: those that it lists, or S that are chosen.
pub(crate) fn chosen(
    session: &Session<'_, '_>,
    listed: Option<&[usize]>,
    spacing: Option<&Spacing>,
    steps: usize,
    solver: Solver,
) -> Result<Trajectory> {
    match listed {
        Some(list) => Trajectory::from_timesteps(session.schedule.levels(), list).map_err(|e| Error::field("timesteps", &e).because(e)),
        None => session.trajectory(spacing, steps, solver),
    }
}

impl Request for Plan {
    type Report = PlanReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<PlanReport> {
        let (session, _) = Session::drawing(&self.model, None, watch)?;
        let trajectory = chosen(&session, self.timesteps.as_deref(), self.trajectory.as_ref(), self.steps, self.solver)?;
        let sampler = session.sampler(&trajectory, &self.eta.into(), crate::Clipping::default(), self.solver)?;
        let levels = session.schedule.levels();
        Ok(PlanReport {
            trajectory: self.timesteps.as_ref().map_or_else(|| session.spacing_name(self.trajectory.as_ref()), |_| "timesteps".to_owned()),
            timesteps: trajectory.timesteps().collect(),
            evaluations: sampler.evaluations(),
            alpha_bar: (1..=levels).map(|level| session.schedule.alpha_bar(level)).collect(),
            steps: PlannedStep::of(&sampler),
            model: session.model,
        })
    }
}
