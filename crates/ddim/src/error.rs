//! Errors in the numbers that a caller passes.

/// An invalid schedule, trajectory, deviation or batch. The message says what was found and what was expected.
///
/// ```
/// use ddim::{ErrorKind, Trajectory};
///
/// let error = Trajectory::uniform(1000, 2000).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Trajectory);
/// assert_eq!(error.to_string(), "2000 steps: expected 1 to 1000, the model's timesteps");
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Which argument an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Betas, T, or a name of a schedule.
    Schedule,
    /// The number of steps, or an explicit list of timesteps.
    Trajectory,
    /// A noise level outside 1..=T, or two levels that are not in ascending order.
    Level,
    /// η, an explicit σ, or a σ that the solver cannot use.
    Sigma,
    /// The name of a solver.
    Solver,
    /// The iterations or the tolerance of an inversion.
    Inversion,
    /// Known pixels, or jumps back up the trajectory.
    Inpainting,
    /// Clipping or thresholding.
    Clip,
    /// A prediction type that cannot be used at a level (ε at ᾱ = 0).
    Prediction,
    /// The weights of a training objective.
    Objective,
    /// Batch lengths that do not match, or elements that are not finite.
    Batch,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Returns which argument this error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
