//! The device on which a run takes its steps.

use super::Trainer;
use super::elsewhere::{Elsewhere, State};
use crate::error::Result;
use ddim_nn::Device;
use std::sync::Arc;

impl Trainer {
    /// Takes all further steps, and evaluates, on a device. Numerically it remains the same run, up to rounding: it may have begun on the
    /// processor, and can go on there.
    pub fn train_on(&mut self, device: Arc<dyn Device>) {
        self.elsewhere = Some(Elsewhere::new(device));
    }

    /// Whether steps are taken on another device than the processor.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// What a command says for steps to be taken where they are and as they are: no setting of the run.
    pub(crate) fn flags(&self) -> String {
        let kept = if self.checkpoint_activations { " --checkpoint-activations" } else { "" };
        let device = |Elsewhere { device, .. }: &Elsewhere| format!(" --device {}{}", device.name(), device.precision().flag());
        self.elsewhere.as_ref().map_or(String::new(), device) + kept
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
