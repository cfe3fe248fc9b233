//! What the verbs share: a loaded model, flags turned into samplers, and runs over batches.

use crate::args::{ClassArgs, ClipArgs, Common, InceptionArgs, Machine, Spacing, TrajectoryArgs};
use crate::error::{Error, Result};
use crate::models;
use crate::progress::Progress;
use ddim::{Clip, Encoder, NoiseSchedule, Observed, Sampler, Sigma, Trajectory, noise};
use ddim_nn::{Condition, Inception, Network, SchedulerConfig, cpu};

/// A model on its device, with the flags that go for a whole run.
pub(crate) struct Session {
    pub(crate) model: String,
    pub(crate) network: Network,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) batch_size: usize,
    class: Option<usize>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Session {
    pub(crate) fn new(common: &Common, class: &ClassArgs) -> Result<Self> {
        Self::with(common, class, false)
    }

    /// [`new`](Self::new), of a run's weights themselves where they are asked for.
    pub(crate) fn with(common: &Common, class: &ClassArgs, raw: bool) -> Result<Self> {
        let Machine { device, batch_size, threads, json, quiet } = &common.machine;
        check_device(device)?;
        if *batch_size == 0 {
            return Err(Error::flag("--batch-size", "0: expected 1 or more"));
        }
        use_threads(*threads)?;
        let pipeline = if raw { models::load_raw(&common.model)? } else { models::load(&common.model)? };
        let (scheduler, schedule) = (pipeline.scheduler.clone(), pipeline.scheduler.schedule());
        let network = Network::new(pipeline, &cpu())?;
        if network.is_conditional() || class.class.is_some() {
            // Any network that takes labels has a class 0.
            let label = class.class.unwrap_or(0);
            network.with_condition(Condition::Labels(vec![label])).map_err(|e| Error::flag("--class", e))?;
        }
        if network.is_conditional() && class.class.is_none() {
            return Err(Error::usage(format!("--class is missing: {} was trained with classes", common.model)));
        }
        let model = common.model.clone();
        Ok(Self { model, network, scheduler, schedule, batch_size: *batch_size, class: class.class, json: *json, quiet: *quiet })
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
        let mut x = vec![0.0; count * self.dim()];
        noise::fill_batch(&mut x, self.dim(), seed, first as u64, noise::LATENT);
        x
    }

    pub(crate) fn network_for(&self, count: usize) -> Result<Network> {
        let condition = self.class.map_or(Condition::None, |label| Condition::Labels(vec![label; count]));
        Ok(self.network.with_condition(condition)?)
    }

    /// Samples one batch in place; `first` is the number of its first image.
    pub(crate) fn sample_batch(
        &self,
        sampler: &Sampler,
        x: &mut [f32],
        (seed, first): (u64, usize),
        progress: &Progress,
        mut observe: impl FnMut(Observed<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        let n = x.len() / self.dim();
        let mut failed = None;
        ddim::sample(sampler, &self.network_for(n)?, x, seed, first as u64, |observed| {
            progress.advance(n);
            if failed.is_none() {
                failed = observe(observed).err();
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Samples any number of images in place, a batch at a time; `first` is the number of the first.
    pub(crate) fn sample(&self, sampler: &Sampler, x: &mut [f32], (seed, first): (u64, usize), progress: &Progress) -> Result<()> {
        for (i, batch) in x.chunks_mut(self.batch_size.saturating_mul(self.dim())).enumerate() {
            self.sample_batch(sampler, batch, (seed, first + i * self.batch_size), progress, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Encodes any number of images in place, a batch at a time.
    pub(crate) fn encode(&self, trajectory: &Trajectory, x: &mut [f32], progress: &Progress) -> Result<()> {
        let encoder = Encoder::new(&self.schedule, trajectory)?;
        for batch in x.chunks_mut(self.batch_size.saturating_mul(self.dim())) {
            let n = batch.len() / self.dim();
            ddim::encode(&encoder, &self.network_for(n)?, batch, |_| progress.advance(n))?;
        }
        Ok(())
    }

    /// The flags of clipping and class, as they were given.
    pub(crate) fn flags(&self, clip: &ClipArgs) -> String {
        let on = [(clip.clip, " --clip"), (clip.no_clip, " --no-clip"), (clip.rederive_epsilon, " --rederive-epsilon")];
        let given = on.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
        given.chain([self.class_flag().as_str()]).collect()
    }

    /// The flag of the class, as it was given.
    pub(crate) fn class_flag(&self) -> String {
        self.class.map_or(String::new(), |k| format!(" --class {k}"))
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

/// Beyond this a count is a typing error.
const MOST_IMAGES: usize = 10_000_000;

/// A `--count` that can be worked with.
pub(crate) fn check_count(count: usize) -> Result<usize> {
    if (1..=MOST_IMAGES).contains(&count) {
        return Ok(count);
    }
    Err(Error::flag("--count", format!("{count}: expected 1 to {MOST_IMAGES}")))
}

/// Code timesteps in the order in which they are visited.
pub(crate) fn timesteps(trajectory: &Trajectory) -> Vec<usize> {
    trajectory.timesteps().collect()
}

/// What the `--trajectory` of a run was called.
pub(crate) fn spacing_name(session: &Session, args: &TrajectoryArgs) -> String {
    use clap::ValueEnum;
    let named = args.trajectory.and_then(|t| t.to_possible_value()).map(|v| v.get_name().to_owned());
    named.unwrap_or_else(|| session.scheduler.timestep_spacing.clone())
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
