//! The Fréchet distance of two Gaussians, which for features is FID, and its error over the images.

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::jackknife;
use crate::statistics::Statistics;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side, linalg::matmul::matmul};
use rayon::prelude::*;

/// A reference with its covariance as a product, which is factored once for any number of distances.
///
/// ```
/// use ddim_eval::{Reference, Statistics};
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0];
/// let reference = Reference::new(Statistics::of(&features, 2)?)?;
/// let images = features.map(|x| 2.0 * x);
/// let statistics = Statistics::of(&images, 2)?;
/// let distance = reference.distance(&statistics)?;
/// assert!((distance - (2.0 + 8.0 / 3.0)).abs() < 1e-9); // means 2 apart in square, and tr (Σ^½)² with Σ = 4/3 I
/// assert!(reference.error(&statistics, &images)?.unwrap() > 0.0);
/// # Ok::<(), ddim_eval::Error>(())
/// ```
pub struct Reference {
    statistics: Statistics,
    /// L [d, r], column after column, of Σ = L Lᵀ.
    factor: Vec<f64>,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("count", &self.statistics.count).field("dim", &self.statistics.dim()).finish_non_exhaustive()
    }
}

/// Eigenvalues of at most this share of the largest, times their number, are rounding.
const ROUNDING: f64 = 1e-14;

impl Reference {
    /// Factors the covariance.
    ///
    /// # Errors
    /// Returns an error if the matrix is not a covariance: not symmetric, not finite, or with eigenvalues below 0 by more than rounding.
    pub fn new(statistics: Statistics) -> Result<Self> {
        statistics.check(f64::EPSILON).map_err(|e| Error::new(ErrorKind::Data, e))?;
        if let Some(factor) = few_images_factor(&statistics) {
            return Ok(Self { statistics, factor });
        }
        let d = statistics.dim();
        let covariance = MatRef::from_row_major_slice(&statistics.covariance, d, d);
        let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|e| not_converged(&e))?;
        let (vectors, values) = (eigen.U(), eigen.S().column_vector());
        check_eigenvalues(values[0], values[d - 1])?;
        // A covariance has no negative eigenvalues: those that are found are rounding.
        let scaled = Mat::from_fn(d, d, |i, j| vectors[(i, j)] * values[j].max(0.0).sqrt());
        let factor = product(scaled.as_ref(), vectors.transpose());
        Ok(Self { statistics, factor })
    }

    /// Returns the statistics.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½), never below 0.
    ///
    /// The trace of the root is the sum of the roots of the eigenvalues of Lᵀ Σ_b L, where Σ_a = L Lᵀ. That matrix is symmetric and has the
    /// nonzero eigenvalues of Σ_a Σ_b, so the result is also defined for singular covariances, and has no imaginary part. If the numbers of
    /// images are known and small, only as many eigenvalues are counted as they allow: the others are 0, and the root of their rounding
    /// error would add up.
    ///
    /// # Errors
    /// Returns an error for features of different kinds, for a matrix that is not a covariance, and for eigenvalues that do not converge.
    pub fn distance(&self, other: &Statistics) -> Result<f64> {
        other.check(f64::EPSILON).map_err(|e| Error::new(ErrorKind::Data, e))?;
        let (a, b, d) = (&self.statistics, other, other.dim());
        if a.dim() != d {
            return Err(Error::new(ErrorKind::Data, format!("features of {} numbers, and of {d}: expected the same", a.dim())));
        }
        let between: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
        // Of the product by the smaller of both factors.
        let ours = self.factor();
        let theirs = if b.count <= ours.ncols() { few_images_factor(b) } else { None };
        let seen = theirs.map_or_else(|| seen(ours, b), |theirs| seen(columns(&theirs, d), a));
        let size = seen.len().isqrt();
        let values = if size == 0 { Ok(Vec::new()) } else { columns(&seen, size).self_adjoint_eigenvalues(Side::Lower) };
        let values = values.map_err(|e| not_converged(&e))?;
        // They come from the least on. A number of images may be wrong: what is clearly no rounding is counted.
        let [least, most] = [values.first(), values.last()].map(|value| value.copied().unwrap_or(0.0));
        check_eigenvalues(least, most)?;
        let (rounding, rank) = (most * f64::EPSILON * d as f64, self.rank(b));
        let counted = values.iter().rev().enumerate().filter(|(k, value)| *k < rank || **value > rounding);
        let root: f64 = counted.map(|(_, value)| value.max(0.0).sqrt()).sum();
        let distance = between + trace(a) + trace(b) - 2.0 * root;
        if !distance.is_finite() {
            return Err(Error::new(
                ErrorKind::Data,
                format!("a distance of {distance}: expected statistics of features, whose squares are finite"),
            ));
        }
        // Below 0 by rounding alone: of the eigenvalues, or of statistics that were kept as f16.
        Ok(if distance > 0.0 { distance } else { 0.0 })
    }

    /// L.
    fn factor(&self) -> MatRef<'_, f64> {
        columns(&self.factor, self.statistics.dim())
    }

    /// How many eigenvalues of Σ_a Σ_b may be above 0: n images have a covariance of rank n - 1.
    fn rank(&self, b: &Statistics) -> usize {
        let of = |s: &Statistics| if s.count > 0 { s.count - 1 } else { usize::MAX };
        of(&self.statistics).min(of(b)).min(b.dim())
    }

    /// Returns the standard error of [`distance`](Self::distance) over the images of `other`, whose features [n, d] these are. `None` for
    /// fewer than 3 images.
    ///
    /// It leaves out each image in turn (the jackknife, which if anything errs on the large side). The reference is taken as it is.
    ///
    /// # Errors
    /// Returns an error if eigenvalues do not converge.
    ///
    /// # Panics
    /// Panics if the features are not those of the statistics.
    pub fn error(&self, other: &Statistics, features: &[f32]) -> Result<Option<f64>> {
        Ok(self.distances_without(other, features)?.map(|without| jackknife(&without).sqrt()))
    }

    /// Returns [`distance`](Self::distance) without each of the images of `other` in turn, whose features [n, d] these are. `None` for
    /// fewer than 3 images.
    ///
    /// Leaving out an image subtracts a matrix of rank one from the covariance. Let t_k be the image's share in each eigenvalue λ_k of Lᵀ
    /// Σ_b L = M. The trace of the resolvent of M - c z zᵀ is that of M plus Σ t λ/(λ + s)² / (1 - Σ t λ/(λ + s)) (Sherman and Morrison),
    /// and tr M^½ = (1/π) ∫ s^-½ tr M (M + s)⁻¹ ds. One decomposition thus serves all images: that of the images' products if they are
    /// fewer than d.
    ///
    /// # Errors
    /// Returns an error if eigenvalues do not converge.
    ///
    /// # Panics
    /// Panics if the features are not those of the statistics.
    pub fn distances_without(&self, other: &Statistics, features: &[f32]) -> Result<Option<Vec<f64>>> {
        let (a, b, d) = (&self.statistics, other, other.dim());
        let n = b.count;
        assert!(a.dim() == d && features.len() == n * d, "features of other statistics");
        if n < 3 {
            return Ok(None);
        }
        let (values, shares) = self.shares(b, features)?;
        let lost = lost_traces(&values, &shares, n);
        let root: f64 = values.iter().map(|value| value.sqrt()).sum();
        let n_f = n as f64;
        let (scatter, squares) = ((n_f - 1.0) / (n_f - 2.0), n_f / ((n_f - 1.0) * (n_f - 2.0)));
        let traces = [trace(a), trace(b)];
        let without = features.par_chunks_exact(d).zip(&lost).map(|(x, lost)| {
            let (mut between, mut square) = (0.0, 0.0);
            for ((x, mean), reference) in x.iter().zip(&b.mean).zip(&a.mean) {
                let from_mean = f64::from(*x) - mean;
                between += (mean - from_mean / (n_f - 1.0) - reference).powi(2);
                square += from_mean.powi(2);
            }
            between + traces[0] + scatter * traces[1] - squares * square - 2.0 * scatter.sqrt() * (root - lost)
        });
        Ok(Some(without.collect()))
    }

    /// The eigenvalues of M that are above 0, and the share of each image in each of them, t [n, k]: c (u_k·z)²/λ_k, where the image's
    /// distance from the mean is z after Lᵀ and c = n/(n - 1)².
    fn shares(&self, b: &Statistics, features: &[f32]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (n, d) = (b.count, b.dim());
        let n_f = n as f64;
        let centred = |rows: &[f32]| -> Vec<f64> {
            rows.chunks_exact(d).flat_map(|row| row.iter().zip(&b.mean).map(|(x, mean)| f64::from(*x) - mean)).collect()
        };
        let factor = self.factor();
        if factor.ncols() == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let (matrix, size) = if n <= d {
            // As columns [r, n].
            let rows = centred(features);
            let moved = product(factor.transpose(), MatRef::from_row_major_slice(&rows, n, d).transpose());
            let moved = columns(&moved, factor.ncols());
            let mut products = product(moved.transpose(), moved);
            products.iter_mut().for_each(|x| *x /= n_f - 1.0);
            (products, n)
        } else {
            (seen(factor, b), factor.ncols())
        };
        let eigen = columns(&matrix, size).self_adjoint_eigen(Side::Lower).map_err(|e| not_converged(&e))?;
        let (vectors, all) = (eigen.U(), eigen.S().column_vector());
        let least = all[size - 1] * ROUNDING * size as f64;
        let kept: Vec<usize> = (size.saturating_sub(self.rank(b))..size).filter(|&k| all[k] > least.max(0.0)).collect();
        let values: Vec<f64> = kept.iter().map(|&k| all[k]).collect();
        let vectors = Mat::from_fn(size, kept.len(), |i, k| vectors[(i, kept[k])]);
        let k = values.len();
        let mut shares = vec![0.0; n * k];
        if n <= d {
            for (i, shares) in shares.chunks_exact_mut(k.max(1)).enumerate() {
                shares.iter_mut().enumerate().for_each(|(k, share)| *share = n_f / (n_f - 1.0) * vectors[(i, k)].powi(2));
            }
        } else if k > 0 {
            let turned = product(factor, vectors.as_ref());
            let turned = columns(&turned, d);
            shares.par_chunks_mut(PANEL * k).zip(features.par_chunks(PANEL * d)).for_each(|(shares, rows)| {
                let count = rows.len() / d;
                let rows = centred(rows);
                let out = MatMut::from_row_major_slice_mut(&mut *shares, count, k);
                matmul(out, Accum::Replace, MatRef::from_row_major_slice(&rows, count, d), turned, 1.0, Par::Seq);
                for shares in shares.chunks_exact_mut(k) {
                    shares.iter_mut().zip(&values).for_each(|(x, value)| *x = n_f / (n_f - 1.0).powi(2) * x.powi(2) / value);
                }
            });
        }
        Ok((values, shares))
    }
}

/// L [d, r], column after column, of the covariance L Lᵀ of at most d/4 images, which has a rank of r < n: Cholesky's columns, those of the largest pivots
/// first, which cost what a few eigenvalues do. None of more images, and where the product is not the covariance: a number of images may be wrong.
fn few_images_factor(statistics: &Statistics) -> Option<Vec<f64>> {
    let (d, covariance) = (statistics.dim(), &statistics.covariance);
    let most = statistics.count.checked_sub(1).filter(|most| *most * 4 <= d)?;
    let mut left: Vec<f64> = (0..d).map(|i| covariance[i * d + i]).collect();
    let largest = left.iter().copied().fold(0.0, f64::max);
    let mut factor: Vec<f64> = Vec::with_capacity(most * d);
    for _ in 0..most {
        let (pivot, &value) = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        if value <= f64::EPSILON * d as f64 * largest {
            break;
        }
        let mut column = covariance[pivot * d..][..d].to_vec();
        for known in factor.chunks_exact(d) {
            let share = known[pivot];
            column.iter_mut().zip(known).for_each(|(x, known)| *x -= share * known);
        }
        let scale = 1.0 / value.sqrt();
        column.iter_mut().for_each(|x| *x *= scale);
        left.iter_mut().zip(&column).for_each(|(left, x)| *left -= x * x);
        factor.extend(column);
    }
    let made = product(columns(&factor, d), columns(&factor, d).transpose());
    let far = made.iter().zip(covariance).map(|(made, there)| (made - there).abs()).fold(0.0, f64::max);
    (far <= 1e-11 * largest).then_some(factor)
}

/// Lᵀ Σ L [r, r].
fn seen(factor: MatRef<'_, f64>, statistics: &Statistics) -> Vec<f64> {
    let d = statistics.dim();
    if factor.ncols() == 0 {
        return Vec::new();
    }
    let half = product(factor.transpose(), MatRef::from_row_major_slice(&statistics.covariance, d, d));
    product(columns(&half, factor.ncols()), factor)
}

/// A matrix that lies column after column.
fn columns(data: &[f64], rows: usize) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(data, rows, data.len().checked_div(rows).unwrap_or(0))
}

/// What statistics that are kept as f16 explain; files are held to what their own type does.
fn check_eigenvalues(least: f64, most: f64) -> Result<()> {
    match least < -0.01 * most.abs() {
        true => Err(Error::new(ErrorKind::Data, "a covariance with eigenvalues below 0: expected a positive semidefinite one")),
        false => Ok(()),
    }
}

/// tr M^½ - tr (M - c z zᵀ)^½ of each of n images: (1/π) ∫ s^½ Σ t λ/(λ + s)² / (1 - Σ t λ/(λ + s)) ds over (0, ∞).
fn lost_traces(values: &[f64], shares: &[f64], n: usize) -> Vec<f64> {
    let k = values.len();
    let [Some(least), Some(most)] = [values.first(), values.last()] else { return vec![0.0; n] };
    // The trapezoid rule over ln s in steps of 1: the integrand has no pole within π of the real line, which leaves an error of 2 e^(-2π²).
    // It falls by e^-½ a step beyond the eigenvalues.
    let points: Vec<f64> = (least.ln().floor() as i32 - 30..=most.ln().ceil() as i32 + 30).map(|u| f64::from(u).exp()).collect();
    let m = points.len();
    let weights = Mat::from_fn(k, 2 * m, |k, p| {
        let away = 1.0 / (values[k] + points[p % m]);
        if p < m { away } else { values[k] * away * away }
    });
    let mut lost = vec![0.0; n];
    lost.par_chunks_mut(PANEL).zip(shares.par_chunks(PANEL * k)).for_each(|(lost, shares)| {
        let mut sums = Mat::<f64>::zeros(lost.len(), 2 * m);
        let shares_of = MatRef::from_row_major_slice(shares, lost.len(), k);
        matmul(sums.as_mut(), Accum::Replace, shares_of, weights.as_ref(), 1.0, Par::Seq);
        for (i, lost) in lost.iter_mut().enumerate() {
            // What of an image lies in no direction of others is lost whole: 1 - Σ t is 0 then, but for rounding.
            let left = 1.0 - shares[i * k..(i + 1) * k].iter().sum::<f64>();
            let left = if left > 1e-9 { left } else { 0.0 };
            let terms = points.iter().enumerate().map(|(p, s)| {
                let kept = left + s * sums[(i, p)];
                if kept > 0.0 { s * s.sqrt() * sums[(i, m + p)] / kept } else { 0.0 }
            });
            *lost = terms.sum::<f64>() / std::f64::consts::PI;
        }
    });
    lost
}

fn trace(s: &Statistics) -> f64 {
    (0..s.dim()).map(|i| s.covariance[i * s.dim() + i]).sum()
}

/// Returns the Fréchet distance of two sets of features.
///
/// # Errors
/// As [`Reference::new`] and [`Reference::distance`].
///
/// ```
/// use ddim_eval::{Statistics, frechet_distance};
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0];
/// let moved = features.map(|x| x + 3.0);
/// let distance = frechet_distance(&Statistics::of(&features, 2)?, &Statistics::of(&moved, 2)?)?;
/// assert!((distance - 2.0 * 9.0).abs() < 1e-9); // of the means alone
/// # Ok::<(), ddim_eval::Error>(())
/// ```
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
