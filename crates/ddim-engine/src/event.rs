//! What a job reports while it runs.

use crate::reports::ClassReport;
use ddim_train::Metrics;
use serde::Serialize;

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoteKind {
    /// Something that was assumed or chosen.
    Note,
    /// The result may be misleading.
    Warning,
    /// Images that were left out.
    LeftOut,
}

impl std::fmt::Display for NoteKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::LeftOut => "left out",
        })
    }
}

/// What a job reports while it runs.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Something that was assumed, chosen or left out, or that may mislead: a line for people to read, whatever else is shown.
    Note {
        /// The kind of note.
        kind: NoteKind,
        /// One line.
        text: String,
    },
    /// A phase of the work begins.
    Began {
        /// The phase, such as "sampling".
        phase: &'static str,
        /// The unit of progress, such as "image-steps".
        unit: &'static str,
        /// Number of units in the phase.
        total: u64,
    },
    /// Progress within the phase.
    Progress {
        /// Units done so far.
        done: u64,
        /// Number of units in the phase.
        total: u64,
        /// Seconds since the phase began.
        seconds: f64,
        /// Estimated seconds left at this rate; `None` before anything is done.
        eta_seconds: Option<f64>,
    },
    /// A batch has taken a sampling step.
    Step {
        /// The code timestep at which the network was evaluated.
        timestep: usize,
        /// Number of steps taken, from 1.
        step: usize,
        /// Total number of steps.
        steps: usize,
        /// Number of the batch's first image.
        first: u64,
        /// Number of images in the batch.
        count: usize,
    },
    /// A preview, requested by [`Control::preview`](crate::Control::preview).
    Preview {
        /// The code timestep at which the network was evaluated.
        timestep: usize,
        /// Number of the batch's first image.
        first: u64,
        /// [channels, height, width].
        shape: [usize; 3],
        /// The current batch x_t, [n, c, h, w], in [-1, 1].
        x: Vec<f32>,
        /// The network's current prediction of x_0.
        x_0: Vec<f32>,
    },
    /// Part of the result is known: a line to show beside the progress.
    Line {
        /// One line.
        text: String,
    },
    /// A training run is loaded, and starts or resumes.
    TrainingBegan {
        /// Number of steps taken before.
        step: u64,
        /// Number of steps of the whole run.
        steps: u64,
        /// Number of training images.
        images: usize,
        /// Number of held-out images.
        held_out: usize,
        /// Number of parameters of the network.
        parameters: usize,
        /// Number of images per step.
        batch_size: usize,
        /// The classes of the images, including held-out images.
        classes: Option<Vec<ClassReport>>,
        /// Remarks on the settings, one line each.
        remarks: Vec<String>,
    },
    /// A training step is done.
    Trained {
        /// Number of the step.
        step: u64,
        /// The objective before the step.
        loss: f64,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Peak memory of the process so far, in bytes, where the system reports it.
        peak_memory_bytes: Option<u64>,
    },
    /// A line of metrics was written.
    Metrics {
        /// The line.
        metrics: Metrics,
    },
    /// The phase is over.
    Ended {
        /// Its duration in seconds.
        seconds: f64,
    },
}

/// Hands events on.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(Event) + Send);
