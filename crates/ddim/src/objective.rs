//! Training objectives: L_γ (Eq. 5), L_simple, the variational objective J_σ (Eq. 11), and the γ and C of Theorem 1 that relate them.
//!
//! Everything holds over any sub-sequence τ (appendix C.1), with (τ_{i-1}, τ_i) in place of (t-1, t). Norms are squared sums over an image,
//! not means, and values are per image in nats.
//!
//! ```
//! use ddim::noise::Batch;
//! use ddim::{GaussianDenoiser, NoiseSchedule, Sigma, Trajectory, objective};
//!
//! let (schedule, trajectory) = (NoiseSchedule::ddpm(), Trajectory::uniform(1000, 10)?);
//! let model = GaussianDenoiser::isotropic(&schedule, 4, 0.0, 1.0);
//! let images: Vec<f64> = Batch { seed: 1, first: 0 }.latents(4, 500); // N(0, I), which the model is exact for
//! let batch = Batch { seed: 2, first: 0 };
//!
//! // Theorem 1: E J_σ = E L_γ + C.
//! let mut sigma = Sigma::Eta(1.0).values(&schedule, &trajectory)?;
//! sigma[0] = 0.1; // the last step's, which η leaves at 0
//! let gamma = objective::gamma(&schedule, &trajectory, &sigma)?;
//! let constant = objective::constant(&schedule, &trajectory, &sigma, 4, 4.0)?;
//! let terms = objective::l_gamma(&schedule, &trajectory, &gamma, &model, &images, batch)?;
//! let l = terms.iter().flatten().sum::<f64>() / 500.0;
//! let j = objective::j_sigma(&schedule, &trajectory, &sigma, &model, &images, batch)?.iter().sum::<f64>() / 500.0;
//! assert!((j - (l + constant)).abs() < 0.1 * l); // of 500 draws
//! # Ok::<(), ddim::Error>(())
//! ```

use crate::batch::{batch_len, check_finite};
use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::noise::{self, Draw};
use crate::prediction::Prediction;
use crate::process::{Conditional, marginal, posterior};
use crate::real::Real;
use crate::schedule::NoiseSchedule;
use crate::sigma::Sigma;
use crate::trajectory::Trajectory;

/// Returns the γ of L_simple: 1 at every step of the trajectory.
pub fn gamma_simple(trajectory: &Trajectory) -> Vec<f64> {
    vec![1.0; trajectory.len()]
}

/// Returns the γ of Theorem 1 for the deviations σ_{τ_1}..σ_{τ_S} > 0, so that J_σ = L_γ + C with [`constant`].
///
/// KL(q_σ(x_s|x_t, x_0) ‖ q_σ(x_s|x_t, f_θ)) = A² ‖x_0 - f_θ‖²/(2σ²), with A the weight of x_0 in the mean (Eq. 7), and
/// x_0 - f_θ = √(1-ᾱ_t)/√ᾱ_t (ε_θ - ε); hence γ_t = A_t² (1-ᾱ_t)/(2 σ_t² ᾱ_t). For the step to the image, A = 1. (The paper writes
/// 1/(2dσ²ᾱ), which drops A and 1-ᾱ.)
///
/// # Errors
/// Returns an error if the trajectory was made for another T; if a σ or its square is 0, a σ is out of range, or there is not one σ per
/// step; if ᾱ = 0 at the last level; or if a γ does not fit in a double.
pub fn gamma(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &[f64]) -> Result<Vec<f64>, Error> {
    check(schedule, trajectory, sigma)?;
    let terms = trajectory.pairs().zip(sigma).map(|((s, t), &sigma)| {
        let a = posterior(schedule, s, t, sigma)?.x_0;
        let alpha_bar = schedule.alpha_bar(t);
        let gamma = a * a * (1.0 - alpha_bar) / (2.0 * sigma * sigma * alpha_bar);
        if !gamma.is_finite() {
            let message =
                format!("sigma {sigma} and alpha_bar {alpha_bar:e} of level {t}: their gamma is not finite, expected larger ones");
            return Err(Error::new(ErrorKind::Objective, message));
        }
        Ok(gamma)
    });
    terms.collect()
}

/// Returns the C of Theorem 1 for images of `dim` elements with mean squared norm E‖x_0‖²: KL(q(x_T|x_0) ‖ N(0, I)) + d/2 ln(2π σ_1²).
///
/// # Errors
/// As [`gamma`], and for a `square_norm` that is negative or not finite.
pub fn constant(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &[f64], dim: usize, square_norm: f64) -> Result<f64, Error> {
    check(schedule, trajectory, sigma)?;
    if !(square_norm >= 0.0 && square_norm.is_finite()) {
        return Err(Error::new(ErrorKind::Objective, format!("mean squared norm {square_norm}: expected a finite number, 0 or more")));
    }
    if dim == 0 {
        // Nothing, times a logarithm that may be infinite.
        return Ok(0.0);
    }
    let d = dim as f64;
    let last = schedule.alpha_bar(trajectory.levels()[trajectory.len() - 1]);
    let variance = 1.0 - last;
    let prior = 0.5 * (d * (variance - 1.0 - variance.ln()) + last * square_norm);
    Ok(prior + 0.5 * d * (2.0 * std::f64::consts::PI * sigma[0] * sigma[0]).ln())
}

/// The weight of each timestep's squared error in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weighting {
    /// 1 throughout: L_simple, if ε is predicted.
    Simple,
    /// The variational bound: γ of Theorem 1 for the DDPM process over all timesteps, scaled to a mean of 1. η = 1, but σ_1 = √β_1, because
    /// η gives 0 there.
    Variational,
    /// min(SNR, γ) on the error of x_0 (arXiv 2303.09556), SNR = ᾱ/(1-ᾱ); the usual γ is 5.
    MinSnr(f64),
}

impl Weighting {
    /// Returns the weight of the squared error of the network's prediction at each level 1..=T; the first entry is level 1.
    ///
    /// Given x_t, x_0 = (x_t - √(1-ᾱ) ε)/√ᾱ and v = √ᾱ ε - √(1-ᾱ) x_0: an error of ε is √((1-ᾱ)/ᾱ) = 1/√SNR times as large in x_0 and 1/√ᾱ
    /// times as large in v. A weight w of the squared error of ε is therefore w·SNR for x_0 and w·ᾱ for v.
    ///
    /// # Errors
    /// Returns an error if the γ of min-SNR is not positive and finite, and for the variational bound if ᾱ_T = 0.
    pub fn weights(self, schedule: &NoiseSchedule, prediction: Prediction) -> Result<Vec<f64>, Error> {
        let levels = schedule.levels();
        let snr = |alpha_bar: f64| alpha_bar / (1.0 - alpha_bar);
        match self {
            Self::Simple => Ok(vec![1.0; levels]),
            Self::MinSnr(most) => {
                if !(most > 0.0 && most.is_finite()) {
                    return Err(Error::new(ErrorKind::Objective, format!("min-SNR's gamma {most}: expected a positive number")));
                }
                let weight = |level| {
                    let snr = snr(schedule.alpha_bar(level));
                    snr.min(most)
                        * match prediction {
                            Prediction::Sample => 1.0,
                            // At SNR = 0 the error of ε says nothing of x_0; next to it, 1/SNR is no number.
                            Prediction::Epsilon if snr < f64::MIN_POSITIVE => return 1.0,
                            Prediction::Epsilon => 1.0 / snr,
                            Prediction::V => 1.0 / (1.0 + snr),
                        }
                };
                Ok((1..=levels).map(weight).collect())
            }
            Self::Variational => {
                let every = Trajectory::uniform(levels, levels)?;
                let mut sigma = Sigma::Eta(1.0).values(schedule, &every)?;
                sigma[0] = (1.0 - schedule.alpha_bar(1)).sqrt();
                let gamma = gamma(schedule, &every, &sigma)?;
                let weights = gamma.iter().zip(1..).map(|(gamma, level)| {
                    let alpha_bar = schedule.alpha_bar(level);
                    gamma
                        * match prediction {
                            Prediction::Epsilon => 1.0,
                            Prediction::Sample => snr(alpha_bar),
                            Prediction::V => alpha_bar,
                        }
                });
                let weights: Vec<f64> = weights.collect();
                let mean = weights.iter().sum::<f64>() / weights.len() as f64;
                Ok(weights.iter().map(|w| w / mean).collect())
            }
        }
    }
}

fn check(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &[f64]) -> Result<(), Error> {
    trajectory.check_schedule(schedule)?;
    // The ranges are those of sampling; the densities of J_σ need more.
    // Its last step arrives at the image, whatever that of sampling does.
    Sigma::Explicit(sigma.to_vec()).values(&schedule.clone().with_set_alpha_to_one(true), trajectory)?;
    if let Some(zero) = sigma.iter().find(|s| **s * **s < f64::MIN_POSITIVE) {
        return Err(Error::new(ErrorKind::Sigma, format!("sigma {zero:e}: J and gamma need every sigma above 0, and its square")));
    }
    if schedule.alpha_bar(trajectory.levels()[trajectory.len() - 1]) == 0.0 {
        return Err(Error::new(ErrorKind::Schedule, "J and gamma need alpha_bar above 0 at every level"));
    }
    Ok(())
}

/// Draws one Monte-Carlo sample of L_γ = Σ_i γ_i ‖ε - ε_θ(x_{τ_i}, τ_i)‖² for each image of `x_0`, as terms: `[image][step]`, ascending
/// steps.
///
/// Image `i` uses the noise of image `i` of `batch`, with a separate draw for each step.
///
/// # Errors
/// Returns the denoiser's errors, and an error if the trajectory was made for another T, if lengths do not match, or if a γ, an image or a
/// prediction is not finite.
pub fn l_gamma<T: Real, D: Denoiser<T> + ?Sized>(
    schedule: &NoiseSchedule,
    trajectory: &Trajectory,
    gamma: &[f64],
    denoiser: &D,
    x_0: &[T],
    batch: noise::Batch,
) -> Result<Vec<Vec<f64>>, D::Error> {
    trajectory.check_schedule(schedule)?;
    let dim = denoiser.dim();
    let n = batch_len(x_0.len(), dim)?;
    if gamma.len() != trajectory.len() {
        let message = format!("{} gammas for {} steps: expected one per step", gamma.len(), trajectory.len());
        return Err(Error::new(ErrorKind::Batch, message).into());
    }
    if let Some(gamma) = gamma.iter().find(|gamma| !gamma.is_finite()) {
        return Err(Error::new(ErrorKind::Objective, format!("gamma {gamma}: expected a finite number")).into());
    }
    check_finite("the image", x_0, dim, batch.first, None)?;
    let mut terms = vec![Vec::with_capacity(gamma.len()); n];
    for (&t, gamma) in trajectory.levels().iter().zip(gamma) {
        let (epsilon, x_t) = noisy(schedule, x_0, dim, t, batch);
        let predicted = predict(schedule, denoiser, &x_t, t, batch.first)?;
        for (i, terms) in terms.iter_mut().enumerate() {
            let at = i * dim..(i + 1) * dim;
            let square: f64 = epsilon[at.clone()].iter().zip(&predicted[at]).map(|(e, p)| (e.to_f64() - p.1).powi(2)).sum();
            terms.push(gamma * square);
        }
    }
    Ok(terms)
}

/// (f_θ, ε_θ) of a batch at one level.
fn predict<T: Real, D: Denoiser<T> + ?Sized>(
    schedule: &NoiseSchedule,
    denoiser: &D,
    x_t: &[T],
    level: usize,
    first: u64,
) -> Result<Vec<(f64, f64)>, D::Error> {
    let mut out = vec![T::from_f64(0.0); x_t.len()];
    predict_at(denoiser, x_t, level, first, &mut out)?;
    let (prediction, alpha_bar) = (denoiser.prediction(), schedule.alpha_bar(level));
    Ok(out.iter().zip(x_t).map(|(o, x)| prediction.x0_and_epsilon(o.to_f64(), x.to_f64(), alpha_bar)).collect())
}

/// Draws one Monte-Carlo sample of J_σ = log q_σ(x_{1:T}|x_0) - log p_θ(x_{0:T}) for each image of `x_0` (Eq. 11).
///
/// It is computed from the log-densities themselves: x_T from q(x_T|x_0), each x_s from q_σ(x_s|x_t, x_0), and p_θ by Eq. 10. Image `i`
/// uses the noise of image `i` of `batch`. The noise does not depend on the denoiser, so the difference between two denoisers under one
/// batch has little variance.
///
/// # Errors
/// As [`gamma`] and [`l_gamma`].
pub fn j_sigma<T: Real, D: Denoiser<T> + ?Sized>(
    schedule: &NoiseSchedule,
    trajectory: &Trajectory,
    sigma: &[f64],
    denoiser: &D,
    x_0: &[T],
    batch: noise::Batch,
) -> Result<Vec<f64>, D::Error> {
    check(schedule, trajectory, sigma)?;
    let dim = denoiser.dim();
    let n = batch_len(x_0.len(), dim)?;
    check_finite("the image", x_0, dim, batch.first, None)?;
    let top = trajectory.levels()[trajectory.len() - 1];
    let mut j = vec![0.0; n];
    let mut z = vec![T::from_f64(0.0); x_0.len()];

    // x_T ~ q(x_T|x_0) against the prior N(0, I).
    let q = marginal(schedule, top);
    let prior = Conditional { given: 0.0, x_0: 0.0, std: 1.0 };
    batch.fill(&mut z, dim, Draw::Latent);
    let mut x: Vec<T> = x_0.iter().zip(&z).map(|(x_0, z)| T::from_f64(q.x_0 * x_0.to_f64() + q.std * z.to_f64())).collect();
    for (i, (x, x_0)) in x.iter().zip(x_0).enumerate() {
        j[i / dim] += q.log_density(x.to_f64(), 0.0, x_0.to_f64()) - prior.log_density(x.to_f64(), 0.0, 0.0);
    }

    for ((s, t), &sigma) in trajectory.pairs().zip(sigma).rev() {
        let predicted = predict(schedule, denoiser, &x, t, batch.first)?;
        if s == 0 {
            // p_θ(x_0|x_1) = N(f_θ(x_1), σ_1² I), evaluated at x_0 itself.
            let p = Conditional { given: 0.0, x_0: 1.0, std: sigma };
            for (i, (x_0, (f, _))) in x_0.iter().zip(&predicted).enumerate() {
                j[i / dim] -= p.log_density(x_0.to_f64(), 0.0, *f);
            }
            break;
        }
        let q = posterior(schedule, s, t, sigma)?;
        batch.fill(&mut z, dim, Draw::Step(t));
        for (i, (((x, x_0), z), (f, _))) in x.iter_mut().zip(x_0).zip(&z).zip(&predicted).enumerate() {
            let (given, x_0) = (x.to_f64(), x_0.to_f64());
            let next = q.mean(given, x_0) + q.std * z.to_f64();
            j[i / dim] += q.log_density(next, given, x_0) - q.log_density(next, given, *f);
            *x = T::from_f64(next);
        }
    }
    Ok(j)
}

/// Draws one Monte-Carlo sample of -log P(x_0|x_1), in nats, for each image of `x_0` and each σ_1 of `sigmas`: `[image][σ]`.
///
/// The Gaussian of the last step, N(f_θ(x_1), σ_1² I), is integrated over the 256 values of a byte, with the two outermost extended to
/// infinity (DDPM's discretised decoder, Eq. 13 of arXiv 2006.11239). `x_0` holds such values in [-1, 1]. x_1 is that of [`l_gamma`] under
/// the same batch, at the trajectory's first level.
///
/// # Errors
/// Returns the denoiser's errors, and an error if the trajectory was made for another T; if the batch is not a whole number of images; if a
/// σ is not positive; if an image or a prediction is not finite; or for ε-prediction at a level with ᾱ = 0, where f_θ is undefined.
pub fn decoder_nats<T: Real, D: Denoiser<T> + ?Sized>(
    schedule: &NoiseSchedule,
    trajectory: &Trajectory,
    sigmas: &[f64],
    denoiser: &D,
    x_0: &[T],
    batch: noise::Batch,
) -> Result<Vec<Vec<f64>>, D::Error> {
    trajectory.check_schedule(schedule)?;
    if let Some(sigma) = sigmas.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(Error::new(ErrorKind::Sigma, format!("sigma {sigma} of the last step: expected a positive number")).into());
    }
    let dim = denoiser.dim();
    let n = batch_len(x_0.len(), dim)?;
    let t = trajectory.levels()[0];
    check_finite("the image", x_0, dim, batch.first, None)?;
    denoiser.prediction().check_at([(t, schedule.alpha_bar(t))])?;
    let x_t: Vec<T> = noisy(schedule, x_0, dim, t, batch).1;
    let predicted = predict(schedule, denoiser, &x_t, t, batch.first)?;
    let mut nats = vec![vec![0.0; sigmas.len()]; n];
    for (i, (x_0, (f, _))) in x_0.iter().zip(&predicted).enumerate() {
        for (sum, sigma) in nats[i / dim].iter_mut().zip(sigmas) {
            *sum -= byte_probability(x_0.to_f64(), *f, *sigma).max(1e-300).ln();
        }
    }
    Ok(nats)
}

/// ε and x_t of each image, as the Monte-Carlo draws of the marginals have them.
fn noisy<T: Real>(schedule: &NoiseSchedule, x_0: &[T], dim: usize, t: usize, batch: noise::Batch) -> (Vec<T>, Vec<T>) {
    let mut epsilon = vec![T::from_f64(0.0); x_0.len()];
    batch.fill(&mut epsilon, dim, Draw::Marginal(t));
    let q = marginal(schedule, t);
    let x_t = x_0.iter().zip(&epsilon).map(|(x_0, e)| T::from_f64(q.x_0 * x_0.to_f64() + q.std * e.to_f64())).collect();
    (epsilon, x_t)
}

/// What N(mean, σ²) gives to the byte value that `x` is.
fn byte_probability(x: f64, mean: f64, sigma: f64) -> f64 {
    const HALF: f64 = 1.0 / 255.0;
    // Tails as such, so that those far from the mean do not vanish in a difference from 1.
    let above = |edge: f64| 0.5 * libm::erfc((edge - mean) / sigma * std::f64::consts::FRAC_1_SQRT_2);
    let below = |edge: f64| 0.5 * libm::erfc((mean - edge) / sigma * std::f64::consts::FRAC_1_SQRT_2);
    if x > 1.0 - HALF {
        above(x - HALF)
    } else if x < HALF - 1.0 {
        below(x + HALF)
    } else if x > mean {
        above(x - HALF) - above(x + HALF)
    } else {
        below(x + HALF) - below(x - HALF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::BetaSchedule;

    /// The 256 values of a byte share all of the probability, wherever the Gaussian lies and however wide it is.
    #[test]
    fn byte_probabilities_sum_to_one() {
        for (mean, sigma) in [(0.0, 0.01), (0.3, 1e-4), (-1.4, 0.2), (1.0, 3.0), (0.5019, 0.0078)] {
            let all: Vec<f64> = (0..=255).map(|b| byte_probability(f64::from(b) / 127.5 - 1.0, mean, sigma)).collect();
            assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12 && all.iter().all(|p| *p >= 0.0), "{mean} {sigma}");
        }
        // Where the density hardly changes over a byte, it times the byte's width.
        let density = (-0.5f64 * (0.2f64 / 0.5).powi(2)).exp() / (0.5 * (2.0 * std::f64::consts::PI).sqrt());
        assert!((byte_probability(0.2, 0.0, 0.5) / (density * 2.0 / 255.0) - 1.0).abs() < 1e-4);
        // Twenty deviations away it is tiny, and not nothing.
        let tail = byte_probability(0.2, 0.0, 0.01);
        assert!(tail > 0.0 && tail < 1e-80, "{tail:e}");
    }

    /// Where sampling's last step arrives is no part of J_σ.
    #[test]
    fn the_last_step_is_to_the_image() {
        let schedule = NoiseSchedule::ddpm();
        let other = schedule.clone().with_set_alpha_to_one(false);
        let trajectory = Trajectory::trailing(1000, 5).unwrap();
        let mut sigma = Sigma::Eta(1.0).values(&schedule, &trajectory).unwrap();
        sigma[0] = (1.0 - schedule.alpha_bar(trajectory.levels()[0])).sqrt();
        assert_eq!(gamma(&schedule, &trajectory, &sigma).unwrap(), gamma(&other, &trajectory, &sigma).unwrap());
        assert_eq!(constant(&schedule, &trajectory, &sigma, 3, 2.0), constant(&other, &trajectory, &sigma, 3, 2.0));
    }

    /// Weights of the three predictions say the same of the same error: each is the error of ε, seen through x_t.
    #[test]
    fn weights_agree_between_predictions() {
        let schedule = NoiseSchedule::new(BetaSchedule::Linear, 1e-4, 0.02, 1000).unwrap();
        let (x_t, epsilon, wrong) = (0.4, 0.3, 0.1);
        for weighting in [Weighting::MinSnr(5.0), Weighting::Variational] {
            let [a, b, c] = [Prediction::Epsilon, Prediction::Sample, Prediction::V].map(|prediction| {
                let weights = weighting.weights(&schedule, prediction).unwrap();
                let errors = (1..=1000).zip(&weights).map(|(level, w)| {
                    let alpha_bar = schedule.alpha_bar(level);
                    let output = |epsilon: f64| {
                        let x_0 = (x_t - (1.0 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt();
                        prediction.target(x_0, epsilon, alpha_bar)
                    };
                    w * (output(epsilon) - output(wrong)).powi(2)
                });
                errors.collect::<Vec<f64>>()
            });
            // The variational weights are scaled to a mean of 1, whatever is predicted.
            for i in 0..1000 {
                assert!(
                    (a[i] / a[500] / (b[i] / b[500]) - 1.0).abs() < 1e-9 && (a[i] / a[500] / (c[i] / c[500]) - 1.0).abs() < 1e-9,
                    "{i}"
                );
            }
        }
        let least = Weighting::MinSnr(5.0).weights(&schedule, Prediction::Epsilon).unwrap();
        assert!((least[0] - 5.0 / (0.9999 / 0.0001)).abs() < 1e-9 && least[999] == 1.0);
    }
}
