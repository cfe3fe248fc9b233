//! A trajectory of steps with everything that was chosen about them.

use crate::clip::Clip;
use crate::error::Error;
use crate::prediction::Prediction;
use crate::schedule::NoiseSchedule;
use crate::sigma::Sigma;
use crate::solver::Solver;
use crate::step::Step;
use crate::trajectory::Trajectory;

/// A sampling trajectory with all its coefficients, ready to run on any number of batches.
///
/// ```
/// use ddim::{Clip, NoiseSchedule, Sampler, Sigma, Trajectory};
///
/// // The authors' ddpm_noisy.
/// let sampler = Sampler::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 10)?, &Sigma::Hat)?;
/// let sampler = sampler.with_clip(Clip::Range(1.0))?.with_rederived_epsilon(true);
/// assert_eq!(sampler.steps().iter().map(|step| step.level).max(), Some(901));
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    steps: Vec<Step>,
    clip: Clip,
    rederive_epsilon: bool,
    solver: Solver,
}

impl Sampler {
    /// The steps of `trajectory` under `sigma`, as Eq. 12 has them, without clipping.
    ///
    /// # Errors
    /// σ out of range (see [`Sigma`]), or a trajectory made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &Sigma) -> Result<Self, Error> {
        let deviations = sigma.deviations(schedule, trajectory)?;
        let steps = trajectory.pairs().zip(deviations).rev().map(|((s, t), std)| {
            let (alpha_bar, alpha_bar_next) = (schedule.alpha_bar(t), schedule.arrival_alpha_bar(s));
            let direction = (1.0 - alpha_bar_next - std.direction * std.direction).max(0.0).sqrt();
            Step { level: t, next: s, alpha_bar, alpha_bar_next, direction, sigma: std.noise }
        });
        Ok(Self { steps: steps.collect(), clip: Clip::None, rederive_epsilon: false, solver: Solver::Ddim })
    }

    /// With f_θ clipped or thresholded.
    ///
    /// # Errors
    /// Parameters of `clip` out of range.
    pub fn with_clip(self, clip: Clip) -> Result<Self, Error> {
        clip.check()?;
        Ok(Self { clip, ..self })
    }

    /// Whether ε is derived again from the clipped f_θ (OpenAI's and lucidrains' samplers, diffusers' `use_clipped_model_output`), or
    /// kept as the network gave it (diffusers' default). Without clipping the two are the same.
    ///
    /// Solvers in f_θ ([`Solver::Dpmpp2m`], [`Solver::UniPc`], [`Solver::Dpmpp2mSde`]) know x_t and f_θ alone, so that they always derive ε again.
    #[must_use]
    pub fn with_rederived_epsilon(self, rederive_epsilon: bool) -> Self {
        Self { rederive_epsilon, ..self }
    }

    /// The steps in the order in which they run: descending levels.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether a network that predicts so can be asked at every step.
    ///
    /// # Errors
    /// [`ErrorKind::Prediction`](crate::ErrorKind::Prediction): ε-prediction at a level with ᾱ = 0, where f_θ is undefined.
    pub fn check_prediction(&self, prediction: Prediction) -> Result<(), Error> {
        prediction.check_at(self.steps.iter().map(|step| (step.level, step.alpha_bar)))
    }

    /// With another solver than DDIM.
    ///
    /// # Errors
    /// [`ErrorKind::Sigma`](crate::ErrorKind::Sigma): steps that add noise, where the solver has no use for it.
    pub fn with_solver(self, solver: Solver) -> Result<Self, Error> {
        solver.check(&self.steps)?;
        Ok(Self { solver, ..self })
    }

    /// What goes from level to level.
    pub fn solver(&self) -> Solver {
        self.solver
    }

    /// How often the network is evaluated along the trajectory: once a step, but see [`Solver::Heun`].
    pub fn evaluations(&self) -> usize {
        (0..self.steps.len()).map(|step| self.evaluations_of(step)).sum()
    }

    /// The same of one step, counted from 0.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn evaluations_of(&self, step: usize) -> usize {
        1 + usize::from(self.solver.second(&self.steps[step]).is_some())
    }

    /// What is done to f_θ.
    pub(crate) fn clip(&self) -> Clip {
        self.clip
    }

    /// Whether ε is what x_t and the clipped f_θ determine.
    pub(crate) fn rederives_epsilon(&self) -> bool {
        self.rederive_epsilon || (self.clip != Clip::None && !self.solver.is_in_epsilon())
    }
}
