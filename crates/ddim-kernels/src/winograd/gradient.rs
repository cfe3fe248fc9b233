//! The gradient of the weights: products of the input and the output gradient at the points, transformed back to taps.

#![allow(clippy::needless_range_loop)] // one index goes over several columns at once

use super::input::{Transformed, transform_input_spread};
use super::transforms::{POINTS, SIDE, SPREAD, TILE, points_of_gradient, taps};
use super::weights::of_panel;
use crate::gemm::{PANEL, Product, width, width_of};
use crate::geometry::{Conv2d, Grid};
use crate::images::{CopyLine, Images, Normal};
use crate::scratch;
use crate::simd::{arch, load, store};
use crate::transpose::Transpose;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Tiles of a gradient that are transformed together, at most.
const GRADIENT_TILES: usize = 256;

/// Tiles whose points stay in the second cache beside sums.
const NEAR_TILES: usize = 64;

/// Input channels of a task of a gradient of weights: sums at all points, for a panel of output channels, stay in the second cache.
const GRADIENT_INS: usize = 64;

/// Σ over tiles of x's points times dy's points, back to taps: the gradient of the weights [out, in, 3, 3], added to `out`.
///
/// dg = Gᵀ [(Bᵀ d B) ⊙ (A dy Aᵀ)] G, the transpose of what the forward pass does.
pub(crate) fn weight_gradient(x: &Images<'_>, conv: &Conv2d, normal: Option<Normal<'_>>, dy: &Images<'_>, out: &mut [f32]) {
    let [channels_out, channels_in] = conv.channels;
    let grid = Grid::new(dy.shape[0], [dy.shape[1], dy.shape[2]], [TILE; 2]);
    let columns = grid.tiles[1];
    let threads = rayon::current_num_threads();
    let together = (GRADIENT_TILES.min((grid.bands() * columns).div_ceil(threads)) / columns).max(1);
    let starts: Vec<usize> = (0..grid.bands()).step_by(together).collect();
    let mut tasks = tasks_of(conv.channels, out);
    // Sums of one task at one point: [in][64].
    const LEN: usize = GRADIENT_INS * PANEL;
    let once = grid.bands() * columns <= NEAR_TILES && tasks.len() >= threads;
    let kept_plane = tasks.len() * LEN + SPREAD;
    // [point][task][in][64].
    let mut kept = scratch::take(if once { 0 } else { POINTS * kept_plane });
    for (round, starts) in starts.chunks(if once { starts.len().max(1) } else { threads }).enumerate() {
        let transform = |&start: &usize| {
            let bands = start..(start + together).min(grid.bands());
            let x = transform_input_spread(x, conv, normal, &grid, bands.clone(), 16);
            (x, transform_gradient(dy, &grid, bands.clone()), bands.len() * columns)
        };
        let blocks: Vec<(Transformed, Transformed, usize)> = starts.par_iter().map(transform).collect();
        let add = |panel: usize, ins: Range<usize>, point: usize, sums: &mut [f32]| {
            for (index, (x, dy, tiles)) in blocks.iter().enumerate() {
                for (first, to) in of_panel(channels_out, panel).zip((0..).step_by(width())) {
                    arch().dispatch(Product {
                        a: &x.data[point * x.plane + ins.start..],
                        a_stride: x.stride,
                        transposed: true,
                        b: &dy.data[point * dy.plane + first * tiles..],
                        b_stride: width(),
                        c: &mut sums[to..],
                        c_stride: PANEL,
                        rows: ins.len(),
                        columns: width().min(channels_out - first),
                        k: *tiles,
                        accumulate: round + index > 0,
                    });
                }
            }
        };
        if once {
            // All points of a task: its sums go no further than the second cache.
            tasks.par_iter_mut().for_each(|task| {
                let plane = LEN + SPREAD;
                let mut sums = scratch::take(POINTS * plane);
                sums.chunks_exact_mut(plane).enumerate().for_each(|(point, sums)| add(task.panel, task.ins.clone(), point, sums));
                arch().dispatch(Taps { sums: &sums, plane, task });
            });
        } else {
            // All sums of a point: what they read stays there. The tasks of a panel lie one behind the other.
            let panel_len = channels_in.div_ceil(GRADIENT_INS) * LEN;
            kept.par_chunks_exact_mut(kept_plane).enumerate().for_each(|(point, sums)| {
                sums.chunks_exact_mut(panel_len).enumerate().for_each(|(panel, sums)| add(panel, 0..channels_in, point, sums));
            });
        }
    }
    if !once {
        tasks.par_iter_mut().enumerate().for_each(|(index, task)| {
            arch().dispatch(Taps { sums: &kept[index * LEN..], plane: kept_plane, task });
        });
    }
}

/// A y Aᵀ of the tiles of `bands` of a gradient.
fn transform_gradient(dy: &Images<'_>, grid: &Grid, bands: Range<usize>) -> Transformed {
    let [_, h, w, c] = dy.shape;
    let [rows, columns] = grid.tiles;
    // Read as the second operand of a product: [c / width][tile][width], without gaps under a register tile.
    let (stride, tiles) = (c.next_multiple_of(PANEL), bands.len() * columns);
    let plane = tiles * stride + SPREAD;
    let mut out = scratch::take(POINTS * plane);
    let line = columns * TILE * stride;
    let mut strip = scratch::zeros(TILE * line);
    let vectors = arch();
    for (index, band) in bands.enumerate() {
        let (image, row) = (band / rows, band % rows);
        for (i, strip) in strip.chunks_exact_mut(line).enumerate() {
            let y = row * TILE + i;
            if y >= h {
                strip.fill(0.0);
                continue;
            }
            let x = &dy.data[(image * h + y) * w * dy.stride..];
            let copy = CopyLine { x, stride: dy.stride, channels: c, pixels: w, normal: None, repeat: 1, out: strip, out_stride: stride };
            vectors.dispatch(copy);
        }
        let out = &mut out[index * columns * width()..];
        vectors.dispatch(TransformGradientBand { strip: &strip, line, stride, columns, out, plane, tiles });
    }
    Transformed { data: out, plane, stride }
}

struct TransformGradientBand<'a> {
    strip: &'a [f32],
    line: usize,
    stride: usize,
    columns: usize,
    /// From the first tile of the band.
    out: &'a mut [f32],
    plane: usize,
    /// Of all bands.
    tiles: usize,
}

impl WithSimd for TransformGradientBand<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = width_of::<S>();
        for tile in 0..self.columns {
            for channel in (0..self.stride).step_by(S::F32_LANES) {
                let at = tile * TILE * self.stride + channel;
                let to = (channel / width * self.tiles + tile) * width + channel % width;
                let h = [
                    self.column::<S>(simd, at),
                    self.column::<S>(simd, at + self.stride),
                    self.column::<S>(simd, at + 2 * self.stride),
                    self.column::<S>(simd, at + 3 * self.stride),
                ];
                for y in 0..SIDE {
                    let row = points_of_gradient(simd, [h[0][y], h[1][y], h[2][y], h[3][y]]);
                    for (x, value) in row.into_iter().enumerate() {
                        store::<S>(&mut self.out[(y * SIDE + x) * self.plane + to..], value);
                    }
                }
            }
        }
    }
}

impl TransformGradientBand<'_> {
    #[inline(always)]
    fn column<S: Simd>(&self, simd: S, at: usize) -> [S::f32s; SIDE] {
        let line = |i: usize| &self.strip[i * self.line + at..];
        points_of_gradient(simd, [load::<S>(line(0)), load::<S>(line(1)), load::<S>(line(2)), load::<S>(line(3))])
    }
}

/// A part of a gradient of weights.
struct Task<'a> {
    panel: usize,
    ins: Range<usize>,
    /// For each output channel of the panel: [in][9].
    out: Vec<&'a mut [f32]>,
}

/// The parts of a gradient `out` [out, in, 9], those of a panel one after the other.
fn tasks_of([channels_out, channels_in]: [usize; 2], out: &mut [f32]) -> Vec<Task<'_>> {
    let mut tasks = Vec::new();
    for (panel, out) in out.chunks_mut(PANEL * channels_in * 9).enumerate() {
        let first = tasks.len();
        for start in (0..channels_in).step_by(GRADIENT_INS) {
            tasks.push(Task { panel, ins: start..channels_in.min(start + GRADIENT_INS), out: Vec::with_capacity(PANEL.min(channels_out)) });
        }
        for out in out.chunks_exact_mut(channels_in * 9) {
            for (task, out) in tasks[first..].iter_mut().zip(out.chunks_mut(GRADIENT_INS * 9)) {
                task.out.push(out);
            }
        }
    }
    tasks
}

/// The sums of a task to taps, which are added to its part.
struct Taps<'a, 'b> {
    sums: &'a [f32],
    plane: usize,
    task: &'a mut Task<'b>,
}

impl WithSimd for Taps<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Channels whose taps, 36 KiB, are about as large as a first cache.
        const RUN: usize = 16;
        let count = self.task.out.len();
        let mut found = [0.0; RUN * 9 * PANEL];
        for start in (0..self.task.ins.len()).step_by(RUN) {
            let channels = RUN.min(self.task.ins.len() - start);
            for (i, found) in found.chunks_exact_mut(9 * PANEL).take(channels).enumerate() {
                for lane in (0..count).step_by(S::F32_LANES) {
                    let at = (start + i) * PANEL + lane;
                    let h = [
                        self.column::<S>(simd, 0, at),
                        self.column::<S>(simd, 1, at),
                        self.column::<S>(simd, 2, at),
                        self.column::<S>(simd, 3, at),
                        self.column::<S>(simd, 4, at),
                        self.column::<S>(simd, 5, at),
                    ];
                    for y in 0..3 {
                        let row = taps(simd, [h[0][y], h[1][y], h[2][y], h[3][y], h[4][y], h[5][y]]);
                        for (x, value) in row.into_iter().enumerate() {
                            store::<S>(&mut found[(y * 3 + x) * PANEL + lane..], value);
                        }
                    }
                }
            }
            let to = |o: usize, tap: usize, numbers: &[f32]| {
                let out = &mut self.task.out[o][start * 9 + tap..][..numbers.len()];
                let ((outs, out_rest), (numbers, rest)) = (S::as_mut_simd_f32s(out), S::as_simd_f32s(numbers));
                for (out, number) in outs.iter_mut().zip(numbers) {
                    *out = simd.add_f32s(*out, *number);
                }
                out_rest.iter_mut().zip(rest).for_each(|(out, number)| *out += number);
            };
            Transpose { from: &found, stride: PANEL, rows: channels * 9, columns: count, to }.with_simd(simd);
        }
    }
}

impl Taps<'_, '_> {
    #[inline(always)]
    fn column<S: Simd>(&self, simd: S, x: usize, at: usize) -> [S::f32s; 3] {
        let m = |y: usize| &self.sums[(y * SIDE + x) * self.plane + at..];
        taps(simd, [load::<S>(m(0)), load::<S>(m(1)), load::<S>(m(2)), load::<S>(m(3)), load::<S>(m(4)), load::<S>(m(5))])
    }
}
