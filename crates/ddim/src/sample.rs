//! Sampling (section 4): Eq. 12 as one step, and a trajectory of them, run a step at a time.

use crate::batch::{batch_len, check_finite};
use crate::clip::Clip;
use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::noise::{self, Draw};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::NoiseSchedule;
use crate::sigma::Sigma;
use crate::trajectory::Trajectory;
use std::ops::ControlFlow;

/// One step of Eq. 12, from level `level` down to `next`.
///
/// ```
/// use ddim::{NoiseSchedule, Sampler, Sigma, Trajectory};
///
/// let sampler = Sampler::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 10)?, &Sigma::Eta(0.0))?;
/// let last = sampler.steps()[9];
/// assert_eq!((last.level, last.next), (1, 0));
/// assert_eq!(last.apply(0.25, 0.7, 0.0), 0.25); // of DDIM's last step, f_θ remains
/// # Ok::<(), ddim::Error>(())
/// ```
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

impl Step {
    /// Eq. 12 for one element: √ᾱ_next · `x_0` + √(1-ᾱ_next-σ²) · `epsilon` + σ · `noise`, where `x_0` is f_θ(x_t), `epsilon` ε_θ(x_t), and `noise`
    /// a draw of N(0, 1), which is not looked at where σ is 0.
    pub fn apply(&self, x_0: f64, epsilon: f64, noise: f64) -> f64 {
        let mean = self.alpha_bar_next.sqrt() * x_0 + self.direction * epsilon;
        if self.sigma > 0.0 { mean + self.sigma * noise } else { mean }
    }
}

/// A sampling trajectory with all its coefficients, ready to run on any number of batches.
///
/// ```
/// use ddim::{Clip, NoiseSchedule, Sampler, Sigma, Trajectory};
///
/// // The authors' ddpm_noisy.
/// let sampler = Sampler::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 10)?, &Sigma::Hat)?;
/// let sampler = sampler.with_clip(Clip::Range(1.0))?.with_rederived_epsilon(true);
/// assert_eq!(sampler.steps().iter().map(|step| step.level).max(), Some(901));
/// # Ok::<(), ddim::Error>(())
/// ```
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
    #[must_use]
    pub fn with_rederived_epsilon(self, rederive_epsilon: bool) -> Self {
        Self { rederive_epsilon, ..self }
    }

    /// The steps in the order in which they run: descending levels.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// A batch on its way down a trajectory, moved a [`step`](Self::step) at a time.
///
/// It owns its images, and its denoiser unless that is a reference: whoever holds it may stop, look, change [`x`](Self::x_mut) and go on when
/// they like. The noise of a step is keyed by (seed, image, level), so that it does not matter what else runs: see [`noise`].
///
/// ```
/// use ddim::{GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Trajectory, noise::Batch};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5);
/// let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 20)?, &Sigma::Eta(0.0))?;
/// let batch = Batch { seed: 7, first: 0 };
/// let mut sampling = Sampling::new(&sampler, &model, batch.latents(4, 8), batch)?;
/// while let Some(step) = sampling.step()? {
///     println!("timestep {}: the first image will be about {:?}", step.level - 1, &sampling.x_0()[..4]);
/// }
/// let images: Vec<f32> = sampling.into_x();
/// # assert_eq!(images.len(), 32);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sampling<D, T = f32> {
    sampler: Sampler,
    denoiser: D,
    batch: noise::Batch,
    x: Vec<T>,
    x_0: Vec<T>,
    output: Vec<T>,
    /// Steps that have run.
    done: usize,
    /// Whether `x` may hold anything: a caller's.
    unchecked: bool,
}

impl<T: Real, D: Denoiser<T>> Sampling<D, T> {
    /// From latents x_T ([n, c, h, w], any number of images), those of `batch`.
    ///
    /// # Errors
    /// [`ErrorKind::Batch`]: a batch that is not a whole number of images. [`ErrorKind::Prediction`]: ε-prediction at a level with ᾱ = 0, where
    /// f_θ is undefined.
    pub fn new(sampler: &Sampler, denoiser: D, x: Vec<T>, batch: noise::Batch) -> Result<Self, D::Error> {
        let n = batch_len(x.len(), denoiser.dim())?;
        let epsilon = denoiser.prediction() == Prediction::Epsilon;
        if let Some(step) = sampler.steps.iter().find(|s| s.alpha_bar == 0.0 && epsilon) {
            let message = format!("epsilon prediction at timestep {}, where alpha_bar is 0, does not determine x_0", step.level - 1);
            return Err(Error::new(ErrorKind::Prediction, message).into());
        }
        let (x_0, output) = (x.clone(), vec![T::from_f64(0.0); x.len()]);
        // Of no images there is nothing to ask the network.
        let done = if n == 0 { sampler.steps.len() } else { 0 };
        Ok(Self { sampler: sampler.clone(), denoiser, batch, x, x_0, output, done, unchecked: true })
    }

    /// The step that [`step`](Self::step) would run. None at the end.
    pub fn next_step(&self) -> Option<&Step> {
        self.sampler.steps.get(self.done)
    }

    /// Steps that have run, and all there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.sampler.steps.len())
    }

    /// x at the level where the last step arrived, [n, c, h, w]: the latents at first, unclamped images at the end.
    pub fn x(&self) -> &[T] {
        &self.x
    }

    /// The same, to be changed between steps.
    pub fn x_mut(&mut self) -> &mut [T] {
        self.unchecked = true;
        &mut self.x
    }

    /// f_θ of the last step, the predicted x_0 as it was used (clipped where clipping is on), [n, c, h, w]. Before the first step, the latents.
    pub fn x_0(&self) -> &[T] {
        &self.x_0
    }

    /// x as it is.
    pub fn into_x(self) -> Vec<T> {
        self.x
    }

    /// Runs one step (Eq. 12): one evaluation of the network. Returns it, or None where all have run.
    ///
    /// # Errors
    /// What the denoiser says; [`ErrorKind::Batch`]: x, a prediction or what is made of it is not finite. The batch is of no use then.
    pub fn step(&mut self) -> Result<Option<Step>, D::Error> {
        let Some(&step) = self.next_step() else { return Ok(None) };
        let Self { sampler, denoiser, batch, x, x_0, output, .. } = self;
        let (dim, first) = (denoiser.dim(), batch.first);
        let prediction = denoiser.prediction();
        if self.unchecked {
            let (what, level) = if self.done == 0 { ("the latent", None) } else { ("x before the step", Some(step.level)) };
            check_finite(what, x, dim, first, level)?;
        }
        predict_at(denoiser, x, step.level, first, output)?;

        let (signal, spread) = (step.alpha_bar.sqrt(), (1.0 - step.alpha_bar).sqrt());
        let mut noise = vec![T::from_f64(0.0); dim];
        let (mut f, mut scratch) = (vec![0.0; dim], Vec::new());
        for (i, ((x, output), x_0)) in x.chunks_mut(dim).zip(output.chunks(dim)).zip(x_0.chunks_mut(dim)).enumerate() {
            for ((f, x), output) in f.iter_mut().zip(&*x).zip(output) {
                *f = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), step.alpha_bar).0;
            }
            // Clipping takes numbers; an image that overflowed has none to keep.
            check_finite("the predicted x_0", &f, dim, first.wrapping_add(i as u64), Some(step.level))?;
            sampler.clip.apply(&mut f, &mut scratch);
            if step.sigma > 0.0 {
                batch.key(i, Draw::Step(step.level)).fill(&mut noise);
            }
            for ((((x, output), &f), z), x_0) in x.iter_mut().zip(output).zip(&f).zip(&noise).zip(x_0) {
                let x_t = x.to_f64();
                let epsilon = if sampler.rederive_epsilon {
                    (x_t - signal * f) / spread
                } else {
                    prediction.x0_and_epsilon(output.to_f64(), x_t, step.alpha_bar).1
                };
                *x = T::from_f64(step.apply(f, epsilon, z.to_f64()));
                *x_0 = T::from_f64(f);
            }
        }
        check_finite("x after the step", x, dim, first, Some(step.level))?;
        self.unchecked = false;
        self.done += 1;
        Ok(Some(step))
    }

    /// Runs the steps that remain; the images, unclamped.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<Vec<T>, D::Error> {
        while self.step()?.is_some() {}
        Ok(self.x)
    }
}

/// Samples a batch of latents x_T to the end, unless `observe`, which is called after each step, breaks off: with what it broke, an error of
/// its own for example, or nothing.
///
/// # Errors
/// As [`Sampling::new`] and [`Sampling::step`].
///
/// ```
/// use ddim::{GaussianDenoiser, NoiseSchedule, Sampler, Sigma, Trajectory, noise::Batch, sample};
/// use std::ops::ControlFlow;
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5);
/// let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 20)?, &Sigma::Eta(0.0))?;
/// let batch = Batch { seed: 7, first: 0 };
/// let end = sample(&sampler, &model, batch.latents::<f32>(4, 8), batch, |step, _| {
///     if step.next < 500 { ControlFlow::Break(step.next) } else { ControlFlow::Continue(()) }
/// })?;
/// assert_eq!(end, ControlFlow::Break(451));
/// # Ok::<(), ddim::Error>(())
/// ```
pub fn sample<T: Real, D: Denoiser<T>, B>(
    sampler: &Sampler,
    denoiser: D,
    x: Vec<T>,
    batch: noise::Batch,
    mut observe: impl FnMut(&Step, &Sampling<D, T>) -> ControlFlow<B>,
) -> Result<ControlFlow<B, Vec<T>>, D::Error> {
    let mut sampling = Sampling::new(sampler, denoiser, x, batch)?;
    while let Some(step) = sampling.step()? {
        if let ControlFlow::Break(why) = observe(&step, &sampling) {
            return Ok(ControlFlow::Break(why));
        }
    }
    Ok(ControlFlow::Continue(sampling.into_x()))
}
