//! The U-Net as a [`ddim::Denoiser`].

use crate::condition::Condition;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::{GraphModule, Planned, Runner};
use crate::pipeline::Pipeline;
use crate::plan::{Inputs, Profile, Weights};
use crate::unet::{ClassEmbedType, SampleSize, TimeEmbeddingType, UNetConfig};
use ddim::denoiser::check_batch;
use ddim::{Denoiser, Prediction};
use ddim_weights::WeightsDtype;
use rayon::prelude::*;
use std::sync::Arc;

/// A network with everything that a sampler must know about it: the size of its images and what it predicts.
///
/// It is compiled to a plan over the kernels of `ddim-kernels`, which run in parallel on rayon's current pool; copies share the plan. Every
/// operation treats each image on its own, so a prediction has the same bits in any batch.
///
/// ```
/// use ddim::{Denoiser, Sampler, Sampling, Sigma, noise::Batch};
/// use ddim_nn::{Network, Pipeline, SchedulerConfig, UNetConfig};
///
/// let pipeline = Pipeline::untrained(UNetConfig::preset("tiny").unwrap(), SchedulerConfig::default())?.with_size([8, 8])?;
/// let schedule = pipeline.scheduler.schedule();
/// let sampler = Sampler::new(&schedule, &pipeline.scheduler.trajectory(2)?, &Sigma::Eta(0.0))?;
/// let network = Network::new(pipeline)?;
/// assert_eq!((network.shape(), network.dim()), ([3, 8, 8], 192));
/// let batch = Batch { seed: 0, first: 0 };
/// let images = Sampling::new(&sampler, &network, batch.latents(network.dim(), 2), batch)?.finish()?;
/// assert_eq!(images.len(), 2 * 192);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Clone)]
pub struct Network {
    config: UNetConfig,
    prediction: Prediction,
    size: [usize; 2],
    timesteps: usize,
    condition: Condition,
    compiled: Arc<Compiled>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("config", &self.config)
            .field("prediction", &self.prediction)
            .field("size", &self.size)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

/// What the copies of a network share.
struct Compiled {
    runner: Runner,
    multiply_adds: u64,
    checksum: u32,
}

impl Network {
    /// Compiles the network of a pipeline for images of its `sample_size`; see [`Pipeline::with_size`] for others. If it also predicts
    /// variances, in as many channels again, only the first half of its output is used.
    ///
    /// # Errors
    /// Returns an error if the config has no `sample_size`, is invalid or is that of another network, or if outputs differ in size from
    /// inputs, so that the network cannot be sampled from.
    pub fn new(pipeline: Pipeline) -> Result<Self> {
        Self::run_by(pipeline, |module| Ok(Runner::here(module)))
    }

    /// Prepares the network of a pipeline for evaluation on a device other than the processor.
    ///
    /// # Errors
    /// As [`new`](Self::new), and an error if the device has no room for the network.
    pub fn on(pipeline: Pipeline, device: &dyn Device) -> Result<Self> {
        Self::run_by(pipeline, |module| Ok(Runner::Elsewhere(device.executor(module)?)))
    }

    fn run_by(pipeline: Pipeline, runner: impl FnOnce(&GraphModule<'_>) -> Result<Runner>) -> Result<Self> {
        let Pipeline { unet, config, scheduler, .. } = pipeline;
        config.check()?;
        if !config.same_network(unet.config()) {
            return Err(Error::input("a pipeline's configuration is for another network: expected that of its unet"));
        }
        let Some(size) = config.sample_size.map(SampleSize::dims) else {
            return Err(Error::input("sample_size is null in unet/config.json: expected the size of the images (--size)"));
        };
        let (i, o) = (config.in_channels, config.out_channels);
        if o != i && !config.predicts_variances() {
            let expected = "expected the same (or twice as many, with variances), to sample";
            return Err(Error::input(format!("in_channels is {i} and out_channels {o} in unet/config.json: {expected}")));
        }
        let timesteps = scheduler.num_train_timesteps;
        if let Some(rows) =
            config.num_train_timesteps.filter(|rows| config.time_embedding_type == TimeEmbeddingType::Learned && *rows < timesteps)
        {
            return Err(Error::input(format!("num_train_timesteps is {rows} in unet/config.json and {timesteps} in the scheduler's")));
        }
        let module = unet.module(size);
        let multiply_adds = module.graph.multiply_adds();
        let compiled = Arc::new(Compiled { runner: runner(&module)?, multiply_adds, checksum: crate::checksum(&unet, WeightsDtype::F32) });
        Ok(Self { config, prediction: scheduler.prediction(), size, timesteps, condition: Condition::None, compiled })
    }

    /// Returns the same network for a batch under this condition.
    ///
    /// # Errors
    /// Returns an error if the condition does not match the network's class embedding, a label is outside its table, or embeddings do not
    /// divide into rows of its width.
    pub fn with_condition(&self, condition: Condition) -> Result<Self> {
        let identity = self.config.class_embed_type == Some(ClassEmbedType::Identity);
        let width = self.config.time_embed_dim();
        match &condition {
            Condition::None => {}
            _ if !self.is_conditional() => return Err(Error::input("a class condition for a network without classes")),
            Condition::Labels(_) if identity => {
                return Err(Error::input("class_embed_type is identity: the network takes embeddings, not labels"));
            }
            Condition::Labels(labels) => {
                labels.iter().try_for_each(|label| self.check_label(*label))?;
            }
            Condition::Mixtures(mixtures) => self.check_mixtures(mixtures)?,
            Condition::Embeddings(_) if !identity => return Err(Error::input("class embeddings: this network takes class labels")),
            Condition::Embeddings(e) if e.len() % width != 0 => {
                return Err(Error::input(format!("class embeddings of {} numbers: expected rows of {width}", e.len())));
            }
            Condition::Embeddings(_) => {}
        }
        Ok(Self { condition, ..self.clone() })
    }

    /// Rows of the table of classes, where the network has one.
    fn class_rows(&self) -> Option<usize> {
        self.config.num_class_embeds.filter(|_| self.config.class_embed_type.is_none())
    }

    fn check_label(&self, label: usize) -> Result<()> {
        // Embedded as timesteps are, of which a table has so many, and a logarithm none of 0.
        if self.config.class_embed_type == Some(ClassEmbedType::Timestep) {
            let rows = self.config.num_train_timesteps.unwrap_or(usize::MAX);
            match self.config.time_embedding_type {
                TimeEmbeddingType::Learned if label >= rows => {
                    return Err(Error::input(format!("class label {label}: expected 0 to {}, num_train_timesteps - 1", rows - 1)));
                }
                TimeEmbeddingType::Fourier if label == 0 => {
                    return Err(Error::input("class label 0: time_embedding_type fourier takes its logarithm: expected 1 or more"));
                }
                _ => {}
            }
        }
        match self.class_rows().filter(|rows| label >= *rows) {
            Some(rows) => Err(Error::input(format!("class label {label}: expected 0 to {}", rows - 1))),
            None => Ok(()),
        }
    }

    fn check_mixtures(&self, mixtures: &[Vec<(usize, f64)>]) -> Result<()> {
        if self.class_rows().is_none() {
            let kind = self.config.class_embed_type.map_or(String::new(), |kind| format!(" (class_embed_type is {kind})"));
            return Err(Error::input(format!("mixed classes for a network without a class table{kind}: expected one class per image")));
        }
        for mixture in mixtures {
            if mixture.is_empty() || mixture.iter().any(|(_, weight)| !weight.is_finite()) {
                return Err(Error::input("a mixture of classes: expected one class or more, each with a finite weight"));
            }
            mixture.iter().try_for_each(|(label, _)| self.check_label(*label))?;
        }
        Ok(())
    }

    /// Returns a checksum (CRC-32C) of the weights, by which the network can be recognised.
    pub fn checksum(&self) -> u32 {
        self.compiled.checksum
    }

    /// Returns the configuration of the modules.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Returns [channels, height, width] of one image.
    pub fn shape(&self) -> [usize; 3] {
        [self.config.in_channels, self.size[0], self.size[1]]
    }

    /// T.
    pub(crate) fn levels(&self) -> usize {
        self.timesteps
    }

    /// Returns whether the network requires [`with_condition`](Self::with_condition).
    pub fn is_conditional(&self) -> bool {
        self.config.is_conditional()
    }

    /// The number of images that are to be predicted for, or what does not go together.
    pub(crate) fn check(&self, x_t: &[f32], levels: &[f64], out: &[f32]) -> Result<usize> {
        let n =
            check_batch(self.dim(), self.timesteps, x_t.len(), levels, out.len()).map_err(|e| Error::input(e.to_string()).because(e))?;
        if self.config.time_embedding_type == TimeEmbeddingType::Fourier && levels.contains(&1.0) {
            let why = "time_embedding_type fourier takes the logarithm of the timestep, and 0 has none";
            return Err(Error::input(format!("timestep 0: {why}: choose a trajectory without it, such as trailing")));
        }
        if let Some(level) = levels.iter().find(|l| l.fract() != 0.0 && self.config.time_embedding_type == TimeEmbeddingType::Learned) {
            let why = "time_embedding_type learned has a row for each whole timestep";
            return Err(Error::input(format!("timestep {}: {why}: expected one of them", level - 1.0)));
        }
        let conditions = match &self.condition {
            Condition::None if self.is_conditional() => return Err(Error::input("a network with classes: expected class labels")),
            Condition::None => n,
            Condition::Labels(labels) => labels.len(),
            Condition::Mixtures(mixtures) => mixtures.len(),
            Condition::Embeddings(e) => e.len() / self.config.time_embed_dim(),
        };
        if conditions != n {
            return Err(Error::input(format!("{conditions} class conditions for {n} images: expected one per image")));
        }
        Ok(n)
    }
}

/// Pixels of the images that are evaluated together: enough for the kernels, and what they need at once stays small.
const MOST_PIXELS: usize = 16 * 32 * 32;

/// Fewer are not put on a thread of their own: each group reads all weights.
const LEAST_PIXELS: usize = MOST_PIXELS / 2;

/// Those of all groups that are evaluated at a time, for their memory.
const PIXELS_AT_A_TIME: usize = 4 * MOST_PIXELS;

impl Network {
    /// Images from `first` of `n`: their timesteps, and which of the distinct embeddings each has.
    fn evaluate(&self, x: &[f32], timesteps: &[f32], [first, n]: [usize; 2], profile: Option<&mut Profile>, out: &mut [f32]) -> Result<()> {
        let Planned { plan, packed, arenas } = match &self.compiled.runner {
            Runner::Here(planned) => &**planned,
            Runner::Elsewhere(executor) => {
                let condition = self.condition.of(first..first + timesteps.len(), n);
                return executor.evaluate(x, timesteps, &condition, out);
            }
        };
        let mut distinct: Vec<usize> = Vec::new();
        let mut kinds = Vec::new();
        for i in 0..timesteps.len() {
            let alike = |j: &usize| timesteps[*j] == timesteps[i] && self.condition.alike(first + i, first + j, n);
            let kind = distinct.iter().position(alike).unwrap_or_else(|| {
                distinct.push(i);
                distinct.len() - 1
            });
            kinds.push(kind);
        }
        let condition = self.condition.of(distinct.iter().map(|i| first + i), n);
        let timesteps: Vec<f32> = distinct.iter().map(|&i| timesteps[i]).collect();
        let inputs = Inputs { x, interleaved: false, timesteps: &timesteps, condition: &condition, kinds: &kinds, dropout: &[] };
        arenas.run(|arena| plan.run(Weights::Packed(packed), &inputs, arena, profile, out));
        Ok(())
    }
}

impl Denoiser<f32> for Network {
    type Error = Error;

    fn dim(&self) -> usize {
        self.shape().iter().product()
    }

    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x_t: &[f32], levels: &[f64], out: &mut [f32]) -> Result<()> {
        self.predict_profiled(x_t, levels, None, out)
    }
}

impl Network {
    /// Compiles the kernels for a batch of `n` images, and finds how many of them fit in memory at once, if a device other than the
    /// processor evaluates the network. It evaluates no more at once from then on. Returns that number; on the processor, `n`. `tell` is
    /// called with the operations done and their total, and can end the preparation.
    ///
    /// # Errors
    /// Returns the device's errors, an error if there is no memory even for one image, and those of `tell`.
    pub fn prepare(&self, n: usize, tell: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<usize> {
        match &self.compiled.runner {
            Runner::Here(_) => Ok(n),
            Runner::Elsewhere(executor) => executor.prepare(n, tell),
        }
    }

    /// Returns the multiply-adds of one evaluation of one image, as the definitions of convolution, linear layer and attention count them.
    pub fn multiply_adds(&self) -> u64 {
        self.compiled.multiply_adds
    }

    /// Predicts as [`predict`](Denoiser::predict) does, adding to a profile if one is given.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if lengths do not match, a level is not one of the schedule's, or there is no
    /// condition that the network takes for each image.
    pub fn predict_profiled(&self, x_t: &[f32], levels: &[f64], mut profile: Option<&mut Profile>, out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        let n = self.check(x_t, levels, out)?;
        if n == 0 {
            return Ok(());
        }
        // The one place where a level becomes the network's timestep.
        let timesteps: Vec<f32> = levels.iter().map(|level| (level - 1.0) as f32).collect();
        let whole = self.config.out_channels * self.size[0] * self.size[1];
        let evaluate = |first: usize, x: &[f32], timesteps: &[f32], profile: Option<&mut Profile>, out: &mut [f32]| {
            if whole == dim {
                return self.evaluate(x, timesteps, [first, n], profile, out);
            }
            let mut with_variances = vec![0.0; timesteps.len() * whole];
            self.evaluate(x, timesteps, [first, n], profile, &mut with_variances)?;
            out.chunks_exact_mut(dim).zip(with_variances.chunks_exact(whole)).for_each(|(out, all)| out.copy_from_slice(&all[..dim]));
            Ok(())
        };
        let images = |pixels: usize| (pixels / (self.size[0] * self.size[1])).max(1);
        let most = images(MOST_PIXELS);
        let (at_a_time, together) = match self.compiled.runner {
            Runner::Elsewhere(_) => (n, true),
            Runner::Here(_) if profile.is_some() => (most, true),
            Runner::Here(_) => (images(PIXELS_AT_A_TIME), false),
        };
        let parts = x_t.chunks(at_a_time * dim).zip(out.chunks_mut(at_a_time * dim)).zip(timesteps.chunks(at_a_time));
        parts.enumerate().try_for_each(|(part, ((x, out), timesteps))| {
            let (first, n) = (part * at_a_time, timesteps.len());
            if together {
                return evaluate(first, x, timesteps, profile.as_deref_mut(), out);
            }
            let group = n.div_ceil(rayon::current_num_threads().min(n / images(LEAST_PIXELS)).max(n.div_ceil(most)));
            let groups = x.par_chunks(group * dim).zip(out.par_chunks_mut(group * dim)).zip(timesteps.par_chunks(group));
            groups.enumerate().try_for_each(|(g, ((x, out), timesteps))| evaluate(first + g * group, x, timesteps, None, out))
        })
    }
}
