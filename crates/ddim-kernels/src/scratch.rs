//! Buffers that a thread's next operation reuses, so that the allocator does not return them to the system in between.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Large buffers, of all threads: which thread runs an operation changes from one to the next, and each would come to keep its own.
static LARGE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Numbers from which a buffer is large.
const LARGE_LEN: usize = 1 << 20;

/// Buffers that a thread keeps, and large ones that are kept for each thread.
const KEPT: usize = 8;

/// Does something to the buffers that ones of `len` numbers are kept with; nothing where the thread is ending, and its list with it.
fn with_spare<T>(len: usize, f: impl FnOnce(&mut Vec<Vec<f32>>) -> T) -> Option<T> {
    if len >= LARGE_LEN {
        return Some(f(&mut LARGE.lock().unwrap_or_else(PoisonError::into_inner)));
    }
    SPARE.try_with(|spare| f(&mut spare.borrow_mut())).ok()
}

/// Numbers of any value; its memory is kept when it is dropped. Taken, not borrowed: an operation that another one
/// interrupts on the same thread (rayon steals while it waits) holds its own.
pub(crate) struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

/// `len` numbers, whatever was there before.
pub(crate) fn take(len: usize) -> Scratch {
    let spare = with_spare(len, |spare| {
        // The smallest that is large enough, else the largest.
        let fits = (0..spare.len()).filter(|&i| spare[i].len() >= len).min_by_key(|&i| spare[i].len());
        let index = fits.or_else(|| (0..spare.len()).max_by_key(|&i| spare[i].len()));
        index.map(|i| spare.swap_remove(i))
    });
    let mut buffer = spare.flatten().unwrap_or_default();
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
        let most = if buffer.len() >= LARGE_LEN { KEPT * rayon::current_num_threads() } else { KEPT };
        with_spare(buffer.len(), |spare| {
            if spare.len() < most {
                spare.push(buffer);
            }
        });
    }
}
