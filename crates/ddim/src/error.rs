//! What can be wrong with the numbers a caller gives.

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

/// Which argument of the mathematics an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Betas, T, or a name of a schedule.
    Schedule,
    /// The number of steps, or an explicit list of timesteps.
    Trajectory,
    /// A noise level outside of 1..=T, or two that do not ascend.
    Level,
    /// η, or an explicit σ; or one that a solver has no use for.
    Sigma,
    /// The name of a solver.
    Solver,
    /// Iterations or the tolerance of an inversion.
    Inversion,
    /// Known pixels, or jumps back up.
    Inpainting,
    /// Clipping or thresholding.
    Clip,
    /// A prediction that a level cannot be left with (ε at ᾱ = 0).
    Prediction,
    /// Weights of a training objective.
    Objective,
    /// Lengths of batches that do not go together, or elements that are not finite.
    Batch,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Which argument this is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
