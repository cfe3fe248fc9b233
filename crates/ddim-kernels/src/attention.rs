//! Self-attention over the pixels of one image.

use crate::conv::copy_rows;
use crate::gemm::{Packed, SLACK, product};
use crate::scratch;
use crate::simd::{arch, exp};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Pixels whose scores are held at once.
const COLUMNS: usize = 4 * SLACK;

/// softmax(qᵀk / √d) v for each head: `q`, `k`, `v` [heads · d, pixels] -> [heads · d, pixels].
///
/// # Panics
/// On slices that do not have these shapes.
pub fn attention(q: &[f32], k: &[f32], v: &[f32], heads: usize, pixels: usize) -> Vec<f32> {
    let dim = q.len() / (heads * pixels);
    assert_eq!(q.len(), heads * dim * pixels);
    assert!(k.len() == q.len() && v.len() == q.len());
    let scale = 1.0 / (dim as f32).sqrt();
    let mut out = vec![0.0; q.len()];
    for (((q, k), v), out) in q
        .chunks_exact(dim * pixels)
        .zip(k.chunks_exact(dim * pixels))
        .zip(v.chunks_exact(dim * pixels))
        .zip(out.chunks_exact_mut(dim * pixels))
    {
        let keys = Packed::new(pixels, dim, |j, c| k[c * pixels + j] * scale);
        let values = Packed::new(dim, pixels, |c, j| v[c * pixels + j]);
        let queries = scratch::with_slack(q, SLACK);
        let starts: Vec<usize> = (0..pixels).step_by(COLUMNS).collect();
        // Columns are independent of each other: blocks of them run in parallel and are put together after.
        let blocks: Vec<Vec<f32>> = starts.par_iter().map(|&start| columns(&keys, &values, &queries, dim, pixels, start)).collect();
        for (&start, block) in starts.iter().zip(&blocks) {
            let n = COLUMNS.min(pixels - start);
            for (out, row) in out.chunks_exact_mut(pixels).zip(block.chunks_exact(n)) {
                out[start..start + n].copy_from_slice(row);
            }
        }
        scratch::give_back(queries);
    }
    out
}

/// The output of one head for the pixels from `start`, [d, n].
fn columns(keys: &Packed, values: &Packed, queries: &[f32], dim: usize, pixels: usize, start: usize) -> Vec<f32> {
    let n = COLUMNS.min(pixels - start);
    // scores[j][i], padded rows so that they are whole vectors and can be read as the second operand.
    let row = n.next_multiple_of(SLACK);
    let mut held = scratch::zeros(pixels * row + SLACK);
    let scores = &mut held[..pixels * row];
    let offsets: Vec<usize> = (0..dim).map(|c| c * pixels + start).collect();
    product(keys, &offsets, queries, n, None, scores, |out, sums, stride| copy_rows(out, row, sums, stride, n));
    let mut total = vec![0.0; row];
    arch().dispatch(Softmax { scores, total: &mut total });
    let offsets: Vec<usize> = (0..pixels).map(|j| j * row).collect();
    let mut out = vec![0.0; dim * n];
    product(values, &offsets, &held, n, None, &mut out, |out, sums, stride| copy_rows(out, n, sums, stride, n));
    scratch::give_back(held);
    for out in out.chunks_exact_mut(n) {
        for (out, total) in out.iter_mut().zip(&total) {
            *out /= total;
        }
    }
    out
}

/// e^(s - max) down each column of `scores`, whose rows are as long as `total`; `total` takes the sums of the columns.
struct Softmax<'a> {
    scores: &'a mut [f32],
    total: &'a mut [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let row = self.total.len();
        let mut top = vec![f32::NEG_INFINITY; row];
        for scores in self.scores.chunks_exact(row) {
            let (tops, _) = S::as_mut_simd_f32s(&mut top);
            for (top, &s) in tops.iter_mut().zip(S::as_simd_f32s(scores).0) {
                *top = simd.max_f32s(*top, s);
            }
        }
        for scores in self.scores.chunks_exact_mut(row) {
            let (totals, _) = S::as_mut_simd_f32s(self.total);
            let (tops, _) = S::as_simd_f32s(&top);
            for ((s, &top), total) in S::as_mut_simd_f32s(scores).0.iter_mut().zip(tops).zip(totals) {
                *s = exp(simd, simd.sub_f32s(*s, top));
                *total = simd.add_f32s(*total, *s);
            }
        }
    }
}
