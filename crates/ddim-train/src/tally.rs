//! What a run knows of its losses.

use crate::error::{Error, ErrorKind, Result};
use crate::trainer::Stepped;
use serde::{Deserialize, Serialize};

/// Sums since the last line of metrics, and what a loss that grows is measured against. Part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) loss: f64,
    pub(crate) norm: f64,
    pub(crate) steps: u64,
    /// An average of the loss over about fifty steps, and the lowest it was; of fewer steps the first.
    recent: f64,
    lowest: f64,
    seen: u64,
}

/// The averaged loss may be so many times its lowest.
const GROWTH: f64 = 10.0;
/// Steps of that average.
const RECENT: f64 = 50.0;
/// Before there are so many, it may be so many times the first loss: of a batch of one, losses of a trained network are hundreds of times apart.
const EARLY_GROWTH: f64 = 1e4;

impl Tally {
    /// Whether the loss has not begun to grow.
    pub(crate) fn is_low(&self) -> bool {
        self.lowest == 0.0 || (self.seen as f64) < RECENT || self.recent < 2.0 * self.lowest
    }

    /// A line of metrics was written: the sums of the next begin.
    pub(crate) fn begin_line(&mut self) {
        (self.loss, self.norm, self.steps) = (0.0, 0.0, 0);
    }

    pub(crate) fn add(&mut self, stepped: &Stepped, step: u64) -> Result<()> {
        self.loss += stepped.loss;
        self.norm += stepped.norm;
        self.steps += 1;
        self.seen += 1;
        // A plain mean at first.
        self.recent += (stepped.loss - self.recent) / (self.seen as f64).min(RECENT);
        let most = if self.seen as f64 <= RECENT { EARLY_GROWTH } else { GROWTH };
        if self.lowest > 0.0 && self.recent > most * self.lowest {
            let Self { recent, lowest, .. } = self;
            let message = format!("step {step}: the loss has grown to {recent:.4}, from {lowest:.4}: expected it to fall");
            return Err(Error::new(ErrorKind::Diverged, message));
        }
        if self.seen == 1 || self.seen as f64 == RECENT || self.recent < self.lowest {
            self.lowest = self.recent;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step at which a run of these losses ends.
    fn ends(losses: impl IntoIterator<Item = f64>) -> Option<u64> {
        let mut tally = Tally::default();
        (1..).zip(losses).find_map(|(step, loss)| tally.add(&Stepped { loss, norm: 1.0, learning_rate: 1e-3 }, step).err().map(|_| step))
    }

    #[test]
    fn losses_that_grow() {
        let ones = || std::iter::repeat_n(1.0, 100);
        assert_eq!(ends(ones()), None);
        assert_eq!(ends(ones().chain([300.0])), None, "one among fifty");
        assert_eq!(ends(ones().chain([600.0])), Some(101));
        assert_eq!(ends([1.0, 5e8, 2.0]), Some(2), "before there is an average");
        // Of a batch of one, at much noise first, and at little then.
        assert_eq!(ends(std::iter::once(1e-3).chain(ones())), None);
        assert_eq!(ends([0.0; 100]), None);
    }
}
