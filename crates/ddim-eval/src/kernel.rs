//! KID: the squared maximum mean discrepancy of features under a cubic kernel, unbiased for any number of images (arXiv 1801.01401).

use crate::error::{Error, ErrorKind, Result};
use crate::subset::compared;
use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// The kernel distance of two sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelDistance {
    /// The unbiased estimate over all pairs: for sets of one distribution, it is below 0 as often as above.
    pub distance: f64,
    /// Its standard error over the images of both sets, by leaving out each in turn (the jackknife, which errs on the large side). Unlike
    /// the spread over subsets given in the literature, it says how much other images would have changed the distance, and is not 0 if a
    /// subset is the whole set. `None` for sets of 2 images.
    pub error: Option<f64>,
    /// The numbers of images of both sets that were compared.
    pub counts: [usize; 2],
}

/// A reference with the kernel sums among its images, which are computed once for any number of distances.
pub struct KernelReference {
    dim: usize,
    seed: u64,
    /// [n, d].
    features: Vec<f32>,
    /// Σ_{j≠i} k(b_i, b_j) of each.
    within: Vec<f64>,
}

impl std::fmt::Debug for KernelReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelReference")
            .field("count", &self.within.len())
            .field("dim", &self.dim)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Rows of a task.
const ROWS: usize = 256;

impl KernelReference {
    /// Creates a reference from features [n, d]; of many, [`compared`] takes a subset by `seed`.
    ///
    /// # Errors
    /// Returns an error for fewer than 2 images.
    pub fn new(features: &[f32], dim: usize, seed: u64) -> Result<Self> {
        check(features, dim)?;
        let features = compared(features, dim, seed, 1);
        let within = sums(&features, &features, dim, true).0;
        Ok(Self { dim, seed, features, within })
    }

    /// Returns the distance of images with `features` [n, d], of which a subset is taken as well.
    ///
    /// # Errors
    /// Returns an error for fewer than 2 images.
    pub fn distance(&self, features: &[f32]) -> Result<KernelDistance> {
        check(features, self.dim)?;
        let features = compared(features, self.dim, self.seed, 0);
        let within = sums(&features, &features, self.dim, true).0;
        let (across, across_reference) = sums(&features, &self.features, self.dim, false);
        Ok(estimate([&within, &self.within], [&across, &across_reference]))
    }
}

/// Returns the KID of two sets of features [n, d]; subsets of large sets are a function of `seed`.
///
/// # Errors
/// Returns an error for fewer than 2 images.
///
/// ```
/// use ddim_eval::kernel_distance;
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0];
/// let near = kernel_distance(&features, &features.map(|x| x + 0.1), 2, 0)?;
/// let far = kernel_distance(&features, &features.map(|x| x + 3.0), 2, 0)?;
/// assert!(near.distance < far.distance);
/// assert_eq!(far.counts, [4, 4]);
/// # Ok::<(), ddim_eval::Error>(())
/// ```
pub fn kernel_distance(a: &[f32], b: &[f32], dim: usize, seed: u64) -> Result<KernelDistance> {
    KernelReference::new(b, dim, seed)?.distance(a)
}

fn check(features: &[f32], dim: usize) -> Result<()> {
    match features.len() / dim {
        n @ ..2 => Err(Error::new(ErrorKind::Data, format!("{n} image{}: expected at least 2, for a kernel distance", plural(n)))),
        _ => Ok(()),
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// From each image's sum over the others of its set and over those of the other set:
/// Σ_{i≠j} k(a_i, a_j)/(n(n-1)) + the same of b - 2 mean k(a_i, b_j), and by how much each image that is left out moves it.
fn estimate(within: [&[f64]; 2], across: [&[f64]; 2]) -> KernelDistance {
    let counts = within.map(<[f64]>::len);
    let [n, m] = counts.map(|n| n as f64);
    let totals = within.map(|sums| sums.iter().sum::<f64>());
    let crossed: f64 = across[0].iter().sum();
    let means = [totals[0] / (n * (n - 1.0)), totals[1] / (m * (m - 1.0))];
    let distance = means[0] + means[1] - 2.0 * crossed / (n * m);
    let variance = |side: usize| {
        let (n, other) = if side == 0 { (n, m) } else { (m, n) };
        let without: Vec<f64> = within[side]
            .iter()
            .zip(across[side])
            .map(|(within, across)| {
                (totals[side] - 2.0 * within) / ((n - 1.0) * (n - 2.0)) + means[1 - side] - 2.0 * (crossed - across) / ((n - 1.0) * other)
            })
            .collect();
        jackknife(&without)
    };
    let error = (counts.into_iter().min() > Some(2)).then(|| (variance(0) + variance(1)).sqrt());
    KernelDistance { distance, error, counts }
}

/// The variance of a number, from what it is without each image: (n - 1)/n Σ (x_i - mean)².
pub(crate) fn jackknife(without: &[f64]) -> f64 {
    let n = without.len() as f64;
    let mean = without.iter().sum::<f64>() / n;
    (n - 1.0) / n * without.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
}

/// Sums of k(x_i, y_j) = (x_i·y_j/d + 1)³ over j, for each i, and over i, for each j; without those of an image and itself where x and y
/// are `one_set`. Each sum in one order, whatever the threads.
fn sums(x: &[f32], y: &[f32], dim: usize, one_set: bool) -> (Vec<f64>, Vec<f64>) {
    let m = y.len() / dim;
    let blocks: Vec<(Vec<f64>, Vec<f64>)> = x
        .par_chunks(ROWS * dim)
        .enumerate()
        .map(|(block, rows)| {
            let n = rows.len() / dim;
            let mut products = Mat::<f32>::zeros(m, n);
            let (rows, all) = (MatRef::from_row_major_slice(rows, n, dim), MatRef::from_row_major_slice(y, m, dim));
            matmul(products.as_mut(), Accum::Replace, all, rows.transpose(), 1.0, Par::Seq);
            let (mut over_y, mut over_x) = (vec![0.0; n], vec![0.0; m]);
            for (i, sum) in over_y.iter_mut().enumerate() {
                for (j, sum_x) in over_x.iter_mut().enumerate().filter(|(j, _)| !one_set || *j != block * ROWS + i) {
                    let kernel = (f64::from(products[(j, i)]) / dim as f64 + 1.0).powi(3);
                    *sum += kernel;
                    *sum_x += kernel;
                }
            }
            (over_y, over_x)
        })
        .collect();
    let mut over_x = vec![0.0; m];
    for (_, part) in &blocks {
        over_x.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    (blocks.into_iter().flat_map(|(over_y, _)| over_y).collect(), over_x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim::noise::{Batch, Draw};

    fn normal(n: usize, dim: usize, seed: u64, mean: f32) -> Vec<f32> {
        let mut x = vec![0f32; n * dim];
        Batch { seed, first: 0 }.fill(&mut x, dim, Draw::Step(1));
        x.iter_mut().for_each(|x| *x += mean);
        x
    }

    /// The double sums of the definition.
    fn definition(a: &[f32], b: &[f32], dim: usize) -> f64 {
        let k = |x: &[f32], y: &[f32]| {
            let product: f64 = x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            (product / dim as f64 + 1.0).powi(3)
        };
        let mean = |x: &[f32], y: &[f32], one_set: bool| {
            let (n, m) = (x.len() / dim, y.len() / dim);
            let pairs = (0..n * m).filter(|p| !one_set || p / m != p % m);
            let sum: f64 = pairs.map(|p| k(&x[p / m * dim..][..dim], &y[p % m * dim..][..dim])).sum();
            sum / (if one_set { n * (m - 1) } else { n * m }) as f64
        };
        mean(a, a, true) + mean(b, b, true) - 2.0 * mean(a, b, false)
    }

    /// Against the definition, of the whole and without each image; more rows than a task has.
    #[test]
    fn the_definition() {
        let dim = 7;
        for (n, m) in [(20, 20), (2, 5), (9, 300)] {
            let (a, b) = (normal(n, dim, 0, 0.0), normal(m, dim, 1, 0.5));
            let found = kernel_distance(&a, &b, dim, 0).unwrap();
            assert!((found.distance - definition(&a, &b, dim)).abs() < 1e-5 && found.counts == [n, m], "{found:?}");
            if n == 2 {
                assert_eq!(found.error, None);
                continue;
            }
            let without = |set: &[f32], i: usize| [&set[..i * dim], &set[(i + 1) * dim..]].concat();
            let of_a = jackknife(&(0..n).map(|i| definition(&without(&a, i), &b, dim)).collect::<Vec<_>>());
            let of_b = jackknife(&(0..m).map(|i| definition(&a, &without(&b, i), dim)).collect::<Vec<_>>());
            let error = found.error.unwrap();
            assert!((error / (of_a + of_b).sqrt() - 1.0).abs() < 1e-3, "{error} {of_a} {of_b}");
        }
        assert!(kernel_distance(&normal(1, dim, 0, 0.0), &normal(9, dim, 1, 0.0), dim, 0).is_err());
    }

    /// Without bias for few images; the error is the spread over other images, near and far, and also where subsets would be whole sets.
    #[test]
    fn the_error_is_the_spread_over_other_images() {
        let (n, dim, times) = (30, 16, 300);
        for mean in [0.0, 0.3, 1.0] {
            let found: Vec<KernelDistance> = (0..times)
                .map(|i| kernel_distance(&normal(n, dim, 2 * i, 0.0), &normal(n, dim, 2 * i + 1, mean), dim, 0).unwrap())
                .collect();
            let t = times as f64;
            let centre = found.iter().map(|f| f.distance).sum::<f64>() / t;
            let spread = (found.iter().map(|f| (f.distance - centre).powi(2)).sum::<f64>() / (t - 1.0)).sqrt();
            let error = (found.iter().map(|f| f.error.unwrap().powi(2)).sum::<f64>() / t).sqrt();
            // The jackknife is large where sets are of one distribution: the estimate is then degenerate.
            let most = if mean == 0.0 { 1.7 } else { 1.25 };
            assert!((0.85..most).contains(&(error / spread)), "mean {mean}: {error}, in truth {spread}");
            if mean == 0.0 {
                assert!(centre.abs() < 4.0 * spread / t.sqrt(), "{centre} ± {spread}");
            }
        }
    }
}
