//! The events that the observer of a run receives.

use crate::trainer::Stepped;
use ddim_data::DataSet;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An event in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Everything is loaded; training starts after this step.
    Started {
        /// The number of steps taken before.
        step: u64,
        /// The numbers of images trained on and of images held out.
        images: [usize; 2],
        /// The number of weights.
        parameters: usize,
        /// The images, and what was left out of them.
        data: &'a DataSet,
        /// Remarks on the settings, one line each.
        remarks: &'a [String],
    },
    /// A step is over.
    Stepped {
        /// Its number.
        step: u64,
        /// What the step did.
        stepped: Stepped,
    },
    /// A remark on how steps are taken, in one line.
    Remark(&'a str),
    /// A line of metrics was written.
    Metrics(&'a Metrics),
    /// Images [n, c, h, w] in [-1, 1] from the run's latents.
    Preview {
        /// The step after which they were drawn.
        step: u64,
        /// The shape of one image, [c, h, w].
        shape: [usize; 3],
        /// All of them.
        images: &'a [f32],
    },
    /// A checkpoint is complete.
    Checkpoint {
        /// The step after which it was written.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
}

/// A line of `metrics.jsonl`: means over the steps since the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// The number of steps taken.
    pub step: u64,
    /// The number of images seen, each counted as often as it was seen.
    pub images: u64,
    /// The number of images seen divided by the number of images.
    pub epoch: f64,
    /// The objective: the squared error with the weights of the timesteps.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The objective on the held-out images, for the average that checkpoints sample with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_loss: Option<f64>,
    /// The same for the weights themselves, to compare `loss` with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_loss_raw: Option<f64>,
    /// Throughput while steps were computed.
    pub images_per_second: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The total number of steps taken.
    pub step: u64,
    /// Whether those are all steps; if not, the run was asked to stop.
    pub finished: bool,
    /// The last checkpoint, or `None` if no step was taken.
    pub checkpoint: Option<PathBuf>,
    /// Seconds since training started in this session.
    pub seconds: f64,
}
