//! The forward processes (section 3.1, Eq. 6-8) as means and standard deviations.
//!
//! All of them are Gaussian and isotropic, so three numbers describe a conditional: [`Conditional`].
//!
//! ```
//! use ddim::NoiseSchedule;
//! use ddim::process::{marginal, posterior};
//!
//! // Lemma 1: whatever σ, the step from t to s leads from the marginal of t to that of s.
//! let schedule = NoiseSchedule::ddpm();
//! let (q_s, q_t) = (marginal(&schedule, 250), marginal(&schedule, 500));
//! for sigma in [0.0, 0.1, 0.4] {
//!     let step = posterior(&schedule, 250, 500, sigma)?;
//!     assert!((step.mean(q_t.x_0, 1.0) - q_s.x_0).abs() < 1e-12);
//!     assert!(((step.given * q_t.std).hypot(step.std) - q_s.std).abs() < 1e-12);
//! }
//! # Ok::<(), ddim::Error>(())
//! ```

use crate::error::{Error, ErrorKind};
use crate::noise::{self, Draw};
use crate::real::Real;
use crate::schedule::NoiseSchedule;
use crate::sigma::{Sigma, check_sigma};
use crate::trajectory::Trajectory;

/// The Gaussian N(`given`·x + `x_0`·x_0, `std`² I), where x is the state that the conditional is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditional {
    /// Coefficient of the given x in the mean.
    pub given: f64,
    /// Coefficient of x_0 in the mean.
    pub x_0: f64,
    /// Standard deviation.
    pub std: f64,
}

impl Conditional {
    /// Returns the mean for one element.
    pub fn mean(&self, given: f64, x_0: f64) -> f64 {
        self.given * given + self.x_0 * x_0
    }

    /// Returns the log-density of `value` (one element). If `std` = 0 there is no density, and the result is not finite.
    pub fn log_density(&self, value: f64, given: f64, x_0: f64) -> f64 {
        let z = (value - self.mean(given, x_0)) / self.std;
        -0.5 * (z * z + (2.0 * std::f64::consts::PI).ln()) - self.std.ln()
    }
}

/// Returns q(x_t|x_0) = N(√ᾱ_t x_0, (1-ᾱ_t) I): the marginal that all processes share (Lemma 1).
///
/// # Panics
/// Panics if `level` > T.
pub fn marginal(schedule: &NoiseSchedule, level: usize) -> Conditional {
    let alpha_bar = schedule.alpha_bar(level);
    Conditional { given: 0.0, x_0: alpha_bar.sqrt(), std: (1.0 - alpha_bar).sqrt() }
}

/// The weight of x_t in the mean of q_σ(x_s|x_t, x_0): √(1-ᾱ_s-σ²)/√(1-ᾱ_t).
fn direction(alpha_bar_s: f64, alpha_bar_t: f64, sigma: f64) -> f64 {
    ((1.0 - alpha_bar_s - sigma * sigma).max(0.0) / (1.0 - alpha_bar_t)).sqrt()
}

/// Returns q_σ(x_s|x_t, x_0) for levels s < t (Eq. 7), given x_t. For s = 0 it is the point x_0, whatever σ.
///
/// # Errors
/// [`ErrorKind::Level`] unless s < t ≤ T; [`ErrorKind::Sigma`] if s > 0 and σ is negative or not finite, or σ² > 1-ᾱ_s.
pub fn posterior(schedule: &NoiseSchedule, s: usize, t: usize, sigma: f64) -> Result<Conditional, Error> {
    check_levels(schedule, s, t)?;
    if s == 0 {
        return Ok(Conditional { given: 0.0, x_0: 1.0, std: 0.0 });
    }
    let (a_s, a_t) = (schedule.alpha_bar(s), schedule.alpha_bar(t));
    check_sigma(sigma, a_s, s)?;
    let b = direction(a_s, a_t, sigma);
    Ok(Conditional { given: b, x_0: a_s.sqrt() - b * a_t.sqrt(), std: sigma })
}

/// Returns q_σ(x_t|x_s, x_0) for levels s < t (Eq. 8, by Bayes' rule), given x_s.
///
/// It depends on x_0: the process is not Markovian, except for η = 1.
///
/// With b = √(1-ᾱ_s-σ²)/√(1-ᾱ_t) and K = b (1-ᾱ_t)/(1-ᾱ_s): mean √ᾱ_t x_0 + K (x_s - √ᾱ_s x_0), variance σ² (1-ᾱ_t)/(1-ᾱ_s).
///
/// # Errors
/// As [`posterior`].
pub fn forward(schedule: &NoiseSchedule, s: usize, t: usize, sigma: f64) -> Result<Conditional, Error> {
    check_levels(schedule, s, t)?;
    if s == 0 {
        return Ok(marginal(schedule, t));
    }
    let (a_s, a_t) = (schedule.alpha_bar(s), schedule.alpha_bar(t));
    check_sigma(sigma, a_s, s)?;
    let ratio = (1.0 - a_t) / (1.0 - a_s);
    let gain = direction(a_s, a_t, sigma) * ratio;
    Ok(Conditional { given: gain, x_0: a_t.sqrt() - gain * a_s.sqrt(), std: sigma * ratio.sqrt() })
}

/// s < t ≤ T.
fn check_levels(schedule: &NoiseSchedule, s: usize, t: usize) -> Result<(), Error> {
    if s < t && t <= schedule.levels() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Level, format!("levels {s} and {t}: expected an ascending pair from 0 to {}", schedule.levels())))
}

/// Draws x_{τ_1} … x_{τ_S} of one image from the forward process q_σ: x_{τ_i} from [`forward`] given x_{τ_{i-1}} and x_0.
///
/// `x_0` is one image of any shape; its noise is that of the first image of `batch`. Returns one image per level, in ascending order.
///
/// # Errors
/// Returns an error if the trajectory was made for another T, or if σ is out of range or not one per step: see [`Sigma`].
pub fn forward_trajectory<T: Real>(
    schedule: &NoiseSchedule,
    trajectory: &Trajectory,
    sigma: &Sigma,
    x_0: &[T],
    batch: noise::Batch,
) -> Result<Vec<Vec<T>>, Error> {
    let deviations = sigma.deviations(schedule, trajectory)?;
    let mut path: Vec<Vec<T>> = Vec::with_capacity(trajectory.len());
    for ((s, t), std) in trajectory.pairs().zip(deviations) {
        let step = forward(schedule, s, t, std.direction)?;
        let mut x = vec![T::from_f64(0.0); x_0.len()];
        batch.key(0, Draw::Step(t)).fill(&mut x);
        let given = path.last().map_or(x_0, Vec::as_slice);
        for ((x, &g), &x_0) in x.iter_mut().zip(given).zip(x_0) {
            *x = T::from_f64(step.mean(g.to_f64(), x_0.to_f64()) + step.std * x.to_f64());
        }
        path.push(x);
    }
    Ok(path)
}
