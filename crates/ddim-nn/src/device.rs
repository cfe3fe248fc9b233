//! Devices other than the processor, as networks see them, whatever drives them.

use crate::error::Result;
use crate::executor::{Executor, GraphModule};
use crate::precision::Precision;
use crate::training::{Adam, Ema, Examples};
use crate::unet::UNet;
use std::fmt::Debug;
use std::sync::Arc;

/// A device that evaluates and trains networks.
pub trait Device: Debug + Send + Sync {
    /// Returns the name by which a user refers to it, such as `gpu:0`.
    fn name(&self) -> String;

    /// Returns its name and a description, in one line.
    fn described(&self) -> String;

    /// Measures the throughput of products of large matrices on the device, in 10⁹ floating-point operations per second.
    ///
    /// # Errors
    /// Returns the device's errors.
    fn product_gflops(&self) -> Result<f64>;

    /// Returns the bytes of its memory in use, if the device reports them.
    fn memory(&self) -> Option<u64>;
    /// Returns the precision in which networks compute on it.
    fn precision(&self) -> Precision;

    /// Returns the same device, on which networks compute in `precision`.
    ///
    /// # Errors
    /// Returns an error if the device does not support it.
    fn in_precision(&self, precision: Precision) -> Result<Arc<dyn Device>>;

    /// Returns an executor that evaluates a network on the device, for [`Network::on`](crate::Network::on) and
    /// [`Inception::load_on`](crate::Inception::load_on). The weights are uploaded immediately.
    ///
    /// # Errors
    /// Returns an error if the device has no room for the network.
    fn executor(&self, module: &GraphModule<'_>) -> Result<Box<dyn Executor>>;

    /// Returns a learner that trains a network on the device for images of `size` [h, w], starting from this state.
    ///
    /// # Errors
    /// Returns an error if the device has no room for the network.
    fn learner(&self, unet: &UNet, size: [usize; 2], adam: &Adam, averages: &[Ema]) -> Result<Box<dyn Learner>>;
}

/// Trains a network on a device other than the processor. It holds the weights, Adam's moments and the averages, and takes whole batches.
///
/// Numerically it is [`TrainingPlan`](crate::TrainingPlan) with [`Adam::step`], up to rounding.
pub trait Learner: Send + Sync {
    /// Computes the gradients of Σ weight · mean (prediction - target)² over the images, and keeps them. Returns that sum and the norm of
    /// the gradients.
    ///
    /// # Errors
    /// Returns the device's errors.
    fn gradients(&mut self, examples: &Examples<'_>) -> Result<[f64; 2]>;

    /// Returns how many images of a batch are differentiated at once; the others follow, and the gradients are summed. The number shrinks
    /// if the device runs out of memory in the first step.
    fn together(&self) -> usize;

    /// Takes a step along the gradients, each multiplied by `scale`, then updates the averages, as of their step `k` and with the rates of
    /// `averages`. Of `adam`, the settings are used and the step count is incremented; the moments are those on the device.
    ///
    /// # Errors
    /// Returns the device's errors.
    fn update(&mut self, adam: &mut Adam, scale: f64, averages: &[Ema], k: u64) -> Result<()>;

    /// Copies the weights, moments and averages back from the device.
    ///
    /// # Errors
    /// Returns the device's errors.
    fn fetch(&self, unet: &mut UNet, adam: &mut Adam, averages: &mut [Ema]) -> Result<()>;
}
