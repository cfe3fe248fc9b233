//! A linear classifier of features, which tells the class that an image shows independently of the model that drew it.

use crate::error::{Error, ErrorKind, Result};
use crate::statistics::{Moments, Statistics};
use faer::{Mat, MatRef, Side, prelude::Solve};
use rayon::prelude::*;

/// Real images are held out a part of each class at a time, so many parts in all.
const FOLDS: usize = 10;

/// What is added to the variances of the classes' shared covariance, as a share of their mean: features are more than they differ in.
const SHRINKAGE: f64 = 0.01;

/// Linear discriminant analysis of the features of real images: Gaussian classes with a shared covariance, as frequent as they are among
/// those images. The covariance is shrunk towards a multiple of the identity.
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
    /// Fits a classifier to features [n, d] and the class of each. A class without images is never found.
    ///
    /// How well it finds classes that it was not told is measured by ten more classifiers, each trained without a tenth of the images of
    /// every class. A tenth consists of consecutive images: near-duplicates, such as one picture in several colours, are often consecutive,
    /// and are held out together.
    ///
    /// # Errors
    /// Returns an error for fewer than 20 images, or fewer than 2 classes among them.
    ///
    /// # Panics
    /// Panics if the number of labels differs from that of features.
    pub fn fit(features: &[f32], labels: &[usize], dim: usize) -> Result<Self> {
        let n = labels.len();
        assert_eq!(features.len(), n * dim, "labels of other features");
        let classes = labels.iter().max().map_or(0, |most| most + 1);
        let mut counts = vec![0usize; classes];
        labels.iter().for_each(|class| counts[*class] += 1);
        if n < 2 * FOLDS || counts.iter().filter(|count| **count > 0).count() < 2 {
            let expected = format!("expected {} images of 2 classes at least", 2 * FOLDS);
            return Err(Error::new(ErrorKind::Data, format!("{n} images to learn classes from: {expected}")));
        }
        let mut seen = vec![0; classes];
        let fold = |class: &usize| {
            seen[*class] += 1;
            (seen[*class] - 1) * FOLDS / counts[*class]
        };
        let folds: Vec<usize> = labels.iter().map(fold).collect();
        let rows = || features.chunks_exact(dim).zip(labels.iter().copied());
        let (mut found, mut of) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for held in 0..FOLDS {
            let part = |kept: bool| rows().zip(&folds).filter(move |(_, fold)| (**fold != held) == kept).map(|(row, _)| row);
            let probe = Self::learn(part(true), dim, classes)?;
            // One that is alone in its class cannot be found.
            let (held, labels): (Vec<&[f32]>, Vec<usize>) = part(false).filter(|(_, class)| probe.knows(*class)).unzip();
            found.extend(probe.classes(&held.concat()));
            of.extend(labels);
        }
        let held_out = if of.is_empty() { f64::NAN } else { share(&found, &of) };
        Ok(Self { held_out, ..Self::learn(rows(), dim, classes)? })
    }

    /// Of features and the class of each.
    fn learn<'a>(rows: impl Iterator<Item = (&'a [f32], usize)> + Clone, dim: usize, classes: usize) -> Result<Self> {
        let (mut moments, mut counts) = (Moments::new(dim), vec![0.0; classes]);
        for (x, class) in rows.clone() {
            moments.push(x);
            counts[class] += 1.0;
        }
        let Statistics { count, mean, covariance } = moments.finish()?;
        // By class, of what lies around the common mean.
        let mut means = Mat::<f64>::zeros(dim, classes);
        for (x, class) in rows {
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
        Ok(Self { bias: bias.collect(), mean, weights, held_out: f64::NAN })
    }

    /// Returns the class of each image, given its features [n, d].
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

    /// Returns whether it has learnt a class; one without images is never found.
    pub fn knows(&self, class: usize) -> bool {
        self.bias.get(class).is_some_and(|bias| bias.is_finite())
    }

    /// Returns the share of real images whose class is found when it has to be learnt from the others: see [`fit`](Self::fit).
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

    /// One picture in several colours lies beside itself, and is no image that was not seen.
    #[test]
    fn those_that_are_nearly_the_same_are_held_out_together() {
        let (pictures, alike, dim) = (40, 5, 30);
        let mut stream = Key { seed: 2, image: 0, draw: Draw::Latent }.stream();
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        // Pictures whose class nothing tells.
        for picture in 0..pictures {
            let own: Vec<f64> = (0..dim).map(|_| stream.normal()).collect();
            for _ in 0..alike {
                features.extend(own.iter().map(|x| (x + 0.01 * stream.normal()) as f32));
                labels.push(picture % 2);
            }
        }
        let held_out = Probe::fit(&features, &labels, dim).unwrap().held_out();
        assert!((0.2..0.75).contains(&held_out), "{held_out}");
        // In another order their siblings are learnt.
        let order: Vec<usize> = (0..alike).flat_map(|i| (0..pictures).map(move |picture| picture * alike + i)).collect();
        let mixed: Vec<f32> = order.iter().flat_map(|i| &features[i * dim..(i + 1) * dim]).copied().collect();
        let labels: Vec<usize> = order.iter().map(|i| labels[*i]).collect();
        assert!(Probe::fit(&mixed, &labels, dim).unwrap().held_out() > held_out + 0.15);
    }

    #[test]
    fn too_few_to_learn_from() {
        let features = |n: usize| (0..2 * n).map(|i| (i as f32).sin()).collect::<Vec<_>>();
        assert!(Probe::fit(&features(19), &[0; 19], 2).unwrap_err().to_string().contains("19 images"));
        assert!(Probe::fit(&features(40), &[3; 40], 2).unwrap_err().to_string().contains("2 classes"));
        // Classes in turn, as many as there are parts: of each some are learnt from.
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
