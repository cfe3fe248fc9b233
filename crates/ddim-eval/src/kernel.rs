//! KID: the squared maximum mean discrepancy of features under a cubic kernel, without bias for any number of images (arXiv 1801.01401).

use crate::error::{Error, ErrorKind, Result};
use ddim::noise::Stream;
use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// KID over subsets, as usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelDistance {
    /// Over the subsets.
    pub mean: f64,
    /// Over the subsets (divided by their number).
    pub std: f64,
    /// Images of each of the two parts of a subset.
    pub subset_size: usize,
}

/// Subsets, and images of each: those of torch-fidelity.
const SUBSETS: u64 = 100;
const SUBSET_SIZE: usize = 1000;

/// The stream of the subsets.
const STREAM: u64 = 9 << 40;

/// The estimate over 100 subsets of 1000 images (or of the smaller set, where it has fewer), which are drawn without replacement and are the
/// same for the same numbers of images. `a` and `b` are features [n, d].
///
/// # Errors
/// Fewer than 2 images.
pub fn kernel_distance(a: &[f32], b: &[f32], dim: usize) -> Result<KernelDistance> {
    let counts = [a.len() / dim, b.len() / dim];
    let size = counts[0].min(counts[1]).min(SUBSET_SIZE);
    if size < 2 {
        return Err(Error::new(ErrorKind::Data, format!("{size} images: expected at least 2, for a kernel distance")));
    }
    let estimates: Vec<f64> = (0..SUBSETS)
        .into_par_iter()
        .map(|subset| {
            let [a, b] = [(a, counts[0], 0), (b, counts[1], 1)].map(|(features, count, which)| {
                let mut stream = Stream::new(subset, which, STREAM);
                chosen(count, size, &mut stream).flat_map(|i| &features[i * dim..(i + 1) * dim]).copied().collect::<Vec<f32>>()
            });
            unbiased(&a, &b, dim)
        })
        .collect();
    let n = SUBSETS as f64;
    let mean = estimates.iter().sum::<f64>() / n;
    let std = (estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
    Ok(KernelDistance { mean, std, subset_size: size })
}

/// `size` of 0..count, without replacement.
fn chosen(count: usize, size: usize, stream: &mut Stream) -> impl Iterator<Item = usize> + use<> {
    let mut all: Vec<usize> = (0..count).collect();
    for i in 0..size {
        all.swap(i, i + stream.below((count - i) as u64) as usize);
    }
    all.into_iter().take(size)
}

/// Σ_{i≠j} k(a_i, a_j)/(n(n-1)) + the same of b - 2 mean k(a_i, b_j), with k(x, y) = (x·y/d + 1)³.
fn unbiased(a: &[f32], b: &[f32], dim: usize) -> f64 {
    let n = a.len() / dim;
    let kernel = |x: &[f32], y: &[f32], distinct: bool| {
        let mut products = Mat::<f32>::zeros(n, n);
        let (x, y) = (MatRef::from_row_major_slice(x, n, dim), MatRef::from_row_major_slice(y, n, dim));
        matmul(products.as_mut(), Accum::Replace, x, y.transpose(), 1.0, Par::Seq);
        let mut sum = 0.0;
        for j in 0..n {
            for i in (0..n).filter(|i| !distinct || *i != j) {
                sum += (f64::from(products[(i, j)]) / dim as f64 + 1.0).powi(3);
            }
        }
        sum
    };
    let n_f = n as f64;
    (kernel(a, a, true) + kernel(b, b, true)) / (n_f * (n_f - 1.0)) - 2.0 * kernel(a, b, false) / (n_f * n_f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim::noise;

    fn normal(n: usize, dim: usize, seed: u64, mean: f32) -> Vec<f32> {
        let mut x = vec![0f32; n * dim];
        noise::fill_batch(&mut x, dim, seed, 0, 1);
        x.iter_mut().for_each(|x| *x += mean);
        x
    }

    /// Against the double sums of the definition.
    #[test]
    fn the_definition() {
        let (dim, n) = (7, 20);
        let (a, b) = (normal(n, dim, 0, 0.0), normal(n, dim, 1, 0.5));
        let k = |x: &[f32], i: usize, y: &[f32], j: usize| {
            let product: f64 = (0..dim).map(|d| f64::from(x[i * dim + d]) * f64::from(y[j * dim + d])).sum();
            (product / dim as f64 + 1.0).powi(3)
        };
        let mut expected = 0.0;
        for i in 0..n {
            for j in 0..n {
                if i != j {
                    expected += (k(&a, i, &a, j) + k(&b, i, &b, j)) / (n * (n - 1)) as f64;
                }
                expected -= 2.0 * k(&a, i, &b, j) / (n * n) as f64;
            }
        }
        // Every subset is the whole.
        let found = kernel_distance(&a, &b, dim).unwrap();
        assert!((found.mean - expected).abs() < 1e-5 && found.std < 1e-5 && found.subset_size == n, "{found:?} {expected}");
    }

    /// Without bias: sets of one distribution are as often below 0 as above, far ones are far.
    #[test]
    fn unbiased_for_few_images() {
        let estimates: Vec<f64> = (0..200).map(|i| unbiased(&normal(10, 16, 2 * i, 0.0), &normal(10, 16, 2 * i + 1, 0.0), 16)).collect();
        let n = estimates.len() as f64;
        let mean = estimates.iter().sum::<f64>() / n;
        let error = (estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        assert!(mean.abs() < 4.0 * error, "{mean} ± {error}");
        let far = kernel_distance(&normal(100, 16, 0, 0.0), &normal(100, 16, 1, 1.0), 16).unwrap();
        assert!(far.mean > 1.0);
        assert!(kernel_distance(&normal(1, 16, 0, 0.0), &normal(100, 16, 1, 1.0), 16).is_err());
    }
}
