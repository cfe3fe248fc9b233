//! The one product: c[r][j] = Σ_k a[r][k] · b[k][j], on a register tile; both operands are read where they lie.

use crate::simd::load_into;
use pulp::{Simd, WithSimd};

/// Columns that are packed and multiplied together: a register tile's width with 512-bit vectors.
pub(crate) const PANEL: usize = 64;

/// Rows of a register tile: with four vectors a row, 24 sums in registers with 512-bit vectors and with NEON.
const ROWS: usize = 6;

/// `rows` x `columns` of a product of depth `k`.
pub(crate) struct Product<'a> {
    /// The first row, `a_stride` before the next; k numbers each. Transposed: the first column, as long as there are rows.
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    pub(crate) transposed: bool,
    /// k rows, `b_stride` apart, readable up to the next multiple of 16 columns.
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    /// Rows, `c_stride` apart, writable up to the next multiple of 16 columns.
    pub(crate) c: &'a mut [f32],
    pub(crate) c_stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) k: usize,
    /// Whether to add to what is in `c`.
    pub(crate) accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            let left = (self.columns - column).div_ceil(S::F32_LANES);
            // AVX2 has registers for 6 x 2 vectors; the others for 6 x 4.
            let most = if S::F32_LANES == 8 { 2 } else { 4 };
            match left.min(most) {
                1 => self.columns_at::<S, 1>(simd, column),
                2 => self.columns_at::<S, 2>(simd, column),
                3 => self.columns_at::<S, 3>(simd, column),
                _ => self.columns_at::<S, 4>(simd, column),
            }
            column += left.min(most) * S::F32_LANES;
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn columns_at<S: Simd, const V: usize>(&mut self, simd: S, column: usize) {
        let mut row = 0;
        while row + ROWS <= self.rows {
            self.tile::<S, ROWS, V>(simd, row, column);
            row += ROWS;
        }
        while row + 2 <= self.rows {
            self.tile::<S, 2, V>(simd, row, column);
            row += 2;
        }
        if row < self.rows {
            self.tile::<S, 1, V>(simd, row, column);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, column: usize) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.accumulate {
            for (r, sums) in sums.iter_mut().enumerate() {
                load_into::<S, V>(&self.c[(row + r) * self.c_stride + column..], sums);
            }
        }
        let b = &self.b[column..];
        if self.transposed {
            for i in 0..self.k {
                let column = &self.a[i * self.a_stride + row..][..R];
                let mut vectors = [simd.splat_f32s(0.0); V];
                load_into::<S, V>(&b[i * self.b_stride..], &mut vectors);
                for (sums, &a) in sums.iter_mut().zip(column) {
                    let a = simd.splat_f32s(a);
                    for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                        *sum = simd.mul_add_e_f32s(a, vector, *sum);
                    }
                }
            }
        } else {
            let mut rows: [&[f32]; R] = [&[]; R];
            for (r, slice) in rows.iter_mut().enumerate() {
                *slice = &self.a[(row + r) * self.a_stride..][..self.k];
            }
            accumulate(simd, &mut sums, rows, b, self.b_stride);
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (row + r) * self.c_stride + column;
            let (out, _) = S::as_mut_simd_f32s(&mut self.c[at..at + V * S::F32_LANES]);
            out.copy_from_slice(sums);
        }
    }
}

/// sums[r][v] += Σ_k rows[r][k] · b[k · stride + v-th vector].
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    rows: [&[f32]; R],
    b: &[f32],
    stride: usize,
) {
    for i in 0..rows[0].len() {
        let mut vectors = [simd.splat_f32s(0.0); V];
        load_into::<S, V>(&b[i * stride..], &mut vectors);
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let a = simd.splat_f32s(row[i]);
            for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                *sum = simd.mul_add_e_f32s(a, vector, *sum);
            }
        }
    }
}
