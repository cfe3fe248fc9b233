//! Self-attention over the pixels of one image.

use crate::gemm::{Product, width as tile};
use crate::images::{Ending, Finish, Images, written};
use crate::scratch;
use crate::simd::{arch, exp};
use crate::transpose::Transpose;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Multi-head attention, softmax(scale · q kᵀ) v for each head, on images [n, h, w, heads · d] where the channels of a head are contiguous.
///
/// A score of NaN or +∞ makes the whole output of its query NaN, as in PyTorch; such a value makes its channel NaN.
///
/// ```
/// use ddim_kernels::{Attention, Finish, Images};
///
/// // All scores are the same: every pixel gets the mean of the values.
/// let (none, values) = ([0.0; 4], [1.0, 2.0, 3.0, 6.0]);
/// let of = |data| Images::new(data, [1, 1, 2, 2]);
/// let attention = Attention { queries: of(&none), keys: of(&none), values: of(&values), heads: 1, scale: 0.5f32.sqrt() };
/// let mut out = [0.0; 4];
/// attention.run(&[0.0; 2], &Finish::default(), &mut out, 2);
/// assert_eq!(out, [2.0, 4.0, 2.0, 4.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention<'a> {
    /// One query per pixel.
    pub queries: Images<'a>,
    /// One key per pixel.
    pub keys: Images<'a>,
    /// One value per pixel.
    pub values: Images<'a>,
    /// Number of heads; divides the channels.
    pub heads: usize,
    /// Factor of the scores, usually 1 / √d.
    pub scale: f32,
}

/// Queries whose scores are held at once.
const QUERIES: usize = 48;

impl Attention<'_> {
    /// Computes `out` [n, h, w, heads · d], with pixels `stride` apart; `bias` is added to every pixel.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
    pub fn run(&self, bias: &[f32], finish: &Finish<'_>, out: &mut [f32], stride: usize) {
        let Self { queries, keys, values, heads, .. } = *self;
        let shape @ [n, h, w, inner] = queries.shape;
        assert!(keys.shape == shape && values.shape == shape && inner.is_multiple_of(heads), "{shape:?}, {heads} heads");
        [queries, keys, values].iter().for_each(Images::check);
        let (pixels, dim) = (h * w, inner / heads);
        let Some(len) = written(shape, stride) else { return };
        let out = &mut out[..len];
        let ending = Ending::new(Some(bias), finish, shape, stride);
        let tile = tile();
        let (row, width) = (pixels.next_multiple_of(tile), dim.next_multiple_of(16));
        let value_columns = width.min(tile);
        let (key_len, value_len) = (dim * row, pixels * width.next_multiple_of(value_columns));
        // [image][head]: keys, values.
        let mut packed = scratch::take(n * heads * (key_len + value_len));
        packed.par_chunks_exact_mut(key_len + value_len).enumerate().for_each(|(i, packed)| {
            let (first, channel) = (i / heads * pixels, i % heads * dim);
            let (to_keys, to_values) = packed.split_at_mut(key_len);
            let of = |images| Head { images, first, pixels, channel, dim };
            of(values).rows(1.0, to_values);
            of(keys).columns(self.scale, to_keys);
        });
        // Blocks of queries, each within one image.
        let blocks = pixels.div_ceil(QUERIES);
        let images = out.chunks_mut(pixels * stride);
        let tasks: Vec<(usize, &mut [f32])> = images.flat_map(|image| image.chunks_mut(QUERIES * stride)).enumerate().collect();
        tasks.into_par_iter().for_each(|(i, out)| {
            let (image, first) = (i / blocks, i % blocks * QUERIES);
            let rows = QUERIES.min(pixels - first);
            let mut scores = scratch::take(rows * row);
            let mut sums = scratch::take(rows * width);
            for head in 0..heads {
                let (keys, values) = packed[(image * heads + head) * (key_len + value_len)..][..key_len + value_len].split_at(key_len);
                let (pixel, channel) = (image * pixels + first, head * dim);
                let (a, a_stride) = (&queries.data[pixel * queries.stride + channel..], queries.stride);
                by_columns([a, keys], [a_stride, row], [rows, pixels, dim], &mut scores);
                let mut inverses = [0.0; QUERIES];
                for (scores, inverse) in scores.chunks_exact_mut(row).zip(&mut inverses) {
                    *inverse = 1.0 / arch().dispatch(Softmax { scores: &mut scores[..pixels] });
                }
                by_rows([&scores, values], [row, width], [rows, dim, pixels], false, false, &mut sums);
                arch().dispatch(FinishRows { ending: &ending, inverses: &inverses, sums: &mut sums, pixel, channel, dim, out });
            }
        });
    }

    /// Computes the gradients of queries, keys and values [n, h, w, heads · d] from the gradient `dy` of the output.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
    pub fn gradient(&self, dy: &Images<'_>, out: [&mut [f32]; 3]) {
        let Self { queries, keys, values, heads, scale } = *self;
        let shape @ [n, h, w, inner] = queries.shape;
        assert!([keys, values, *dy].iter().all(|x| x.shape == shape) && inner.is_multiple_of(heads), "{shape:?}, {heads} heads");
        [queries, keys, values, *dy].iter().for_each(Images::check);
        let (pixels, dim) = (h * w, inner / heads);
        assert!(out.iter().all(|out| out.len() == n * pixels * inner));
        if n * pixels * inner == 0 {
            return;
        }
        let tile = tile();
        let (row, width) = (pixels.next_multiple_of(tile), dim.next_multiple_of(16));
        let (columns_len, panels) = (dim * row, width.next_multiple_of(width.min(tile)));
        // Scores are read down their columns: rows a power of two apart would meet in the same lines of the cache.
        let row = row + 16;
        // [image][head][of queries, of keys, of values][pixel][width].
        let mut found = scratch::take(n * heads * 3 * pixels * width);
        found.par_chunks_exact_mut(3 * pixels * width).enumerate().for_each(|(i, found)| {
            let (image, channel) = (i / heads * pixels, i % heads * dim);
            let of = |images| Head { images, first: image, pixels, channel, dim };
            let (mut key_columns, mut value_columns) = (scratch::take(columns_len), scratch::take(columns_len));
            of(keys).columns(scale, &mut key_columns);
            of(values).columns(1.0, &mut value_columns);
            let mut key_rows = scratch::take(pixels * panels);
            of(keys).rows(scale, &mut key_rows);
            let (of_queries, rest) = found.split_at_mut(pixels * width);
            let (of_keys, of_values) = rest.split_at_mut(pixels * width);
            let (mut weights, mut slopes) = (scratch::take(QUERIES.min(pixels) * row), scratch::take(QUERIES.min(pixels) * row));
            let mut block = scratch::take(QUERIES.min(pixels) * panels);
            for first in (0..pixels).step_by(QUERIES) {
                let rows = QUERIES.min(pixels - first);
                let at = |x: &Images<'_>| (image + first) * x.stride + channel;
                // The weights P, as run() finds them; dP = dO vᵀ; dS = P (dP - Σ P dP).
                let a = &queries.data[at(&queries)..];
                by_columns([a, &key_columns], [queries.stride, row], [rows, pixels, dim], &mut weights);
                let a = &dy.data[at(dy)..];
                by_columns([a, &value_columns], [dy.stride, row], [rows, pixels, dim], &mut slopes);
                for (weights, slopes) in weights.chunks_exact_mut(row).zip(slopes.chunks_exact_mut(row)).take(rows) {
                    let (weights, slopes) = (&mut weights[..pixels], &mut slopes[..pixels]);
                    let inverse = 1.0 / arch().dispatch(Softmax { scores: weights });
                    arch().dispatch(ScoreGradient { inverse, weights, slopes });
                }
                let block = &mut block[..rows * panels];
                let of_block = |images| Head { first: image + first, pixels: rows, ..of(images) };
                // dq = scale · dS k; dv += Pᵀ dO; dk += scale · dSᵀ q.
                by_rows([&slopes, &key_rows], [row, width], [rows, dim, pixels], false, false, &mut of_queries[first * width..]);
                of_block(*dy).rows(1.0, block);
                by_rows([&weights, block], [row, width], [pixels, dim, rows], true, first > 0, of_values);
                of_block(queries).rows(scale, block);
                by_rows([&slopes, block], [row, width], [pixels, dim, rows], true, first > 0, of_keys);
            }
        });
        for (which, out) in out.into_iter().enumerate() {
            out.par_chunks_exact_mut(inner).enumerate().for_each(|(p, out)| {
                for (head, out) in out.chunks_exact_mut(dim).enumerate() {
                    let from = ((p / pixels * heads + head) * 3 + which) * pixels + p % pixels;
                    out.copy_from_slice(&found[from * width..][..dim]);
                }
            });
        }
    }
}

/// c = a · b for rows a of `k` numbers and b as [`Head::columns`] packs it.
fn by_columns([a, b]: [&[f32]; 2], [a_stride, c_stride]: [usize; 2], [rows, columns, k]: [usize; 3], c: &mut [f32]) {
    let tile = tile();
    for (panel, b) in b.chunks_exact(k * tile).enumerate() {
        let (c, columns) = (&mut c[panel * tile..], tile.min(columns - panel * tile));
        let (transposed, accumulate) = (false, false);
        arch().dispatch(Product { a, a_stride, transposed, b, b_stride: tile, c, c_stride, rows, columns, k, accumulate });
    }
}

/// c = a · b or, where it is `transposed`, c = aᵀ · b, or c + that, for b as [`Head::rows`] packs it.
fn by_rows(
    [a, b]: [&[f32]; 2],
    [a_stride, c_stride]: [usize; 2],
    [rows, columns, k]: [usize; 3],
    transposed: bool,
    accumulate: bool,
    c: &mut [f32],
) {
    let b_stride = columns.next_multiple_of(16).min(tile());
    for (panel, b) in b.chunks_exact(k * b_stride).enumerate() {
        let (c, columns) = (&mut c[panel * b_stride..], b_stride.min(columns - panel * b_stride));
        arch().dispatch(Product { a, a_stride, transposed, b, b_stride, c, c_stride, rows, columns, k, accumulate });
    }
}

/// The channels of one head of some pixels, to be packed for a product.
#[derive(Clone, Copy)]
struct Head<'a> {
    images: Images<'a>,
    first: usize,
    pixels: usize,
    channel: usize,
    dim: usize,
}

impl Head<'_> {
    /// One row a pixel, times `scale`, in panels of up to a register tile's width of channels: [panel][pixel][channels].
    fn rows(self, scale: f32, to: &mut [f32]) {
        let columns = self.dim.next_multiple_of(16).min(tile());
        for (panel, to) in to.chunks_exact_mut(self.pixels * columns).enumerate() {
            let channel = self.channel + panel * columns;
            let count = columns.min(self.dim - panel * columns);
            for (pixel, to) in (self.first..).zip(to.chunks_exact_mut(columns)) {
                to.iter_mut().zip(&self.images.pixel(pixel)[channel..][..count]).for_each(|(to, v)| *to = v * scale);
                to[count..].fill(0.0);
            }
        }
    }

    /// One column a pixel, times `scale`, in panels of a register tile's width of pixels: [panel][channel][pixel].
    fn columns(self, scale: f32, to: &mut [f32]) {
        let Self { images, first, pixels, channel, dim } = self;
        let tile = tile();
        for (panel, to) in to.chunks_exact_mut(dim * tile).enumerate() {
            let rows = tile.min(pixels - panel * tile);
            if rows < tile {
                to.fill(0.0);
            }
            let from = &images.data[(first + panel * tile) * images.stride + channel..];
            let to = |c: usize, pixel: usize, numbers: &[f32]| {
                let to = &mut to[c * tile + pixel..][..numbers.len()];
                to.copy_from_slice(numbers);
                to.iter_mut().for_each(|v| *v *= scale);
            };
            arch().dispatch(Transpose { from, stride: images.stride, rows, columns: dim, to });
        }
    }
}

/// e^(s - max) of one row; its sum. The maximum may pass over NaN, which `exp` keeps, and so the sum.
struct Softmax<'a> {
    scores: &'a mut [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (vectors, rest) = S::as_mut_simd_f32s(self.scores);
        let mut tops = [simd.splat_f32s(f32::NEG_INFINITY); 2];
        for pair in vectors.chunks(2) {
            for (top, &s) in tops.iter_mut().zip(pair) {
                *top = simd.max_f32s(*top, s);
            }
        }
        let top = rest.iter().fold(simd.reduce_max_f32s(simd.max_f32s(tops[0], tops[1])), |top, &s| if s > top { s } else { top });
        let tops = simd.splat_f32s(top);
        let mut sums = simd.splat_f32s(0.0);
        for s in vectors {
            *s = exp(simd, simd.sub_f32s(*s, tops));
            sums = simd.add_f32s(sums, *s);
        }
        let mut total = simd.reduce_sum_f32s(sums);
        if !rest.is_empty() {
            let e = exp(simd, simd.sub_f32s(simd.partial_load_f32s(rest), tops));
            simd.partial_store_f32s(rest, e);
            total += rest.iter().sum::<f32>();
        }
        total
    }
}

/// One row of weights made to sum to 1; `slopes`, the gradients of these, become the gradients of the scores.
struct ScoreGradient<'a> {
    inverse: f32,
    weights: &'a mut [f32],
    slopes: &'a mut [f32],
}

impl WithSimd for ScoreGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (weights, weights_rest) = S::as_mut_simd_f32s(self.weights);
        let (slopes, slopes_rest) = S::as_mut_simd_f32s(self.slopes);
        let inverse = simd.splat_f32s(self.inverse);
        let mut sums = simd.splat_f32s(0.0);
        for (w, &s) in weights.iter_mut().zip(&*slopes) {
            *w = simd.mul_f32s(*w, inverse);
            sums = simd.mul_add_e_f32s(*w, s, sums);
        }
        let mut mean = simd.reduce_sum_f32s(sums);
        for (w, s) in weights_rest.iter_mut().zip(&*slopes_rest) {
            *w *= self.inverse;
            mean += *w * s;
        }
        let means = simd.splat_f32s(mean);
        for (s, &w) in slopes.iter_mut().zip(&*weights) {
            *s = simd.mul_f32s(w, simd.sub_f32s(*s, means));
        }
        for (s, w) in slopes_rest.iter_mut().zip(weights_rest) {
            *s = *w * (*s - mean);
        }
    }
}

/// One head's channels of some pixels, divided by the sums of their weights.
struct FinishRows<'a> {
    ending: &'a Ending<'a>,
    inverses: &'a [f32],
    sums: &'a mut [f32],
    /// The first pixel, of all images.
    pixel: usize,
    channel: usize,
    dim: usize,
    out: &'a mut [f32],
}

impl WithSimd for FinishRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { ending, channel, dim, .. } = self;
        let added = ending.of(self.pixel / ending.pixels, channel);
        for (r, (sums, &inverse)) in self.sums.chunks_exact_mut(dim.next_multiple_of(16)).zip(self.inverses).enumerate() {
            for v in S::as_mut_simd_f32s(sums).0 {
                *v = simd.mul_f32s(*v, simd.splat_f32s(inverse));
            }
            let out = &mut self.out[r * ending.stride + channel..][..dim];
            ending.apply(simd, sums, added, self.pixel + r, channel, out);
        }
    }
}
