//! What another device than the processor is to networks, whoever drives it.

use crate::error::Result;
use crate::executor::{Executor, GraphModule};
use crate::precision::Precision;
use crate::training::{Adam, Ema, Examples};
use crate::unet::UNet;
use std::fmt::Debug;
use std::sync::Arc;

/// A device that evaluates and trains networks.
pub trait Device: Debug + Send + Sync {
    /// What a user calls it, as `gpu:0`.
    fn name(&self) -> String;

    /// Its name and what it is, in a line.
    fn described(&self) -> String;

    /// What products of large matrices reach there, in 10⁹ floating-point operations per second.
    ///
    /// # Errors
    /// What the device says.
    fn product_gflops(&self) -> Result<f64>;

    /// Bytes of its memory that are taken, where it says so.
    fn memory(&self) -> Option<u64>;
    /// What networks compute with there.
    fn precision(&self) -> Precision;

    /// The same device, on which networks compute with these numbers.
    ///
    /// # Errors
    /// What the device does not have.
    fn in_precision(&self, precision: Precision) -> Result<Arc<dyn Device>>;

    /// What evaluates a network there, for [`Network::on`](crate::Network::on) and [`Inception::load_on`](crate::Inception::load_on). The weights go there now.
    ///
    /// # Errors
    /// What the device has no room for.
    fn executor(&self, module: &GraphModule<'_>) -> Result<Box<dyn Executor>>;

    /// What trains a network for images of `size` [h, w], from this state.
    ///
    /// # Errors
    /// What the device has no room for.
    fn learner(&self, unet: &UNet, size: [usize; 2], adam: &Adam, averages: &[Ema]) -> Result<Box<dyn Learner>>;
}

/// What trains a network on another device than the processor: it holds the weights, Adam's moments and the averages, and whole batches go there.
/// Numerically it is [`TrainingPlan`](crate::TrainingPlan) with [`Adam::step`], but for rounding.
pub trait Learner: Send + Sync {
    /// The gradients of Σ weight · mean (prediction - target)² over the images, which it keeps; that sum, and the norm of the gradients.
    ///
    /// # Errors
    /// What the device says.
    fn gradients(&mut self, examples: &Examples<'_>) -> Result<[f64; 2]>;

    /// How many images of a batch are differentiated at once: the others follow, and the gradients are summed. Fewer than at first where the device ran out of
    /// memory in the first step.
    fn together(&self) -> usize;

    /// A step along the gradients, each times `scale`; the averages, whose rates are those of `averages`, take in what comes of it, as of their step
    /// `k`. Of `adam` the settings count, and its steps are one more; its moments are those that are on the device.
    ///
    /// # Errors
    /// What the device says.
    fn update(&mut self, adam: &mut Adam, scale: f64, averages: &[Ema], k: u64) -> Result<()>;

    /// Brings weights, moments and averages back.
    ///
    /// # Errors
    /// What the device says.
    fn fetch(&self, unet: &mut UNet, adam: &mut Adam, averages: &mut [Ema]) -> Result<()>;
}
