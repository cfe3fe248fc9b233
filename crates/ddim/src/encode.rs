//! The ODE run upwards (Eq. 13, or solved exactly): from images to latents, along the trajectory that decodes them.

use crate::batch::{batch_len, check_finite};
use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::inversion::{Inversion, Iterate};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::schedule::NoiseSchedule;
use crate::trajectory::Trajectory;
use std::ops::ControlFlow;

/// One Euler step upwards, from level `from` to `to`, with ε evaluated at (x_from, `to`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncodeStep {
    /// The level that the step leaves, τ_{i-1}; 0 is the image.
    pub from: usize,
    /// The level that the step arrives at, τ_i, which is also the level given to the network.
    pub to: usize,
    /// ᾱ of `from`.
    pub alpha_bar_from: f64,
    /// ᾱ of `to`.
    pub alpha_bar_to: f64,
}

impl EncodeStep {
    /// Applies Eq. 13 to one element, given x at `from` and ε_θ(x_from, `to`). Returns x at `to`, and the x_0 that x at `from` and
    /// `epsilon` imply.
    pub fn apply(&self, x: f64, epsilon: f64) -> (f64, f64) {
        let x_0 = Prediction::Epsilon.x0_and_epsilon(epsilon, x, self.alpha_bar_from).0;
        (self.alpha_bar_to.sqrt() * x_0 + (1.0 - self.alpha_bar_to).sqrt() * epsilon, x_0)
    }

    /// The same with the network's `output` at (y, `to`), where y is the x at `to` as far as it is known: Eq. 12 from there, solved for x at `to`.
    fn iterate(&self, x: f64, y: f64, output: f64, prediction: Prediction) -> (f64, f64) {
        let (x_0, epsilon) = prediction.x0_and_epsilon(output, y, self.alpha_bar_to);
        if self.alpha_bar_to == 0.0 && self.alpha_bar_from < 1.0 && x_0.is_finite() {
            // Without signal ε is y itself, whatever y is; but f_θ is kept then, and the direction is what the step down leaves of x.
            return ((x - self.alpha_bar_from.sqrt() * x_0) / (1.0 - self.alpha_bar_from).sqrt(), x_0);
        }
        self.apply(x, epsilon)
    }
}

/// A trajectory run upwards.
///
/// It corresponds to diffusers' `DDIMInverseScheduler`, but uses the true predecessor in τ where that assumes T // S, and derives ε of a
/// network that predicts x_0 or v at the level given to the network.
///
/// ```
/// use ddim::{Encoder, NoiseSchedule, Trajectory};
///
/// let encoder = Encoder::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 2)?)?;
/// let levels: Vec<_> = encoder.steps().iter().map(|step| (step.from, step.to)).collect();
/// assert_eq!(levels, [(0, 1), (1, 501)]);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    steps: Vec<EncodeStep>,
    inversion: Inversion,
}

impl Encoder {
    /// Creates an encoder with the steps of `trajectory` upwards, each as in Eq. 13.
    ///
    /// # Errors
    /// Returns an error if the trajectory was made for another T.
    pub fn new(schedule: &NoiseSchedule, trajectory: &Trajectory) -> Result<Self, Error> {
        trajectory.check_schedule(schedule)?;
        let steps = trajectory.pairs().map(|(from, to)| EncodeStep {
            from,
            to,
            alpha_bar_from: schedule.arrival_alpha_bar(from),
            alpha_bar_to: schedule.alpha_bar(to),
        });
        Ok(Self { steps: steps.collect(), inversion: Inversion::Euler })
    }

    /// Sets how each step is solved.
    ///
    /// # Errors
    /// Returns an error if a parameter of `inversion` is out of range.
    pub fn with_inversion(self, inversion: Inversion) -> Result<Self, Error> {
        inversion.check()?;
        Ok(Self { inversion, ..self })
    }

    /// Returns how each step is solved.
    pub fn inversion(&self) -> Inversion {
        self.inversion
    }

    /// Returns the steps in the order in which they run: ascending levels.
    pub fn steps(&self) -> &[EncodeStep] {
        &self.steps
    }
}

/// A batch on its way up a trajectory, advanced one [`step`](Self::step) at a time: the reverse of [`Sampling`](crate::Sampling).
///
/// Nothing is clipped.
///
/// ```
/// use ddim::{Encoder, Encoding, GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Trajectory, noise::Batch};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
/// let trajectory = Trajectory::uniform(1000, 500)?;
/// let image = [0.1f64, -0.2];
/// let latent = Encoding::new(&Encoder::new(&schedule, &trajectory)?, &model, image.to_vec(), 0)?.finish()?;
/// let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0))?;
/// let again = Sampling::new(&sampler, &model, latent, Batch { seed: 0, first: 0 })?.finish()?;
/// assert!((again[0] - image[0]).abs() < 0.01 && (again[1] - image[1]).abs() < 0.01);
/// # Ok::<(), ddim::Error>(())
/// ```
/// With [`Inversion::FixedPoint`], ten steps are enough to lead back to the image:
/// ```
/// use ddim::{Encoder, Encoding, GaussianDenoiser, Inversion, NoiseSchedule, Sampler, Sampling, Sigma, Trajectory, noise::Batch};
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
/// let trajectory = Trajectory::trailing(1000, 10)?;
/// let encoder = Encoder::new(&schedule, &trajectory)?.with_inversion(Inversion::FixedPoint { iterations: 100, tolerance: 1e-9 })?;
/// let latent = Encoding::new(&encoder, &model, vec![0.1f64, -0.2], 0)?.finish()?;
/// let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0))?;
/// let again = Sampling::new(&sampler, &model, latent, Batch { seed: 0, first: 0 })?.finish()?;
/// assert!((again[0] - 0.1).abs() < 1e-7 && (again[1] + 0.2).abs() < 1e-7);
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoding<D, T = f32> {
    encoder: Encoder,
    denoiser: D,
    first: u64,
    x: Vec<T>,
    x_0: Vec<T>,
    output: Vec<T>,
    changes: Vec<f64>,
    evaluations: Vec<usize>,
    /// Steps that have run.
    done: usize,
    /// Whether `x` may hold anything: a caller's.
    unchecked: bool,
}

impl<T: Real, D: Denoiser<T>> Encoding<D, T> {
    /// Starts from images x_0 ([n, c, h, w], scale [-1, 1], any n). `first` is the number that error messages give the first image.
    ///
    /// # Errors
    /// [`ErrorKind::Batch`] if the batch is not a whole number of images. [`ErrorKind::Prediction`] if a step starts from a level with
    /// ᾱ = 0, where nothing of the image is left.
    pub fn new(encoder: &Encoder, denoiser: D, x: Vec<T>, first: u64) -> Result<Self, D::Error> {
        let n = batch_len(x.len(), denoiser.dim())?;
        if encoder.steps.iter().any(|s| s.alpha_bar_from == 0.0) {
            return Err(Error::new(ErrorKind::Prediction, "nothing can be encoded beyond a level with alpha_bar 0").into());
        }
        let (x_0, output) = (x.clone(), vec![T::from_f64(0.0); x.len()]);
        // Of no images there is nothing to ask the network.
        let done = if n == 0 { encoder.steps.len() } else { 0 };
        let (changes, evaluations) = (vec![0.0; n], vec![0; n]);
        Ok(Self { encoder: encoder.clone(), denoiser, first, x, x_0, output, changes, evaluations, done, unchecked: true })
    }

    /// Returns the step that [`step`](Self::step) would run next, or `None` at the end.
    pub fn next_step(&self) -> Option<&EncodeStep> {
        self.encoder.steps.get(self.done)
    }

    /// Returns the number of steps run so far and the total.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.encoder.steps.len())
    }

    /// Returns x at the level where the last step arrived, [n, c, h, w]: the images at first, the latents at the end.
    pub fn x(&self) -> &[T] {
        &self.x
    }

    /// Returns x mutably, so that it can be changed between steps.
    pub fn x_mut(&mut self) -> &mut [T] {
        self.unchecked = true;
        &mut self.x
    }

    /// Returns the x_0 implied by the network's ε where the last step started, [n, c, h, w]. Before the first step, the images.
    pub fn x_0(&self) -> &[T] {
        &self.x_0
    }

    /// Returns, for each image, the number of evaluations until it converged. The whole batch is evaluated as often as its slowest image
    /// needs.
    pub fn evaluations(&self) -> &[usize] {
        &self.evaluations
    }

    /// Returns, for each image, the largest final residual of the steps run so far, as a root mean square: the amount by which one more
    /// iteration would have changed x. A value above the tolerance of the [`Inversion`] means that the image has not converged. It is 0 if
    /// steps take a single iteration.
    pub fn changes(&self) -> &[f64] {
        &self.changes
    }

    /// Returns x, consuming the run.
    pub fn into_x(self) -> Vec<T> {
        self.x
    }

    /// Runs one step: Eq. 13 with one evaluation of the network, or as many evaluations as the encoder's [`Inversion`] takes. Returns the
    /// step, or `None` if all have run.
    ///
    /// # Errors
    /// Returns the denoiser's errors, and [`ErrorKind::Batch`] if x, a prediction, or anything computed from it is not finite. The batch is
    /// unusable after an error.
    pub fn step(&mut self) -> Result<Option<EncodeStep>, D::Error> {
        let Some(&step) = self.next_step() else { return Ok(None) };
        let Self { encoder, denoiser, first, x, x_0, output, .. } = self;
        let (dim, first) = (denoiser.dim(), *first);
        let prediction = denoiser.prediction();
        if self.unchecked {
            let (what, level) = if self.done == 0 { ("the image", None) } else { ("x before the step", Some(step.to)) };
            check_finite(what, x, dim, first, level)?;
        }
        predict_at(denoiser, x, step.to, first, output)?;
        self.evaluations.iter_mut().for_each(|n| *n += 1);
        let iterates = encoder.inversion.limits().0 > 1;
        let start = if iterates { x.clone() } else { Vec::new() };
        for ((x, output), x_0) in x.iter_mut().zip(&*output).zip(&mut *x_0) {
            // Eq. 13 is in ε, which the network's x_0 or v determines at the level it was told: read where the step comes from, v would
            // have an error of the first order that ε has not, and four times the error of a reconstruction.
            let epsilon = prediction.x0_and_epsilon(output.to_f64(), x.to_f64(), step.alpha_bar_to).1;
            let (next, f) = step.apply(x.to_f64(), epsilon);
            *x = T::from_f64(next);
            *x_0 = T::from_f64(f);
        }
        check_finite("x after the step", x, dim, first, Some(step.to))?;
        if iterates {
            self.iterate(&step, &start)?;
        }
        self.unchecked = false;
        self.done += 1;
        Ok(Some(step))
    }

    /// Iterates from the first iterate in `x` on, of a step that started from `start`.
    fn iterate(&mut self, step: &EncodeStep, start: &[T]) -> Result<(), D::Error> {
        let Self { encoder, denoiser, first, x, x_0, output, .. } = self;
        let (dim, first, prediction) = (denoiser.dim(), *first, denoiser.prediction());
        let (iterations, tolerance) = encoder.inversion.limits();
        let accelerated = matches!(encoder.inversion, Inversion::Anderson { .. });
        // Each image ends by itself, so that its batch does not matter.
        let mut last = vec![f64::INFINITY; x.len() / dim];
        let mut before: Vec<Option<Iterate>> = vec![None; last.len()];
        // At ᾱ = 0 the first iterate is another equation's.
        if accelerated && step.alpha_bar_to > 0.0 {
            for (before, (x, start)) in before.iter_mut().zip(x.chunks(dim).zip(start.chunks(dim))) {
                let to: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
                let residual = to.iter().zip(start).map(|(to, start)| to - start.to_f64()).collect();
                *before = Some(Iterate { to, residual });
            }
        }
        for _ in 1..iterations {
            predict_at(denoiser, x, step.to, first, output)?;
            for (i, last) in last.iter_mut().enumerate().filter(|(_, last)| **last > tolerance) {
                self.evaluations[i] += 1;
                let image = i * dim..(i + 1) * dim;
                let (y, x_0) = (&mut x[image.clone()], &mut x_0[image.clone()]);
                let mut now = Iterate { to: Vec::with_capacity(dim), residual: Vec::with_capacity(dim) };
                for (((y, start), output), x_0) in y.iter().zip(&start[image.clone()]).zip(&output[image]).zip(x_0) {
                    let (to, f) = step.iterate(start.to_f64(), y.to_f64(), output.to_f64(), prediction);
                    now.to.push(to);
                    now.residual.push(to - y.to_f64());
                    *x_0 = T::from_f64(f);
                }
                *last = now.change();
                let next = match &before[i] {
                    Some(before) if *last > tolerance => &now.accelerated(before),
                    _ => &now.to,
                };
                y.iter_mut().zip(next).for_each(|(y, next)| *y = T::from_f64(*next));
                before[i] = accelerated.then_some(now);
            }
            check_finite("x after the step", x, dim, first, Some(step.to))?;
            if last.iter().all(|last| *last <= tolerance) {
                break;
            }
        }
        for (change, last) in self.changes.iter_mut().zip(last) {
            *change = change.max(last);
        }
        Ok(())
    }

    /// Runs the remaining steps and returns the latents.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<Vec<T>, D::Error> {
        while self.step()?.is_some() {}
        Ok(self.x)
    }
}

/// Encodes a batch of images to the end, unless `observe`, called after each step, stops early: see [`sample`](crate::sample).
///
/// # Errors
/// As [`Encoding::new`] and [`Encoding::step`].
///
/// ```
/// use ddim::{Encoder, GaussianDenoiser, NoiseSchedule, Trajectory, encode};
/// use std::ops::ControlFlow;
///
/// let schedule = NoiseSchedule::ddpm();
/// let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
/// let encoder = Encoder::new(&schedule, &Trajectory::uniform(1000, 2)?)?;
/// let mut levels = Vec::new();
/// let end = encode(&encoder, &model, vec![0.1f32, -0.2], 0, |step, _| {
///     levels.push(step.to);
///     ControlFlow::<()>::Continue(())
/// })?;
/// assert!(end.is_continue());
/// assert_eq!(levels, [1, 501]);
/// # Ok::<(), ddim::Error>(())
/// ```
pub fn encode<T: Real, D: Denoiser<T>, B>(
    encoder: &Encoder,
    denoiser: D,
    x: Vec<T>,
    first: u64,
    mut observe: impl FnMut(&EncodeStep, &Encoding<D, T>) -> ControlFlow<B>,
) -> Result<ControlFlow<B, Vec<T>>, D::Error> {
    let mut encoding = Encoding::new(encoder, denoiser, x, first)?;
    while let Some(step) = encoding.step()? {
        if let ControlFlow::Break(why) = observe(&step, &encoding) {
            return Ok(ControlFlow::Break(why));
        }
    }
    Ok(ControlFlow::Continue(encoding.into_x()))
}
