//! Networks evaluated on a device.

use crate::devices::Gpu;
use ddim_nn::{
    Adam, Condition, Device, Ema, Error, Executor, GraphModule, Learner, Network, Pipeline, Precision, Result, TensorNetwork, UNet,
};
use std::sync::Arc;

impl Device for Gpu {
    fn name(&self) -> String {
        format!("gpu:{}", self.described.index)
    }

    fn described(&self) -> String {
        self.described.to_string()
    }

    fn product_gflops(&self) -> Result<f64> {
        self.device.product_gflops()
    }

    fn memory(&self) -> Option<u64> {
        self.device.memory()
    }

    fn precision(&self) -> Precision {
        self.device.precision
    }

    fn in_precision(&self, precision: Precision) -> Result<Arc<dyn Device>> {
        Ok(Arc::new(self.clone().with_precision(precision).map_err(Error::device)?))
    }

    fn executor(&self, module: &GraphModule<'_>) -> Result<Box<dyn Executor>> {
        Ok(Box::new(OnDevice(TensorNetwork::new(module, &self.device)?)))
    }

    fn learner(&self, unet: &UNet, size: [usize; 2], adam: &Adam, averages: &[Ema]) -> Result<Box<dyn Learner>> {
        Ok(Box::new(self.training(unet, size, adam, averages)?))
    }
}

impl Gpu {
    /// Puts the network of a pipeline on this device, as [`Network::new`] does on the CPU. Its weights are uploaded once; each evaluation uploads its batch and
    /// downloads the prediction.
    ///
    /// # Errors
    /// Those of `Network::new`, and if the device has no room for the images.
    pub fn network(&self, pipeline: Pipeline) -> Result<Network> {
        Network::on(pipeline, self)
    }
}

struct OnDevice(TensorNetwork);

impl Executor for OnDevice {
    fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()> {
        self.0.evaluate(x, timesteps, condition, out)
    }

    fn prepare(&self, n: usize, tell: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<usize> {
        self.0.prepare(n, tell)
    }
}
