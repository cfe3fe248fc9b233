//! Self-attention over the pixels of one image.

use crate::gemm::{PANEL, Product};
use crate::images::{Ending, Finish, Images, written};
use crate::scratch;
use crate::simd::{arch, exp};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// softmax(scale · q kᵀ) v for each head: images [n, h, w, heads · d], where the channels of a head lie together.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// One query a pixel.
    pub queries: Images<'a>,
    /// One key a pixel.
    pub keys: Images<'a>,
    /// One value a pixel.
    pub values: Images<'a>,
    /// A divisor of the channels.
    pub heads: usize,
    /// Of the scores, usually 1 / √d.
    pub scale: f32,
}

/// Queries whose scores are held at once.
const QUERIES: usize = 48;

impl Attention<'_> {
    /// `out` [n, h, w, heads · d], pixels `stride` apart; `bias` is added to every pixel.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn run(&self, bias: &[f32], finish: &Finish<'_>, out: &mut [f32], stride: usize) {
        let Self { queries, keys, values, heads, .. } = *self;
        let shape @ [n, h, w, inner] = queries.shape;
        assert!(keys.shape == shape && values.shape == shape && inner.is_multiple_of(heads), "{shape:?}, {heads} heads");
        [queries, keys, values].iter().for_each(Images::check);
        let (pixels, dim) = (h * w, inner / heads);
        let Some(len) = written(shape, stride) else { return };
        let out = &mut out[..len];
        let ending = Ending::new(bias, finish, shape, stride);
        let (row, width) = (pixels.next_multiple_of(PANEL), dim.next_multiple_of(16));
        // Values in panels of up to 64 channels.
        let value_columns = width.min(PANEL);
        let (key_len, value_len) = (dim * row, pixels * width.next_multiple_of(value_columns));
        // [image][head]: keys [panel][d][64 pixels], values [panel][pixel][channels].
        let mut packed = scratch::take(n * heads * (key_len + value_len));
        packed.par_chunks_exact_mut(key_len + value_len).enumerate().for_each(|(i, packed)| {
            let (first, channel) = (i / heads * pixels, i % heads * dim);
            let (to_keys, to_values) = packed.split_at_mut(key_len);
            for (panel, to) in to_values.chunks_exact_mut(pixels * value_columns).enumerate() {
                let first_channel = channel + panel * value_columns;
                let count = value_columns.min(dim - panel * value_columns);
                for (p, to) in to.chunks_exact_mut(value_columns).enumerate() {
                    to[..count].copy_from_slice(&values.pixel(first + p)[first_channel..][..count]);
                    to[count..].fill(0.0);
                }
            }
            for (panel, to) in to_keys.chunks_exact_mut(dim * PANEL).enumerate() {
                // Sixteen pixels at a time, so that whole cache lines are written.
                for start in (0..PANEL).step_by(16) {
                    for c in 0..dim {
                        for (p, to) in (panel * PANEL + start..).zip(&mut to[c * PANEL + start..][..16]) {
                            *to = if p < pixels { keys.data[(first + p) * keys.stride + channel + c] * self.scale } else { 0.0 };
                        }
                    }
                }
            }
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
                for (panel, b) in keys.chunks_exact(dim * PANEL).enumerate() {
                    let c = &mut scores[panel * PANEL..];
                    let columns = PANEL.min(pixels - panel * PANEL);
                    arch().dispatch(Product {
                        a,
                        a_stride,
                        b,
                        b_stride: PANEL,
                        c,
                        c_stride: row,
                        rows,
                        columns,
                        k: dim,
                        accumulate: false,
                        transposed: false,
                    });
                }
                let mut inverses = [0.0; QUERIES];
                for (scores, inverse) in scores.chunks_exact_mut(row).zip(&mut inverses) {
                    *inverse = 1.0 / arch().dispatch(Softmax { scores: &mut scores[..pixels] });
                }
                for (panel, b) in values.chunks_exact(pixels * value_columns).enumerate() {
                    let (c, b_stride) = (&mut sums[panel * value_columns..], value_columns);
                    let columns = value_columns.min(dim - panel * value_columns);
                    let product = Product {
                        a: &scores,
                        a_stride: row,
                        b,
                        b_stride,
                        c,
                        c_stride: width,
                        rows,
                        columns,
                        k: pixels,
                        accumulate: false,
                        transposed: false,
                    };
                    arch().dispatch(product);
                }
                arch().dispatch(FinishRows { ending: &ending, inverses: &inverses, sums: &mut sums, pixel, channel, dim, out });
            }
        });
    }
}

/// e^(s - max) of one row; its sum.
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
