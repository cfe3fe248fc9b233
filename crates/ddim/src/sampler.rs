//! A trajectory of steps together with all the choices made for them.

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
    /// Creates a sampler with the steps of `trajectory` under `sigma`, as in Eq. 12, without clipping.
    ///
    /// # Errors
    /// Returns an error if σ is out of range (see [`Sigma`]), or if the trajectory was made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &Sigma) -> Result<Self, Error> {
        let deviations = sigma.deviations(schedule, trajectory)?;
        let steps = trajectory.pairs().zip(deviations).rev().map(|((s, t), std)| {
            let (alpha_bar, alpha_bar_next) = (schedule.alpha_bar(t), schedule.arrival_alpha_bar(s));
            let direction = (1.0 - alpha_bar_next - std.direction * std.direction).max(0.0).sqrt();
            Step { level: t, next: s, alpha_bar, alpha_bar_next, direction, sigma: std.noise }
        });
        Ok(Self { steps: steps.collect(), clip: Clip::None, rederive_epsilon: false, solver: Solver::Ddim })
    }

    /// Sets how f_θ is clipped or thresholded.
    ///
    /// # Errors
    /// Returns an error if a parameter of `clip` is out of range.
    pub fn with_clip(self, clip: Clip) -> Result<Self, Error> {
        clip.check()?;
        Ok(Self { clip, ..self })
    }

    /// Sets whether ε is re-derived from the clipped f_θ (OpenAI's and lucidrains' samplers, diffusers' `use_clipped_model_output`), or
    /// kept as the network gave it (diffusers' default). Without clipping the two are the same.
    ///
    /// Solvers in f_θ ([`Solver::Dpmpp2m`], [`Solver::UniPc`], [`Solver::Dpmpp2mSde`]) only know x_t and f_θ, so they always re-derive ε.
    #[must_use]
    pub fn with_rederived_epsilon(self, rederive_epsilon: bool) -> Self {
        Self { rederive_epsilon, ..self }
    }

    /// Returns the steps in the order in which they run: descending levels.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Checks that a network with this kind of prediction can be evaluated at every step.
    ///
    /// # Errors
    /// [`ErrorKind::Prediction`](crate::ErrorKind::Prediction) for ε-prediction at a level with ᾱ = 0, where f_θ is undefined.
    pub fn check_prediction(&self, prediction: Prediction) -> Result<(), Error> {
        prediction.check_at(self.steps.iter().map(|step| (step.level, step.alpha_bar)))
    }

    /// Sets the solver. The default is DDIM.
    ///
    /// # Errors
    /// [`ErrorKind::Sigma`](crate::ErrorKind::Sigma) if steps add noise and the solver cannot use it.
    pub fn with_solver(self, solver: Solver) -> Result<Self, Error> {
        solver.check(&self.steps)?;
        Ok(Self { solver, ..self })
    }

    /// Returns the solver.
    pub fn solver(&self) -> Solver {
        self.solver
    }

    /// Returns the number of network evaluations along the trajectory: one per step, except for [`Solver::Heun`].
    pub fn evaluations(&self) -> usize {
        (0..self.steps.len()).map(|step| self.evaluations_of(step)).sum()
    }

    /// Returns the number of network evaluations of one step, counted from 0.
    ///
    /// # Panics
    /// Panics if there is no such step.
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
