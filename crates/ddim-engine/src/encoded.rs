//! The result of encoding, and its cost.

use crate::job::Watch;

/// What images became.
#[derive(Default)]
pub(crate) struct Encoded {
    /// [n, c, h, w].
    pub(crate) latents: Vec<f32>,
    /// Of the network, for all images together.
    pub(crate) evaluations: usize,
    /// Images of which a step did not come within the tolerance.
    pub(crate) unsettled: usize,
    /// By which the last iteration changed the worst of them, a root mean square.
    pub(crate) change: f64,
}

impl Encoded {
    pub(crate) fn add(&mut self, other: Self) {
        self.latents.extend(other.latents);
        self.evaluations += other.evaluations;
        self.unsettled += other.unsettled;
        self.change = self.change.max(other.change);
    }

    /// Says which images did not settle.
    pub(crate) fn note(&self, images: usize, steps: usize, watch: &Watch<'_>) {
        if self.unsettled > 0 {
            let (of, change) = (self.unsettled, self.change);
            watch.note(format!("`inversion`: {of} of {images} images did not converge within the tolerance over {steps} steps: the last iteration still changed them by up to {change:.1e}"));
        }
    }
}
