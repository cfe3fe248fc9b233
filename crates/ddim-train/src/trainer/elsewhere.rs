//! Steps on a device other than the processor: the state lives there, and is copied back on request.

use crate::error::Result;
use ddim_nn::{Adam, Device, Ema, Examples, Learner, UNet};
use std::sync::Arc;

/// A device, and the state on it from the first step on.
pub(super) struct Elsewhere {
    pub(super) device: Arc<dyn Device>,
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
    pub(super) fn new(device: Arc<dyn Device>) -> Self {
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
            self.remark = Some(format!("the device has memory for {together} images at once: batches of {n} are split"));
        }
        Ok(found)
    }

    /// What should be said since it was last asked for.
    pub(super) fn remark(&mut self) -> Option<String> {
        self.remark.take()
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
    pub(super) fn fetch(&mut self, State { unet, adam, averages }: State<'_>) -> Result<()> {
        if let (Some(learner), true) = (&self.learner, self.ahead) {
            learner.fetch(unet, adam, averages)?;
            self.ahead = false;
        }
        Ok(())
    }
}
