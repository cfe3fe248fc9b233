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
    /// An average of the loss over about fifty steps, and the lowest it was.
    recent: f64,
    lowest: f64,
    seen: u64,
}

/// The averaged loss may be so many times its lowest.
const GROWTH: f64 = 10.0;
/// Steps of that average.
const RECENT: f64 = 50.0;

impl Tally {
    /// Whether the loss has not begun to grow.
    pub(crate) fn is_low(&self) -> bool {
        self.lowest == 0.0 || self.recent < 2.0 * self.lowest
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
        if self.seen as f64 >= RECENT {
            self.lowest = if self.seen as f64 == RECENT { self.recent } else { self.lowest.min(self.recent) };
            if self.recent > GROWTH * self.lowest {
                let Self { recent, lowest, .. } = self;
                let message = format!("step {step}: the loss has grown to {recent:.4}, from {lowest:.4}: expected it to fall");
                return Err(Error::new(ErrorKind::Diverged, message));
            }
        }
        Ok(())
    }
}
