//! The Fréchet distance of two Gaussians, which FID is of features.

use crate::error::{Error, ErrorKind, Result};
use crate::statistics::Statistics;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side, linalg::matmul::matmul};
use rayon::prelude::*;

/// A reference, with the root of its covariance: made once, for any number of distances.
pub struct Reference {
    statistics: Statistics,
    /// [d, d], symmetric.
    root: Vec<f64>,
}

impl Reference {
    /// Takes the root.
    ///
    /// # Errors
    /// Eigenvalues that do not converge: numbers that are not finite, or far from each other in size.
    pub fn new(statistics: Statistics) -> Result<Self> {
        let d = statistics.dim();
        let covariance = MatRef::from_row_major_slice(&statistics.covariance, d, d);
        let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|e| not_converged(&e))?;
        let (vectors, values) = (eigen.U(), eigen.S().column_vector());
        // A covariance has no negative eigenvalues: those that are found are rounding.
        let scaled = Mat::from_fn(d, d, |i, j| vectors[(i, j)] * values[j].max(0.0).sqrt());
        let root = product(scaled.as_ref(), vectors.transpose());
        Ok(Self { statistics, root })
    }

    /// The statistics.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½).
    ///
    /// The trace of the root is the sum of the roots of the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which is symmetric and has the eigenvalues of
    /// Σ_a Σ_b: defined for singular covariances too, and without imaginary parts.
    ///
    /// # Errors
    /// Features of different kinds; eigenvalues that do not converge.
    pub fn distance(&self, other: &Statistics) -> Result<f64> {
        let (a, b, d) = (&self.statistics, other, other.dim());
        if a.dim() != d {
            return Err(Error::new(ErrorKind::Data, format!("features of {} numbers, and of {d}: expected the same", a.dim())));
        }
        let between: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let trace = |s: &Statistics| (0..d).map(|i| s.covariance[i * d + i]).sum::<f64>();
        let root = MatRef::from_column_major_slice(&self.root, d, d);
        let inner = product(root, MatRef::from_row_major_slice(&b.covariance, d, d));
        let inner = product(MatRef::from_column_major_slice(&inner, d, d), root);
        let values = MatRef::from_column_major_slice(&inner, d, d).self_adjoint_eigenvalues(Side::Lower).map_err(|e| not_converged(&e))?;
        let root: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        Ok(between + trace(a) + trace(b) - 2.0 * root)
    }
}

/// The Fréchet distance of two sets of features.
///
/// # Errors
/// As [`Reference::new`] and [`Reference::distance`].
pub fn frechet_distance(a: &Statistics, b: &Statistics) -> Result<f64> {
    Reference::new(a.clone())?.distance(b)
}

fn not_converged(error: &dyn std::fmt::Debug) -> Error {
    Error::new(ErrorKind::Data, format!("the eigenvalues of a covariance were not found: {error:?}"))
}

/// Columns of a task.
const PANEL: usize = 256;

/// a · b column after column, in panels: each sum in one order, whatever the threads.
fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Vec<f64> {
    let rows = a.nrows();
    let mut out = vec![0.0; rows * b.ncols()];
    out.par_chunks_mut(PANEL * rows).enumerate().for_each(|(i, out)| {
        let columns = out.len() / rows;
        let out = MatMut::from_column_major_slice_mut(out, rows, columns);
        let b = b.subcols(i * PANEL, columns);
        matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
    });
    out
}
