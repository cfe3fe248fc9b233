//! Sampling (section 4): Eq. 12 as one step, and the loop over a trajectory.

use crate::denoiser::{Denoiser, Real, batch_len};
use crate::error::{Error, ErrorKind};
use crate::noise;
use crate::process::{Prediction, check_sigma};
use crate::schedule::NoiseSchedule;
use crate::trajectory::Trajectory;

/// How much fresh noise a step adds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sigma {
    /// σ(η) = η √((1-ᾱ_s)/(1-ᾱ_t)) √(1-ᾱ_t/ᾱ_s), Eq. 16, η in [0, 1]: 0 is DDIM, 1 is DDPM.
    Eta(f64),
    /// σ̂ = √(1-ᾱ_t/ᾱ_s), DDPM's larger variance (the authors' `ddpm_noisy`). Only the noise uses σ̂, the direction keeps σ(1); the last
    /// step adds none. The authors also clip f_θ and re-derive ε: [`Clip::Range`] with [`Sampler::with_rederived_epsilon`].
    Hat,
    /// σ of each step, in the order of [`Trajectory::levels`]. 0 ≤ σ² ≤ 1-ᾱ_s, but for the step to the clean image, whose σ_1 is free:
    /// it draws from N(f_θ(x_1), σ_1² I) (Eq. 10).
    Explicit(Vec<f64>),
}

/// The two deviations of one step: σ in the direction √(1-ᾱ_s-σ²), and the one that multiplies the noise.
pub(crate) struct Deviation {
    pub(crate) direction: f64,
    pub(crate) noise: f64,
}

impl Sigma {
    /// One pair of deviations a step of the trajectory, ascending.
    pub(crate) fn deviations(&self, schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Vec<Deviation>, Error> {
        check_total(schedule, trajectory)?;
        let error = |message| Error::new(ErrorKind::Sigma, message);
        match self {
            Self::Eta(eta) if !(0.0..=1.0).contains(eta) => return Err(error(format!("eta {eta}: expected a number from 0 to 1"))),
            Self::Explicit(list) if list.len() != trajectory.len() => {
                return Err(error(format!("{} sigmas for {} steps: expected one a step", list.len(), trajectory.len())));
            }
            _ => {}
        }
        let step = |(i, (s, t)): (usize, (usize, usize))| {
            let (a_s, a_t) = (schedule.arrival_alpha_bar(s), schedule.alpha_bar(t));
            let hat = (1.0 - a_t / a_s).max(0.0).sqrt();
            // Eq. 16. Arriving at ᾱ = 1 nothing is left to randomise.
            let ddpm = ((1.0 - a_s) / (1.0 - a_t)).sqrt() * hat;
            Ok(match self {
                Self::Eta(eta) => Deviation { direction: eta * ddpm, noise: eta * ddpm },
                Self::Hat => Deviation { direction: ddpm, noise: if s == 0 { 0.0 } else { hat } },
                Self::Explicit(list) => {
                    let sigma = list[i];
                    if s == 0 && a_s == 1.0 {
                        if !(sigma.is_finite() && sigma >= 0.0) {
                            return Err(error(format!("sigma {sigma} of the last step: expected a finite number, 0 or more")));
                        }
                    } else {
                        check_sigma(sigma, a_s, s)?;
                    }
                    Deviation { direction: sigma, noise: sigma }
                }
            })
        };
        trajectory.pairs().enumerate().map(step).collect()
    }

    /// σ of each step as it multiplies the noise, in the order of [`Trajectory::levels`].
    ///
    /// # Errors
    /// [`ErrorKind::Sigma`]: η outside [0, 1], or an explicit σ outside its range or in the wrong number; [`ErrorKind::Trajectory`]: one made
    /// for another T.
    pub fn values(&self, schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Vec<f64>, Error> {
        Ok(self.deviations(schedule, trajectory)?.iter().map(|d| d.noise).collect())
    }
}

/// What is done to f_θ(x_t) before it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// Nothing: the authors' choice for DDIM.
    None,
    /// Clamped to [-r, r]: diffusers' `clip_sample` with `clip_sample_range` r.
    Range(f64),
    /// Dynamic thresholding (Imagen, arXiv 2205.11487): clamped to the `ratio` quantile of |f_θ| of the image, itself kept in
    /// [1, `max`], and divided by it.
    Dynamic {
        /// diffusers' `dynamic_thresholding_ratio`, in [0, 1].
        ratio: f64,
        /// diffusers' `sample_max_value`, at least 1.
        max: f64,
    },
}

impl Clip {
    /// Whether the parameters can be used.
    ///
    /// # Errors
    /// [`ErrorKind::Clip`]: one that is out of its range, or not a number.
    pub fn check(&self) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Clip, message));
        match *self {
            Self::Range(r) if r.is_nan() || r <= 0.0 => error(format!("clip range {r}: expected a number above 0")),
            Self::Dynamic { ratio, .. } if !(0.0..=1.0).contains(&ratio) => {
                error(format!("dynamic thresholding ratio {ratio}: expected a number from 0 to 1"))
            }
            Self::Dynamic { max, .. } if max.is_nan() || max < 1.0 => error(format!("sample max value {max}: expected a number from 1")),
            _ => Ok(()),
        }
    }

    /// Applies to f_θ of one image.
    fn apply(&self, x_0: &mut [f64], scratch: &mut Vec<f64>) {
        match *self {
            Self::None => {}
            Self::Range(r) => x_0.iter_mut().for_each(|x| *x = x.clamp(-r, r)),
            Self::Dynamic { ratio, max } => {
                scratch.clear();
                scratch.extend(x_0.iter().map(|x| x.abs()));
                let s = quantile(scratch, ratio).clamp(1.0, max);
                x_0.iter_mut().for_each(|x| *x = x.clamp(-s, s) / s);
            }
        }
    }
}

/// The linearly interpolated quantile, as `torch.quantile`. Reorders `values`.
fn quantile(values: &mut [f64], ratio: f64) -> f64 {
    let rank = ratio * (values.len() - 1) as f64;
    let below = rank.floor() as usize;
    let (_, &mut low, rest) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (rank - below as f64)
}

/// One step of Eq. 12, from level `level` down to `next`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The level that the step leaves, τ_i; the network's code timestep is one less.
    pub level: usize,
    /// The level that it arrives at, τ_{i-1}; 0 is the image.
    pub next: usize,
    /// ᾱ of `level`.
    pub alpha_bar: f64,
    /// ᾱ of `next`.
    pub alpha_bar_next: f64,
    /// The coefficient of ε_θ, √(1-ᾱ_next-σ²), where σ is σ(1) for [`Sigma::Hat`].
    pub direction: f64,
    /// The deviation of the fresh noise.
    pub sigma: f64,
}

/// A sampling trajectory with all its coefficients, ready to run on any number of batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    steps: Vec<Step>,
    clip: Clip,
    rederive_epsilon: bool,
}

impl Sampler {
    /// The steps of `trajectory` under `sigma`, without clipping.
    ///
    /// # Errors
    /// σ out of range (see [`Sigma`]), or a trajectory made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory, sigma: &Sigma) -> Result<Self, Error> {
        let deviations = sigma.deviations(schedule, trajectory)?;
        let steps = trajectory.pairs().zip(deviations).rev().map(|((s, t), std)| {
            let (alpha_bar, alpha_bar_next) = (schedule.alpha_bar(t), schedule.arrival_alpha_bar(s));
            let direction = (1.0 - alpha_bar_next - std.direction * std.direction).max(0.0).sqrt();
            Step { level: t, next: s, alpha_bar, alpha_bar_next, direction, sigma: std.noise }
        });
        Ok(Self { steps: steps.collect(), clip: Clip::None, rederive_epsilon: false })
    }

    /// With f_θ clipped or thresholded.
    ///
    /// # Errors
    /// Parameters of `clip` out of range.
    pub fn with_clip(self, clip: Clip) -> Result<Self, Error> {
        clip.check()?;
        Ok(Self { clip, ..self })
    }

    /// Whether ε is derived again from the clipped f_θ (OpenAI's and lucidrains' samplers, diffusers' `use_clipped_model_output`), or
    /// kept as the network gave it (diffusers' default). Without clipping the two are the same.
    pub fn with_rederived_epsilon(self, rederive_epsilon: bool) -> Self {
        Self { rederive_epsilon, ..self }
    }

    /// The steps in the order in which they run: descending levels.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

pub(crate) fn check_total(schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<(), Error> {
    if schedule.levels() != trajectory.total() {
        let message = format!("a trajectory over {} timesteps: expected {}, the schedule's", trajectory.total(), schedule.levels());
        return Err(Error::new(ErrorKind::Trajectory, message));
    }
    Ok(())
}

/// What an observer sees after each step.
#[derive(Debug)]
pub struct Observed<'a, T> {
    /// Number of the step, from 0.
    pub index: usize,
    /// The step that ran.
    pub step: &'a Step,
    /// x at level `step.next`, the whole batch.
    pub x: &'a [T],
    /// f_θ(x_t), the predicted x_0 as it was used (clipped where clipping is on), the whole batch.
    pub x_0: &'a [T],
}

/// Runs `sampler` in place on a batch of latents x_T of the samples `first`, `first + 1`, … of `seed`; leaves x_0, unclamped.
///
/// `observe` is called after each step. The noise of a step is keyed by (seed, sample, level): see [`noise`]. A batch of no images is left as
/// it is, without a step.
///
/// # Errors
/// What the denoiser says. [`ErrorKind::Batch`]: a batch that is not a whole number of images; latents, a prediction or what is made of it
/// that are not finite. [`ErrorKind::Prediction`]: ε-prediction at a level with ᾱ = 0, where f_θ is undefined.
pub fn sample<T: Real, D: Denoiser<T> + ?Sized>(
    sampler: &Sampler,
    denoiser: &D,
    x: &mut [T],
    seed: u64,
    first: u64,
    mut observe: impl FnMut(Observed<'_, T>),
) -> Result<(), D::Error> {
    let dim = denoiser.dim();
    let n = batch_len(x.len(), dim)?;
    let prediction = denoiser.prediction();
    if let Some(step) = sampler.steps.iter().find(|s| s.alpha_bar == 0.0 && prediction == Prediction::Epsilon) {
        let message = format!("epsilon prediction at timestep {}, where alpha_bar is 0, does not determine x_0", step.level - 1);
        return Err(Error::new(ErrorKind::Prediction, message).into());
    }
    if n == 0 {
        return Ok(());
    }
    check_finite("the latent", x, dim, first, None)?;
    let mut output = vec![T::from_f64(0.0); x.len()];
    let mut x_0_batch = output.clone();
    let mut noise = vec![T::from_f64(0.0); dim];
    let (mut x_0, mut scratch) = (vec![0.0; dim], Vec::new());

    for (index, step) in sampler.steps.iter().enumerate() {
        denoiser.predict(x, &vec![step.level; n], &mut output)?;
        check_finite("the network's output", &output, dim, first, Some(step.level))?;
        let (signal, spread) = (step.alpha_bar.sqrt(), (1.0 - step.alpha_bar).sqrt());
        let signal_next = step.alpha_bar_next.sqrt();

        for (i, ((x, output), x_0_out)) in x.chunks_mut(dim).zip(output.chunks(dim)).zip(x_0_batch.chunks_mut(dim)).enumerate() {
            for ((x_0, x), output) in x_0.iter_mut().zip(&*x).zip(output) {
                *x_0 = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), step.alpha_bar).0;
            }
            let sample = first.wrapping_add(i as u64);
            // Clipping takes numbers; an image that overflowed has none to keep.
            check_finite("the predicted x_0", &x_0, dim, sample, Some(step.level))?;
            sampler.clip.apply(&mut x_0, &mut scratch);
            if step.sigma > 0.0 {
                noise::fill(&mut noise, seed, sample, step.level as u64);
            }
            for ((((x, output), x_0), z), x_0_out) in x.iter_mut().zip(output).zip(&x_0).zip(&noise).zip(x_0_out) {
                let x_t = x.to_f64();
                let epsilon = if sampler.rederive_epsilon {
                    (x_t - signal * x_0) / spread
                } else {
                    prediction.x0_and_epsilon(output.to_f64(), x_t, step.alpha_bar).1
                };
                // Eq. 12
                let mut next = signal_next * x_0 + step.direction * epsilon;
                if step.sigma > 0.0 {
                    next += step.sigma * z.to_f64();
                }
                *x = T::from_f64(next);
                *x_0_out = T::from_f64(*x_0);
            }
        }
        check_finite("x after the step", x, dim, first, Some(step.level))?;
        observe(Observed { index, step, x, x_0: &x_0_batch });
    }
    Ok(())
}

/// An error that names the first sample of `what` that has NaN or infinity; samples are numbered from `first`, `dim` elements each.
pub(crate) fn check_finite<T: Real>(what: &str, batch: &[T], dim: usize, first: u64, level: Option<usize>) -> Result<(), Error> {
    let Some(at) = batch.iter().position(|v| !v.to_f64().is_finite()) else { return Ok(()) };
    let sample = first.wrapping_add((at / dim) as u64);
    let at = level.map_or(String::new(), |level| format!(" at timestep {}", level - 1));
    Err(Error::new(ErrorKind::Batch, format!("{what} for sample {sample}{at} is not finite")))
}
