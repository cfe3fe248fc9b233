//! What an observer of a run is told.

use crate::trainer::Stepped;
use ddim_data::DataSet;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What happens in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Everything is loaded; training starts after this step.
    Started {
        /// Steps that were taken before.
        step: u64,
        /// Images to train on and images held out.
        images: [usize; 2],
        /// Weights.
        parameters: usize,
        /// The images, and what was left out of them.
        data: &'a DataSet,
        /// What should be known of the settings, a line each.
        remarks: &'a [String],
    },
    /// A step is over.
    Stepped {
        /// Its number.
        step: u64,
        /// What it did.
        stepped: Stepped,
    },
    /// Something that should be known of how steps are taken, in a line.
    Remark(&'a str),
    /// A line of metrics was written.
    Metrics(&'a Metrics),
    /// Images [n, c, h, w] in [-1, 1] from the run's latents.
    Preview {
        /// After this step.
        step: u64,
        /// Of one image: [c, h, w].
        shape: [usize; 3],
        /// All of them.
        images: &'a [f32],
    },
    /// A checkpoint is complete.
    Checkpoint {
        /// After this step.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
}

/// A line of `metrics.jsonl`: means over the steps since the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// Steps taken.
    pub step: u64,
    /// Images seen, each as often as it was.
    pub images: u64,
    /// That over the number of images.
    pub epoch: f64,
    /// The objective: the squared error with the weights of the timesteps.
    pub loss: f64,
    /// Of the gradient, before it is clipped.
    pub gradient_norm: f64,
    /// Of the last step.
    pub learning_rate: f64,
    /// The objective on the images held out, of the average that checkpoints sample with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_loss: Option<f64>,
    /// The same of the weights themselves: what `loss` is to be compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_loss_raw: Option<f64>,
    /// While steps were computed.
    pub images_per_second: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Steps taken in all.
    pub step: u64,
    /// Whether that is all of them; else it was asked to stop.
    pub finished: bool,
    /// The last checkpoint; none where no step was taken.
    pub checkpoint: Option<PathBuf>,
    /// Seconds since training started, this time.
    pub seconds: f64,
}
