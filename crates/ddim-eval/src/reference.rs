//! What the cells of a sweep are compared with: statistics, features for KID, and a classifier if the images have classes.

use crate::cell::ClassResult;
use crate::error::{Error, ErrorKind, Result};
use crate::frechet::Reference;
use crate::kernel::KernelReference;
use crate::probe::{Probe, share};
use crate::statistics::{Statistics, npy, to_npz};
use crate::subset::{compared, compared_images};
use ddim_data::Npz;
use ddim_nn::Inception;
use std::path::Path;

/// What cells are compared with.
#[derive(Debug)]
pub struct SweepReference {
    pub(crate) fid: Reference,
    pub(crate) kid: Option<KernelReference>,
    labelled: Option<Labelled>,
}

#[derive(Debug)]
struct Labelled {
    probe: Probe,
    /// Of each class, where there are enough images of it.
    kid: Vec<Option<KernelReference>>,
}

/// The numbers of an array that one of our files must have.
pub(crate) fn floats(archive: &mut Npz, name: &str, path: &Path) -> Result<Vec<f64>> {
    Ok(archive.numbers(name)?.ok_or_else(|| Error::sweep(path, format!("no array {name}")))?.data)
}

/// The seed of the subset that is compared.
const SEED: u64 = 0;

impl SweepReference {
    /// Creates a reference from statistics alone, which has no KID.
    ///
    /// # Errors
    /// As [`Reference::new`].
    pub fn new(statistics: Statistics) -> Result<Self> {
        Ok(Self { fid: Reference::new(statistics)?, kid: None, labelled: None })
    }

    /// Returns whether it has a classifier of its classes; there is none for fewer than 20 images, or for a single class.
    pub fn knows_classes(&self) -> bool {
        self.labelled.is_some()
    }

    /// Returns whether the classifier has learnt a class.
    pub fn knows(&self, class: usize) -> bool {
        self.labelled.as_ref().is_some_and(|labelled| labelled.probe.knows(class))
    }

    /// Returns the share of real images whose class the classifier finds when it has to learn from the others: see [`Probe::fit`].
    pub fn held_out_accuracy(&self) -> Option<f64> {
        self.labelled.as_ref().map(|labelled| labelled.probe.held_out()).filter(|share| share.is_finite())
    }

    /// What a file keeps of features [n, 2048], and of their classes where there are any.
    pub(crate) fn file_of(features: &[f32], labels: Option<&[usize]>) -> Result<Vec<u8>> {
        let dim = Inception::FEATURES;
        let statistics = Statistics::of(features, dim)?;
        let kept = compared(features, dim, SEED, 1);
        let [mean, covariance, count] = statistics.arrays();
        let mut arrays = vec![mean, covariance, count, ("features", npy(&kept, &[(kept.len() / dim) as u64, dim as u64]))];
        // Of few images no classes can be learnt.
        let probe = match labels.map(|labels| Probe::fit(features, labels, dim)) {
            Some(Err(e)) if e.kind() == ErrorKind::Data => None,
            other => other.transpose()?,
        };
        if let Some((labels, probe)) = labels.zip(probe) {
            let of_kept: Vec<i64> = compared_images(labels.len(), SEED, 1).into_iter().map(|i| labels[i] as i64).collect();
            arrays.push(("labels", npy(&of_kept, &[of_kept.len() as u64])));
            let k = probe.bias.len() as u64;
            arrays.push(("probe_mean", npy(&probe.mean, &[dim as u64])));
            arrays.push(("probe_weights", npy(&probe.weights, &[k, dim as u64])));
            arrays.push(("probe_bias", npy(&probe.bias, &[k])));
            arrays.push(("probe_held_out", npy(&[probe.held_out], &[1])));
        }
        Ok(to_npz(&arrays))
    }

    /// Reads what [`file_of`](Self::file_of) made.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let dim = Inception::FEATURES;
        let fid = Reference::new(Statistics::read(path)?)?;
        let mut archive = Npz::open(path)?;
        let kept: Vec<f32> = floats(&mut archive, "features", path)?.into_iter().map(|x| x as f32).collect();
        let labelled = match archive.numbers("labels")?.map(|array| array.data) {
            None => None,
            Some(labels) => {
                let mut part = |name: &str| floats(&mut archive, name, path);
                let (mean, weights, bias) = (part("probe_mean")?, part("probe_weights")?, part("probe_bias")?);
                let held_out = part("probe_held_out")?.first().copied().unwrap_or(f64::NAN);
                if labels.len() * dim != kept.len() || mean.len() != dim || weights.len() != bias.len() * dim {
                    return Err(Error::sweep(path, "labels and a probe of other sizes: expected those of the features"));
                }
                let of_class = |class: usize| {
                    let rows = kept.chunks_exact(dim).zip(&labels).filter(|(_, label)| **label == class as f64);
                    let features: Vec<f32> = rows.flat_map(|(x, _)| x).copied().collect();
                    (features.len() >= 2 * dim).then(|| KernelReference::new(&features, dim, SEED)).transpose()
                };
                let kid = (0..bias.len()).map(of_class).collect::<Result<_>>()?;
                Some(Labelled { probe: Probe { mean, weights, bias, held_out }, kid })
            }
        };
        Ok(Self { fid, kid: Some(KernelReference::new(&kept, dim, SEED)?), labelled })
    }

    /// How well images with `features` [n, 2048] show the classes that they were drawn for: all of those whose classes the reference has, and class by
    /// class.
    pub(crate) fn by_class(&self, features: &[f32], labels: &[usize]) -> Result<Option<(Option<f64>, Vec<ClassResult>)>> {
        let Some(Labelled { probe, kid }) = &self.labelled else { return Ok(None) };
        let dim = Inception::FEATURES;
        let found = probe.classes(features);
        let mut classes = Vec::new();
        for class in 0..=labels.iter().copied().max().unwrap_or(0) {
            let at: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
            if at.is_empty() {
                continue;
            }
            let of_class: Vec<f32> = at.iter().flat_map(|i| &features[i * dim..(i + 1) * dim]).copied().collect();
            let reference = kid.get(class).and_then(Option::as_ref).filter(|_| at.len() >= 2);
            let distance = reference.map(|reference| reference.distance(&of_class)).transpose()?;
            let known = probe.knows(class);
            let accuracy = known.then(|| at.iter().filter(|i| found[**i] == class).count() as f64 / at.len() as f64);
            let (kid, kid_error) = (distance.map(|kid| kid.distance), distance.and_then(|kid| kid.error));
            classes.push(ClassResult { class, count: at.len(), accuracy, kid, kid_error });
        }
        let (found, labels): (Vec<usize>, Vec<usize>) = found.into_iter().zip(labels).filter(|(_, label)| probe.knows(**label)).unzip();
        Ok(Some(((!labels.is_empty()).then(|| share(&found, &labels)), classes)))
    }
}
