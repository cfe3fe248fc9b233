//! Matrix transposition.

use crate::simd::{load, store};
use pulp::{Simd, WithSimd};

/// Rows that are read together, for [`Transpose::to`] to get as many numbers at once.
const ROWS: usize = 16;

/// Transposes a matrix whose row r is the `columns` numbers from `from[r · stride]`: `to` receives, for each column, up to 16 consecutive numbers of it, with
/// the column and the first row.
pub(crate) struct Transpose<'a, F: FnMut(usize, usize, &[f32])> {
    pub(crate) from: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Column, first row, numbers.
    pub(crate) to: F,
}

impl<F: FnMut(usize, usize, &[f32])> WithSimd for Transpose<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let fours = if S::F32_LANES >= 4 { self.columns / 4 * 4 } else { 0 };
        let mut block = [[0.0; ROWS]; 4];
        for row in (0..self.rows).step_by(ROWS) {
            let count = ROWS.min(self.rows - row);
            let mut first = 0;
            if count == ROWS {
                let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
                for (r, slot) in rows.iter_mut().enumerate() {
                    *slot = &self.from[(row + r) * self.stride..][..self.columns];
                }
                for column in (0..fours).step_by(4) {
                    four_columns::<S>(simd, rows, column, &mut block);
                    for (c, block) in block.iter().enumerate() {
                        (self.to)(column + c, row, block);
                    }
                }
                first = fours;
            }
            for column in first..self.columns {
                for (r, to) in block[0][..count].iter_mut().enumerate() {
                    *to = self.from[(row + r) * self.stride + column];
                }
                (self.to)(column, row, &block[0][..count]);
            }
        }
    }
}

/// Four columns of sixteen rows. Within each four lanes of four vectors, pulp's function is a transposition.
#[inline(always)]
fn four_columns<S: Simd>(simd: S, rows: [&[f32]; ROWS], column: usize, to: &mut [[f32; ROWS]; 4]) {
    for first in (0..ROWS).step_by(S::F32_LANES) {
        // Vector v has row 4 · i + v in its lanes 4 · i to 4 · i + 3.
        let mut given = [[0.0; ROWS]; 4];
        for (v, given) in given.iter_mut().enumerate() {
            for (i, lanes) in given.as_chunks_mut::<4>().0.iter_mut().take(S::F32_LANES / 4).enumerate() {
                lanes.copy_from_slice(&rows[first + 4 * i + v][column..column + 4]);
            }
        }
        let vectors = [load::<S>(&given[0]), load::<S>(&given[1]), load::<S>(&given[2]), load::<S>(&given[3])];
        let turned = simd.deinterleave_shfl_f32s(vectors);
        for (to, turned) in to.iter_mut().zip(turned) {
            store::<S>(&mut to[first..], turned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::arch;

    #[test]
    fn columns_of_a_matrix() {
        for (rows, columns) in [(64, 9), (64, 144), (16, 4), (3, 7), (37, 5), (32, 1), (16, 3), (20, 6)] {
            let stride = columns + 2;
            let from: Vec<f32> = (1..=rows * stride).map(|i| i as f32).collect();
            let mut found = vec![0.0; rows * columns];
            // Each number is given once.
            let to = |column: usize, row: usize, numbers: &[f32]| {
                found[column * rows + row..].iter_mut().zip(numbers).for_each(|(found, number)| *found += number);
            };
            arch().dispatch(Transpose { from: &from, stride, rows, columns, to });
            for column in 0..columns {
                for row in 0..rows {
                    assert_eq!(found[column * rows + row], from[row * stride + column], "{rows}x{columns}: {row}, {column}");
                }
            }
        }
    }
}
