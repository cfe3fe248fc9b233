//! What a network asks of whoever evaluates it elsewhere.

use crate::condition::Condition;
use crate::error::Result;

/// What evaluates a network on another device than the processor: a whole batch at once. A result may depend on its batch in the last bits, as it does
/// not here.
pub trait Executor: Send + Sync {
    /// Images `x` [n, c, h, w] -> `out` [n, c_out, h, w], at `timesteps` (code timesteps, 0 to T-1, maybe between two) and under `condition`, n of each.
    ///
    /// # Errors
    /// What the device says.
    fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()>;
}
