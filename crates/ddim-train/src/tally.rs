//! A run's record of its losses.

use crate::error::{Error, ErrorKind, Result};
use crate::trainer::Stepped;
use serde::{Deserialize, Serialize};

/// Sums since the last line of metrics, and what a loss that grows is measured against. Part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) loss: f64,
    pub(crate) norm: f64,
    pub(crate) steps: u64,
    /// An average of the loss over about [`recent`] steps, and the lowest it was.
    recent: f64,
    lowest: f64,
    seen: u64,
}

/// The averaged loss may be so many times its lowest.
const GROWTH: f64 = 10.0;
/// Images and steps of that average, at least. Fewer images say little where weights differ: those of the variational bound are a hundred times as large at one timestep as at another.
const RECENT: (usize, u64) = (1600, 50);
/// The averaged loss may be so many times what a network that predicts nothing has at the timestep that is weighted most.
const BEYOND: f64 = 100.0;

impl Tally {
    /// Whether the loss has not begun to grow.
    pub(crate) fn is_low(&self) -> bool {
        self.lowest == 0.0 || self.recent < 2.0 * self.lowest
    }

    /// A line of metrics was written: the sums of the next begin.
    pub(crate) fn begin_line(&mut self) {
        (self.loss, self.norm, self.steps) = (0.0, 0.0, 0);
    }

    /// A step. What is predicted (ε, v, x_0) has a square of about 1, so that nothing predicted has a loss of about the weight of the timestep, at most
    /// `largest_weight`. `images` are those of the step.
    pub(crate) fn add(&mut self, stepped: &Stepped, step: u64, images: usize, largest_weight: f64) -> Result<()> {
        let recently = recent(images);
        self.loss += stepped.loss;
        self.norm += stepped.norm;
        self.steps += 1;
        self.seen += 1;
        // A plain mean at first.
        self.recent += (stepped.loss - self.recent) / (self.seen as f64).min(recently as f64);
        let Self { recent, seen, .. } = *self;
        let grown = |from: String| {
            let message = format!("step {step}: the loss has grown to {recent:.4}, from {from}: expected it to fall");
            Err(Error::new(ErrorKind::Diverged, message))
        };
        if recent > BEYOND * largest_weight {
            return grown(format!("at most {largest_weight:.4} for a prediction of zero"));
        }
        if seen >= recently {
            self.lowest = if seen == recently { recent } else { self.lowest.min(recent) };
            if recent > GROWTH * self.lowest {
                return grown(format!("{:.4}", self.lowest));
            }
        }
        Ok(())
    }
}

/// Steps of so many images that the loss is averaged over.
fn recent(images: usize) -> u64 {
    let (enough, steps) = RECENT;
    (enough.div_ceil(images) as u64).max(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim::noise::{Draw, Key};
    use ddim::objective::Weighting;
    use ddim::{NoiseSchedule, Prediction};

    /// The step at which a run of these losses ends.
    fn ends(losses: impl IntoIterator<Item = f64>, largest_weight: f64) -> Option<u64> {
        let mut tally = Tally::default();
        let mut ended = |step, loss| tally.add(&Stepped { loss, norm: 1.0, learning_rate: 1e-3 }, step, 32, largest_weight).is_err();
        (1..).zip(losses).find_map(|(step, loss)| ended(step, loss).then_some(step))
    }

    #[test]
    fn losses_that_grow() {
        let ones = || std::iter::repeat_n(1.0, 100);
        assert_eq!(ends(ones(), 1.0), None);
        assert_eq!(ends(ones().chain([300.0]), 1.0), None, "one among fifty");
        assert_eq!(ends(ones().chain([600.0]), 1.0), Some(101));
        assert_eq!(ends([1.0, 5e8, 2.0], 1.0), Some(2), "before there is an average");
        // Of a batch of one, where much is weighted a million times what is not.
        assert_eq!(ends(std::iter::once(1e-6).chain(ones()), 1.0), None);
        assert_eq!(ends(std::iter::once(1.0).chain([1e6; 60]), 1e6), None);
        assert_eq!(ends([0.0; 100], 1.0), None);
    }

    /// Losses of a network that learns nothing more, weighted as the variational bound is: those of small batches are few large ones among many small ones, for ever.
    #[test]
    fn losses_that_vary() {
        let schedule = NoiseSchedule::ddpm();
        let weights = Weighting::Variational.weights(&schedule, Prediction::Epsilon).unwrap();
        let largest = weights.iter().copied().fold(0.0, f64::max);
        for (images, seed) in [1, 2, 4, 8, 32].into_iter().flat_map(|images| (0..4).map(move |seed| (images, seed))) {
            let mut stream = Key { seed, image: images as u64, draw: Draw::Latent }.stream();
            // A network's error of ε falls as 1/t, more or less.
            let mut one = || {
                let level = stream.below(1000) as usize;
                weights[level] * 10.0 / (10.0 + level as f64)
            };
            let mut tally = Tally::default();
            for step in 1..200_000 / images as u64 {
                let loss = (0..images).map(|_| one()).sum::<f64>() / images as f64;
                let added = tally.add(&Stepped { loss, norm: 1.0, learning_rate: 1e-3 }, step, images, largest);
                assert!(added.is_ok(), "{images} images, seed {seed}: {added:?}");
            }
            // And one that grows is still found.
            let grown = Stepped { loss: 1000.0 * largest, norm: 1.0, learning_rate: 1e-3 };
            assert!((0..recent(images)).any(|_| tally.add(&grown, 1, images, largest).is_err()), "{images}");
        }
    }
}
