//! Sets of images and their features under the Inception network.

use crate::error::{Error, ErrorKind, Result};
use crate::statistics::Statistics;
use ddim_data::{BadFiles, ImageSet, Look, Npz};
use ddim_nn::Inception;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// One side of a comparison.
#[derive(Debug)]
pub enum Images {
    /// Images whose features are still to be computed.
    Set(Box<ImageSet>),
    /// Statistics of features that are already computed.
    Statistics(Statistics),
}

impl Images {
    /// Opens a folder of images, CIFAR-10 or IDX files, a batch (`.npy`, or `.npz` with one), or statistics (`.npz` with mu and sigma).
    ///
    /// # Errors
    /// As [`ImageSet::open`] and [`Statistics::read`].
    pub fn open(path: &Path, look: Look, limit: Option<usize>, bad: BadFiles, besides: &[PathBuf]) -> Result<Self> {
        let npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
        if npz && Npz::open(path)?.names().iter().any(|name| name == "mu" || name == "sigma") {
            return Ok(Self::Statistics(Statistics::read(path)?));
        }
        Ok(Self::Set(Box::new(ImageSet::open(path, look, limit, bad, besides)?)))
    }

    /// Checks that these images or statistics, opened from `path`, can be compared with features computed here.
    ///
    /// # Errors
    /// Returns an error for statistics of features of another network or layer.
    pub fn check_features(&self, path: &Path) -> Result<()> {
        match self {
            Self::Statistics(s) if s.dim() != Inception::FEATURES => {
                Err(Error::data(path, format!("features of {} numbers: expected {}, as FID's", s.dim(), Inception::FEATURES)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the number of images, if it is known.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Set(set) => Some(set.len()),
            Self::Statistics(statistics) => (statistics.count > 0).then_some(statistics.count),
        }
    }
}

impl Images {
    /// Returns a checksum (SHA-256) of what features are computed from, by which a reference is recognised whatever its name: that of a
    /// [set](set_checksum), or of the numbers of statistics.
    ///
    /// # Errors
    /// As [`set_checksum`].
    pub fn checksum(&self, observe: &mut dyn FnMut(usize) -> Result<()>) -> Result<String> {
        match self {
            Self::Set(set) => set_checksum(set, observe),
            Self::Statistics(statistics) => {
                let mut digest = Sha256::new();
                digest.update((statistics.count as u64).to_le_bytes());
                statistics.mean.iter().chain(&statistics.covariance).for_each(|x| digest.update(x.to_le_bytes()));
                Ok(hex(&digest.finalize()))
            }
        }
    }
}

/// Returns a checksum (SHA-256) of a set: the size and the prepared bytes of all images, in order. Every image is read once; `observe`
/// receives the number of images done since its last call.
///
/// # Errors
/// Returns an error if a file cannot be read, and the errors of `observe`.
pub fn set_checksum(set: &ImageSet, observe: &mut dyn FnMut(usize) -> Result<()>) -> Result<String> {
    let mut digest = Sha256::new();
    set.size().iter().for_each(|n| digest.update((*n as u64).to_le_bytes()));
    for first in (0..set.len()).step_by(TOGETHER) {
        let range = first..(first + TOGETHER).min(set.len());
        let n = range.len();
        digest.update(set.read(range)?);
        observe(n)?;
    }
    Ok(hex(&digest.finalize()))
}

/// Bytes as digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Images that are read together.
const TOGETHER: usize = 64;

/// Computes the features [n, 2048] of a set. `observe` receives the number of images done since its last call.
///
/// # Errors
/// Returns an error if a file cannot be read or features are not finite, and the errors of `observe`.
pub fn features(inception: &Inception, set: &ImageSet, observe: &mut dyn FnMut(usize) -> Result<()>) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(set.len() * Inception::FEATURES);
    for first in (0..set.len()).step_by(TOGETHER) {
        let range = first..(first + TOGETHER).min(set.len());
        let n = range.len();
        all.extend(features_of_bytes(inception, &set.read(range)?, set.size(), first)?);
        observe(n)?;
    }
    Ok(all)
}

/// Computes the features of images [n, h, w, 3], of which the first has the number `first`.
///
/// # Errors
/// Returns an error if features are not finite, or from the device that computes them.
pub fn features_of_bytes(inception: &Inception, bytes: &[u8], size: [usize; 2], first: usize) -> Result<Vec<f32>> {
    let features = inception.features(bytes, size)?;
    match features.iter().position(|x| !x.is_finite()) {
        None => Ok(features),
        Some(at) => {
            let image = first + at / Inception::FEATURES;
            Err(Error::new(
                ErrorKind::Network,
                format!("the features of image {image} are not finite: expected the Inception network's weights"),
            ))
        }
    }
}

/// Computes the features of images [n, c, h, w] in [-1, 1], rounded to bytes as when drawn. Gray images (c = 1) are converted to RGB.
///
/// # Errors
/// Returns an error for images of 2 or more than 3 channels, and those of [`features_of_bytes`].
pub fn features_of_images(inception: &Inception, x: &[f32], [c, h, w]: [usize; 3]) -> Result<Vec<f32>> {
    if c != 1 && c != 3 {
        return Err(Error::new(ErrorKind::Data, format!("images of {c} channels: expected 1 or 3, for the Inception network")));
    }
    let mut bytes = Vec::with_capacity(x.len() / c * 3);
    for image in x.chunks_exact(c * h * w) {
        for p in 0..h * w {
            bytes.extend([0, 1, 2].map(|channel| ddim::to_byte(image[channel.min(c - 1) * h * w + p])));
        }
    }
    features_of_bytes(inception, &bytes, [h, w], 0)
}
