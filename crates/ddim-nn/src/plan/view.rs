//! Where values are stored.

use ddim_kernels::Images;
use std::ops::Range;

/// Where a value lies: in buffer `buffer`, pixels `stride` numbers apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) buffer: usize,
    pub(super) offset: usize,
    pub(super) stride: usize,
    /// \[h, w, c\].
    pub(super) shape: [usize; 3],
}

impl View {
    /// `count` of the channels.
    pub(super) fn channels(self, first: usize, count: usize) -> Self {
        let [h, w, _] = self.shape;
        Self { offset: self.offset + first, shape: [h, w, count], ..self }
    }

    /// Where image `i` begins in the buffer.
    pub(super) fn start(&self, i: usize) -> usize {
        self.offset + i * self.shape[0] * self.shape[1] * self.stride
    }

    /// The images `range` of the batch.
    pub(super) fn images<'a>(&self, range: &Range<usize>, buffers: &'a [Vec<f32>]) -> Images<'a> {
        self.of(range, &buffers[self.buffer])
    }

    /// The same, of the buffer itself.
    pub(super) fn of<'a>(&self, range: &Range<usize>, buffer: &'a [f32]) -> Images<'a> {
        let [h, w, c] = self.shape;
        Images { data: &buffer[self.start(range.start)..], shape: [range.len(), h, w, c], stride: self.stride }
    }
}
