//! The state of a job.

use crate::error::Problem;
use ddim_jobs::JobOutput;
use std::sync::Arc;

/// How far a job is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Queued,
    Running,
    Done(Arc<JobOutput>),
    Failed(Problem),
    Cancelled,
}

impl State {
    /// What requests know it by.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}
