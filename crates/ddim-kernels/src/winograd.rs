//! 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3): 36 products instead of 144 for each tile of 4×4 outputs.
//!
//! y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A with the points 0, ±3/4, ±3/2, ∞: all constants of A and B are exact in f32, and the error is a fifth of
//! that with the usual 0, ±1, ±2 (worst of 200 tiles of 256 channels: 2.1e-6 of the largest output against 1.1e-5).

#![allow(clippy::needless_range_loop)] // one index goes over several columns at once

use crate::conv::{Conv2d, Order};
use crate::gemm::{PANEL, PackedPanel, Product, width, width_of};
use crate::images::{CopyLine, Images, Normal};
use crate::scratch;
use crate::simd::{LINE, arch, load, prefetch, store};
use crate::transpose::Transpose;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Outputs along a side of a tile.
pub(crate) const TILE: usize = 4;
/// Inputs along a side of a tile.
const SIDE: usize = TILE + 2;
pub(crate) const POINTS: usize = SIDE * SIDE;

const P: f32 = 0.75;
const Q: f32 = 1.5;
/// Halves of the points that are neither 0 nor ∞; the other halves have the other sign.
pub(crate) const HALVES: [f32; 2] = [P, Q];
const P2: f32 = P * P;
const Q2: f32 = Q * Q;

/// Numbers between the planes of two points, over their size: so that the 36 planes do not fall into the same sets of the cache.
pub(crate) const SPREAD: usize = 16;
/// Channels whose weights are transformed at once where they are not kept: with their 36 points they stay in the second cache.
const CHUNK: usize = 32;

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
    fn raw<'b>(self, channels: [usize; 2], first: usize, range: Range<usize>, buffer: &'b mut [f32]) -> &'b [f32]
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
    fn after(&self, [_, channels_in]: [usize; 2], panel: usize, end: usize) -> &[f32] {
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

/// Rows of points that have intermediate results in common.
const ROWS_OF_POINTS: [[usize; 2]; 3] = [[0, 5], [1, 2], [3, 4]];

/// Two rows, one below the other, of six points whose planes follow one another.
fn two_rows(out: &mut [f32], [upper, lower]: [usize; 2], plane: usize) -> [&mut [f32]; 2] {
    let (above, below) = out.split_at_mut(lower * SIDE * plane);
    [&mut above[upper * SIDE * plane..], below]
}

/// The first channels of a panel's register tiles.
fn of_panel(channels_out: usize, panel: usize) -> impl Iterator<Item = usize> + Clone {
    (panel * PANEL..channels_out.min((panel + 1) * PANEL)).step_by(width())
}

/// G g Gᵀ of each channel, of two rows of points: raw [in][9][width] -> out [row][point][in][width], points `plane` apart.
struct TransformWeights<'a> {
    raw: &'a [f32],
    /// Of [`ROWS_OF_POINTS`].
    pair: usize,
    out: [&'a mut [f32]; 2],
    plane: usize,
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
fn columns_of_weights<S: Simd>(simd: S, raw: &[S::f32s], width: usize, at: usize) -> [[S::f32s; SIDE]; 3] {
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

/// G g.
#[inline(always)]
fn points_of_weights<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; SIDE] {
    let [zero, infinity] = two_points_of_weights::<S, 0>(simd, g);
    let [p, minus_p] = two_points_of_weights::<S, 1>(simd, g);
    let [q, minus_q] = two_points_of_weights::<S, 2>(simd, g);
    [zero, p, minus_p, q, minus_q, infinity]
}

/// Two points of [`ROWS_OF_POINTS`] of them.
#[inline(always)]
fn two_points_of_weights<S: Simd, const PAIR: usize>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 2] {
    let c = |v: f32| simd.splat_f32s(v);
    if PAIR == 0 {
        return [simd.mul_f32s(g[0], c(1.0 / (P2 * Q2))), g[2]];
    }
    let (point, square, other) = if PAIR == 1 { (P, P2, Q2) } else { (Q, Q2, P2) };
    let scale = c(1.0 / (2.0 * square * (square - other)));
    let (even, odd) = (simd.mul_add_e_f32s(g[2], c(square), g[0]), simd.mul_f32s(g[1], c(point)));
    [simd.mul_f32s(simd.add_f32s(even, odd), scale), simd.mul_f32s(simd.sub_f32s(even, odd), scale)]
}

/// Bᵀ d.
#[inline(always)]
pub(crate) fn points_of_input<S: Simd>(simd: S, d: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let c = |v: f32| simd.splat_f32s(v);
    let (even_p, odd_p) = (simd.mul_add_e_f32s(d[2], c(-Q2), d[4]), simd.mul_add_e_f32s(d[1], c(-Q2), d[3]));
    let (even_q, odd_q) = (simd.mul_add_e_f32s(d[2], c(-P2), d[4]), simd.mul_add_e_f32s(d[1], c(-P2), d[3]));
    [
        simd.mul_add_e_f32s(d[0], c(P2 * Q2), simd.mul_add_e_f32s(d[2], c(-P2 - Q2), d[4])),
        simd.mul_add_e_f32s(odd_p, c(P), even_p),
        simd.mul_add_e_f32s(odd_p, c(-P), even_p),
        simd.mul_add_e_f32s(odd_q, c(Q), even_q),
        simd.mul_add_e_f32s(odd_q, c(-Q), even_q),
        simd.mul_add_e_f32s(d[1], c(P2 * Q2), simd.mul_add_e_f32s(d[3], c(-P2 - Q2), d[5])),
    ]
}

/// Aᵀ m.
#[inline(always)]
pub(crate) fn outputs<S: Simd>(simd: S, m: [S::f32s; SIDE]) -> [S::f32s; TILE] {
    let c = |v: f32| simd.splat_f32s(v);
    let (sum_p, difference_p) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (sum_q, difference_q) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum_p, sum_q)),
        simd.mul_add_e_f32s(difference_p, c(P), simd.mul_f32s(difference_q, c(Q))),
        simd.mul_add_e_f32s(sum_p, c(P2), simd.mul_f32s(sum_q, c(Q2))),
        simd.mul_add_e_f32s(difference_p, c(P2 * P), simd.mul_add_e_f32s(difference_q, c(Q2 * Q), m[5])),
    ]
}

/// The tiles of a batch of outputs, in bands: rows of tiles across an image.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    /// Of the output.
    pub(crate) size: [usize; 2],
    /// Bands of an image, tiles of a band.
    pub(crate) tiles: [usize; 2],
    pub(crate) images: usize,
}

impl Grid {
    pub(crate) fn new(images: usize, size: [usize; 2]) -> Self {
        Self { size, tiles: size.map(|n| n.div_ceil(TILE)), images }
    }

    pub(crate) fn bands(&self) -> usize {
        self.images * self.tiles[0]
    }

    /// The first output pixel of a band, of all images.
    pub(crate) fn first_pixel(&self, band: usize) -> usize {
        let [h, w] = self.size;
        band / self.tiles[0] * h * w + (band % self.tiles[0] * TILE).min(h) * w
    }
}

/// The transformed input of some bands: [point][tile][in], channels filled up with zeros to whole vectors.
pub(crate) struct Transformed {
    pub(crate) data: scratch::Scratch,
    /// Numbers from one point to the next.
    pub(crate) plane: usize,
    /// Numbers from one tile to the next.
    pub(crate) stride: usize,
}

/// Bᵀ d B of the tiles of `bands`.
pub(crate) fn transform_input(x: &Images<'_>, conv: &Conv2d, normal: Option<Normal<'_>>, grid: &Grid, bands: Range<usize>) -> Transformed {
    transform_input_spread(x, conv, normal, grid, bands, 0)
}

/// The same with tiles `spread` numbers farther apart: where they are read down their columns, a power of two apart would meet in the same lines of
/// the cache.
fn transform_input_spread(
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

/// The products of one panel of output channels, summed over the input channels.
pub(crate) struct Sums {
    /// [point][tile][64].
    data: scratch::Scratch,
    /// Numbers from one point to the next.
    plane: usize,
}

/// Multiplies the transformed input of `tiles` tiles by the weights of one panel of output channels, on several threads where `spread` says so.
pub(crate) fn multiply(weights: Operand<'_>, channels: [usize; 2], panel: usize, input: &Transformed, tiles: usize, spread: bool) -> Sums {
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
    pub(crate) fn outputs<S: Simd>(&self, simd: S, tile: usize, column: usize) -> [[S::f32s; TILE]; TILE] {
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

/// Rows and columns of points of a gradient: A y.
#[inline(always)]
fn points_of_gradient<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; SIDE] {
    let c = |v: f32| simd.splat_f32s(v);
    let even_p = simd.mul_add_e_f32s(y[2], c(P2), y[0]);
    let odd_p = simd.mul_add_e_f32s(y[3], c(P2 * P), simd.mul_f32s(y[1], c(P)));
    let even_q = simd.mul_add_e_f32s(y[2], c(Q2), y[0]);
    let odd_q = simd.mul_add_e_f32s(y[3], c(Q2 * Q), simd.mul_f32s(y[1], c(Q)));
    [y[0], simd.add_f32s(even_p, odd_p), simd.sub_f32s(even_p, odd_p), simd.add_f32s(even_q, odd_q), simd.sub_f32s(even_q, odd_q), y[3]]
}

/// Gᵀ w.
#[inline(always)]
fn taps<S: Simd>(simd: S, w: [S::f32s; SIDE]) -> [S::f32s; 3] {
    let c = |v: f32| simd.splat_f32s(v);
    let (p, q) = (c(1.0 / (2.0 * P2 * (P2 - Q2))), c(1.0 / (2.0 * Q2 * (Q2 - P2))));
    let (sum_p, difference_p) = (simd.mul_f32s(simd.add_f32s(w[1], w[2]), p), simd.mul_f32s(simd.sub_f32s(w[1], w[2]), p));
    let (sum_q, difference_q) = (simd.mul_f32s(simd.add_f32s(w[3], w[4]), q), simd.mul_f32s(simd.sub_f32s(w[3], w[4]), q));
    [
        simd.mul_add_e_f32s(w[0], c(1.0 / (P2 * Q2)), simd.add_f32s(sum_p, sum_q)),
        simd.mul_add_e_f32s(difference_p, c(P), simd.mul_f32s(difference_q, c(Q))),
        simd.mul_add_e_f32s(sum_p, c(P2), simd.mul_add_e_f32s(sum_q, c(Q2), w[5])),
    ]
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
    let grid = Grid::new(dy.shape[0], [dy.shape[1], dy.shape[2]]);
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
