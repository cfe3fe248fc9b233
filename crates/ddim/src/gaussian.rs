//! The one network whose samples are known in closed form.

use crate::denoiser::{Denoiser, check_batch};
use crate::error::Error;
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::NoiseSchedule;

/// The optimal network for Gaussian data x_0 ~ N(μ, diag(s²)), in closed form:
/// ε*(x_t) = E[ε|x_t] = √(1-ᾱ_t) (x_t - √ᾱ_t μ) / (ᾱ_t s² + 1 - ᾱ_t).
///
/// Its probability-flow ODE keeps z = (x_t - √ᾱ_t μ)/√(ᾱ_t s² + 1 - ᾱ_t) constant, so samplers and encoders have exact answers.
///
/// ```
/// use ddim::{Denoiser, GaussianDenoiser, NoiseSchedule};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 1, 0.0, 1.0);
/// let mut epsilon = [0.0f64];
/// model.predict(&[2.0], &[400.0], &mut epsilon)?;
/// // Of data N(0, 1), x_t is N(0, 1) at every level, and the ODE leaves it where it is.
/// assert!((epsilon[0] - 2.0 * (1.0 - schedule.alpha_bar(400)).sqrt()).abs() < 1e-12);
/// assert!((model.flow(2.0, 0, 1000, 0) - 2.0).abs() < 1e-12);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GaussianDenoiser {
    schedule: NoiseSchedule,
    mean: Vec<f64>,
    std: Vec<f64>,
    prediction: Prediction,
}

impl GaussianDenoiser {
    /// Creates the network for data with mean `mean` and standard deviation `std` per element.
    ///
    /// # Panics
    /// Panics if the two differ in length.
    pub fn new(schedule: &NoiseSchedule, mean: Vec<f64>, std: Vec<f64>) -> Self {
        assert_eq!(mean.len(), std.len(), "one standard deviation per element");
        Self { schedule: schedule.clone(), mean, std, prediction: Prediction::Epsilon }
    }

    /// Creates the network for `dim` elements that all have the same mean and standard deviation.
    pub fn isotropic(schedule: &NoiseSchedule, dim: usize, mean: f64, std: f64) -> Self {
        Self::new(schedule, vec![mean; dim], vec![std; dim])
    }

    /// Sets what the network predicts.
    #[must_use]
    pub fn with_prediction(self, prediction: Prediction) -> Self {
        Self { prediction, ..self }
    }

    /// Returns the mean and standard deviation of element `i` of x_t, over both the data and the noise.
    ///
    /// # Panics
    /// Panics if `level` > T, or if an image has no element `i`.
    pub fn marginal(&self, level: usize, i: usize) -> (f64, f64) {
        self.marginal_at(self.schedule.alpha_bar(level), i)
    }

    fn marginal_at(&self, a: f64, i: usize) -> (f64, f64) {
        (a.sqrt() * self.mean[i], (a * self.std[i].powi(2) + 1.0 - a).sqrt())
    }

    /// Returns the value to which the ODE carries element `i` from `x` at level `from` to level `to`, exactly. It is NaN from level 0 if
    /// the data has no spread.
    ///
    /// # Panics
    /// Panics if a level is > T, or if an image has no element `i`.
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

    fn predict(&self, x_t: &[T], levels: &[f64], out: &mut [T]) -> Result<(), Error> {
        let dim = self.mean.len();
        check_batch(dim, self.schedule.levels(), x_t.len(), levels, out.len())?;
        for ((x, out), &level) in x_t.chunks(dim).zip(out.chunks_mut(dim)).zip(levels) {
            let a = self.schedule.alpha_bar_between(level);
            for (i, (x, out)) in x.iter().zip(out).enumerate() {
                let (m, s) = self.marginal_at(a, i);
                let centred = (x.to_f64() - m) / (s * s);
                let x_0 = self.mean[i] + a.sqrt() * self.std[i].powi(2) * centred;
                let epsilon = (1.0 - a).sqrt() * centred;
                *out = T::from_f64(self.prediction.target(x_0, epsilon, a));
            }
        }
        Ok(())
    }
}
