//! Buffers that are used again by the next operation of a thread, so that the allocator does not return them to the system in between.

use std::cell::Cell;

thread_local! {
    static SPARE: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// `len` zeros. The buffer is taken, not borrowed: an operation that another thread's work interrupts leaves nothing for it, and that
/// one allocates.
pub(crate) fn zeros(len: usize) -> Vec<f32> {
    let mut buffer = SPARE.take();
    buffer.clear();
    buffer.resize(len, 0.0);
    buffer
}

/// A copy of `x` with `slack` zeros behind it.
pub(crate) fn with_slack(x: &[f32], slack: usize) -> Vec<f32> {
    let mut buffer = SPARE.take();
    buffer.clear();
    buffer.extend_from_slice(x);
    buffer.resize(x.len() + slack, 0.0);
    buffer
}

/// Keeps the buffer for the next operation of this thread, unless it has a larger one.
pub(crate) fn give_back(buffer: Vec<f32>) {
    let spare = SPARE.take();
    SPARE.set(if buffer.capacity() >= spare.capacity() { buffer } else { spare });
}
