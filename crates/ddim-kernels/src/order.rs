//! The memory orders of weights, and how they are packed.

use crate::geometry::Conv2d;
use crate::simd::arch;
use crate::transpose::Transpose;
use std::ops::Range;

/// In which order weights lie.
#[derive(Clone, Copy)]
pub(crate) enum Order<'a> {
    /// [out, in, taps], PyTorch's.
    OutIn(&'a [f32]),
    /// [in, out, taps], the taps from the last to the first: of the convolution that is the gradient of another.
    Turned(&'a [f32]),
}

impl Order<'_> {
    /// The weight of output channel `o`, input channel `i` and a tap of `conv`.
    pub(crate) fn at(&self, conv: &Conv2d, o: usize, i: usize, tap: usize) -> f32 {
        let ([outs, ins], taps) = (conv.channels, conv.taps());
        match *self {
            Self::OutIn(weight) => weight[(o * ins + i) * taps + tap],
            Self::Turned(weight) => weight[(i * outs + o) * taps + taps - 1 - tap],
        }
    }

    /// The weights of input channels `range` for `width` output channels from `first`, zero beyond the last: rows of `width`, those of two input
    /// channels and of two taps `apart`.
    pub(crate) fn pack(
        &self,
        [outs, ins]: [usize; 2],
        taps: usize,
        [first, width]: [usize; 2],
        range: Range<usize>,
        to: &mut [f32],
        apart: [usize; 2],
    ) {
        let count = width.min(outs - first);
        let row = |i: usize, tap: usize| i * apart[0] + tap * apart[1];
        let vectors = arch();
        match *self {
            Self::OutIn(weight) => {
                let (from, stride) = (&weight[(first * ins + range.start) * taps..], ins * taps);
                // Without a division where rows are all as far apart.
                let even = apart[0] == taps * apart[1];
                let to = |column: usize, o: usize, numbers: &[f32]| {
                    let row = if even { column * apart[1] } else { row(column / taps, column % taps) };
                    to[row + o..][..numbers.len()].copy_from_slice(numbers);
                };
                vectors.dispatch(Transpose { from, stride, rows: count, columns: range.len() * taps, to });
            }
            Self::Turned(weight) if taps == 1 => {
                for i in range.clone() {
                    to[row(i - range.start, 0)..][..count].copy_from_slice(&weight[i * outs + first..][..count]);
                }
            }
            Self::Turned(weight) => {
                for i in range.clone() {
                    let from = &weight[(i * outs + first) * taps..][..count * taps];
                    let to = |tap: usize, o: usize, numbers: &[f32]| {
                        to[row(i - range.start, taps - 1 - tap) + o..][..numbers.len()].copy_from_slice(numbers);
                    };
                    vectors.dispatch(Transpose { from, stride: taps, rows: count, columns: taps, to });
                }
            }
        }
        if count < width {
            for i in 0..range.len() {
                (0..taps).for_each(|tap| to[row(i, tap)..][count..width].fill(0.0));
            }
        }
    }
}
