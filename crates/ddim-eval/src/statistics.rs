//! Means and covariances of features, in f64, and the files of pytorch-fid that hold them.

use crate::error::{Error, ErrorKind, Result};
use ddim_data::{Npz, RealArray};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side, linalg::matmul::matmul};
use npyz::WriterBuilder;
use rayon::prelude::*;
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The mean and covariance (divided by n - 1) of n features.
///
/// ```
/// use ddim_eval::Statistics;
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0]; // of 4 images, 2 numbers each
/// let statistics = Statistics::of(&features, 2)?;
/// assert_eq!((statistics.count, &*statistics.mean), (4, &[1.0, 1.0][..]));
/// assert!((statistics.covariance[0] - 4.0 / 3.0).abs() < 1e-12);
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("statistics.npz"); // as pytorch-fid writes it
/// std::fs::write(&path, statistics.to_npz())?;
/// assert_eq!(Statistics::read(&path)?, statistics);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The number of images; 0 if a file of pytorch-fid does not say.
    pub count: usize,
    /// \[d\].
    pub mean: Vec<f64>,
    /// [d, d], symmetric.
    pub covariance: Vec<f64>,
}

/// Below so many images a covariance of Inception's 2048 features is singular.
const SINGULAR: usize = 2048;

/// Below so many, FID is visibly above what it tends to.
const BIASED: usize = 10_000;

/// Returns a warning about the FID of `count` images, in words that begin with `whose` images they are, or `None` if there are enough.
pub fn few_images(whose: &str, count: usize) -> Option<String> {
    let images = if count == 1 { "image" } else { "images" };
    match count {
        ..SINGULAR => Some(format!(
            "{whose} has {count} {images}, fewer than the {SINGULAR} dimensions of a feature: FID falls as their number grows, compare only \
             equal numbers; 50000 is usual"
        )),
        SINGULAR..BIASED => {
            Some(format!("{whose} has {count} {images}: FID still falls as their number grows, compare only equal numbers; 50000 is usual"))
        }
        _ => None,
    }
}

/// Rows whose squares are summed together: the sums do not depend on how they came.
const TOGETHER: usize = 512;

/// Columns of a task.
const PANEL: usize = 256;

/// Running sums of features: of n so far, their mean and their scatter Σ (x - mean)(x - mean)ᵀ.
///
/// ```
/// use ddim_eval::{Moments, Statistics};
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0];
/// let mut moments = Moments::new(2);
/// features.chunks(2).for_each(|image| moments.push(image));
/// assert_eq!(moments.finish()?, Statistics::of(&features, 2)?);
/// # Ok::<(), ddim_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Moments {
    dim: usize,
    count: usize,
    mean: Vec<f64>,
    /// [d, d]; of the lower triangle's panels, until it is asked for.
    scatter: Vec<f64>,
    /// Rows that are not yet summed.
    waiting: Vec<f32>,
}

impl Moments {
    /// Starts with no features, each to have `dim` numbers.
    pub fn new(dim: usize) -> Self {
        Self { dim, count: 0, mean: vec![0.0; dim], scatter: vec![0.0; dim * dim], waiting: Vec::new() }
    }

    /// Adds features [n, d]. How they are split into calls makes no difference, not even in the last bit.
    ///
    /// # Panics
    /// Panics on a partial row.
    pub fn push(&mut self, features: &[f32]) {
        assert!(features.len().is_multiple_of(self.dim), "{} numbers for rows of {}", features.len(), self.dim);
        self.waiting.extend_from_slice(features);
        let whole = self.waiting.len() / (TOGETHER * self.dim) * TOGETHER * self.dim;
        if whole > 0 {
            let rest = self.waiting.split_off(whole);
            let blocks = std::mem::replace(&mut self.waiting, rest);
            blocks.chunks_exact(TOGETHER * self.dim).for_each(|block| self.add_block(block));
        }
    }

    fn add_block(&mut self, block: &[f32]) {
        let d = self.dim;
        let n = block.len() / d;
        let mut mean = vec![0.0; d];
        for row in block.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x));
        }
        mean.iter_mut().for_each(|mean| *mean /= n as f64);
        let centred: Vec<f64> = block.chunks_exact(d).flat_map(|row| row.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m)).collect();
        let mut scatter = vec![0.0; d * d];
        let rows = MatRef::from_row_major_slice(&centred, n, d);
        // Rows of the product, in panels: each sum in one order, whatever the threads.
        scatter.par_chunks_mut(PANEL * d).enumerate().for_each(|(panel, out)| {
            let (first, height) = (panel * PANEL, out.len() / d);
            let width = first + height;
            let out = MatMut::from_row_major_slice_mut(out, height, d).subcols_mut(0, width);
            matmul(out, Accum::Replace, rows.subcols(first, height).transpose(), rows.subcols(0, width), 1.0, Par::Seq);
        });
        self.merge_sums(n, &mean, &scatter);
    }

    /// Chan, Golub and LeVeque's: the scatter of a union is the sum of both and that of the two means.
    fn merge_sums(&mut self, n: usize, mean: &[f64], scatter: &[f64]) {
        let (d, total) = (self.dim, (self.count + n) as f64);
        let difference: Vec<f64> = mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let factor = self.count as f64 * n as f64 / total;
        self.scatter.par_chunks_exact_mut(d).zip(scatter.par_chunks_exact(d)).enumerate().for_each(|(i, (sums, more))| {
            for (j, (sum, more)) in sums.iter_mut().zip(more).enumerate() {
                *sum += more + factor * difference[i] * difference[j];
            }
        });
        self.mean.iter_mut().zip(&difference).for_each(|(mean, difference)| *mean += difference * n as f64 / total);
        self.count += n;
    }

    /// Returns the statistics of all features.
    ///
    /// # Errors
    /// Returns an error for fewer than 2 features.
    pub fn finish(mut self) -> Result<Statistics> {
        let rest = std::mem::take(&mut self.waiting);
        if !rest.is_empty() {
            self.add_block(&rest);
        }
        let Self { dim: d, count, mean, scatter, .. } = self;
        if count < 2 {
            let images = if count == 1 { "image" } else { "images" };
            return Err(Error::new(crate::ErrorKind::Data, format!("{count} {images}: expected at least 2, for a covariance")));
        }
        let mut covariance = vec![0.0; d * d];
        covariance.par_chunks_exact_mut(d).enumerate().for_each(|(i, out)| {
            for (j, out) in out.iter_mut().enumerate() {
                *out = scatter[i.max(j) * d + i.min(j)] / (count - 1) as f64;
            }
        });
        Ok(Statistics { count, mean, covariance })
    }
}

impl Statistics {
    /// Computes the statistics of features [n, d].
    ///
    /// # Errors
    /// Returns an error for fewer than 2 features, or numbers that are not finite.
    pub fn of(features: &[f32], dim: usize) -> Result<Self> {
        if let Some(at) = features.iter().position(|x| !x.is_finite()) {
            return Err(Error::new(crate::ErrorKind::Network, format!("the features of image {} are not finite", at / dim)));
        }
        let mut moments = Moments::new(dim);
        moments.push(features);
        moments.finish()
    }

    /// Returns the number of elements of a feature.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Returns the statistics of the union of two sets, as if all images had been taken together.
    ///
    /// # Errors
    /// Returns an error for features of different kinds, or if a count is not known.
    pub fn merged(&self, other: &Self) -> Result<Self> {
        let d = self.dim();
        if other.dim() != d {
            return Err(Error::new(crate::ErrorKind::Data, format!("features of {} numbers, and of {d}: expected the same", other.dim())));
        }
        if self.count < 2 || other.count < 2 {
            return Err(Error::new(
                crate::ErrorKind::Data,
                "statistics without a number of images: expected statistics that ddim wrote, to combine them",
            ));
        }
        let sums = |s: &Self| s.covariance.iter().map(|c| c * (s.count - 1) as f64).collect::<Vec<_>>();
        let mut moments = Moments { dim: d, count: self.count, mean: self.mean.clone(), scatter: sums(self), waiting: Vec::new() };
        moments.merge_sums(other.count, &other.mean, &sums(other));
        moments.finish()
    }

    /// Returns a `.npz` file as pytorch-fid writes it (`mu`, `sigma`), with the number of images added (`count`).
    pub fn to_npz(&self) -> Vec<u8> {
        to_npz(&self.arrays())
    }

    /// The arrays of [`to_npz`](Self::to_npz).
    pub(crate) fn arrays(&self) -> [(&'static str, Vec<u8>); 3] {
        let d = self.dim() as u64;
        let count = npy(&[self.count as i64], &[]);
        [("mu", npy(&self.mean, &[d])), ("sigma", npy(&self.covariance, &[d, d])), ("count", count)]
    }

    /// What is wrong with these, in words: shapes, numbers that are not finite, a covariance that is not symmetric or not one at all by more
    /// than rounding to `unit` explains (twice the largest error of a number, as a share of it; f32's at least, in which features come).
    pub(crate) fn check(&self, unit: f64) -> std::result::Result<(), String> {
        let (d, covariance) = (self.dim(), &self.covariance);
        if covariance.len() != d * d {
            return Err(format!("a covariance of {} numbers for a mean of {d}: expected {d} x {d}", covariance.len()));
        }
        if self.mean.iter().chain(covariance).any(|x| !x.is_finite()) {
            return Err("numbers that are not finite".into());
        }
        let size = covariance.iter().map(|x| x.powi(2)).sum::<f64>().sqrt();
        if !size.is_finite() {
            return Err("numbers whose squares are not finite".into());
        }
        let rounding = 8.0 * unit.max(f64::from(f32::EPSILON)) * size;
        for i in 0..d {
            for j in 0..i {
                let [below, above] = [covariance[i * d + j], covariance[j * d + i]];
                if (below - above).abs() > rounding {
                    return Err(format!("a covariance with {below} at ({i}, {j}) and {above} at ({j}, {i}): expected a symmetric one"));
                }
            }
            let variance = covariance[i * d + i];
            if variance < -rounding {
                return Err(format!("a variance of {variance} at ({i}, {i}): expected none below 0"));
            }
        }
        Ok(())
    }

    /// Whether Σ + rounding is positive definite, by its Cholesky factor.
    fn check_positive(&self, unit: f64) -> std::result::Result<(), String> {
        let (d, covariance) = (self.dim(), &self.covariance);
        let size = covariance.iter().map(|x| x.powi(2)).sum::<f64>().sqrt();
        if !size.is_finite() {
            return Err("numbers whose squares are not finite".into());
        }
        let rounding = 8.0 * unit.max(f64::from(f32::EPSILON)) * size;
        let raised = Mat::from_fn(d, d, |i, j| covariance[i * d + j] + if i == j { rounding } else { 0.0 });
        match size > 0.0 && raised.llt(Side::Lower).is_err() {
            true => Err("a covariance with eigenvalues below 0 by more than rounding: expected a positive semidefinite one".into()),
            false => Ok(()),
        }
    }

    /// Reads a `.npz` file of pytorch-fid's or one of ours, with numbers in f16, f32 or f64.
    ///
    /// # Errors
    /// Returns an error for another kind of file, and for arrays that do not match, are not finite, or hold no covariance: not symmetric,
    /// or with eigenvalues below 0, by more than the rounding of their numbers.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |message: String| Error::data(path, message);
        // It names the file already.
        let wrong_in =
            |e: ddim_data::Error| Error::new(ErrorKind::Data, format!("{e}: expected statistics as pytorch-fid writes them")).because(e);
        let mut archive = Npz::open(path)?;
        let expected = "expected statistics as pytorch-fid writes them: mu [d], sigma [d, d]";
        let mut epsilon = 0f64;
        let mut array = |name: &str| -> Result<RealArray> {
            let read = archive.numbers(name).map_err(wrong_in)?;
            let array = read.ok_or_else(|| wrong(format!("no array {name}: {expected}")))?;
            epsilon = epsilon.max(array.epsilon);
            Ok(array)
        };
        let (RealArray { shape: of_mean, data: mean, .. }, RealArray { shape: of_covariance, data: covariance, .. }) =
            (array("mu")?, array("sigma")?);
        let d = mean.len();
        if of_mean != [d] || of_covariance != [d, d] || d == 0 {
            return Err(wrong(format!("mu {of_mean:?}, sigma {of_covariance:?}: {expected}")));
        }
        let unit = epsilon;
        let count = match archive.numbers("count").map_err(wrong_in)? {
            None => 0,
            Some(array) => match array.data.as_slice() {
                [n] if *n >= 0.0 && n.fract() == 0.0 => *n as usize,
                _ => return Err(wrong("array count: expected one number".into())),
            },
        };
        if count == 1 {
            return Err(wrong("statistics of 1 image: expected at least 2, for a covariance".into()));
        }
        let mut statistics = Self { count, mean, covariance };
        statistics.check(unit).and_then(|()| statistics.check_positive(unit)).map_err(wrong)?;
        statistics.make_symmetric();
        Ok(statistics)
    }

    /// Takes the mean of what rounding has made of one number.
    fn make_symmetric(&mut self) {
        let d = self.dim();
        for i in 0..d {
            for j in 0..i {
                let mean = 0.5 * (self.covariance[i * d + j] + self.covariance[j * d + i]);
                self.covariance[i * d + j] = mean;
                self.covariance[j * d + i] = mean;
            }
        }
    }
}

/// The bytes of a .npy file.
pub(crate) fn npy<T: npyz::AutoSerialize + Copy>(data: &[T], shape: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(data) + 128);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().expect("writing to memory");
    writer.extend(data.iter().copied()).and_then(|()| writer.finish()).expect("writing to memory");
    bytes
}

/// A .npz file of .npy files. The same arrays make the same bytes.
pub(crate) fn to_npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(arrays.iter().any(|(_, bytes)| bytes.len() >= 1 << 31));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).and_then(|()| Ok(zip.write_all(bytes)?)).expect("writing to memory");
    }
    zip.finish().expect("writing to memory").into_inner()
}
