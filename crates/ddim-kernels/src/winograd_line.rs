//! Convolutions of stride 1 along one axis, 1×k and k×1, by Winograd: F(4, 3) with 6 products instead of 12 for four outputs, and F(3, 7)
//! with 9 instead of 21 for three.
//!
//! F(4, 3) has the points of winograd.rs, F(3, 7) ±1/4, ±3/4, ±5/4, ±2, ∞: without 0, all constants of two of the three transforms are exact
//! in f32, and the error is that of F(4×4, 3×3) (worst of 200 outputs of 192 channels: 2.4e-6 of the largest; F(4, 7): 7.9e-6).

use crate::conv::{Conv2d, split};
use crate::gemm::{PANEL, PackedPanel, width};
use crate::images::{Ending, Images, Normal, normalised};
use crate::scratch;
use crate::simd::{arch, load, store};
use crate::winograd::{self, SPREAD};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Tiles that are computed together: their points and a panel's sums stay in the second cache.
const TILES: usize = 48;

/// Halves of the points of F(3, 7) that are not ∞; the other halves have the other sign.
const HALVES: [f32; 4] = [0.25, 0.75, 1.25, 2.0];

/// Points that are not ∞, and outputs of a tile.
fn algorithm(taps: usize) -> Option<(Vec<f64>, usize)> {
    let both = |halves: &[f32]| halves.iter().flat_map(|&p| [f64::from(p), -f64::from(p)]).collect::<Vec<_>>();
    match taps {
        3 => Some(([vec![0.0], both(&winograd::HALVES)].concat(), 4)),
        7 => Some((both(&HALVES), 3)),
        _ => None,
    }
}

/// Along which axis this module's convolutions go, where they pay.
pub(crate) fn axis(conv: &Conv2d, size: [usize; 2]) -> Option<usize> {
    let axis = match conv.kernel {
        [1, _] => 1,
        [_, 1] => 0,
        _ => return None,
    };
    let (points, outputs) = algorithm(conv.kernel[axis])?;
    let length = conv.output(size)[axis];
    let fits = conv.stride == 1 && !conv.enlarge && conv.padding[1 - axis] == [0, 0] && conv.channels[1].is_multiple_of(16);
    // A third more than the products pays for the transforms.
    let products = length.div_ceil(outputs) * (points.len() + 1);
    (fits && conv.channels.into_iter().all(|c| c >= 32) && products * 4 < length * conv.kernel[axis] * 3).then_some(axis)
}

/// Weights at the points: [panel][point][64 / width][in][width].
pub(crate) fn pack(conv: &Conv2d, axis: usize, at: impl Fn(usize, usize, usize) -> f32 + Sync) -> Vec<f32> {
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
    let (plane, width) = (channels_in * PANEL + SPREAD, width());
    let mut out = vec![0.0; channels_out.div_ceil(PANEL) * rows.len() * plane];
    out.par_chunks_exact_mut(plane).enumerate().for_each(|(index, out)| {
        let (panel, row) = (index / rows.len(), &rows[index % rows.len()]);
        for o in 0..PANEL.min(channels_out - panel * PANEL) {
            for i in 0..channels_in {
                let sum: f64 = row.iter().enumerate().map(|(tap, g)| g * f64::from(at(panel * PANEL + o, i, tap))).sum();
                out[(o / width * channels_in + i) * width + o % width] = sum as f32;
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
    let [n, h, w, channels_in] = x.shape;
    let size = conv.output([h, w]);
    let taps = conv.kernel[axis];
    let (points, outputs) = if taps == 3 { (6, 4) } else { (9, 3) };
    let mut tile = [1, 1];
    tile[axis] = outputs;
    let grid = Grid { size, tile, tiles: [size[0].div_ceil(tile[0]), size[1].div_ceil(tile[1])] };
    let (bands, columns) = (n * grid.tiles[0], grid.tiles[1]);
    let blocks = (bands * columns).div_ceil(TILES).next_multiple_of(rayon::current_num_threads());
    let together = bands.div_ceil(blocks).max(1);
    let zeros = scratch::zeros(channels_in);
    let parts = split(out, (0..bands).step_by(together).map(|band| grid.first_pixel(band) * ending.stride));
    parts.into_par_iter().enumerate().for_each(|(block, out)| {
        let bands = block * together..((block + 1) * together).min(bands);
        let count = bands.len() * columns;
        let plane = count * channels_in + SPREAD;
        let mut input = scratch::take(points * plane);
        let places: Vec<[usize; 3]> = bands
            .flat_map(|band| {
                let (image, row) = (band / grid.tiles[0], band % grid.tiles[0]);
                (0..columns).map(move |column| [image, row * tile[0], column * tile[1]])
            })
            .collect();
        let transform = Transform { conv, axis, x, zeros: &zeros, places: &places, out: &mut input, plane };
        if taps == 3 {
            arch().dispatch(transform);
        } else {
            arch().dispatch(Seven(transform));
        }
        let starts: Vec<usize> = (0..count).map(|tile| tile * channels_in).collect();
        let sums_plane = count * PANEL + SPREAD;
        let mut sums = scratch::take(points * sums_plane);
        let weights_plane = channels_in * PANEL + SPREAD;
        for (panel, weights) in weights.chunks_exact(points * weights_plane).enumerate() {
            let channel = panel * PANEL;
            let columns = PANEL.min(conv.channels[0] - channel);
            for (point, b) in weights.chunks_exact(weights_plane).enumerate() {
                let (a, c) = (&input[point * plane..], &mut sums[point * sums_plane..]);
                arch().dispatch(PackedPanel { a, starts: &starts, b, c, columns, k: channels_in, accumulate: false });
            }
            let out = &mut *out;
            let finish = FinishPanel { grid: &grid, axis, ending, places: &places, sums: &sums, plane: sums_plane, channel, columns, out };
            if taps == 3 {
                arch().dispatch(finish);
            } else {
                arch().dispatch(FinishSeven(finish));
            }
        }
    });
}

/// The tiles of an output, in bands: rows of tiles across an image.
struct Grid {
    size: [usize; 2],
    tile: [usize; 2],
    tiles: [usize; 2],
}

impl Grid {
    /// The first output pixel of a band, of all images.
    fn first_pixel(&self, band: usize) -> usize {
        let [h, w] = self.size;
        band / self.tiles[0] * h * w + (band % self.tiles[0] * self.tile[0]).min(h) * w
    }
}

/// The points of the inputs of some tiles, [point][tile][in].
struct Transform<'a> {
    conv: &'a Conv2d,
    axis: usize,
    x: &'a Images<'a>,
    zeros: &'a [f32],
    /// Image, row and column of the first output of each tile.
    places: &'a [[usize; 3]],
    out: &'a mut [f32],
    plane: usize,
}

/// F(3, 7).
struct Seven<T>(T);

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for tile in 0..self.places.len() {
            let pixels = self.pixels::<6>(tile);
            for channel in (0..self.zeros.len()).step_by(S::F32_LANES) {
                let values = winograd::points_of_input(simd, self.inputs::<S, 6>(simd, &pixels, channel));
                self.put::<S, 6>(tile, channel, values);
            }
        }
    }
}

impl WithSimd for Seven<Transform<'_>> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut this = self.0;
        for tile in 0..this.places.len() {
            let pixels = this.pixels::<9>(tile);
            for channel in (0..this.zeros.len()).step_by(S::F32_LANES) {
                let values = points_of_input(simd, this.inputs::<S, 9>(simd, &pixels, channel));
                this.put::<S, 9>(tile, channel, values);
            }
        }
    }
}

impl<'a> Transform<'a> {
    /// The pixels that a tile reads.
    #[inline(always)]
    fn pixels<const N: usize>(&self, tile: usize) -> [&'a [f32]; N] {
        let [_, h, w, _] = self.x.shape;
        let [image, row, column] = self.places[tile];
        let mut pixels = [self.zeros; N];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (mut y, mut x) = (row, column);
            // Negative places wrap to ones that are too large.
            let moved = if self.axis == 0 { &mut y } else { &mut x };
            *moved = (*moved + i).wrapping_sub(self.conv.padding[self.axis][0]);
            if y < h && x < w {
                *pixel = self.x.pixel((image * h + y) * w + x);
            }
        }
        pixels
    }

    #[inline(always)]
    fn inputs<S: Simd, const N: usize>(&self, simd: S, pixels: &[&[f32]; N], channel: usize) -> [S::f32s; N] {
        let mut d = [simd.splat_f32s(0.0); N];
        for (d, pixel) in d.iter_mut().zip(pixels) {
            *d = load::<S>(&pixel[channel..]);
        }
        d
    }

    #[inline(always)]
    fn put<S: Simd, const N: usize>(&mut self, tile: usize, channel: usize, values: [S::f32s; N]) {
        for (point, value) in values.into_iter().enumerate() {
            store::<S>(&mut self.out[point * self.plane + tile * self.zeros.len() + channel..], value);
        }
    }
}

/// Bᵀ d of F(3, 7). The polynomial that is 0 at all points but ±p has even powers only: E; that of p is (x + p) E.
#[inline(always)]
fn points_of_input<S: Simd>(simd: S, d: [S::f32s; 9]) -> [S::f32s; 9] {
    let c = |v: f32| simd.splat_f32s(v);
    let [a, b, e, f] = HALVES.map(|p| p * p);
    let mut out = [d[0]; 9];
    for (i, [u, v, w]) in [[b, e, f], [a, e, f], [a, b, f], [a, b, e]].into_iter().enumerate() {
        let (first, second, third) = (c(-u - v - w), c(u * v + u * w + v * w), c(-u * v * w));
        let even = simd.mul_add_e_f32s(d[0], third, simd.mul_add_e_f32s(d[2], second, simd.mul_add_e_f32s(d[4], first, d[6])));
        let odd = simd.mul_add_e_f32s(d[1], third, simd.mul_add_e_f32s(d[3], second, simd.mul_add_e_f32s(d[5], first, d[7])));
        out[2 * i] = simd.mul_add_e_f32s(even, c(HALVES[i]), odd);
        out[2 * i + 1] = simd.mul_add_e_f32s(even, c(-HALVES[i]), odd);
    }
    let low = simd.mul_add_e_f32s(d[2], c(-(a * b * e + a * b * f + a * e * f + b * e * f)), simd.mul_f32s(d[0], c(a * b * e * f)));
    let pairs = a * b + a * e + a * f + b * e + b * f + e * f;
    out[8] = simd.add_f32s(simd.mul_add_e_f32s(d[4], c(pairs), low), simd.mul_add_e_f32s(d[6], c(-a - b - e - f), d[8]));
    out
}

/// Aᵀ m of F(3, 7).
#[inline(always)]
fn outputs<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 3] {
    let c = |v: f32| simd.splat_f32s(v);
    let mut out = [simd.add_f32s(m[0], m[1]), simd.mul_f32s(simd.sub_f32s(m[0], m[1]), c(HALVES[0])), m[8]];
    out[2] = simd.mul_add_e_f32s(out[0], c(HALVES[0] * HALVES[0]), out[2]);
    for i in 1..4 {
        let (sum, difference) = (simd.add_f32s(m[2 * i], m[2 * i + 1]), simd.sub_f32s(m[2 * i], m[2 * i + 1]));
        out[0] = simd.add_f32s(out[0], sum);
        out[1] = simd.mul_add_e_f32s(difference, c(HALVES[i]), out[1]);
        out[2] = simd.mul_add_e_f32s(sum, c(HALVES[i] * HALVES[i]), out[2]);
    }
    out
}

/// The products of a panel to the pixels of some tiles.
struct FinishPanel<'a> {
    grid: &'a Grid,
    axis: usize,
    ending: &'a Ending<'a>,
    places: &'a [[usize; 3]],
    /// [point][tile][64], points `plane` apart.
    sums: &'a [f32],
    plane: usize,
    channel: usize,
    columns: usize,
    /// From the first pixel of the tiles.
    out: &'a mut [f32],
}

/// F(3, 7).
struct FinishSeven<T>(T);

impl WithSimd for FinishPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for tile in 0..self.places.len() {
            let mut raw = [[0.0; PANEL]; 4];
            for column in (0..self.columns).step_by(S::F32_LANES) {
                let values = winograd::outputs(simd, self.products::<S, 6>(simd, tile, column));
                raw.iter_mut().zip(values).for_each(|(raw, value)| store::<S>(&mut raw[column..], value));
            }
            self.put(simd, tile, &raw);
        }
    }
}

impl WithSimd for FinishSeven<FinishPanel<'_>> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut this = self.0;
        for tile in 0..this.places.len() {
            let mut raw = [[0.0; PANEL]; 3];
            for column in (0..this.columns).step_by(S::F32_LANES) {
                let values = outputs(simd, this.products::<S, 9>(simd, tile, column));
                raw.iter_mut().zip(values).for_each(|(raw, value)| store::<S>(&mut raw[column..], value));
            }
            this.put(simd, tile, &raw);
        }
    }
}

impl FinishPanel<'_> {
    #[inline(always)]
    fn products<S: Simd, const N: usize>(&self, simd: S, tile: usize, column: usize) -> [S::f32s; N] {
        let mut m = [simd.splat_f32s(0.0); N];
        for (point, m) in m.iter_mut().enumerate() {
            *m = load::<S>(&self.sums[point * self.plane + tile * PANEL + column..]);
        }
        m
    }

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
