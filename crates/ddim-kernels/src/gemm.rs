//! The one product: out[m][j] = bias[m] + Σ_k a[m][k] · b[offset_k + j].

use crate::scratch;
use crate::simd::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows of `a` that are packed together, and rows of a register tile with 32 vector registers; half of it with 16.
pub(crate) const ROWS: usize = 8;
/// Vectors in a row of the register tile.
const VECTORS: usize = 3;
/// Elements that a tile may read beyond the last column of `b`: whoever makes a `b` adds them.
pub(crate) const SLACK: usize = VECTORS * 16;
/// Multiply-adds below which a product stays on one thread.
const PARALLEL: usize = 1 << 20;

/// The first operand, in blocks of [`ROWS`] rows: `[block][k][row]`, short blocks filled with zeros.
pub(crate) struct Packed {
    data: Vec<f32>,
    rows: usize,
    depth: usize,
}

impl Packed {
    /// From `at(row, k)`.
    pub(crate) fn new(rows: usize, depth: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut data = vec![0.0; rows.div_ceil(ROWS) * ROWS * depth];
        for (block, out) in data.chunks_exact_mut(ROWS * depth).enumerate() {
            let within = ROWS.min(rows - block * ROWS);
            for (k, out) in out.chunks_exact_mut(ROWS).enumerate() {
                for (r, out) in out[..within].iter_mut().enumerate() {
                    *out = at(block * ROWS + r, k);
                }
            }
        }
        Self { data, rows, depth }
    }
}

/// `columns` columns of the product with a row of `b` at each of `offsets`; `b` must hold [`SLACK`] more elements than that reads.
///
/// Each block of up to [`ROWS`] output rows goes to `emit(out, rows, stride)`, with `out` the block's part of the whole output,
/// `out.len() / rows` elements a row, and row r at `rows[r * stride..]`.
pub(crate) fn product(
    a: &Packed,
    offsets: &[usize],
    b: &[f32],
    columns: usize,
    bias: Option<&[f32]>,
    out: &mut [f32],
    emit: impl Fn(&mut [f32], &[f32], usize) + Sync,
) {
    assert_eq!(offsets.len(), a.depth, "one row of b for each column of a");
    if a.rows == 0 || out.is_empty() {
        return;
    }
    let reach = offsets.iter().max().map_or(0, |o| o + columns + SLACK);
    assert!(b.len() >= reach, "b has {} elements, the product reads up to {reach}", b.len());
    let stride = columns.next_multiple_of(SLACK);
    let row_len = out.len() / a.rows;
    let vectors = arch();
    let run = |(block, out): (usize, &mut [f32])| {
        let mut rows = scratch::zeros(ROWS * stride);
        let mut start = [0.0; ROWS];
        if let Some(bias) = bias {
            let bias = &bias[block * ROWS..a.rows.min((block + 1) * ROWS)];
            start[..bias.len()].copy_from_slice(bias);
        }
        let a = &a.data[block * ROWS * a.depth..(block + 1) * ROWS * a.depth];
        vectors.dispatch(Block { a, offsets, b, columns, start, rows: &mut rows, stride });
        emit(out, &rows, stride);
        scratch::give_back(rows);
    };
    if a.rows * a.depth * columns >= PARALLEL {
        out.par_chunks_mut(ROWS * row_len).enumerate().for_each(run);
    } else {
        out.chunks_mut(ROWS * row_len).enumerate().for_each(run);
    }
}

/// One block of [`ROWS`] output rows.
struct Block<'a> {
    a: &'a [f32],
    offsets: &'a [usize],
    b: &'a [f32],
    columns: usize,
    start: [f32; ROWS],
    rows: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let step = VECTORS * S::F32_LANES;
        for column in (0..self.columns).step_by(step) {
            if S::F32_LANES >= 16 {
                self.tile::<S, ROWS>(simd, column, 0);
            } else {
                self.tile::<S, { ROWS / 2 }>(simd, column, 0);
                self.tile::<S, { ROWS / 2 }>(simd, column, ROWS / 2);
            }
        }
    }
}

impl Block<'_> {
    /// R rows from `row` by [`VECTORS`] vectors from `column`, summed over k in registers.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, column: usize, row: usize) {
        let width = VECTORS * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            *sums = [simd.splat_f32s(self.start[row + r]); VECTORS];
        }
        let b = &self.b[column..];
        for (a, &offset) in self.a.chunks_exact(ROWS).zip(self.offsets) {
            let (vectors, _) = S::as_simd_f32s(&b[offset..offset + width]);
            let vectors = [vectors[0], vectors[1], vectors[2]];
            for (sums, &a) in sums.iter_mut().zip(&a[row..row + R]) {
                let a = simd.splat_f32s(a);
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = simd.mul_add_e_f32s(a, vector, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (row + r) * self.stride + column;
            let (out, _) = S::as_mut_simd_f32s(&mut self.rows[at..at + width]);
            out.copy_from_slice(sums);
        }
    }
}
