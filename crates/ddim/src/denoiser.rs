//! What a sampler sees of a network.

use crate::batch::{batch_len, check_finite};
use crate::error::{Error, ErrorKind};
use crate::prediction::Prediction;
use crate::real::Real;
use std::sync::Arc;

/// A network that predicts ε, x_0 or v from noisy images.
///
/// References, boxes and `Arc`s of a denoiser are denoisers.
///
/// Levels are real numbers: the steps of a [`Trajectory`](crate::Trajectory) are at whole ones, but a solver may stop between two, where ᾱ is that of
/// [`NoiseSchedule::alpha_bar_between`](crate::NoiseSchedule::alpha_bar_between). A network that has an embedding for each whole level alone says so in
/// an error.
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
    /// What can go wrong in an evaluation.
    type Error: From<Error>;

    /// Elements of one image, c·h·w.
    fn dim(&self) -> usize;

    /// What [`predict`](Self::predict) writes.
    fn prediction(&self) -> Prediction;

    /// Predicts for a batch: `x_t` holds n images ([n, c, h, w], scale [-1, 1] at level 0), `levels` their n noise levels from 1 to
    /// T, `out` takes n predictions.
    ///
    /// # Errors
    /// What the implementation says, and at least what [`check_batch`] finds: an implementation starts with it.
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

/// `Ok(n)`, the number of images that a [`Denoiser::predict`] is given, or what is wrong with its arguments: `x_t` and `out` elements, each a
/// whole number of images of `dim`, and `levels`, one per image, from 1 to `total`.
///
/// # Errors
/// [`ErrorKind::Batch`] for lengths that do not go together, [`ErrorKind::Level`] for a level out of range.
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
