//! A model that requests work with: its network, what its scheduler says, and runs over batches.

use crate::choices::{Clipping, Model, Spacing};
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::job::Watch;
use crate::models;
use crate::tuned::{self, TunedFor};
use ddim::noise::Batch;
use ddim::{Encoder, Encoding, NoiseSchedule, Sampler, Sampling, Sigma, Solver, Step, Trajectory};
use ddim_data::read_floats_any;
use ddim_nn::{Condition, Inception, Network, SampleSize, SchedulerConfig, UNetConfig};
use std::ops::Range;
use std::path::Path;

/// A model, ready to be evaluated.
pub(crate) struct Session<'w, 'b> {
    pub(crate) model: String,
    pub(crate) network: Network,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) classes: Classes,
    choice: Model,
    watch: &'w Watch<'b>,
}

impl<'w, 'b> Session<'w, 'b> {
    pub(crate) fn new(choice: &Model, watch: &'w Watch<'b>) -> Result<Self> {
        Self::with_latents(choice, None, watch).map(|(session, _)| session)
    }

    /// The same for latents of a file, which also say the size of the images.
    pub(crate) fn with_latents(choice: &Model, latents: Option<&Path>, watch: &'w Watch<'b>) -> Result<(Self, Option<Vec<f32>>)> {
        if choice.batch_size == 0 {
            return Err(Error::field("batch_size", "0: expected 1 or more"));
        }
        let mut pipeline = models::load(&choice.model, &choice.choices(), watch)?;
        let latents = latents.map(|path| read_latents(path, &pipeline.config, choice.size)).transpose()?;
        if let Some(size) = choice.size.or(latents.as_ref().map(|(_, [_, h, w])| [*h, *w])) {
            pipeline = pipeline.with_size(size).map_err(|e| Error::field("size", e))?;
        }
        let model = choice.model.display().to_string();
        if pipeline.config.sample_size.is_none() {
            let what = "does not say the size of its images (sample_size is null)";
            return Err(Error::request(format!("`size` is missing: {model} {what}")));
        }
        let classes = Classes::new(choice.classes.as_deref(), &pipeline.classes, pipeline.classes_count(), watch)?;
        let (scheduler, schedule) = (pipeline.scheduler.clone(), pipeline.scheduler.schedule());
        let network = Network::new(pipeline)?;
        if network.is_conditional() || !classes.is_none() {
            // Any network that takes labels has a class 0.
            let label = classes.of(0, 0).unwrap_or(0);
            network.with_condition(Condition::Labels(vec![label])).map_err(|e| Error::field("classes", e))?;
        }
        if network.is_conditional() && classes.is_none() {
            return Err(Error::request(format!("`classes` is missing: {model} was trained with classes")));
        }
        let latents = latents.map(|(latents, _)| latents);
        Ok((Self { model, network, scheduler, schedule, classes, choice: choice.clone(), watch }, latents))
    }

    /// [c, h, w] of one image.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.network.shape()
    }

    pub(crate) fn dim(&self) -> usize {
        self.shape().iter().product()
    }

    /// The S timesteps that a request asks for, to be run by `solver`.
    pub(crate) fn trajectory(&self, spacing: Option<&Spacing>, steps: usize, solver: Solver) -> Result<Trajectory> {
        match spacing {
            None => self.scheduler.trajectory(steps).map_err(|e| Error::field("steps", &e).because(e)),
            Some(spacing) => spacing.trajectory(&self.schedule, self.scheduler.steps_offset, steps, |file| {
                tuned::trajectory(&self.choice.model, file, &self.tuned_for(), (solver, steps))
            }),
        }
    }

    /// What a trajectory would be tuned for.
    pub(crate) fn tuned_for(&self) -> TunedFor {
        TunedFor::of(self.network.checksum(), &self.schedule)
    }

    /// What the spacing of a run is called.
    pub(crate) fn spacing_name(&self, spacing: Option<&Spacing>) -> String {
        spacing.map_or_else(|| self.scheduler.timestep_spacing.name().to_owned(), |spacing| spacing.to_string())
    }

    /// Eq. 12 over `trajectory`, clipped as the request and the model say.
    pub(crate) fn sampler(&self, trajectory: &Trajectory, sigma: &Sigma, clipping: Clipping, solver: Solver) -> Result<Sampler> {
        let sampler = Sampler::new(&self.schedule, trajectory, sigma).map_err(|e| Error::field("eta", &e).because(e))?;
        let sampler = sampler.with_solver(solver).map_err(|e| Error::field("solver", &e).because(e))?;
        Ok(sampler.with_clip(clipping.of(&self.scheduler))?.with_rederived_epsilon(clipping.rederive_epsilon))
    }

    /// The latents x_T of images `first`, … of a seed.
    pub(crate) fn latents(&self, seed: u64, first: usize, count: usize) -> Vec<f32> {
        Batch { seed, first: first as u64 }.latents(self.dim(), count)
    }

    /// The network for images of a seed, by their numbers, each under its class.
    pub(crate) fn network_for(&self, seed: u64, images: Range<usize>) -> Result<Network> {
        let labels: Option<Vec<usize>> = images.map(|image| self.classes.of(seed, image)).collect();
        let labels = labels.filter(|_| !self.classes.is_none());
        Ok(self.network.with_condition(labels.map_or(Condition::None, Condition::Labels))?)
    }

    /// Samples one batch to its images; `first` is the number of its first. `observe` tells of progress.
    pub(crate) fn sample_batch(
        &self,
        sampler: &Sampler,
        x: Vec<f32>,
        (seed, first): (u64, usize),
        mut observe: impl FnMut(&Step, &Sampling<Network>) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let n = x.len() / self.dim();
        self.watch.check()?;
        let batch = Batch { seed, first: first as u64 };
        let mut sampling = Sampling::new(sampler, self.network_for(seed, first..first + n)?, x, batch)?;
        while let Some(step) = sampling.step()? {
            self.watch.step(step.level - 1, sampling.progress(), [first, n], [sampling.x(), sampling.x_0()], self.shape());
            observe(&step, &sampling)?;
            self.watch.check()?;
        }
        Ok(sampling.into_x())
    }

    /// Samples any number of images, a batch at a time; `first` is the number of the first.
    pub(crate) fn sample(&self, sampler: &Sampler, x: &[f32], key: (u64, usize)) -> Result<Vec<f32>> {
        self.sample_telling(sampler, x, key, |n| self.watch.advance(n))
    }

    /// The same; `tell` is told of the images of each step.
    pub(crate) fn sample_telling(
        &self,
        sampler: &Sampler,
        x: &[f32],
        (seed, first): (u64, usize),
        tell: impl Fn(usize),
    ) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(x.len());
        for (i, batch) in x.chunks(self.batch_len()).enumerate() {
            let n = batch.len() / self.dim();
            out.extend(self.sample_batch(sampler, batch.to_vec(), (seed, first + i * self.choice.batch_size), |_, _| {
                tell(n);
                Ok(())
            })?);
        }
        Ok(out)
    }

    /// Encodes any number of images, a batch at a time; their classes are those of seed 0.
    pub(crate) fn encode(&self, trajectory: &Trajectory, x: &[f32]) -> Result<Vec<f32>> {
        let encoder = Encoder::new(&self.schedule, trajectory)?;
        let mut out = Vec::with_capacity(x.len());
        for (i, batch) in x.chunks(self.batch_len()).enumerate() {
            self.watch.check()?;
            let (n, first) = (batch.len() / self.dim(), i * self.choice.batch_size);
            let mut encoding = Encoding::new(&encoder, self.network_for(0, first..first + n)?, batch.to_vec(), first as u64)?;
            while let Some(step) = encoding.step()? {
                self.watch.step(step.to - 1, encoding.progress(), [first, n], [encoding.x(), encoding.x_0()], self.shape());
                self.watch.advance(n);
                self.watch.check()?;
            }
            out.extend(encoding.into_x());
        }
        Ok(out)
    }

    /// Images in memory at once.
    pub(crate) fn batch_size(&self) -> usize {
        self.choice.batch_size
    }

    /// Elements of a whole batch.
    fn batch_len(&self) -> usize {
        self.choice.batch_size.saturating_mul(self.dim())
    }

    /// The model and what decides what it is here, as flags of the command line.
    pub(crate) fn model_flags(&self) -> String {
        let mut flags = format!("--model {}", self.model);
        if let Some([h, w]) = self.choice.size {
            flags += &format!(" --size {h}x{w}");
        }
        if let Some(path) = &self.choice.scheduler {
            flags += &format!(" --scheduler {}", path.display());
        }
        if self.choice.raw {
            flags += " --raw";
        }
        flags
    }

    /// A solver other than the default, clipping and classes as flags of the command line.
    pub(crate) fn flags(&self, clipping: Clipping, solver: Solver) -> String {
        let by = if solver == Solver::Ddim { String::new() } else { format!(" --solver {solver}") };
        let clip = clipping.clip.map_or("", |clip| if clip { " --clip" } else { " --no-clip" });
        let rederive = if clipping.rederive_epsilon { " --rederive-epsilon" } else { "" };
        format!("{by}{clip}{rederive}{}", self.classes.flag())
    }

    /// The labels of images of a seed; none of a model without classes.
    pub(crate) fn labels(&self, seed: u64, images: Range<usize>) -> Option<Vec<usize>> {
        images.map(|image| self.classes.of(seed, image)).collect()
    }
}

/// The Inception network, downloaded once where nobody has it.
pub(crate) fn load_inception(file: Option<&Path>, watch: &Watch<'_>) -> Result<Inception> {
    let mut known = None;
    let inception = ddim_eval::load_inception(file, &mut |come, total| {
        let before = known.replace(come).unwrap_or_else(|| {
            watch.begin("downloading Inception", "bytes", total as usize);
            0
        });
        watch.advance((come - before) as usize);
        watch.check().map_err(ddim_eval::Error::observer)
    });
    if known.is_some() {
        watch.end();
    }
    Ok(inception?)
}

/// Reads latents of any size that a network takes, or of the one given; also the shape [c, h, w] of one.
fn read_latents(path: &Path, config: &UNetConfig, size: Option<[usize; 2]>) -> Result<(Vec<f32>, [usize; 3])> {
    let (channels, m) = (config.in_channels, config.size_multiple());
    let ([n, c, h, w], latents) = read_floats_any(path)?;
    let fits = |n: usize| n > 0 && n.is_multiple_of(m);
    if c == channels && size.map_or(fits(h) && fits(w), |size| [h, w] == size) {
        return Ok((latents, [c, h, w]));
    }
    let expected = match (size, config.sample_size.map(SampleSize::dims)) {
        (Some([h, w]), _) => format!("[n, {channels}, {h}, {w}]"),
        (None, Some([h, w])) => format!("[n, {channels}, {h}, {w}], or other multiples of {m}"),
        (None, None) => format!("[n, {channels}, h, w], h and w multiples of {m}"),
    };
    Err(Error::file(path, format!("an array of shape [{n}, {c}, {h}, {w}]: expected {expected}")))
}

/// Beyond this a count is a typing error.
const MOST_IMAGES: usize = 10_000_000;

/// A count that can be worked with.
pub(crate) fn check_count(count: usize) -> Result<usize> {
    if (1..=MOST_IMAGES).contains(&count) {
        return Ok(count);
    }
    Err(Error::field("count", format!("{count}: expected 1 to {MOST_IMAGES}")))
}
