//! What work tells while it is under way.

use crate::reports::ClassReport;
use ddim_train::Metrics;
use serde::Serialize;

/// What a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoteKind {
    /// Assumed or chosen.
    Note,
    /// The result may mislead.
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

/// What work tells while it is under way.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Something that was assumed, chosen, left out or may mislead: a line to be read, whatever else is shown.
    Note {
        /// What it is.
        kind: NoteKind,
        /// One line.
        text: String,
    },
    /// A part of the work begins.
    Began {
        /// What is done: "sampling".
        phase: &'static str,
        /// What is counted: "image-steps".
        unit: &'static str,
        /// How many there are.
        total: u64,
    },
    /// Some of it is done.
    Progress {
        /// Of the total, so far.
        done: u64,
        /// All.
        total: u64,
        /// Since the part began.
        seconds: f64,
        /// What is left at this rate. None before anything is done.
        eta_seconds: Option<f64>,
    },
    /// A batch has taken a step.
    Step {
        /// The code timestep that the network was evaluated at.
        timestep: usize,
        /// Steps taken, from 1.
        step: usize,
        /// All steps.
        steps: usize,
        /// The first image of the batch.
        first: u64,
        /// Images in it.
        count: usize,
    },
    /// What was asked for by [`Control::preview`](crate::Control::preview).
    Preview {
        /// The code timestep that the network was evaluated at.
        timestep: usize,
        /// The first image of the batch.
        first: u64,
        /// [channels, height, width].
        shape: [usize; 3],
        /// The batch as it is now, [n, c, h, w], scale [-1, 1].
        x: Vec<f32>,
        /// What the network takes it to become.
        x_0: Vec<f32>,
    },
    /// A part of the result is known: a line to be shown beside the progress.
    Line {
        /// One line.
        text: String,
    },
    /// A run of training is loaded, and begins or goes on.
    TrainingBegan {
        /// Steps taken before.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
        /// Images to train on.
        images: usize,
        /// Images kept from training.
        held_out: usize,
        /// Numbers of the network.
        parameters: usize,
        /// Images of a step.
        batch_size: usize,
        /// The classes of the images, those held out included.
        classes: Option<Vec<ClassReport>>,
        /// What should be known of the settings, a line each.
        remarks: Vec<String>,
    },
    /// A step of training is over.
    Trained {
        /// Its number.
        step: u64,
        /// The objective before it.
        loss: f64,
        /// Of this step.
        learning_rate: f64,
        /// The most memory of the process so far, in bytes, where the system says it.
        peak_memory_bytes: Option<u64>,
    },
    /// A line of metrics was written.
    Metrics {
        /// The line.
        metrics: Metrics,
    },
    /// The part is over.
    Ended {
        /// What it took.
        seconds: f64,
    },
}

/// Hands events on.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(Event) + Send);
