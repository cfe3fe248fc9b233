//! Trajectories tuned for one network (section 4.2 leaves τ open): levels that bring its few-step images closest to its many-step images.

use crate::denoiser::{Denoiser, predict_at};
use crate::error::{Error, ErrorKind};
use crate::noise;
use crate::prediction::Prediction;
use crate::real::Real;
use crate::sample::Sampling;
use crate::sampler::Sampler;
use crate::trajectory::Trajectory;
use std::collections::BTreeMap;

/// A batch of latents x_T, with the images to which the ODE carries them, found with many steps.
#[derive(Debug, Clone)]
pub struct Target<D, T = f32> {
    /// The network, for this batch.
    pub denoiser: D,
    /// The batch to which the latents belong.
    pub batch: noise::Batch,
    /// x_T, [n, c, h, w].
    pub latents: Vec<T>,
    /// x_0, of the same shape.
    pub images: Vec<T>,
}

/// The result of [`tune`]. Errors are those of its objective; each pair holds that of the start and that of the trajectory found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The trajectory found.
    pub found: Trajectory,
    /// The index of the trajectory that the search started from: the one with the least error on the search's latents.
    pub start: usize,
    /// Errors on the latents of the search.
    pub in_sample: [f64; 2],
    /// Errors on latents that the search has not seen.
    pub held_out: [f64; 2],
    /// The most that an image's error counts.
    pub cap: f64,
    /// The number of passes over all levels.
    pub passes: usize,
}

impl Tuned {
    /// Returns whether the trajectory found beats its start on latents that the search has not seen; if not, the start should be kept.
    pub fn is_better(&self) -> bool {
        self.held_out[1] < self.held_out[0]
    }
}

/// Moves the levels of a trajectory, one at a time, to where its images come closest to their targets.
///
/// This is a coordinate search from the best of `starts`, which all have the same length, in at most `passes` rounds. An image's error is
/// the root mean square of its difference from the target, with pixels in [0, 1] as displayed (clamped). The objective is the mean over
/// images of these errors, each counted up to a cap: twice the lowest median among the starts. Two trajectories occasionally lead from the
/// same latent to different images, and without a cap those few would decide.
///
/// A level moves by whole levels between its neighbours, at first by a quarter of the distance to them, and by half as much once neither
/// direction is better. The highest level stays, because latents are N(0, I) there. Steps above the moving level are not recomputed, and
/// neither is the network's output at the level from which it is reached. The search ends early once no level gains from moving by one.
///
/// `sampler` makes the steps of a trajectory; the search is only useful if they add no noise. `observe` is called after each evaluation of
/// the network with the number of its images, and ends the search with an error of its own. Only latents and targets affect the result; how
/// they are split into batches does not.
///
/// # Errors
/// [`ErrorKind::Trajectory`] if there are no starts, or if they differ in length or T. [`ErrorKind::Batch`] if there are no targets to
/// search on, or if targets and their latents differ in shape. Errors of the denoiser, `sampler` and `observe` are passed on.
pub fn tune<T: Real, D: Denoiser<T>, E: From<D::Error>>(
    starts: &[Trajectory],
    passes: usize,
    sampler: &dyn Fn(&Trajectory) -> Result<Sampler, E>,
    [searched, held_out]: [&[Target<D, T>]; 2],
    observe: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Tuned, E> {
    check(starts, searched, held_out).map_err(D::Error::from)?;
    let mut search = Search { sampler, observe };
    let errors = starts.iter().map(|start| search.errors(start, searched)).collect::<Result<Vec<_>, E>>()?;
    let cap = 2.0 * errors.iter().map(|errors| median(errors)).fold(f64::INFINITY, f64::min);
    let means: Vec<f64> = errors.iter().map(|errors| mean(errors, cap)).collect();
    // The first of equals.
    let start = (0..starts.len()).min_by(|a, b| means[*a].total_cmp(&means[*b])).unwrap_or(0);
    let (found, error, passes) = search.descend(&starts[start], means[start], passes, searched, cap)?;
    let mut outside = |trajectory| -> Result<f64, E> { Ok(mean(&search.errors(trajectory, held_out)?, cap)) };
    let before = outside(&starts[start])?;
    let after = if found == starts[start] { before } else { outside(&found)? };
    Ok(Tuned { found, start, in_sample: [means[start], error], held_out: [before, after], cap, passes })
}

fn check<T, D>(starts: &[Trajectory], searched: &[Target<D, T>], held_out: &[Target<D, T>]) -> Result<(), Error> {
    let Some(first) = starts.first() else {
        return Err(Error::new(ErrorKind::Trajectory, "no trajectory to start from: expected one or more"));
    };
    if let Some(other) = starts.iter().find(|other| (other.len(), other.total()) != (first.len(), first.total())) {
        let shape = |t: &Trajectory| format!("{} steps over {} timesteps", t.len(), t.total());
        return Err(Error::new(ErrorKind::Trajectory, format!("a start of {}: expected {}", shape(other), shape(first))));
    }
    if searched.iter().all(|target| target.latents.is_empty()) {
        return Err(Error::new(ErrorKind::Batch, "no latents to tune a trajectory on: expected one or more"));
    }
    match searched.iter().chain(held_out).find(|target| target.latents.len() != target.images.len()) {
        Some(target) => {
            let (found, expected) = (target.images.len(), target.latents.len());
            Err(Error::new(ErrorKind::Batch, format!("{found} elements of targets: expected {expected}, as many as the latents have")))
        }
        None => Ok(()),
    }
}

struct Search<'a, E> {
    sampler: &'a dyn Fn(&Trajectory) -> Result<Sampler, E>,
    observe: &'a mut dyn FnMut(usize) -> Result<(), E>,
}

impl<E> Search<'_, E> {
    /// The error of each image.
    fn errors<T: Real, D: Denoiser<T>>(&mut self, trajectory: &Trajectory, targets: &[Target<D, T>]) -> Result<Vec<f64>, E>
    where
        E: From<D::Error>,
    {
        let sampler = (self.sampler)(trajectory)?;
        let mut errors = Vec::new();
        for target in targets {
            let mut sampling = Sampling::new(&sampler, &target.denoiser, target.latents.clone(), target.batch)?;
            while sampling.step()?.is_some() {
                (self.observe)(target.latents.len() / target.denoiser.dim())?;
            }
            errors.extend(differences(sampling.x(), &target.images, target.denoiser.dim()));
        }
        Ok(errors)
    }

    /// The trajectory that is found from `start`, its error, and the rounds that it took.
    fn descend<T: Real, D: Denoiser<T>>(
        &mut self,
        start: &Trajectory,
        mut best: f64,
        passes: usize,
        targets: &[Target<D, T>],
        cap: f64,
    ) -> Result<(Trajectory, f64, usize), E>
    where
        E: From<D::Error>,
    {
        // In the order in which they are visited, and level 0 behind them.
        let mut levels: Vec<i64> = start.levels().iter().rev().map(|level| *level as i64).chain([0]).collect();
        let (make, total) = (self.sampler, start.total());
        let trajectory = |levels: &[i64]| -> Result<Trajectory, E> {
            let timesteps: Vec<usize> = levels[..levels.len() - 1].iter().map(|level| *level as usize - 1).collect();
            Ok(Trajectory::from_timesteps(total, &timesteps).map_err(D::Error::from)?)
        };
        let sampler = |levels: &[i64]| make(&trajectory(levels)?);
        // Half of the distance between the neighbours is what there is to each of them.
        let mut stride: Vec<i64> = levels.windows(3).map(|w| ((w[0] - w[2]) / 8).max(1)).collect();
        let mut known = BTreeMap::from([(levels.clone(), best)]);
        let mut done = 0;
        while done < passes {
            done += 1;
            let mut at = At::beginning(&sampler(&levels)?, targets)?;
            let mut settled = true;
            for i in 1..levels.len() - 1 {
                for (at, target) in at.iter_mut().zip(targets) {
                    at.look(levels[i - 1] as usize, target)?;
                    (self.observe)(target.latents.len() / target.denoiser.dim())?;
                }
                let (here, step) = (levels[i], stride[i - 1]);
                // The direction that was the better one last, first.
                let moved = [step, -step].into_iter().map(|step| here + step).filter(|to| levels[i + 1] < *to && *to < levels[i - 1]);
                let mut is_better = false;
                for to in moved.collect::<Vec<_>>() {
                    levels[i] = to;
                    let error = match known.get(&levels) {
                        Some(error) => *error,
                        None => {
                            let error = mean(&self.ends(&at, &sampler(&levels)?, targets)?, cap);
                            known.insert(levels.clone(), error);
                            error
                        }
                    };
                    is_better = error < best;
                    if is_better {
                        (best, stride[i - 1]) = (error, to - here);
                        break;
                    }
                    levels[i] = here;
                }
                settled &= !is_better && step.abs() == 1;
                if !is_better && step.abs() > 1 {
                    stride[i - 1] = step / 2;
                }
                let sampler = sampler(&levels)?;
                for (at, target) in at.iter_mut().zip(targets) {
                    at.go_on(&sampler, target)?;
                }
            }
            if settled {
                break;
            }
        }
        Ok((trajectory(&levels)?, best, done))
    }

    /// The error of each image at the end of other steps from here on.
    fn ends<T: Real, D: Denoiser<T>>(&mut self, at: &[At<'_, D, T>], sampler: &Sampler, targets: &[Target<D, T>]) -> Result<Vec<f64>, E>
    where
        E: From<D::Error>,
    {
        let mut errors = Vec::new();
        for (at, target) in at.iter().zip(targets) {
            let mut sampling = at.sampling.along(sampler, at.known(target));
            sampling.step()?;
            while sampling.step()?.is_some() {
                (self.observe)(target.latents.len() / target.denoiser.dim())?;
            }
            errors.extend(differences(sampling.x(), &target.images, target.denoiser.dim()));
        }
        Ok(errors)
    }
}

/// A batch before the step to the level that moves, which changes neither x nor what the network says of it.
struct At<'a, D, T> {
    sampling: Sampling<&'a D, T>,
    level: usize,
    answer: Vec<T>,
}

impl<'a, T: Real, D: Denoiser<T>> At<'a, D, T> {
    /// All batches, before their first step.
    fn beginning(sampler: &Sampler, targets: &'a [Target<D, T>]) -> Result<Vec<Self>, D::Error> {
        let begin = |target: &'a Target<D, T>| {
            let sampling = Sampling::new(sampler, &target.denoiser, target.latents.clone(), target.batch)?;
            Ok(Self { sampling, level: 0, answer: vec![T::from_f64(0.0); target.latents.len()] })
        };
        targets.iter().map(begin).collect()
    }

    /// Asks the network, at the level where the next step begins.
    fn look(&mut self, level: usize, target: &Target<D, T>) -> Result<(), D::Error> {
        self.level = level;
        predict_at(&target.denoiser, self.sampling.x(), level, target.batch.first, &mut self.answer)
    }

    fn known<'b>(&'b self, target: &'b Target<D, T>) -> Known<'b, D, T> {
        Known { denoiser: &target.denoiser, level: self.level as f64, answer: &self.answer }
    }

    /// Takes the next step of `sampler`.
    fn go_on(&mut self, sampler: &Sampler, target: &'a Target<D, T>) -> Result<(), D::Error> {
        let mut sampling = self.sampling.along(sampler, self.known(target));
        sampling.step()?;
        self.sampling = sampling.along(sampler, &target.denoiser);
        Ok(())
    }
}

/// A network that has been asked at one level already: trajectories come there once.
struct Known<'a, D, T> {
    denoiser: &'a D,
    level: f64,
    answer: &'a [T],
}

impl<T: Real, D: Denoiser<T>> Denoiser<T> for Known<'_, D, T> {
    type Error = D::Error;

    fn dim(&self) -> usize {
        self.denoiser.dim()
    }

    fn prediction(&self) -> Prediction {
        self.denoiser.prediction()
    }

    fn predict(&self, x_t: &[T], levels: &[f64], out: &mut [T]) -> Result<(), D::Error> {
        if levels.first() != Some(&self.level) {
            return self.denoiser.predict(x_t, levels, out);
        }
        out.copy_from_slice(self.answer);
        Ok(())
    }
}

/// Of each image, the root mean square of its difference, pixels in [0, 1] as they are shown.
fn differences<T: Real>(x: &[T], targets: &[T], dim: usize) -> impl Iterator<Item = f64> {
    let shown = |x: &T| x.to_f64().clamp(-1.0, 1.0) / 2.0;
    x.chunks(dim).zip(targets.chunks(dim)).map(move |(x, target)| {
        let squares: f64 = x.iter().zip(target).map(|(x, target)| (shown(x) - shown(target)).powi(2)).sum();
        (squares / dim as f64).sqrt()
    })
}

/// None counts more than `cap`. Of none, 0.
fn mean(errors: &[f64], cap: f64) -> f64 {
    errors.iter().map(|error| error.min(cap)).sum::<f64>() / errors.len().max(1) as f64
}

fn median(errors: &[f64]) -> f64 {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}
