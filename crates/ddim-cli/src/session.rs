//! What the verbs share: a loaded model, flags turned into samplers, and runs over batches.

use crate::args::{ClassArgs, ClipArgs, Common, InceptionArgs, Machine, Spacing, TrajectoryArgs};
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::models;
use crate::progress::Progress;
use ddim::noise::Batch;
use ddim::{Clip, Encoder, Encoding, NoiseSchedule, Sampler, Sampling, Sigma, Step, Trajectory};
use ddim_data::read_floats_any;
use ddim_nn::{Condition, Inception, Network, SampleSize, SchedulerConfig, UNetConfig};
use std::ops::Range;
use std::path::Path;

/// A model on its device, with the flags that go for a whole run.
pub(crate) struct Session {
    pub(crate) model: String,
    pub(crate) network: Network,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) batch_size: usize,
    pub(crate) classes: Classes,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Session {
    pub(crate) fn new(common: &Common, class: &ClassArgs) -> Result<Self> {
        Self::with_latents(common, class, None).map(|(session, _)| session)
    }

    /// The same for latents of a file, which also say the size of the images.
    pub(crate) fn with_latents(common: &Common, class: &ClassArgs, latents: Option<&Path>) -> Result<(Self, Option<Vec<f32>>)> {
        let Machine { device, batch_size, threads, json, quiet } = &common.machine;
        check_device(device)?;
        if *batch_size == 0 {
            return Err(Error::flag("--batch-size", "0: expected 1 or more"));
        }
        use_threads(*threads)?;
        let mut pipeline = models::load(&common.model, &common.choices.choices())?;
        let latents = latents.map(|path| read_latents(path, &pipeline.config, common.size)).transpose()?;
        if let Some(size) = common.size.or(latents.as_ref().map(|(_, [_, h, w])| [*h, *w])) {
            pipeline = pipeline.with_size(size).map_err(|e| Error::flag("--size", e))?;
        }
        let model = common.model.display().to_string();
        if pipeline.config.sample_size.is_none() {
            return Err(Error::usage(format!("--size is missing: {model} does not say the size of its images (sample_size is null)")));
        }
        let classes = Classes::new(class, &pipeline.classes, pipeline.classes_count())?;
        let (scheduler, schedule) = (pipeline.scheduler.clone(), pipeline.scheduler.schedule());
        let network = Network::new(pipeline)?;
        if network.is_conditional() || !classes.is_none() {
            // Any network that takes labels has a class 0.
            let label = classes.of(0, 0).unwrap_or(0);
            network.with_condition(Condition::Labels(vec![label])).map_err(|e| Error::flag("--classes", e))?;
        }
        if network.is_conditional() && classes.is_none() {
            return Err(Error::usage(format!("--classes is missing: {model} was trained with classes")));
        }
        let latents = latents.map(|(latents, _)| latents);
        Ok((Self { model, network, scheduler, schedule, batch_size: *batch_size, classes, json: *json, quiet: *quiet }, latents))
    }

    /// [c, h, w] of one image.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.network.shape()
    }

    pub(crate) fn dim(&self) -> usize {
        self.shape().iter().product()
    }

    /// The S timesteps that the flags ask for.
    pub(crate) fn trajectory(&self, args: &TrajectoryArgs, steps: usize) -> Result<Trajectory> {
        let total = self.schedule.levels();
        let made = match args.trajectory {
            None => return self.scheduler.trajectory(steps).map_err(|e| Error::flag("--steps", e)),
            Some(Spacing::Uniform) => Trajectory::uniform(total, steps),
            Some(Spacing::Quadratic) => Trajectory::quadratic(total, steps),
            Some(Spacing::QuadraticFull) => Trajectory::quadratic_full(total, steps),
            Some(Spacing::Leading) => Trajectory::leading(total, steps, self.scheduler.steps_offset),
            Some(Spacing::Trailing) => Trajectory::trailing(total, steps),
            Some(Spacing::Linspace) => Trajectory::linspace(total, steps),
        };
        made.map_err(|e| Error::flag("--steps", e))
    }

    /// Eq. 12 over `trajectory`, clipped as the flags and the model say.
    pub(crate) fn sampler(&self, trajectory: &Trajectory, sigma: &Sigma, clip: &ClipArgs) -> Result<Sampler> {
        let sampler = Sampler::new(&self.schedule, trajectory, sigma).map_err(|e| Error::flag("--eta", e))?;
        let clipping = match (clip.clip, clip.no_clip) {
            (true, _) => Clip::Range(self.scheduler.clip_sample_range),
            (_, true) => Clip::None,
            _ => self.scheduler.clip(),
        };
        Ok(sampler.with_clip(clipping)?.with_rederived_epsilon(clip.rederive_epsilon))
    }

    /// A deterministic sampler that clips nothing: the inverse of an encoder.
    pub(crate) fn decoder(&self, trajectory: &Trajectory) -> Result<Sampler> {
        Ok(Sampler::new(&self.schedule, trajectory, &Sigma::Eta(0.0))?)
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

    /// Samples one batch in place; `first` is the number of its first image.
    pub(crate) fn sample_batch(
        &self,
        sampler: &Sampler,
        x: &mut [f32],
        (seed, first): (u64, usize),
        progress: &Progress,
        mut observe: impl FnMut(&Step, &Sampling<Network>) -> Result<()>,
    ) -> Result<()> {
        let n = x.len() / self.dim();
        let batch = Batch { seed, first: first as u64 };
        let mut sampling = Sampling::new(sampler, self.network_for(seed, first..first + n)?, x.to_vec(), batch)?;
        while let Some(step) = sampling.step()? {
            progress.advance(n);
            observe(&step, &sampling)?;
        }
        x.copy_from_slice(sampling.x());
        Ok(())
    }

    /// Samples any number of images in place, a batch at a time; `first` is the number of the first.
    pub(crate) fn sample(&self, sampler: &Sampler, x: &mut [f32], (seed, first): (u64, usize), progress: &Progress) -> Result<()> {
        for (i, batch) in x.chunks_mut(self.batch_size.saturating_mul(self.dim())).enumerate() {
            self.sample_batch(sampler, batch, (seed, first + i * self.batch_size), progress, |_, _| Ok(()))?;
        }
        Ok(())
    }

    /// Encodes any number of images in place, a batch at a time; their classes are those of seed 0.
    pub(crate) fn encode(&self, trajectory: &Trajectory, x: &mut [f32], progress: &Progress) -> Result<()> {
        let encoder = Encoder::new(&self.schedule, trajectory)?;
        for (i, batch) in x.chunks_mut(self.batch_size.saturating_mul(self.dim())).enumerate() {
            let (n, first) = (batch.len() / self.dim(), i * self.batch_size);
            let mut encoding = Encoding::new(&encoder, self.network_for(0, first..first + n)?, batch.to_vec(), first as u64)?;
            while encoding.step()?.is_some() {
                progress.advance(n);
            }
            batch.copy_from_slice(encoding.x());
        }
        Ok(())
    }

    /// The model, and the flags that decide what it is here, as they were given.
    pub(crate) fn model_flags(&self, common: &Common) -> String {
        let mut flags = format!("--model {}", self.model);
        if let Some([h, w]) = common.size {
            flags += &format!(" --size {h}x{w}");
        }
        if let Some(path) = &common.choices.scheduler {
            flags += &format!(" --scheduler {}", path.display());
        }
        if common.choices.raw {
            flags += " --raw";
        }
        flags
    }

    /// The flags of clipping and class, as they were given.
    pub(crate) fn flags(&self, clip: &ClipArgs) -> String {
        let on = [(clip.clip, " --clip"), (clip.no_clip, " --no-clip"), (clip.rederive_epsilon, " --rederive-epsilon")];
        let given = on.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
        given.chain([self.class_flag()]).collect()
    }

    /// The flag of the classes, as it was given.
    pub(crate) fn class_flag(&self) -> &str {
        self.classes.flag()
    }

    /// The labels of the first images of a seed; none of a model without classes.
    pub(crate) fn labels(&self, seed: u64, count: usize) -> Option<Vec<usize>> {
        (0..count).map(|image| self.classes.of(seed, image)).collect()
    }

    /// The batches of `count` images: first image and number.
    pub(crate) fn batches(&self, count: usize) -> impl Iterator<Item = (usize, usize)> {
        let size = self.batch_size;
        (0..count).step_by(size).map(move |first| (first, size.min(count - first)))
    }
}

/// The Inception network, downloaded once where nobody has it.
pub(crate) fn load_inception(args: &InceptionArgs, quiet: bool) -> Result<Inception> {
    let mut progress: Option<(Progress, u64)> = None;
    let inception = ddim_eval::load_inception(args.inception.as_deref(), &mut |come, total| {
        let (bar, known) = progress.get_or_insert_with(|| (Progress::counting("bytes", "downloading Inception", total as usize, quiet), 0));
        bar.advance((come - *known) as usize);
        *known = come;
    });
    if let Some((bar, _)) = progress {
        bar.finish();
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

/// A `--count` that can be worked with.
pub(crate) fn check_count(count: usize) -> Result<usize> {
    if (1..=MOST_IMAGES).contains(&count) {
        return Ok(count);
    }
    Err(Error::flag("--count", format!("{count}: expected 1 to {MOST_IMAGES}")))
}

/// Paths for a report: JSON has no bytes that are not Unicode.
pub(crate) fn shown(files: &[impl AsRef<Path>]) -> Vec<String> {
    files.iter().map(|file| file.as_ref().display().to_string()).collect()
}

/// Code timesteps in the order in which they are visited.
pub(crate) fn timesteps(trajectory: &Trajectory) -> Vec<usize> {
    trajectory.timesteps().collect()
}

/// What the `--trajectory` of a run was called.
pub(crate) fn spacing_name(session: &Session, args: &TrajectoryArgs) -> String {
    use clap::ValueEnum;
    let named = args.trajectory.and_then(|t| t.to_possible_value()).map(|v| v.get_name().to_owned());
    named.unwrap_or_else(|| session.scheduler.timestep_spacing.name().to_owned())
}

pub(crate) fn check_device(device: &str) -> Result<()> {
    let gpu = device == "gpu" || device.strip_prefix("gpu:").is_some_and(|n| n.parse::<usize>().is_ok());
    match device {
        "cpu" => Ok(()),
        _ if gpu => Err(Error::failure(format!("--device {device}: this version computes on the processor only: expected cpu"))),
        _ => Err(Error::usage(format!("--device {device}: expected cpu, gpu or gpu:N"))),
    }
}

pub(crate) fn use_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    if !(1..=1024).contains(&threads) {
        return Err(Error::flag("--threads", format!("{threads}: expected 1 to 1024")));
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| Error::flag("--threads", e))
}
