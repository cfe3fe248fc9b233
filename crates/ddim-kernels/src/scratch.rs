//! Buffers that are used again by the next operation of a thread, so that the allocator does not return them to the system in between.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that a thread keeps.
const KEPT: usize = 8;

/// Numbers of any value; its memory goes back to the thread when it is dropped. Taken, not borrowed: an operation that another one
/// interrupts on the same thread (rayon steals while it waits) holds its own.
pub(crate) struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

/// `len` numbers, whatever was there before.
pub(crate) fn take(len: usize) -> Scratch {
    let mut buffer = SPARE.with_borrow_mut(|spare| {
        // The smallest that is large enough, else the largest.
        let fits = (0..spare.len()).filter(|&i| spare[i].len() >= len).min_by_key(|&i| spare[i].len());
        let index = fits.or_else(|| (0..spare.len()).max_by_key(|&i| spare[i].len()));
        index.map(|i| spare.swap_remove(i)).unwrap_or_default()
    });
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    Scratch { buffer, len }
}

/// `len` zeros.
pub(crate) fn zeros(len: usize) -> Scratch {
    let mut scratch = take(len);
    scratch.fill(0.0);
    scratch
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // The thread may be ending, and its list with it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        });
    }
}
