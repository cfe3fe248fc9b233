//! The forward convolution: products at the points, one panel of output channels at a time, transformed to tiles of outputs.

#![allow(clippy::needless_range_loop)] // one index goes over several columns at once

use super::input::{Transformed, transform_input};
use super::transforms::{POINTS, ROWS_OF_POINTS, SIDE, SPREAD, TILE, outputs, points_of_weights};
use super::weights::{CHUNK, Operand, TransformWeights, columns_of_weights, of_panel, two_rows};
use crate::gemm::{PANEL, PackedPanel, width, width_of};
use crate::geometry::{Conv2d, Grid, split};
use crate::images::{Ending, Images, Normal, Place};
use crate::scratch;
use crate::simd::{LINE, arch, load, prefetch};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// `x` [n, h, w, in] -> `out` [n, h', w', out].
pub(crate) fn run(conv: &Conv2d, weights: Operand<'_>, x: &Images<'_>, normal: Option<Normal<'_>>, ending: &Ending<'_>, out: &mut [f32]) {
    let channels = conv.channels;
    let grid = Grid::new(x.shape[0], conv.output([x.shape[1], x.shape[2]]), [TILE; 2]);
    let (columns, threads) = (grid.tiles[1], rayon::current_num_threads());
    let held;
    let weights = match weights.for_tiles(channels, grid.bands() * columns) {
        Some(all) => {
            held = all;
            Operand::Transformed(&held)
        }
        None => weights,
    };
    let together = weights.bands_together(grid.bands(), columns, threads);
    let blocks = split(out, (0..grid.bands()).step_by(together).map(|band| grid.first_pixel(band) * ending.stride));
    let panels = channels[0].div_ceil(PANEL);
    // Enough blocks: each is one task. Else what a block does is spread as well.
    let spread = blocks.len() < threads;
    let run = |(block, out): (usize, &mut [f32])| {
        let bands = block * together..((block + 1) * together).min(grid.bands());
        let input = transform_input(x, conv, normal, &grid, bands.clone());
        let tiles = bands.len() * columns;
        let multiply = |panel: usize| multiply(weights, channels, panel, &input, tiles, spread);
        let finish = |bands: Range<usize>, panel: usize, sums: &Sums, out: &mut [f32]| {
            let first = bands.start - block * together;
            arch().dispatch(FinishBands { ending, grid: &grid, bands, first, channels: channels[0], panel, sums, out });
        };
        if spread {
            let sums: Vec<Sums> = (0..panels).into_par_iter().map(multiply).collect();
            let start = grid.first_pixel(bands.start);
            let parts = split(out, bands.clone().map(|band| (grid.first_pixel(band) - start) * ending.stride));
            parts.into_par_iter().zip(bands).for_each(|(out, band)| {
                sums.iter().enumerate().for_each(|(panel, sums)| finish(band..band + 1, panel, sums, out));
            });
        } else {
            // A panel's sums are still near when they are read.
            (0..panels).for_each(|panel| finish(bands.clone(), panel, &multiply(panel), out));
        }
    };
    blocks.into_par_iter().enumerate().for_each(run);
}

/// The products of one panel of output channels, summed over the input channels.
struct Sums {
    /// [point][tile][64].
    data: scratch::Scratch,
    /// Numbers from one point to the next.
    plane: usize,
}

/// Multiplies the transformed input of `tiles` tiles by the weights of one panel of output channels, on several threads where `spread` says so.
fn multiply(weights: Operand<'_>, channels: [usize; 2], panel: usize, input: &Transformed, tiles: usize, spread: bool) -> Sums {
    let [channels_out, channels_in] = channels;
    let columns = PANEL.min(channels_out - panel * PANEL);
    let plane = tiles * PANEL + SPREAD;
    let mut sums = scratch::take(POINTS * plane);
    let vectors = arch();
    let starts: Vec<usize> = (0..tiles).map(|tile| tile * input.stride).collect();
    // The products at all points of some rows of points, for `k` input channels from `start`: weights [row][point][k][64].
    // `next` has what is read after each of them, `share` numbers apart.
    let mut multiply = |rows: &[usize], start: usize, k: usize, weights: &[f32], weights_plane: usize, next: &[f32], share: usize| {
        let points = rows.iter().flat_map(|row| row * SIDE..(row + 1) * SIDE);
        let at_point = |index: usize, point: usize, c: &mut [f32]| {
            let (a, b) = (&input.data[point * input.plane + start..], &weights[index * weights_plane..]);
            // On several threads, another one reads it.
            let end = if spread { 0 } else { next.len() };
            let next = &next[(index * share).min(end)..((index + 1) * share).min(end)];
            vectors.dispatch(PackedPanel { a, starts: &starts, lines: 1, a_line: 0, b, c, columns, k, accumulate: start > 0, next });
        };
        if spread {
            let mut parts: Vec<Option<&mut [f32]>> = sums.chunks_exact_mut(plane).map(Some).collect();
            let tasks: Vec<_> = points.enumerate().map(|(index, point)| (index, point, parts[point].take())).collect();
            tasks.into_par_iter().for_each(|(index, point, c)| at_point(index, point, c.expect("each point once")));
        } else {
            points.enumerate().for_each(|(index, point)| at_point(index, point, &mut sums[point * plane..][..plane]));
        }
    };
    let (width, firsts) = (width(), of_panel(channels_out, panel));
    if let Operand::Transformed(all) = weights {
        let plane = channels_in * PANEL + SPREAD;
        let all = &all[panel * POINTS * plane..];
        // Those of the next point, and in the end of the next panel.
        multiply(&[0, 1, 2, 3, 4, 5], 0, channels_in, all, plane, &all[plane..], plane);
    } else if tiles == 1 {
        let input: Vec<[f32; POINTS]> =
            (0..channels_in).map(|i| std::array::from_fn(|point| input.data[point * input.plane + i])).collect();
        let mut buffer = scratch::take(channels_in * 9 * width);
        for (first, to) in firsts.zip((0..).step_by(width)) {
            let raw = weights.raw(channels, first, 0..channels_in, &mut buffer);
            vectors.dispatch(OneTile { raw, input: &input, sums: &mut sums[to..], plane });
        }
    } else {
        let chunk_plane = CHUNK * PANEL + SPREAD;
        let mut buffer = scratch::take(CHUNK * 9 * PANEL);
        let mut chunk = scratch::take(2 * SIDE * chunk_plane);
        for start in (0..channels_in).step_by(CHUNK) {
            let range = start..channels_in.min(start + CHUNK);
            let raws = (0..).step_by(range.len() * width).zip(firsts.clone().zip(buffer.chunks_exact_mut(CHUNK * 9 * width)));
            let raws: Vec<(usize, &[f32])> =
                raws.map(|(to, (first, buffer))| (to, weights.raw(channels, first, range.clone(), buffer))).collect();
            let far = weights.after(channels, panel, range.end);
            for (pair, rows) in ROWS_OF_POINTS.iter().enumerate() {
                let far = &far[far.len() / 3 * pair..][..far.len() / 3];
                for &(to, raw) in &raws {
                    let out = two_rows(&mut chunk, [0, 1], chunk_plane).map(|row| &mut row[to..]);
                    vectors.dispatch(TransformWeights { raw, pair, out, plane: chunk_plane });
                }
                multiply(rows, start, range.len(), &chunk, chunk_plane, far, far.len() / (2 * SIDE));
            }
        }
    }
    Sums { data: sums, plane }
}

impl Sums {
    /// Aᵀ m A of a vector of tile `tile`, from column `column` of the panel.
    #[inline(always)]
    fn outputs<S: Simd>(&self, simd: S, tile: usize, column: usize) -> [[S::f32s; TILE]; TILE] {
        // Whole vectors: one check of bounds a load.
        let (sums, plane) = (S::as_simd_f32s(&self.data).0, self.plane / S::F32_LANES);
        let at = (tile * PANEL + column) / S::F32_LANES;
        let h = [
            column_of_sums(simd, sums, plane, at),
            column_of_sums(simd, sums, plane, at + plane),
            column_of_sums(simd, sums, plane, at + 2 * plane),
            column_of_sums(simd, sums, plane, at + 3 * plane),
            column_of_sums(simd, sums, plane, at + 4 * plane),
            column_of_sums(simd, sums, plane, at + 5 * plane),
        ];
        let mut rows = [[simd.splat_f32s(0.0); TILE]; TILE];
        for (y, row) in rows.iter_mut().enumerate() {
            *row = outputs(simd, [h[0][y], h[1][y], h[2][y], h[3][y], h[4][y], h[5][y]]);
        }
        rows
    }
}

/// Aᵀ of the six points of the column at `at`.
#[inline(always)]
fn column_of_sums<S: Simd>(simd: S, sums: &[S::f32s], plane: usize, at: usize) -> [S::f32s; TILE] {
    let row = SIDE * plane;
    let m = [sums[at], sums[row + at], sums[2 * row + at], sums[3 * row + at], sums[4 * row + at], sums[5 * row + at]];
    outputs(simd, m)
}

/// The products of one tile by weights that are transformed for it alone: in registers, channel by channel, in the order of [`PackedPanel`].
struct OneTile<'a> {
    /// [in][9][width].
    raw: &'a [f32],
    /// [in][point].
    input: &'a [[f32; POINTS]],
    /// [point][64], points `plane` apart.
    sums: &'a mut [f32],
    plane: usize,
}

impl WithSimd for OneTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Vectors whose sums stay in the first cache.
        const PAIR: usize = 2;
        // Channels between what is read and what is fetched: enough for memory.
        const AHEAD: usize = 4;
        let (width, plane) = (width_of::<S>() / S::F32_LANES, self.plane / S::F32_LANES);
        let (raw, out) = (S::as_simd_f32s(self.raw).0, S::as_mut_simd_f32s(self.sums).0);
        for first in (0..width).step_by(PAIR) {
            let mut sums = [[simd.splat_f32s(0.0); POINTS]; PAIR];
            for (i, (input, raw)) in self.input.iter().zip(raw.chunks_exact(9 * width)).enumerate() {
                for tap in 0..9 {
                    let at = ((i + AHEAD) * 9 + tap) * width + first;
                    (0..PAIR * S::F32_LANES).step_by(LINE).for_each(|part| prefetch(self.raw, (at * S::F32_LANES + part) / LINE));
                }
                for (at, sums) in (first..).zip(&mut sums) {
                    let h = columns_of_weights(simd, raw, width, at);
                    for y in 0..SIDE {
                        let row = points_of_weights(simd, [h[0][y], h[1][y], h[2][y]]);
                        for x in 0..SIDE {
                            let point = y * SIDE + x;
                            sums[point] = simd.mul_add_e_f32s(simd.splat_f32s(input[point]), row[x], sums[point]);
                        }
                    }
                }
            }
            for (at, sums) in (first..).zip(&sums) {
                for (point, &sum) in sums.iter().enumerate() {
                    out[point * plane + at] = sum;
                }
            }
        }
    }
}

/// The products of a panel to the pixels of `bands`.
struct FinishBands<'a> {
    ending: &'a Ending<'a>,
    grid: &'a Grid,
    bands: Range<usize>,
    /// The first band's place in `sums`.
    first: usize,
    channels: usize,
    panel: usize,
    sums: &'a Sums,
    /// From the first pixel of `bands`.
    out: &'a mut [f32],
}

impl WithSimd for FinishBands<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let w = self.grid.size[1];
        let channel = self.panel * PANEL;
        let columns = PANEL.min(self.channels - channel);
        let start = self.grid.first_pixel(self.bands.start);
        for (index, band) in self.bands.clone().enumerate() {
            let first = self.grid.first_pixel(band);
            let lines = (self.grid.first_pixel(band + 1) - first) / w;
            let added = self.ending.of(band / self.grid.tiles[0], channel);
            for tile in 0..self.grid.tiles[1] {
                let (x, at) = (tile * TILE, (self.first + index) * self.grid.tiles[1] + tile);
                for column in (0..columns).step_by(S::F32_LANES) {
                    let place = Place {
                        pixel: first + x,
                        start,
                        line: w,
                        columns: w - x,
                        channel: channel + column,
                        count: S::F32_LANES.min(columns - column),
                    };
                    let rows = self.sums.outputs(simd, at, column);
                    self.ending.apply_tile(simd, &rows[..lines], load::<S>(&added[column..]), place, self.out);
                }
            }
        }
    }
}
