//! Self-attention over the pixels of one image.

use crate::gemm::{PANEL, Product};
use crate::images::Images;
use crate::scratch;
use crate::simd::{arch, exp};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Queries whose scores are held at once.
const QUERIES: usize = 48;

/// softmax(q kᵀ / √d) v for each head: `qkv` [n, h, w, 3 · heads · d], queries, keys and values one after the other -> `out` [n, h, w, heads · d].
///
/// # Panics
/// On slices that do not have these shapes.
pub fn attention(qkv: &Images<'_>, heads: usize, out: &mut [f32]) {
    qkv.check();
    let [n, h, w, channels] = qkv.shape;
    let (pixels, inner) = (h * w, channels / 3);
    let dim = inner / heads;
    assert_eq!(channels, 3 * heads * dim, "queries, keys and values of {heads} heads");
    assert_eq!(out.len(), n * pixels * inner);
    let (row, width) = (pixels.next_multiple_of(PANEL), dim.next_multiple_of(16));
    let (key_len, value_len) = (dim * row, pixels * width);
    // [image][head]: keys [d][pixel], values [pixel][d].
    let mut packed = scratch::take(n * heads * (key_len + value_len));
    let scale = 1.0 / (dim as f32).sqrt();
    packed.par_chunks_exact_mut(key_len + value_len).enumerate().for_each(|(i, packed)| {
        let (image, head) = (i / heads, i % heads);
        let (keys, values) = packed.split_at_mut(key_len);
        keys.fill(0.0);
        values.fill(0.0);
        for (p, values) in values.chunks_exact_mut(width).enumerate() {
            let pixel = qkv.pixel(image * pixels + p);
            for (c, key) in pixel[inner + head * dim..][..dim].iter().enumerate() {
                keys[c * row + p] = key * scale;
            }
            values[..dim].copy_from_slice(&pixel[2 * inner + head * dim..][..dim]);
        }
    });
    // Blocks of queries, each within one image.
    let blocks = pixels.div_ceil(QUERIES);
    let tasks: Vec<(usize, &mut [f32])> =
        out.chunks_exact_mut(pixels * inner).flat_map(|image| image.chunks_mut(QUERIES * inner)).enumerate().collect();
    tasks.into_par_iter().for_each(|(i, out)| {
        let (image, first) = (i / blocks, i % blocks * QUERIES);
        let queries = out.len() / inner;
        let mut scores = scratch::take(queries * row);
        let mut sums = scratch::take(queries * width);
        for head in 0..heads {
            let (keys, values) = packed[(image * heads + head) * (key_len + value_len)..][..key_len + value_len].split_at(key_len);
            let a = &qkv.data[(image * pixels + first) * qkv.stride + head * dim..];
            arch().dispatch(Product {
                a,
                a_stride: qkv.stride,
                b: keys,
                b_stride: row,
                c: &mut scores,
                c_stride: row,
                rows: queries,
                columns: pixels,
                k: dim,
                accumulate: false,
            });
            let mut totals = [0.0; QUERIES];
            for (scores, total) in scores.chunks_exact_mut(row).zip(&mut totals) {
                *total = arch().dispatch(Softmax { scores: &mut scores[..pixels] });
            }
            arch().dispatch(Product {
                a: &scores,
                a_stride: row,
                b: values,
                b_stride: width,
                c: &mut sums,
                c_stride: width,
                rows: queries,
                columns: dim,
                k: pixels,
                accumulate: false,
            });
            for ((out, sums), total) in out.chunks_exact_mut(inner).zip(sums.chunks_exact(width)).zip(&totals) {
                let inverse = 1.0 / total;
                for (out, sum) in out[head * dim..][..dim].iter_mut().zip(sums) {
                    *out = sum * inverse;
                }
            }
        }
    });
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
