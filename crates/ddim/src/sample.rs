//! Sampling (section 4): the steps of a trajectory, run one at a time.

use crate::batch::{batch_len, check_finite};
use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::history::History;
use crate::inpaint::Known;
use crate::noise::{self, Draw};
use crate::prediction::Prediction;
use crate::real::Real;
use crate::sampler::Sampler;
use crate::step::Step;
use std::ops::ControlFlow;

/// A batch on its way down a trajectory, advanced one [`step`](Self::step) at a time.
///
/// It owns its images, and its denoiser unless that is a reference, so its owner can stop, inspect, change [`x`](Self::x_mut) and resume at
/// any time. The noise of a step is keyed by (seed, image, level), so whatever else runs makes no difference: see [`noise`].
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
    history: History<T>,
    known: Option<Known<T>>,
    /// Steps that have run: of the trajectory, those above x.
    done: usize,
    /// Jumps back up that were made.
    jumps: u16,
    /// Whether `x` may hold anything: a caller's.
    unchecked: bool,
}

impl<T: Real, D: Denoiser<T>> Sampling<D, T> {
    /// Starts from latents x_T ([n, c, h, w], any n), which are those of `batch`.
    ///
    /// # Errors
    /// [`ErrorKind::Batch`](crate::ErrorKind::Batch) if the batch is not a whole number of images.
    /// [`ErrorKind::Prediction`](crate::ErrorKind::Prediction) for ε-prediction at a level with ᾱ = 0, where f_θ is undefined.
    pub fn new(sampler: &Sampler, denoiser: D, x: Vec<T>, batch: noise::Batch) -> Result<Self, D::Error> {
        let n = batch_len(x.len(), denoiser.dim())?;
        sampler.check_prediction(denoiser.prediction())?;
        let (x_0, output) = (x.clone(), vec![T::from_f64(0.0); x.len()]);
        // Of no images there is nothing to ask the network.
        let done = if n == 0 { sampler.steps().len() } else { 0 };
        let history = History::new(sampler.solver().history());
        Ok(Self { sampler: sampler.clone(), denoiser, batch, x, x_0, output, history, known: None, done, jumps: 0, unchecked: true })
    }

    /// Sets the known pixels, which are restored after each step, at the noise level where it arrives.
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`] if the images have another number of elements, or a path another number of levels.
    pub fn with_known(self, known: Known<T>) -> Result<Self, D::Error> {
        known.check(self.x.len(), self.sampler.steps().len())?;
        Ok(Self { known: Some(known), ..self })
    }

    /// Jumps back up to the level where x was after `done` steps, by the exact q(x_t|x_s) of the noise process:
    /// x_t = √(ᾱ_t/ᾱ_s) x_s + √(1-ᾱ_t/ᾱ_s) z. The history of a multistep solver is discarded.
    ///
    /// # Errors
    /// [`ErrorKind::Inpainting`] if `done` is more than the steps that have run, or if there are too many jumps.
    pub fn jump(&mut self, done: usize) -> Result<(), D::Error> {
        let error = |message: String| Err(Error::new(ErrorKind::Inpainting, message).into());
        if done >= self.done {
            return error(format!("a jump back to {done} steps done, from {}: expected fewer", self.done));
        }
        let (from, to) = (self.sampler.steps()[self.done - 1], self.sampler.steps()[done]);
        let (draw, gain) = (Draw::Jump { level: to.level, jumps: self.jumps }, to.alpha_bar / from.alpha_bar_next);
        let Some(jumps) = self.jumps.checked_add(1) else { return error(format!("more than {} jumps", u16::MAX)) };
        let (signal, spread) = (gain.sqrt(), (1.0 - gain).sqrt());
        let mut noise = vec![T::from_f64(0.0); self.denoiser.dim()];
        for (i, x) in self.x.chunks_mut(noise.len()).enumerate() {
            self.batch.key(i, draw).fill(&mut noise);
            x.iter_mut().zip(&noise).for_each(|(x, z)| *x = T::from_f64(signal * x.to_f64() + spread * z.to_f64()));
        }
        self.history.clear();
        (self.jumps, self.done) = (jumps, done);
        Ok(())
    }

    /// The same where it is now, to go on along other steps, of as many: those that have run, and where the last of them arrived, are the same.
    pub(crate) fn along<E>(&self, sampler: &Sampler, denoiser: E) -> Sampling<E, T> {
        Sampling {
            sampler: sampler.clone(),
            denoiser,
            batch: self.batch,
            x: self.x.clone(),
            x_0: self.x_0.clone(),
            output: self.output.clone(),
            history: self.history.clone(),
            known: self.known.clone(),
            jumps: self.jumps,
            done: self.done,
            unchecked: self.unchecked,
        }
    }

    /// Returns the step that [`step`](Self::step) would run next, or `None` at the end.
    pub fn next_step(&self) -> Option<&Step> {
        self.sampler.steps().get(self.done)
    }

    /// Returns the number of steps run so far and the total.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.sampler.steps().len())
    }

    /// Returns x at the level where the last step arrived, [n, c, h, w]: the latents at first, unclamped images at the end.
    pub fn x(&self) -> &[T] {
        &self.x
    }

    /// Returns x mutably, so that it can be changed between steps. This discards the history of a multistep solver, which belongs to
    /// another x: the solver restarts at order 1, whether or not anything is changed.
    pub fn x_mut(&mut self) -> &mut [T] {
        self.unchecked = true;
        self.history.clear();
        &mut self.x
    }

    /// Returns f_θ of the last step, the predicted x_0 as it was used (clipped if clipping is on), [n, c, h, w]. Before the first step, the
    /// latents.
    pub fn x_0(&self) -> &[T] {
        &self.x_0
    }

    /// Returns x, consuming the run.
    pub fn into_x(self) -> Vec<T> {
        self.x
    }

    /// Runs one step: Eq. 12, or the step of the sampler's [`Solver`](crate::Solver). It evaluates the network once, or twice where
    /// [`Solver::Heun`](crate::Solver::Heun) has a second evaluation. Returns the step, or `None` if all have run.
    ///
    /// # Errors
    /// Returns the denoiser's errors, and [`ErrorKind::Batch`](crate::ErrorKind::Batch) if x, a prediction, or anything computed from it is
    /// not finite. The batch is unusable after an error.
    pub fn step(&mut self) -> Result<Option<Step>, D::Error> {
        let Some(&step) = self.next_step() else { return Ok(None) };
        let Self { sampler, denoiser, batch, x, x_0, output, history, known, jumps, .. } = self;
        let top = sampler.steps()[0].level;
        // Before the first jump the noise is what it is without any.
        let draw = if *jumps == 0 { Draw::Step(step.level) } else { Draw::StepAgain { level: step.level, jumps: *jumps } };
        let (dim, first, solver) = (denoiser.dim(), batch.first, sampler.solver());
        if self.unchecked {
            let (what, level) = if self.done == 0 { ("the latent", None) } else { ("x before the step", Some(step.level)) };
            check_finite(what, x, dim, first, level)?;
        }
        predict_at(denoiser, x, step.level, first, output)?;

        // By how many answers there are to look at.
        let (steps, done) = (sampler.steps(), self.done);
        let weights: Vec<[f64; 3]> = (0..=history.len()).map(|past| solver.weights(steps, done, past)).collect();
        let corrections: Vec<Option<[f64; 2]>> = (0..=history.len()).map(|past| solver.correction(steps, done, past)).collect();
        let mut answers = history.room(x.len());
        let mut euler = std::mem::take(&mut history.euler);
        let mut noise = vec![T::from_f64(0.0); dim];
        let mut image = Image::new(sampler, denoiser.prediction(), step.alpha_bar, dim);
        for i in 0..x.len() / dim {
            let (from, to) = (i * dim, (i + 1) * dim);
            let (x, x_0) = (&mut x[from..to], &mut x_0[from..to]);
            image.read(x, &output[from..to], first.wrapping_add(i as u64), step.level)?;
            let answers = answers.get_mut(from..to).unwrap_or_default();
            for (answer, said) in answers.iter_mut().zip(if solver.is_in_epsilon() { &image.epsilon } else { &image.f }) {
                *answer = T::from_f64(*said);
            }
            let past = |k| history.answer(k, from, dim);
            // What was said of a pixel before it was put back was said of another.
            let since = |i: usize, known: &Known<T>| {
                (0..history.len()).take_while(|back| !known.stays(steps[done - back].level, top)(from + i)).count()
            };
            let usable: Option<Vec<usize>> = known.as_ref().map(|known| (0..dim).map(|i| since(i, known)).collect());
            let usable = |i: usize| usable.as_ref().map_or(history.len(), |usable| usable[i]);
            if corrections.iter().any(Option::is_some) {
                let correction = |i: usize| corrections[usable(i)];
                let base = euler[from..to].iter().zip(&*x).enumerate();
                let mut corrected: Vec<f64> =
                    base.map(|(i, (euler, x))| if correction(i).is_some() { euler.to_f64() } else { x.to_f64() }).collect();
                add(&mut corrected, |i| correction(i).map_or(0.0, |[present, _]| present), answers, past(0));
                if history.len() > 1 {
                    add(&mut corrected, |i| correction(i).map_or(0.0, |[_, older]| older), past(1), past(0));
                }
                image.move_to(corrected);
            }
            if step.sigma > 0.0 {
                batch.key(i, draw).fill(&mut noise);
            }
            for ((next, &f), (&epsilon, z)) in image.x.iter_mut().zip(&image.f).zip(image.epsilon.iter().zip(&noise)) {
                *next = step.apply(f, epsilon, z.to_f64());
            }
            if solver.corrects() {
                euler.resize(output.len(), T::from_f64(0.0));
                write(&image.x, &mut euler[from..to]);
            }
            (0..history.len().min(3)).for_each(|k| add(&mut image.x, |i| weights[usable(i)][k], past(k), answers));
            write(&image.x, x);
            write(&image.f, x_0);
        }
        check_finite("x after the step", x, dim, first, Some(step.level))?;
        history.euler = euler;
        history.push(answers);
        self.put_back(&step, done, top);
        if let Some(weight) = solver.second(&step) {
            self.second(&step, weight)?;
            self.put_back(&step, done, top);
        }
        self.unchecked = false;
        self.done += 1;
        Ok(Some(step))
    }

    fn put_back(&mut self, step: &Step, done: usize, top: usize) {
        if let Some(known) = &self.known {
            known.put_back((step, done, top), &mut self.x, (self.denoiser.dim(), self.batch, self.jumps));
        }
    }

    /// Evaluates ε at the end of the step as well, and lets the difference count `weight`.
    fn second(&mut self, step: &Step, weight: f64) -> Result<(), D::Error> {
        let Self { sampler, denoiser, batch, x, output, history, .. } = self;
        let (dim, first) = (denoiser.dim(), batch.first);
        predict_at(denoiser, x, step.next, first, output)?;
        let mut image = Image::new(sampler, denoiser.prediction(), step.alpha_bar_next, dim);
        for (i, (x, output)) in x.chunks_mut(dim).zip(output.chunks(dim)).enumerate() {
            image.read(x, output, first.wrapping_add(i as u64), step.next)?;
            for (((to, x), second), start) in image.x.iter_mut().zip(&*x).zip(&image.epsilon).zip(history.answer(0, i * dim, dim)) {
                *to = x.to_f64() + weight * (second - start.to_f64());
            }
            write(&image.x, x);
        }
        Ok(check_finite("x after the step", x, dim, first, Some(step.level))?)
    }

    /// Runs the remaining steps and returns the images, unclamped.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish(mut self) -> Result<Vec<T>, D::Error> {
        while self.step()?.is_some() {}
        Ok(self.x)
    }
}

/// Samples a batch of latents x_T to the end, unless `observe`, called after each step, stops early.
///
/// The value that it breaks with, such as an error of its own, is returned.
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

/// One image at a level, and what the network says of it.
struct Image<'a> {
    sampler: &'a Sampler,
    prediction: Prediction,
    alpha_bar: f64,
    x: Vec<f64>,
    /// f_θ, clipped where clipping is on.
    f: Vec<f64>,
    epsilon: Vec<f64>,
    scratch: Vec<f64>,
}

impl<'a> Image<'a> {
    fn new(sampler: &'a Sampler, prediction: Prediction, alpha_bar: f64, dim: usize) -> Self {
        let zeros = || vec![0.0; dim];
        Self { sampler, prediction, alpha_bar, x: zeros(), f: zeros(), epsilon: zeros(), scratch: Vec::new() }
    }

    /// Reads the network's `output` at `x`, of sample `number` at `level`.
    fn read<T: Real>(&mut self, x: &[T], output: &[T], number: u64, level: usize) -> Result<(), Error> {
        for ((((to, f), epsilon), x), output) in self.x.iter_mut().zip(&mut self.f).zip(&mut self.epsilon).zip(x).zip(output) {
            *to = x.to_f64();
            (*f, *epsilon) = self.prediction.x0_and_epsilon(output.to_f64(), *to, self.alpha_bar);
        }
        // Clipping takes numbers; an image that overflowed has none to keep.
        check_finite("the predicted x_0", &self.f, self.f.len(), number, Some(level))?;
        self.sampler.clip().apply(&mut self.f, &mut self.scratch);
        if self.sampler.rederives_epsilon() {
            self.derive_epsilon();
        }
        Ok(())
    }

    /// The same f_θ at another x.
    fn move_to(&mut self, x: Vec<f64>) {
        self.x = x;
        self.derive_epsilon();
    }

    fn derive_epsilon(&mut self) {
        let (signal, spread) = (self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt());
        for ((epsilon, x), f) in self.epsilon.iter_mut().zip(&self.x).zip(&self.f) {
            *epsilon = (x - signal * f) / spread;
        }
    }
}

/// Adds `weight` · (`a` - `b`) to each element.
fn add<T: Real>(x: &mut [f64], weight: impl Fn(usize) -> f64, a: &[T], b: &[T]) {
    for (i, ((x, a), b)) in x.iter_mut().zip(a).zip(b).enumerate() {
        let weight = weight(i);
        if weight != 0.0 {
            *x += weight * (a.to_f64() - b.to_f64());
        }
    }
}

fn write<T: Real>(from: &[f64], to: &mut [T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = T::from_f64(*from);
    }
}
