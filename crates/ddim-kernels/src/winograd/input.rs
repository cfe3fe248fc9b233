//! The input transformed to the points, for the convolution and for the gradient of its weights.

#![allow(clippy::needless_range_loop)] // one index goes over several columns at once

use super::transforms::{POINTS, SIDE, SPREAD, TILE, points_of_input};
use crate::geometry::{Conv2d, Grid};
use crate::images::{CopyLine, Images, Normal};
use crate::scratch;
use crate::simd::arch;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// The transformed input of some bands: [point][tile][in], channels filled up with zeros to whole vectors.
pub(super) struct Transformed {
    pub(super) data: scratch::Scratch,
    /// Numbers from one point to the next.
    pub(super) plane: usize,
    /// Numbers from one tile to the next.
    pub(super) stride: usize,
}

/// Bᵀ d B of the tiles of `bands`.
pub(super) fn transform_input(x: &Images<'_>, conv: &Conv2d, normal: Option<Normal<'_>>, grid: &Grid, bands: Range<usize>) -> Transformed {
    transform_input_spread(x, conv, normal, grid, bands, 0)
}

/// The same with tiles `spread` numbers farther apart: where they are read down their columns, a power of two apart would meet in the same lines of
/// the cache.
pub(super) fn transform_input_spread(
    x: &Images<'_>,
    conv: &Conv2d,
    normal: Option<Normal<'_>>,
    grid: &Grid,
    bands: Range<usize>,
    spread: usize,
) -> Transformed {
    let [_, h, w, c] = x.shape;
    let [rows, columns] = grid.tiles;
    let repeat = if conv.enlarge { 2 } else { 1 };
    let [above, left] = conv.padding.map(|[before, _]| before);
    let stride = c.next_multiple_of(16);
    // Numbers from one tile to the next.
    let apart = stride + spread;
    let plane = bands.len() * columns * apart + SPREAD;
    let mut out = scratch::take(POINTS * plane);
    // The six lines of input that a band reads, with columns of zeros before and behind. A band shares two lines with the next: line y
    // lies at place y modulo 6. What fills up the channels is never read back.
    let line = (columns * TILE + 2) * stride;
    let mut strip = scratch::take(SIDE * line);
    for line in strip.chunks_exact_mut(line) {
        line[..left * stride].fill(0.0);
        line[(left + w * repeat) * stride..].fill(0.0);
    }
    let vectors = arch();
    for (index, band) in bands.clone().enumerate() {
        let (image, row) = (band / rows, band % rows);
        let kept = if index > 0 && row > 0 { 2 } else { 0 };
        for y in row * TILE + kept..row * TILE + SIDE {
            let strip = &mut strip[y % SIDE * line..][..line];
            let inner = &mut strip[left * stride..(left + w * repeat) * stride];
            let y = y.wrapping_sub(above);
            if y >= h * repeat {
                inner.fill(0.0);
                continue;
            }
            let x_line = &x.data[(image * h + y / repeat) * w * x.stride..];
            let normal = normal.map(|n| n.of(image));
            vectors.dispatch(CopyLine {
                x: x_line,
                stride: x.stride,
                channels: c,
                pixels: w,
                normal,
                repeat,
                out: inner,
                out_stride: stride,
            });
        }
        let mut lines: [&[f32]; SIDE] = [&[]; SIDE];
        for (i, slot) in lines.iter_mut().enumerate() {
            *slot = &strip[(row * TILE + i) % SIDE * line..][..line];
        }
        let out = &mut out[index * columns * apart..];
        vectors.dispatch(TransformBand { lines, stride, columns, out, plane, apart });
    }
    Transformed { data: out, plane, stride: apart }
}

struct TransformBand<'a> {
    lines: [&'a [f32]; SIDE],
    stride: usize,
    columns: usize,
    out: &'a mut [f32],
    plane: usize,
    apart: usize,
}

impl WithSimd for TransformBand<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Whole vectors: one check of bounds a load.
        let Self { lines, stride, columns, out, plane, apart } = self;
        let (stride, plane, apart) = (stride / S::F32_LANES, plane / S::F32_LANES, apart / S::F32_LANES);
        let out = S::as_mut_simd_f32s(out).0;
        let mut vectors: [&[S::f32s]; SIDE] = [&[]; SIDE];
        for (vectors, line) in vectors.iter_mut().zip(lines) {
            *vectors = S::as_simd_f32s(line).0;
        }
        for tile in 0..columns {
            for channel in 0..stride {
                let at = tile * TILE * stride + channel;
                // By columns, then by rows.
                let h = [
                    column_of_input(simd, &vectors, at),
                    column_of_input(simd, &vectors, at + stride),
                    column_of_input(simd, &vectors, at + 2 * stride),
                    column_of_input(simd, &vectors, at + 3 * stride),
                    column_of_input(simd, &vectors, at + 4 * stride),
                    column_of_input(simd, &vectors, at + 5 * stride),
                ];
                for y in 0..SIDE {
                    let row = points_of_input(simd, [h[0][y], h[1][y], h[2][y], h[3][y], h[4][y], h[5][y]]);
                    for (x, value) in row.into_iter().enumerate() {
                        out[(y * SIDE + x) * plane + tile * apart + channel] = value;
                    }
                }
            }
        }
    }
}

/// Bᵀ of the six pixels below one another at `at` of each line.
#[inline(always)]
fn column_of_input<S: Simd>(simd: S, l: &[&[S::f32s]; SIDE], at: usize) -> [S::f32s; SIDE] {
    points_of_input(simd, [l[0][at], l[1][at], l[2][at], l[3][at], l[4][at], l[5][at]])
}
