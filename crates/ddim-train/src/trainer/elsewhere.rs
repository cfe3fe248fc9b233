//! Steps on another device than the processor: the state is there, and comes back when somebody asks for it.

use super::Trainer;
use crate::error::Result;
use ddim_nn::{Adam, Device, Ema, Examples, Learner, Network, Pipeline, Precision, UNet};
use std::sync::Arc;

/// A device, and the state on it from the first step on.
pub(super) struct Elsewhere {
    device: Arc<dyn Device>,
    learner: Option<Box<dyn Learner>>,
    /// Whether steps were taken since the state was fetched.
    ahead: bool,
    remark: Option<String>,
}

/// The state of a network in training as it is here.
pub(super) struct State<'a> {
    pub(super) unet: &'a mut UNet,
    pub(super) adam: &'a mut Adam,
    pub(super) averages: &'a mut [Ema],
}

impl Elsewhere {
    fn new(device: Arc<dyn Device>) -> Self {
        Self { device, learner: None, ahead: false, remark: None }
    }

    /// The objective and the norm of its gradients, which stay there; the first time, the state goes there.
    pub(super) fn gradients(&mut self, state: State<'_>, examples: &Examples<'_>) -> Result<[f64; 2]> {
        let State { unet, adam, averages } = state;
        let [_, _, h, w] = examples.shape;
        let learner = match &mut self.learner {
            Some(learner) => learner,
            none => none.insert(self.device.learner(unet, [h, w], adam, averages)?),
        };
        let before = learner.together();
        let found = learner.gradients(examples)?;
        let (n, together) = (examples.timesteps.len(), learner.together());
        if together < before.min(n) {
            self.remark = Some(format!("the device has memory for {together} images at once: batches of {n} go in parts"));
        }
        Ok(found)
    }

    /// What should be said since it was last asked for.
    fn remark(&mut self) -> Option<String> {
        self.remark.take()
    }

    fn memory(&self) -> Option<u64> {
        self.device.memory()
    }

    /// The optimizer's part of step `k`, and the averages'.
    pub(super) fn update(&mut self, state: State<'_>, scale: f64, k: u64) -> Result<()> {
        if let Some(learner) = &mut self.learner {
            learner.update(state.adam, scale, state.averages, k)?;
            self.ahead = true;
        }
        Ok(())
    }

    /// Brings the state here, where it is not.
    fn fetch(&mut self, State { unet, adam, averages }: State<'_>) -> Result<()> {
        if let (Some(learner), true) = (&self.learner, self.ahead) {
            learner.fetch(unet, adam, averages)?;
            self.ahead = false;
        }
        Ok(())
    }

    /// A network to be evaluated there.
    pub(super) fn network(&self, pipeline: Pipeline) -> Result<Network> {
        Ok(Network::on(pipeline, |module| self.device.executor(module))?)
    }
}

impl Trainer {
    /// Takes its steps on a device from here on, and evaluates there. Numerically it is the same run, but for rounding: it may have begun on the
    /// processor, and go on there.
    pub fn train_on(&mut self, device: Arc<dyn Device>) {
        self.elsewhere = Some(Elsewhere::new(device));
    }

    /// Bytes that are taken of the memory of the device that steps are taken on, where it is another than the processor and says so.
    pub fn device_memory(&self) -> Option<u64> {
        self.elsewhere.as_ref().and_then(Elsewhere::memory)
    }

    /// What a command says for steps to be taken where they are: nothing on the processor.
    pub fn device_flags(&self) -> String {
        let Some(Elsewhere { device, .. }) = &self.elsewhere else { return String::new() };
        let precision = device.precision();
        let precision = if precision == Precision::F32 { String::new() } else { format!(" --precision {precision}") };
        format!(" --device {}{precision}", device.name())
    }

    /// What should be said of that since it was last asked for.
    pub(crate) fn remark(&mut self) -> Option<String> {
        self.elsewhere.as_mut().and_then(Elsewhere::remark)
    }

    /// Does something where steps are taken, if that is not here.
    pub(super) fn there<T>(&mut self, work: impl FnOnce(&mut Elsewhere, State<'_>) -> T) -> Option<T> {
        let Self { elsewhere, unet, adam, averages, .. } = self;
        elsewhere.as_mut().map(|there| work(there, State { unet, adam, averages }))
    }

    /// Brings the state here, before anybody reads it.
    pub(crate) fn fetch(&mut self) -> Result<()> {
        self.there(Elsewhere::fetch).unwrap_or(Ok(()))
    }
}
