//! A linear classifier of features: which class an image shows, by somebody who did not draw it.

use crate::error::{Error, ErrorKind, Result};
use crate::statistics::Statistics;
use faer::{Mat, MatRef, Side, prelude::Solve};
use rayon::prelude::*;

/// Of so many real images of a class one is held out.
const HELD_OUT: usize = 10;

/// What is added to the variances of the classes' shared covariance, as a share of their mean: features are more than they differ in.
const SHRINKAGE: f64 = 0.01;

/// Linear discriminant analysis of the features of real images: Gaussian classes of one covariance, as common as they are among them. The
/// covariance is shrunk towards a multiple of the identity.
///
/// ```
/// use ddim_eval::Probe;
///
/// // Two classes, apart in the first number.
/// let features: Vec<f32> = (0..80).flat_map(|i| [(i % 2) as f32 + 0.1 * (i as f32).sin(), (i as f32).cos()]).collect();
/// let labels: Vec<usize> = (0..80).map(|i| i % 2).collect();
/// let probe = Probe::fit(&features, &labels, 2)?;
/// assert_eq!(probe.held_out(), 1.0);
/// assert_eq!(probe.classes(&[0.1, 0.5, 0.9, -0.5]), [0, 1]);
/// # Ok::<(), ddim_eval::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// \[d\], of all classes.
    pub(crate) mean: Vec<f64>,
    /// [k, d].
    pub(crate) weights: Vec<f64>,
    /// \[k\].
    pub(crate) bias: Vec<f64>,
    pub(crate) held_out: f64,
}

impl Probe {
    /// Of features [n, d] and the class of each; every tenth image of a class is held out. A class without images is never found.
    ///
    /// # Errors
    /// Fewer than 20 images, or fewer than 2 classes among them.
    ///
    /// # Panics
    /// On another number of labels than features.
    pub fn fit(features: &[f32], labels: &[usize], dim: usize) -> Result<Self> {
        let n = labels.len();
        assert_eq!(features.len(), n * dim, "labels of other features");
        let classes = labels.iter().max().map_or(0, |most| most + 1);
        let mut seen = vec![0usize; classes];
        type Rows<'a> = Vec<(&'a [f32], usize)>;
        let (learnt, held): (Rows<'_>, Rows<'_>) = features.chunks_exact(dim).zip(labels.iter().copied()).partition(|(_, class)| {
            seen[*class] += 1;
            !seen[*class].is_multiple_of(HELD_OUT)
        });
        let mut counts = vec![0.0; classes];
        learnt.iter().for_each(|(_, class)| counts[*class] += 1.0);
        if n < 2 * HELD_OUT || counts.iter().filter(|count| **count > 0.0).count() < 2 {
            let expected = format!("expected {} images of 2 classes at least", 2 * HELD_OUT);
            return Err(Error::new(ErrorKind::Data, format!("{n} images to learn classes from: {expected}")));
        }
        let rows_of = |rows: &Rows<'_>| rows.iter().flat_map(|(x, _)| *x).copied().collect::<Vec<f32>>();
        let Statistics { count, mean, covariance } = Statistics::of(&rows_of(&learnt), dim)?;
        // By class, of what lies around the common mean.
        let mut means = Mat::<f64>::zeros(dim, classes);
        for (x, class) in learnt {
            x.iter().zip(&mean).enumerate().for_each(|(j, (x, mean))| means[(j, class)] += (f64::from(*x) - mean) / counts[class]);
        }
        let total = MatRef::from_row_major_slice(&covariance, dim, dim);
        let weighted = Mat::from_fn(dim, classes, |j, class| means[(j, class)] * counts[class] / (count - 1) as f64);
        let mut within = total - &weighted * means.transpose();
        let variance = (0..dim).map(|j| within[(j, j)]).sum::<f64>() / dim as f64;
        // Features that are all the same have no variance, and no classes.
        let added = (SHRINKAGE * variance).max(f64::MIN_POSITIVE);
        (0..dim).for_each(|j| within[(j, j)] += added);
        let cholesky =
            within.llt(Side::Lower).map_err(|_| Error::new(ErrorKind::Network, "features without variance: expected Inception's"))?;
        let solved = cholesky.solve(&means);
        let weights: Vec<f64> =
            (0..classes).flat_map(|class| (0..dim).map(move |j| (class, j))).map(|(class, j)| solved[(j, class)]).collect();
        let bias = (0..classes).map(|class| {
            let square: f64 = (0..dim).map(|j| means[(j, class)] * solved[(j, class)]).sum();
            (counts[class] / count as f64).ln() - 0.5 * square
        });
        let mut probe = Self { bias: bias.collect(), mean, weights, held_out: 0.0 };
        let of: Vec<usize> = held.iter().map(|(_, class)| *class).collect();
        // Classes of fewer than ten images have none.
        probe.held_out = if of.is_empty() { f64::NAN } else { share(&probe.classes(&rows_of(&held)), &of) };
        Ok(probe)
    }

    /// The class of each image, by its features [n, d].
    pub fn classes(&self, features: &[f32]) -> Vec<usize> {
        let dim = self.mean.len();
        let class = |x: &[f32]| {
            let score = |(weights, bias): (&[f64], &f64)| {
                bias + x.iter().zip(&self.mean).zip(weights).map(|((x, mean), w)| (f64::from(*x) - mean) * w).sum::<f64>()
            };
            let scores = self.weights.chunks_exact(dim).zip(&self.bias).map(score);
            scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(class, _)| class)
        };
        features.par_chunks_exact(dim).map(class).collect()
    }

    /// Whether it has learnt a class: one without images is never found.
    pub fn knows(&self, class: usize) -> bool {
        self.bias.get(class).is_some_and(|bias| bias.is_finite())
    }

    /// The share of real images, held out, whose class it finds.
    pub fn held_out(&self) -> f64 {
        self.held_out
    }
}

/// The share of `found` that is as it should be.
pub(crate) fn share(found: &[usize], labels: &[usize]) -> f64 {
    found.iter().zip(labels).filter(|(found, label)| found == label).count() as f64 / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim::noise::{Draw, Key};

    /// Classes of a known covariance: no classifier is better than the one that knows it, and this one is nearly as good.
    #[test]
    fn gaussian_classes_are_told_apart_as_well_as_can_be() {
        let (n, dim, k) = (6000, 5, 3);
        // Correlated noise, and means that a distance without the covariance would confuse.
        let means: [[f64; 5]; 3] = [[0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0, 0.5], [-1.0, 1.0, 0.0, 1.0, 0.0]];
        let shares = [0.6, 0.3, 0.1];
        let mut stream = Key { seed: 1, image: 0, draw: Draw::Latent }.stream();
        let mut uniform = Key { seed: 1, image: 0, draw: Draw::Class }.stream();
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let u = uniform.below(10) as f64 / 10.0;
            let class = if u < shares[0] {
                0
            } else if u < shares[0] + shares[1] {
                1
            } else {
                2
            };
            let z: Vec<f64> = (0..dim).map(|_| stream.normal()).collect();
            let x = |j: usize| means[class][j] + z[j] + if j > 0 { 0.9 * z[j - 1] } else { 0.0 };
            features.extend((0..dim).map(|j| x(j) as f32));
            labels.push(class);
        }
        let probe = Probe::fit(&features, &labels, dim).unwrap();
        // The rule that knows: undo the correlation, and take the likeliest.
        let best = |x: &[f32]| {
            let score = |class: usize| {
                let mut z = [0.0; 5];
                for j in 0..dim {
                    z[j] = f64::from(x[j]) - means[class][j] - if j > 0 { 0.9 * z[j - 1] } else { 0.0 };
                }
                f64::ln(shares[class]) - 0.5 * z.iter().map(|z| z * z).sum::<f64>()
            };
            (0..k).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap()
        };
        let known: Vec<usize> = features.chunks(dim).map(best).collect();
        let (ours, theirs) = (share(&probe.classes(&features), &labels), share(&known, &labels));
        assert!(theirs > 0.75 && theirs < 0.95 && (ours - theirs).abs() < 0.01, "{ours} {theirs}");
        assert!((probe.held_out() - theirs).abs() < 0.05, "{}", probe.held_out());
    }

    #[test]
    fn too_few_to_learn_from() {
        let features = |n: usize| (0..2 * n).map(|i| (i as f32).sin()).collect::<Vec<_>>();
        assert!(Probe::fit(&features(19), &[0; 19], 2).unwrap_err().to_string().contains("19 images"));
        assert!(Probe::fit(&features(40), &[3; 40], 2).unwrap_err().to_string().contains("2 classes"));
        // Classes in turn, as many as one of which is held out: of each some are learnt from.
        let (turns, labels): (Vec<f32>, Vec<usize>) = (0..400).map(|i| (100.0 * (i % 10) as f32 + (i as f32).sin(), i % 10)).unzip();
        let probe = Probe::fit(&turns, &labels, 1).unwrap();
        assert!(probe.classes(&turns) == labels && probe.held_out() == 1.0, "{}", probe.held_out());
        // A class number without images is never found.
        let labels: Vec<usize> = (0..40).map(|i| if i % 2 == 0 { 0 } else { 3 }).collect();
        let probe = Probe::fit(&features(40), &labels, 2).unwrap();
        assert!(probe.classes(&features(40)).iter().all(|class| [0, 3].contains(class)));
        assert_eq!([0, 1, 2, 3, 4].map(|class| probe.knows(class)), [true, false, false, true, false]);
    }
}
