//! The reusable memory of runs.

use super::steps::Segment;
use std::sync::Mutex;

/// The memory of one run. Kept between runs, it is not allocated again.
#[derive(Default)]
pub(crate) struct Arena {
    pub(super) buffers: Vec<Vec<f32>>,
    /// [kinds, c] of what is computed of timesteps and classes.
    pub(super) row_buffers: Vec<Vec<f32>>,
    /// The same for each image, where images are given them: [n, c].
    pub(super) rows: Vec<Vec<f32>>,
    /// What norms subtract and multiply by, and 1 / the deviation, [n, c] each.
    pub(super) statistics: Vec<[Vec<f32>; 3]>,
    /// Memory of buffers that are forgotten.
    spare: Vec<Vec<f32>>,
}

impl Arena {
    /// Finds memory for the inner buffers of a part, for `n` images.
    pub(super) fn hold(&mut self, segment: &Segment, lens: &[usize], n: usize) {
        for &buffer in &segment.inner {
            self.buffers[buffer] = take(&mut self.spare, n * lens[buffer]);
        }
    }

    /// Forgets them.
    pub(super) fn forget(&mut self, segment: &Segment) {
        let Self { buffers, spare, .. } = self;
        spare.extend(segment.inner.iter().map(|&buffer| std::mem::take(&mut buffers[buffer])));
    }
}

/// The memory of runs that are over.
#[derive(Default)]
pub(crate) struct Arenas(Mutex<Vec<Arena>>);

impl Arenas {
    /// Runs something with memory of its own on a thread of the pool: from elsewhere each operation would wait for one to wake up.
    pub(crate) fn run(&self, f: impl FnOnce(&mut Arena) + Send) {
        let mut arena = self.0.lock().expect("no run panics while it holds the lock").pop().unwrap_or_default();
        rayon::scope(|_| f(&mut arena));
        self.0.lock().expect("no run panics while it holds the lock").push(arena);
    }
}

/// A buffer of at least `len` numbers.
pub(super) fn at_least(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// At least `len` numbers out of spare memory, whatever was there before.
pub(super) fn take(spare: &mut Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let index = fitting(spare.iter().map(Vec::len), len);
    let mut memory = index.map(|i| spare.swap_remove(i)).unwrap_or_default();
    at_least(&mut memory, len);
    memory
}

/// Of memory of these lengths, which to use for `len` numbers: the smallest that is large enough, else the largest, to be enlarged.
pub(super) fn fitting(lens: impl Iterator<Item = usize> + Clone, len: usize) -> Option<usize> {
    let numbered = lens.enumerate();
    let fits = numbered.clone().filter(|(_, found)| *found >= len).min_by_key(|(_, found)| *found);
    fits.or_else(|| numbered.max_by_key(|(_, found)| *found)).map(|(i, _)| i)
}
