//! What a sampler sees of a network, and the one network whose samples are known in closed form.

use crate::error::{Error, ErrorKind};
use crate::process::Prediction;
use crate::schedule::NoiseSchedule;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// An element of an image: `f32`, or `f64` where exactness is wanted.
pub trait Real: Copy + Send + Sync + PartialOrd + std::fmt::Debug + sealed::Sealed + 'static {
    /// Rounds to this type.
    fn from_f64(x: f64) -> Self;
    /// Widens, exactly.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// A network that predicts ε, x_0 or v from noisy images.
pub trait Denoiser<T: Real = f32> {
    /// What can go wrong in an evaluation.
    type Error: From<Error>;

    /// Elements of one image, c·h·w.
    fn dim(&self) -> usize;

    /// What [`predict`](Self::predict) writes.
    fn prediction(&self) -> Prediction;

    /// Predicts for a batch: `x_t` holds n images ([n, c, h, w], scale [-1, 1] at level 0), `levels` their n noise levels in 1..=T,
    /// `out` takes n predictions.
    ///
    /// # Errors
    /// What the implementation says, and at least what [`check_batch`] finds: an implementation starts with it.
    fn predict(&self, x_t: &[T], levels: &[usize], out: &mut [T]) -> Result<(), Self::Error>;
}

/// `Ok(n)`, the number of images of `dim` elements in a batch, or what is wrong with its length.
pub(crate) fn batch_len(len: usize, dim: usize) -> Result<usize, Error> {
    if dim == 0 || !len.is_multiple_of(dim) {
        return Err(Error::new(ErrorKind::Batch, format!("a batch of {len} elements: expected a multiple of {dim}, one image")));
    }
    Ok(len / dim)
}

/// `Ok(n)`, the number of images that a [`Denoiser::predict`] is given, or what is wrong with its arguments: `x_t` and `out` elements, each a
/// whole number of images of `dim`, and `levels`, one an image, in 1..=`total`.
///
/// # Errors
/// [`ErrorKind::Batch`] for lengths that do not go together, [`ErrorKind::Level`] for a level out of range.
pub fn check_batch(dim: usize, total: usize, x_t: usize, levels: &[usize], out: usize) -> Result<usize, Error> {
    let n = batch_len(x_t, dim)?;
    let error = |message| Err(Error::new(ErrorKind::Batch, message));
    if levels.len() != n {
        return error(format!("{} levels for {n} images: expected one an image", levels.len()));
    }
    if out != x_t {
        return error(format!("room for {out} elements of predictions: expected {x_t}, as many as the batch has"));
    }
    match levels.iter().find(|level| !(1..=total).contains(*level)) {
        Some(level) => Err(Error::new(ErrorKind::Level, format!("level {level}: expected 1 to {total}, the schedule's"))),
        None => Ok(n),
    }
}

/// The optimal network for Gaussian data x_0 ~ N(μ, diag(s²)), in closed form:
/// ε*(x_t) = E[ε|x_t] = √(1-ᾱ_t) (x_t - √ᾱ_t μ) / (ᾱ_t s² + 1 - ᾱ_t).
///
/// Its probability-flow ODE keeps z = (x_t - √ᾱ_t μ)/√(ᾱ_t s² + 1 - ᾱ_t) constant, so samplers and encoders have exact answers.
#[derive(Debug, Clone)]
pub struct GaussianDenoiser {
    alpha_bar: Vec<f64>,
    mean: Vec<f64>,
    std: Vec<f64>,
    prediction: Prediction,
}

impl GaussianDenoiser {
    /// For data with mean `mean` and standard deviation `std` an element.
    ///
    /// # Panics
    /// If the two differ in length.
    pub fn new(schedule: &NoiseSchedule, mean: Vec<f64>, std: Vec<f64>) -> Self {
        assert_eq!(mean.len(), std.len(), "one standard deviation an element");
        let alpha_bar = (0..=schedule.levels()).map(|t| schedule.alpha_bar(t)).collect();
        Self { alpha_bar, mean, std, prediction: Prediction::Epsilon }
    }

    /// For `dim` elements that all have the same mean and standard deviation.
    pub fn isotropic(schedule: &NoiseSchedule, dim: usize, mean: f64, std: f64) -> Self {
        Self::new(schedule, vec![mean; dim], vec![std; dim])
    }

    /// The same network, predicting something else.
    pub fn with_prediction(self, prediction: Prediction) -> Self {
        Self { prediction, ..self }
    }

    /// Mean and standard deviation of x_t of element `i`, over the data as well.
    ///
    /// # Panics
    /// If `level` > T, or an image has no element `i`.
    pub fn marginal(&self, level: usize, i: usize) -> (f64, f64) {
        let a = self.alpha_bar[level];
        (a.sqrt() * self.mean[i], (a * self.std[i].powi(2) + 1.0 - a).sqrt())
    }

    /// Where the ODE carries element `i` of `x` from level `from` to level `to`, exactly. Not a number from level 0 where the data has no
    /// spread.
    ///
    /// # Panics
    /// If a level is > T, or an image has no element `i`.
    pub fn flow(&self, x: f64, i: usize, from: usize, to: usize) -> f64 {
        let ((m, s), (n, r)) = (self.marginal(from, i), self.marginal(to, i));
        n + r * (x - m) / s
    }
}

impl<T: Real> Denoiser<T> for GaussianDenoiser {
    type Error = Error;

    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x_t: &[T], levels: &[usize], out: &mut [T]) -> Result<(), Error> {
        let dim = self.mean.len();
        check_batch(dim, self.alpha_bar.len() - 1, x_t.len(), levels, out.len())?;
        for ((x, out), &level) in x_t.chunks(dim).zip(out.chunks_mut(dim)).zip(levels) {
            let a = self.alpha_bar[level];
            for (i, (x, out)) in x.iter().zip(out).enumerate() {
                let (m, s) = self.marginal(level, i);
                let centred = (x.to_f64() - m) / (s * s);
                let x_0 = self.mean[i] + a.sqrt() * self.std[i].powi(2) * centred;
                let epsilon = (1.0 - a).sqrt() * centred;
                *out = T::from_f64(self.prediction.target(x_0, epsilon, a));
            }
        }
        Ok(())
    }
}
