//! The interface between a sampler and a network.

use crate::batch::{batch_len, check_finite};
use crate::error::{Error, ErrorKind};
use crate::prediction::Prediction;
use crate::real::Real;
use std::sync::Arc;

/// A network that predicts ε, x_0 or v from noisy images.
///
/// References, boxes and `Arc`s of a denoiser are denoisers too.
///
/// Levels are real numbers: the steps of a [`Trajectory`](crate::Trajectory) lie at whole levels, but a solver may evaluate between two of
/// them, where ᾱ is [`NoiseSchedule::alpha_bar_between`](crate::NoiseSchedule::alpha_bar_between). A network that only has embeddings for
/// whole levels returns an error for any other.
///
/// ```
/// use ddim::{Denoiser, Error, NoiseSchedule, Prediction, Sampler, Sampling, Sigma, Trajectory, denoiser::check_batch, noise::Batch};
///
/// /// Exact for data that are one image, all of it 0.5.
/// struct Constant(NoiseSchedule);
///
/// impl Denoiser for Constant {
///     type Error = Error;
///
///     fn dim(&self) -> usize {
///         4
///     }
///
///     fn prediction(&self) -> Prediction {
///         Prediction::Sample
///     }
///
///     fn predict(&self, x_t: &[f32], levels: &[f64], out: &mut [f32]) -> Result<(), Error> {
///         check_batch(self.dim(), self.0.levels(), x_t.len(), levels, out.len())?;
///         out.fill(0.5);
///         Ok(())
///     }
/// }
///
/// let schedule = NoiseSchedule::ddpm();
/// let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 10)?, &Sigma::Eta(0.0))?;
/// let batch = Batch { seed: 0, first: 0 };
/// assert_eq!(Sampling::new(&sampler, Constant(schedule), batch.latents(4, 2), batch)?.finish()?, [0.5; 8]);
/// # Ok::<(), ddim::Error>(())
/// ```
pub trait Denoiser<T: Real = f32> {
    /// The error of an evaluation.
    type Error: From<Error>;

    /// Returns the number of elements of one image, c·h·w.
    fn dim(&self) -> usize;

    /// Returns what [`predict`](Self::predict) writes.
    fn prediction(&self) -> Prediction;

    /// Predicts for a batch: `x_t` holds n images ([n, c, h, w], scale [-1, 1] at level 0), `levels` their n noise levels, each from 1 to
    /// T, and `out` receives n predictions.
    ///
    /// # Errors
    /// Returns the implementation's own errors, and at least those of [`check_batch`], which an implementation should call first.
    fn predict(&self, x_t: &[T], levels: &[f64], out: &mut [T]) -> Result<(), Self::Error>;
}

/// Predicts for a batch whose images all have one level; `first` is the number by which errors call the first.
pub(crate) fn predict_at<T: Real, D: Denoiser<T> + ?Sized>(
    denoiser: &D,
    x_t: &[T],
    level: usize,
    first: u64,
    out: &mut [T],
) -> Result<(), D::Error> {
    denoiser.predict(x_t, &vec![level as f64; x_t.len() / denoiser.dim()], out)?;
    Ok(check_finite("the network's output", out, denoiser.dim(), first, Some(level))?)
}

/// Whoever points to a denoiser is one.
macro_rules! through {
    ($($pointer:ty),*) => {$(
        impl<T: Real, D: Denoiser<T> + ?Sized> Denoiser<T> for $pointer {
            type Error = D::Error;

            fn dim(&self) -> usize {
                (**self).dim()
            }

            fn prediction(&self) -> Prediction {
                (**self).prediction()
            }

            fn predict(&self, x_t: &[T], levels: &[f64], out: &mut [T]) -> Result<(), D::Error> {
                (**self).predict(x_t, levels, out)
            }
        }
    )*};
}

through!(&D, Box<D>, Arc<D>);

/// Checks the arguments of [`Denoiser::predict`] and returns the number of images n: `x_t` and `out` are counts of elements, each a whole
/// number of images of `dim` elements, and `levels` has one entry per image, from 1 to `total`.
///
/// # Errors
/// [`ErrorKind::Batch`] for lengths that do not match, [`ErrorKind::Level`] for a level out of range.
pub fn check_batch(dim: usize, total: usize, x_t: usize, levels: &[f64], out: usize) -> Result<usize, Error> {
    let n = batch_len(x_t, dim)?;
    let error = |message| Err(Error::new(ErrorKind::Batch, message));
    if levels.len() != n {
        return error(format!("{} levels for {n} images: expected one per image", levels.len()));
    }
    if out != x_t {
        return error(format!("room for {out} elements of predictions: expected {x_t}, as many as the batch has"));
    }
    // NaN is in no range.
    match levels.iter().find(|level| !(1.0..=total as f64).contains(*level)) {
        Some(level) => Err(Error::new(ErrorKind::Level, format!("level {level}: expected 1 to {total}, the schedule's"))),
        None => Ok(n),
    }
}
