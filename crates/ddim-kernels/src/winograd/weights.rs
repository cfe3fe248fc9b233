//! Weights transformed to the points: stored, or transformed as they are used.

use super::transforms::{POINTS, ROWS_OF_POINTS, SIDE, SPREAD, points_of_weights, two_points_of_weights};
use crate::gemm::{PANEL, width, width_of};
use crate::order::Order;
use crate::scratch;
use crate::simd::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Channels whose weights are transformed at once where they are not kept: with their 36 points they stay in the second cache.
pub(super) const CHUNK: usize = 32;

/// Of transformed weights.
pub(crate) fn transformed_bytes([channels_out, channels_in]: [usize; 2]) -> usize {
    channels_out * channels_in * POINTS * size_of::<f32>()
}

/// Weights [out, in, 3, 3] that are kept, in panels of 64 output channels.
pub(crate) enum Weights {
    /// [panel][point][64 / width][in][width]: four times the size of the weights, for layers that use them for many tiles an image.
    Transformed(Vec<f32>),
    /// [out / width][in][tap][width], transformed as they are used: for small images, whose weights would take longer to read than to transform.
    Packed(Vec<f32>),
}

/// Weights as they are multiplied with.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    /// Laid out as [`Weights`] are.
    Transformed(&'a [f32]),
    /// The same.
    Packed(&'a [f32]),
    /// As they came.
    Loose(Order<'a>),
}

impl Weights {
    pub(crate) fn new(channels @ [channels_out, channels_in]: [usize; 2], keep: bool, order: Order<'_>) -> Self {
        if keep {
            let mut all = vec![0.0; transformed_len(channels)];
            Operand::Loose(order).transform(channels, &mut all);
            return Self::Transformed(all);
        }
        let width = width();
        let mut packed = vec![0.0; channels_out.div_ceil(width) * channels_in * 9 * width];
        packed.par_chunks_exact_mut(channels_in * 9 * width).enumerate().for_each(|(group, packed)| {
            order.pack(channels, 9, [group * width, width], 0..channels_in, packed, [9 * width, width]);
        });
        Self::Packed(packed)
    }

    pub(crate) fn operand(&self) -> Operand<'_> {
        match self {
            Self::Transformed(all) => Operand::Transformed(all),
            Self::Packed(packed) => Operand::Packed(packed),
        }
    }
}

/// Numbers in all transformed weights.
fn transformed_len([channels_out, channels_in]: [usize; 2]) -> usize {
    channels_out.div_ceil(PANEL) * POINTS * (channels_in * PANEL + SPREAD)
}

/// Tiles for which weights that are not kept are transformed at once, all of them: for fewer, in parts that stay in the second cache.
const MANY_TILES: usize = 96;

impl Operand<'_> {
    /// All weights transformed, for one run with `tiles` tiles, where they are not and that is worth it.
    pub(crate) fn for_tiles(self, channels: [usize; 2], tiles: usize) -> Option<scratch::Scratch> {
        if matches!(self, Self::Transformed(_)) || tiles < MANY_TILES {
            return None;
        }
        let mut all = scratch::take(transformed_len(channels));
        self.transform(channels, &mut all);
        Some(all)
    }

    /// Bands whose products are computed together, of `bands` with `columns` tiles each.
    pub(crate) fn bands_together(self, bands: usize, columns: usize, threads: usize) -> usize {
        // Each block of tiles would transform the weights again.
        let Self::Transformed(_) = self else { return bands };
        // Enough that reading the weights is little beside multiplying, and few enough that points and sums stay near.
        let tiles = if width() == PANEL { 48 } else { 32 };
        let blocks = (bands * columns).div_ceil(tiles).next_multiple_of(threads);
        let together = bands.div_ceil(blocks);
        // Rounded up, fewer than the threads could be left.
        let together = if bands.div_ceil(together) < threads { bands / blocks } else { together };
        together.max(16usize.div_ceil(columns))
    }

    /// Of input channels `range` and the output channels of a register tile's width from `first`: [in][tap][width], in `buffer` if need be.
    pub(super) fn raw<'b>(self, channels: [usize; 2], first: usize, range: Range<usize>, buffer: &'b mut [f32]) -> &'b [f32]
    where
        Self: 'b,
    {
        let row = 9 * width();
        match self {
            Self::Packed(packed) => &packed[first * channels[1] * 9 + range.start * row..][..range.len() * row],
            Self::Loose(order) => {
                let buffer = &mut buffer[..range.len() * row];
                order.pack(channels, 9, [first, width()], range, buffer, [row, width()]);
                buffer
            }
            Self::Transformed(_) => unreachable!("they are transformed"),
        }
    }

    /// What follows input channel `end` of a panel where it lies in one piece.
    pub(super) fn after(&self, [_, channels_in]: [usize; 2], panel: usize, end: usize) -> &[f32] {
        match self {
            Self::Packed(packed) if width() == PANEL => {
                let start = (panel * channels_in + end) * 9 * PANEL;
                &packed[start..packed.len().min(start + CHUNK * 9 * PANEL)]
            }
            _ => &[],
        }
    }

    /// G g Gᵀ, laid out as in [`Weights::Transformed`].
    fn transform(self, channels @ [channels_out, channels_in]: [usize; 2], out: &mut [f32]) {
        // Channels whose weights, 36 KiB, are about as large as a first cache.
        const RUN: usize = 16;
        let (width, plane) = (width(), channels_in * PANEL + SPREAD);
        out.par_chunks_exact_mut(POINTS * plane).enumerate().for_each(|(panel, out)| {
            let mut buffer = scratch::take(RUN * 9 * width);
            for (first, to) in of_panel(channels_out, panel).zip((0..).step_by(channels_in * width)) {
                for start in (0..channels_in).step_by(RUN) {
                    let range = start..channels_in.min(start + RUN);
                    let to = to + start * width;
                    let raw = self.raw(channels, first, range, &mut buffer);
                    for (pair, rows) in ROWS_OF_POINTS.into_iter().enumerate() {
                        let out = two_rows(out, rows, plane).map(|row| &mut row[to..]);
                        arch().dispatch(TransformWeights { raw, pair, out, plane });
                    }
                }
            }
        });
    }
}

/// Two rows, one below the other, of six points whose planes follow one another.
pub(super) fn two_rows(out: &mut [f32], [upper, lower]: [usize; 2], plane: usize) -> [&mut [f32]; 2] {
    let (above, below) = out.split_at_mut(lower * SIDE * plane);
    [&mut above[upper * SIDE * plane..], below]
}

/// The first channels of a panel's register tiles.
pub(super) fn of_panel(channels_out: usize, panel: usize) -> impl Iterator<Item = usize> + Clone {
    (panel * PANEL..channels_out.min((panel + 1) * PANEL)).step_by(width())
}

/// G g Gᵀ of each channel, of two rows of points: raw [in][9][width] -> out [row][point][in][width], points `plane` apart.
pub(super) struct TransformWeights<'a> {
    pub(super) raw: &'a [f32],
    /// Of [`ROWS_OF_POINTS`].
    pub(super) pair: usize,
    pub(super) out: [&'a mut [f32]; 2],
    pub(super) plane: usize,
}

impl WithSimd for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.pair {
            0 => self.pair::<S, 0>(simd),
            1 => self.pair::<S, 1>(simd),
            _ => self.pair::<S, 2>(simd),
        }
    }
}

impl TransformWeights<'_> {
    #[inline(always)]
    fn pair<S: Simd, const PAIR: usize>(self, simd: S) {
        let width = width_of::<S>() / S::F32_LANES;
        let raw = S::as_simd_f32s(self.raw).0;
        let count = raw.len() / 9;
        let [upper, lower] = self.out;
        let (mut upper, mut lower) = (planes::<S>(upper, self.plane, count), planes::<S>(lower, self.plane, count));
        for (i, raw) in raw.chunks_exact(9 * width).enumerate() {
            for at in 0..width {
                let a = two_points_of_weights::<S, PAIR>(simd, column_of_weights::<S>(raw, width, at, 0));
                let b = two_points_of_weights::<S, PAIR>(simd, column_of_weights::<S>(raw, width, at, 1));
                let c = two_points_of_weights::<S, PAIR>(simd, column_of_weights::<S>(raw, width, at, 2));
                let to = i * width + at;
                for (out, value) in upper.iter_mut().zip(points_of_weights(simd, [a[0], b[0], c[0]])) {
                    out[to] = value;
                }
                for (out, value) in lower.iter_mut().zip(points_of_weights(simd, [a[1], b[1], c[1]])) {
                    out[to] = value;
                }
            }
        }
    }
}

/// The first `count` vectors of each of six planes: their bounds are checked once.
#[inline(always)]
fn planes<S: Simd>(mut out: &mut [f32], plane: usize, count: usize) -> [&mut [S::f32s]; SIDE] {
    let mut planes: [&mut [S::f32s]; SIDE] = [&mut [], &mut [], &mut [], &mut [], &mut [], &mut []];
    for (x, slot) in planes.iter_mut().enumerate() {
        let (first, rest) = out.split_at_mut(if x + 1 < SIDE { plane } else { count * S::F32_LANES });
        *slot = &mut S::as_mut_simd_f32s(first).0[..count];
        out = rest;
    }
    planes
}

/// G of each column of three taps, for vector `at` of a channel [9][width].
#[inline(always)]
pub(super) fn columns_of_weights<S: Simd>(simd: S, raw: &[S::f32s], width: usize, at: usize) -> [[S::f32s; SIDE]; 3] {
    [
        points_of_weights(simd, column_of_weights::<S>(raw, width, at, 0)),
        points_of_weights(simd, column_of_weights::<S>(raw, width, at, 1)),
        points_of_weights(simd, column_of_weights::<S>(raw, width, at, 2)),
    ]
}

/// The taps of column x, for vector `at` of a channel [9][width].
#[inline(always)]
fn column_of_weights<S: Simd>(raw: &[S::f32s], width: usize, at: usize, x: usize) -> [S::f32s; 3] {
    [raw[x * width + at], raw[(3 + x) * width + at], raw[(6 + x) * width + at]]
}
