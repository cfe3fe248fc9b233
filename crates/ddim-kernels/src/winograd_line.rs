//! Convolutions of stride 1 by Winograd along one axis: for 1×k and k×1, F(4, 3) with 6 products instead of 12 for four outputs and F(3, 7)
//! with 9 instead of 21 for three; for each line of 5×5, F(4, 5) with 8 instead of 20, summed over the lines at the points.
//!
//! F(4, 3) has the points of `winograd`; F(4, 5) 0, ±1/2, ±1, ±2, ∞; F(3, 7) ±1/4, ±3/4, ±5/4, ±2, ∞. Without 0 it needs no larger ones: the
//! error is that of F(4×4, 3×3) (worst of 200 tiles of 192 channels: 2.4e-6 of the largest output, that of F(4, 7) 7.9e-6; F(4, 5) 1.3e-6).
//! All constants of two of the three transforms are exact in f32.

use crate::gemm::{PANEL, PackedPanel, width};
use crate::geometry::{Conv2d, Grid, split};
use crate::images::{Ending, Images, Normal, normalised};
use crate::order::Order;
use crate::scratch;
use crate::simd::arch;
use crate::winograd::{self, SPREAD};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Tiles that are computed together: their points and a panel's sums stay in the second cache.
const TILES: usize = 48;

/// F(OUTPUTS, POINTS - OUTPUTS + 1).
trait Algorithm<const POINTS: usize, const OUTPUTS: usize> {
    /// Bᵀ d.
    fn points<S: Simd>(simd: S, d: [S::f32s; POINTS]) -> [S::f32s; POINTS];

    /// Aᵀ m.
    fn outputs<S: Simd>(simd: S, m: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS];
}

struct Three;
struct Five;
struct Seven;

/// Halves of the points that are neither 0 nor ∞, for five taps and for seven; the other halves have the other sign.
const FIVE: [f32; 3] = [0.5, 1.0, 2.0];
const SEVEN: [f32; 4] = [0.25, 0.75, 1.25, 2.0];

/// Points that are not ∞, and outputs of a tile.
fn algorithm(taps: usize) -> Option<(Vec<f64>, usize)> {
    let both = |halves: &[f32]| halves.iter().flat_map(|&p| [f64::from(p), -f64::from(p)]).collect::<Vec<_>>();
    match taps {
        3 => Some(([vec![0.0], both(&winograd::HALVES)].concat(), 4)),
        5 => Some(([vec![0.0], both(&FIVE)].concat(), 4)),
        7 => Some((both(&SEVEN), 3)),
        _ => None,
    }
}

/// Along which axis this module's convolutions go, where they pay.
pub(crate) fn axis(conv: &Conv2d, size: [usize; 2]) -> Option<usize> {
    let axis = match conv.kernel {
        [1, _] | [5, 5] => 1,
        [_, 1] => 0,
        _ => return None,
    };
    let (points, outputs) = algorithm(conv.kernel[axis])?;
    let length = conv.output(size)[axis];
    let fits = conv.stride == 1 && !conv.enlarge && (axis == 1 || conv.padding[1] == [0, 0]) && conv.channels[1].is_multiple_of(16);
    // A third more than the products pays for the transforms.
    let products = length.div_ceil(outputs) * (points.len() + 1);
    (fits && conv.channels.into_iter().all(|c| c >= 32) && products * 4 < length * conv.kernel[axis] * 3).then_some(axis)
}

/// Lines of the kernel across the axis.
fn lines(conv: &Conv2d, axis: usize) -> usize {
    if axis == 1 { conv.kernel[0] } else { 1 }
}

/// Weights at the points: [panel][point][64 / width][line][in][width].
pub(crate) fn pack(conv: &Conv2d, axis: usize, order: Order<'_>) -> Vec<f32> {
    let [channels_out, channels_in] = conv.channels;
    let taps = conv.kernel[axis];
    let (points, _) = algorithm(taps).expect("chosen by axis()");
    let rows: Vec<Vec<f64>> = points
        .iter()
        .map(|&p| {
            let factor: f64 = points.iter().filter(|&&other| other != p).map(|&other| p - other).product();
            (0..taps).map(|tap| p.powi(tap as i32) / factor).collect()
        })
        .chain([(0..taps).map(|tap| if tap + 1 == taps { 1.0 } else { 0.0 }).collect()])
        .collect();
    let (depth, width) = (lines(conv, axis) * channels_in, width());
    let plane = depth * PANEL + SPREAD;
    let mut out = vec![0.0; channels_out.div_ceil(PANEL) * rows.len() * plane];
    out.par_chunks_exact_mut(plane).enumerate().for_each(|(index, out)| {
        let (panel, row) = (index / rows.len(), &rows[index % rows.len()]);
        for o in 0..PANEL.min(channels_out - panel * PANEL) {
            for k in 0..depth {
                let (line, i) = (k / channels_in, k % channels_in);
                let taps = row.iter().enumerate().map(|(tap, g)| g * f64::from(order.at(conv, panel * PANEL + o, i, line * taps + tap)));
                out[(o / width * depth + k) * width + o % width] = taps.sum::<f64>() as f32;
            }
        }
    });
    out
}

/// `x` [n, h, w, in] by weights from [`pack`], to `out` [n, h', w', out].
pub(crate) fn run(
    conv: &Conv2d,
    axis: usize,
    weights: &[f32],
    x: &Images<'_>,
    normal: Option<Normal<'_>>,
    ending: &Ending<'_>,
    out: &mut [f32],
) {
    let mut copy = scratch::take(if normal.is_some() { x.pixels() * x.shape[3] } else { 0 });
    let x = match normal {
        Some(normal) => {
            normalised(x, normal, &mut copy);
            &Images::new(&copy, x.shape)
        }
        None => x,
    };
    match conv.kernel[axis] {
        3 => run_with::<Three, 6, 4>(conv, axis, weights, x, ending, out),
        5 => run_with::<Five, 8, 4>(conv, axis, weights, x, ending, out),
        _ => run_with::<Seven, 9, 3>(conv, axis, weights, x, ending, out),
    }
}

fn run_with<A: Algorithm<POINTS, OUTPUTS> + Sync, const POINTS: usize, const OUTPUTS: usize>(
    conv: &Conv2d,
    axis: usize,
    weights: &[f32],
    x: &Images<'_>,
    ending: &Ending<'_>,
    out: &mut [f32],
) {
    let [n, h, w, channels_in] = x.shape;
    let size = conv.output([h, w]);
    let mut tile = [1, 1];
    tile[axis] = OUTPUTS;
    let grid = Grid::new(n, size, tile);
    let (bands, columns, lines) = (grid.bands(), grid.tiles[1], lines(conv, axis));
    let blocks = (bands * columns).div_ceil(TILES).next_multiple_of(rayon::current_num_threads());
    let together = bands.div_ceil(blocks).max(1);
    let zeros = scratch::zeros(channels_in);
    let parts = split(out, (0..bands).step_by(together).map(|band| grid.first_pixel(band) * ending.stride));
    parts.into_par_iter().enumerate().for_each(|(block, out)| {
        // Rows of tiles of input, and which is the first of each band's. One that another band reads as well is there once.
        let (mut rows, mut firsts): (Vec<[usize; 2]>, Vec<usize>) = (Vec::new(), Vec::new());
        for band in block * together..((block + 1) * together).min(bands) {
            let (image, row) = (band / grid.tiles[0], band % grid.tiles[0] * tile[0]);
            let known = rows.last().map_or(0, |&[last, end]| if last == image { (end + 1).saturating_sub(row) } else { 0 });
            firsts.push(rows.len() - known);
            rows.extend((row + known..row + lines).map(|row| [image, row]));
        }
        let count = rows.len() * columns;
        let plane = count * channels_in + SPREAD;
        let mut input = scratch::take(POINTS * plane);
        let (zeros, algorithm) = (&*zeros, PhantomData::<A>);
        arch().dispatch(Transform { algorithm, conv, axis, x, zeros, rows: &rows, columns, out: &mut input, plane });
        let starts: Vec<usize> =
            firsts.iter().flat_map(|first| (0..columns).map(move |column| (first * columns + column) * channels_in)).collect();
        let places: Vec<[usize; 3]> = firsts
            .iter()
            .flat_map(|&first| {
                let [image, row] = rows[first];
                (0..columns).map(move |column| [image, row, column * tile[1]])
            })
            .collect();
        let sums_plane = starts.len() * PANEL + SPREAD;
        let mut sums = scratch::take(POINTS * sums_plane);
        let weights_plane = lines * channels_in * PANEL + SPREAD;
        for panel in 0..conv.channels[0].div_ceil(PANEL) {
            let channel = panel * PANEL;
            let count = PANEL.min(conv.channels[0] - channel);
            for point in 0..POINTS {
                let (b, next) = weights[(panel * POINTS + point) * weights_plane..].split_at(weights_plane);
                let next = &next[..weights_plane.min(next.len())];
                let (a, c) = (&input[point * plane..], &mut sums[point * sums_plane..]);
                let (starts, a_line) = (&starts, columns * channels_in);
                arch().dispatch(PackedPanel { a, starts, lines, a_line, b, c, columns: count, k: channels_in, accumulate: false, next });
            }
            let (grid, places, sums, plane, columns) = (&grid, &places, &sums, sums_plane, count);
            arch().dispatch(FinishPanel { algorithm, grid, axis, ending, places, sums, plane, channel, columns, out: &mut *out });
        }
    });
}

/// The points of the inputs of some tiles, [point][row][column][in].
struct Transform<'a, A, const POINTS: usize, const OUTPUTS: usize> {
    algorithm: PhantomData<A>,
    conv: &'a Conv2d,
    axis: usize,
    x: &'a Images<'a>,
    zeros: &'a [f32],
    /// Image and row of the first input of rows of tiles, with what pads the image.
    rows: &'a [[usize; 2]],
    columns: usize,
    out: &'a mut [f32],
    plane: usize,
}

impl<A: Algorithm<POINTS, OUTPUTS>, const POINTS: usize, const OUTPUTS: usize> WithSimd for Transform<'_, A, POINTS, OUTPUTS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.plane / S::F32_LANES;
        let mut at = 0;
        for &[image, row] in self.rows {
            for column in 0..self.columns {
                let mut pixels: [&[S::f32s]; POINTS] = [&[]; POINTS];
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = S::as_simd_f32s(self.pixel(image, row, column, i)).0;
                }
                let out = S::as_mut_simd_f32s(self.out).0;
                for channel in 0..pixels[0].len() {
                    let mut d = [simd.splat_f32s(0.0); POINTS];
                    for (d, pixel) in d.iter_mut().zip(&pixels) {
                        *d = pixel[channel];
                    }
                    for (point, value) in A::points(simd, d).into_iter().enumerate() {
                        out[point * plane + at] = value;
                    }
                    at += 1;
                }
            }
        }
    }
}

impl<'a, A: Algorithm<POINTS, OUTPUTS>, const POINTS: usize, const OUTPUTS: usize> Transform<'a, A, POINTS, OUTPUTS> {
    /// The `i`-th pixel that a tile reads.
    #[inline(always)]
    fn pixel(&self, image: usize, row: usize, column: usize, i: usize) -> &'a [f32] {
        let [_, h, w, _] = self.x.shape;
        let (y, x) = if self.axis == 0 { (row + i, column) } else { (row, column * OUTPUTS + i) };
        // Negative places wrap to ones that are too large.
        let (y, x) = (y.wrapping_sub(self.conv.padding[0][0]), x.wrapping_sub(self.conv.padding[1][0]));
        if y < h && x < w { self.x.pixel((image * h + y) * w + x) } else { self.zeros }
    }
}

impl Algorithm<6, 4> for Three {
    #[inline(always)]
    fn points<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        winograd::points_of_input(simd, d)
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        winograd::outputs(simd, m)
    }
}

impl Algorithm<8, 4> for Five {
    /// The polynomial that is 0 at all points but ±p and 0 has even powers only: E; that of p is x (x + p) E.
    #[inline(always)]
    fn points<S: Simd>(simd: S, d: [S::f32s; 8]) -> [S::f32s; 8] {
        let c = |v: f32| simd.splat_f32s(v);
        let [a, b, e] = FIVE.map(|p| p * p);
        let mut out = [d[0]; 8];
        for (i, [u, v]) in [[b, e], [a, e], [a, b]].into_iter().enumerate() {
            let even = simd.mul_add_e_f32s(d[2], c(u * v), simd.mul_add_e_f32s(d[4], c(-u - v), d[6]));
            let odd = simd.mul_add_e_f32s(d[1], c(u * v), simd.mul_add_e_f32s(d[3], c(-u - v), d[5]));
            out[2 * i + 1] = simd.mul_add_e_f32s(odd, c(FIVE[i]), even);
            out[2 * i + 2] = simd.mul_add_e_f32s(odd, c(-FIVE[i]), even);
        }
        let (first, second, third) = (c(-a - b - e), c(a * b + a * e + b * e), c(-a * b * e));
        out[0] = simd.mul_add_e_f32s(d[0], third, simd.mul_add_e_f32s(d[2], second, simd.mul_add_e_f32s(d[4], first, d[6])));
        out[7] = simd.mul_add_e_f32s(d[1], third, simd.mul_add_e_f32s(d[3], second, simd.mul_add_e_f32s(d[5], first, d[7])));
        out
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: [S::f32s; 8]) -> [S::f32s; 4] {
        let c = |v: f32| simd.splat_f32s(v);
        let zero = simd.splat_f32s(0.0);
        let mut out = [m[0], zero, zero, m[7]];
        for (i, p) in FIVE.into_iter().enumerate() {
            let (sum, difference) = (simd.add_f32s(m[2 * i + 1], m[2 * i + 2]), simd.sub_f32s(m[2 * i + 1], m[2 * i + 2]));
            out[0] = simd.add_f32s(out[0], sum);
            out[1] = simd.mul_add_e_f32s(difference, c(p), out[1]);
            out[2] = simd.mul_add_e_f32s(sum, c(p * p), out[2]);
            out[3] = simd.mul_add_e_f32s(difference, c(p * p * p), out[3]);
        }
        out
    }
}

impl Algorithm<9, 3> for Seven {
    /// The polynomial that is 0 at all points but ±p has even powers only: E; that of p is (x + p) E.
    #[inline(always)]
    fn points<S: Simd>(simd: S, d: [S::f32s; 9]) -> [S::f32s; 9] {
        let c = |v: f32| simd.splat_f32s(v);
        let [a, b, e, f] = SEVEN.map(|p| p * p);
        let mut out = [d[0]; 9];
        for (i, [u, v, w]) in [[b, e, f], [a, e, f], [a, b, f], [a, b, e]].into_iter().enumerate() {
            let (first, second, third) = (c(-u - v - w), c(u * v + u * w + v * w), c(-u * v * w));
            let even = simd.mul_add_e_f32s(d[0], third, simd.mul_add_e_f32s(d[2], second, simd.mul_add_e_f32s(d[4], first, d[6])));
            let odd = simd.mul_add_e_f32s(d[1], third, simd.mul_add_e_f32s(d[3], second, simd.mul_add_e_f32s(d[5], first, d[7])));
            out[2 * i] = simd.mul_add_e_f32s(even, c(SEVEN[i]), odd);
            out[2 * i + 1] = simd.mul_add_e_f32s(even, c(-SEVEN[i]), odd);
        }
        let low = simd.mul_add_e_f32s(d[2], c(-(a * b * e + a * b * f + a * e * f + b * e * f)), simd.mul_f32s(d[0], c(a * b * e * f)));
        let pairs = a * b + a * e + a * f + b * e + b * f + e * f;
        out[8] = simd.add_f32s(simd.mul_add_e_f32s(d[4], c(pairs), low), simd.mul_add_e_f32s(d[6], c(-a - b - e - f), d[8]));
        out
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 3] {
        let c = |v: f32| simd.splat_f32s(v);
        let mut out = [simd.add_f32s(m[0], m[1]), simd.mul_f32s(simd.sub_f32s(m[0], m[1]), c(SEVEN[0])), m[8]];
        out[2] = simd.mul_add_e_f32s(out[0], c(SEVEN[0] * SEVEN[0]), out[2]);
        for i in 1..4 {
            let (sum, difference) = (simd.add_f32s(m[2 * i], m[2 * i + 1]), simd.sub_f32s(m[2 * i], m[2 * i + 1]));
            out[0] = simd.add_f32s(out[0], sum);
            out[1] = simd.mul_add_e_f32s(difference, c(SEVEN[i]), out[1]);
            out[2] = simd.mul_add_e_f32s(sum, c(SEVEN[i] * SEVEN[i]), out[2]);
        }
        out
    }
}

/// The products of a panel to the pixels of some tiles.
struct FinishPanel<'a, A, const POINTS: usize, const OUTPUTS: usize> {
    algorithm: PhantomData<A>,
    grid: &'a Grid,
    axis: usize,
    ending: &'a Ending<'a>,
    /// Image, row and column of the first output of each tile.
    places: &'a [[usize; 3]],
    /// [point][tile][64], points `plane` apart.
    sums: &'a [f32],
    plane: usize,
    channel: usize,
    columns: usize,
    /// From the first pixel of the tiles.
    out: &'a mut [f32],
}

impl<A: Algorithm<POINTS, OUTPUTS>, const POINTS: usize, const OUTPUTS: usize> WithSimd for FinishPanel<'_, A, POINTS, OUTPUTS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (sums, plane, panel) = (S::as_simd_f32s(self.sums).0, self.plane / S::F32_LANES, PANEL / S::F32_LANES);
        let mut raw = [[0.0; PANEL]; OUTPUTS];
        for tile in 0..self.places.len() {
            for column in 0..self.columns.div_ceil(S::F32_LANES) {
                let mut m = [simd.splat_f32s(0.0); POINTS];
                for (point, m) in m.iter_mut().enumerate() {
                    *m = sums[point * plane + tile * panel + column];
                }
                for (raw, value) in raw.iter_mut().zip(A::outputs(simd, m)) {
                    S::as_mut_simd_f32s(raw).0[column] = value;
                }
            }
            self.put(simd, tile, &raw);
        }
    }
}

impl<A, const POINTS: usize, const OUTPUTS: usize> FinishPanel<'_, A, POINTS, OUTPUTS> {
    /// The outputs of a tile, of which those within the image are written.
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, tile: usize, raw: &[[f32; PANEL]]) {
        let [h, w] = self.grid.size;
        let [first_image, first_row, _] = self.places[0];
        let start = (first_image * h + first_row) * w;
        let [image, row, column] = self.places[tile];
        let added = self.ending.of(image, self.channel);
        for (i, raw) in raw.iter().enumerate() {
            let (y, x) = if self.axis == 0 { (row + i, column) } else { (row, column + i) };
            if y < h && x < w {
                let pixel = (image * h + y) * w + x;
                let out = &mut self.out[(pixel - start) * self.ending.stride + self.channel..][..self.columns];
                self.ending.apply(simd, raw, added, pixel, self.channel, out);
            }
        }
    }
}
