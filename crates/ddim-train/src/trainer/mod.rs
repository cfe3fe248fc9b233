//! The state of a run, and its steps. All randomness is keyed by the seed and the position in the run, so the state consists of the
//! weights, their averages, the optimizer's moments and a step number.

mod classes;
mod device;
mod drawn;
mod elsewhere;
mod evaluate;
mod remarks;

use crate::config::{Config, Settings, Timesteps};
use crate::error::{Error, ErrorKind, Result};
use ddim::noise::{Batch, Draw, Key, Stream};
use ddim::{NoiseSchedule, Prediction};
use ddim_data::DataSet;
use ddim_nn::{Adam, Condition, Ema, Pipeline, SamplingDefaults, SchedulerConfig, TrainingPlan, UNet, UNetConfig, clipping};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

use classes::{check, number_as, rows_from, sampling_after};
use drawn::{Drawn, noisy};
use elsewhere::Elsewhere;
pub use evaluate::Evaluated;

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// The objective before the step.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub norm: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
}

/// Where the weights of a trainer come from.
pub(crate) enum Start {
    /// Nowhere: DDPM's initialisation, of a network for the data's channels and classes.
    Initialised,
    /// A model, which gets those of the data's classes that it has not.
    From(Box<Pipeline>),
    /// A checkpoint, which is loaded next; what it calls its classes, how many it knows, and how it says that its images look best.
    Checkpoint(Vec<String>, usize, SamplingDefaults),
}

/// A network in training.
///
/// ```
/// use ddim_train::{Settings, Trainer};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("data.npy"), ddim_data::npy_bytes(&[0.25; 6 * 192], [3, 8, 8]))?;
/// let mut settings = Settings::preset("tiny")?;
/// settings.set_path("data.path", &folder.join("data.npy"))?;
/// for (key, value) in [("network.sample_size", "8"), ("steps", "4"), ("batch_size", "2")] {
///     settings.set(key, value)?;
/// }
/// let mut trainer = Trainer::begin(&mut settings, &[], &ddim_nn::Pipeline::load)?;
/// let first = trainer.step()?;
/// assert!((first.loss - 1.0).abs() < 0.5); // a new network predicts 0, and ε is N(0, I)
/// assert_eq!(trainer.pipeline(0)?.config.block_out_channels, [32, 64]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer {
    config: Config,
    data: DataSet,
    /// What becomes of the classes of the model that this started from, a line each.
    class_changes: Vec<String>,
    /// How images look best, as the model says that this started from.
    sampling: SamplingDefaults,
    /// Of the data: every checkpoint has it.
    pub(crate) checksum: u32,
    /// Images to train on and images held out, by their indices.
    trained: Vec<usize>,
    held: Vec<usize>,
    network: UNetConfig,
    scheduler: SchedulerConfig,
    schedule: NoiseSchedule,
    prediction: Prediction,
    /// Of the squared error at the levels 1..=T.
    weights: Vec<f64>,
    unet: UNet,
    /// Of the network; made at the first step.
    plan: Option<TrainingPlan>,
    /// Where steps are taken, if not here.
    elsewhere: Option<Elsewhere>,
    checkpoint_activations: bool,
    pub(crate) adam: Adam,
    pub(crate) averages: Vec<Ema>,
    pub(crate) step: u64,
    /// The order of an epoch, for the last one asked for.
    order: Option<(u64, Vec<usize>)>,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("config", &self.config).field("step", &self.step).finish_non_exhaustive()
    }
}

impl Trainer {
    /// Starts a run from DDPM's initialisation, or from the model that the settings name; `model` loads it on the given device. What the
    /// data and the model decide (channels, classes, the network and scheduler of a model) is written into the settings. `besides` are
    /// folders below the data that are not part of it (the run itself).
    ///
    /// # Errors
    /// Returns an error if the data cannot be read or does not fit the network or the batch, or if a setting was given that differs in the
    /// model.
    pub fn begin(settings: &mut Settings, besides: &[PathBuf], model: &dyn Fn(&Path) -> ddim_nn::Result<Pipeline>) -> Result<Self> {
        // What is wrong with the settings is said before anything is loaded.
        let config = settings.resolve()?;
        let pipeline = config.model.as_deref().map(model).transpose()?;
        let start = match pipeline {
            None => Start::Initialised,
            Some(pipeline) => {
                settings.take_model(&pipeline.config, &pipeline.scheduler)?;
                Start::From(Box::new(pipeline))
            }
        };
        let trainer = Self::new(settings.resolve()?, besides, start).map_err(|e| settings.by_file(e))?;
        settings.insert_network(&trainer.network, &trainer.scheduler);
        settings.fix_decay();
        Ok(Self { config: settings.resolve()?, ..trainer })
    }

    /// The state before the first step. The network is that of the configuration.
    pub(crate) fn new(config: Config, besides: &[PathBuf], start: Start) -> Result<Self> {
        let (size, channels) = config.image_size()?;
        let mut data = DataSet::load(&config.data.request(size, channels, besides)?)?;
        let checksum = data.checksum();
        // A network that there is already has the classes that it has, or none yet.
        let (names, known, sampling, knows) = match &start {
            Start::Initialised => (&[][..], 0, SamplingDefaults::default(), false),
            Start::From(pipeline) => {
                (&pipeline.classes[..], pipeline.known_classes(), pipeline.sampling.clone(), pipeline.config.is_conditional())
            }
            Start::Checkpoint(names, known, sampling) => (&names[..], *known, sampling.clone(), true),
        };
        let numbered = number_as(&mut data, names, known);
        let mut class_changes: Vec<String> = numbered.said.into_iter().collect();
        let (sampling, lost) = sampling_after(sampling, names, &data.class_names);
        class_changes.extend(lost);
        let dropped = usize::from(config.objective.label_dropout > 0.0);
        let classes = data.labels.is_some().then_some(data.classes + dropped);
        if dropped > 0 && classes.is_none() {
            return Err(Error::config("objective.label_dropout without labels: expected data.labels"));
        }
        // A table of classes grows where it has to.
        let rows = match &start {
            Start::From(pipeline) if pipeline.classes_count().is_some() => pipeline.classes_count().max(classes),
            _ => classes.filter(|_| !knows),
        };
        let network = config.network_config(data.shape[0], rows)?;
        let scheduler = config.scheduler.clone();
        check(&network, &data, classes)?;
        let mut all: Vec<usize> = (0..data.len()).collect();
        shuffle(&mut all, Key { seed: config.seed, image: 0, draw: Draw::HeldOut }.stream());
        if config.data.holdout >= all.len() {
            return Err(Error::config(format!("data.holdout is {}: expected fewer than the {} images", config.data.holdout, all.len())));
        }
        let mut trained = all.split_off(config.data.holdout);
        trained.sort_unstable();
        if config.batch_size > trained.len() {
            return Err(Error::config(format!(
                "batch_size is {}: expected at most the {} images to train on",
                config.batch_size,
                trained.len()
            )));
        }
        let unet = match start {
            Start::From(pipeline) => match network.num_class_embeds.filter(|_| network.class_embed_type.is_none()) {
                Some(rows) => {
                    if let Some(before) = pipeline.classes_count().filter(|before| *before < rows) {
                        class_changes.push(format!("the model's table of classes grows from {before} to {rows} rows"));
                    }
                    if pipeline.null_class().is_some() && rows <= data.classes {
                        class_changes.push(
                            "the model's null class becomes one of the data's, so guidance is lost: expected objective.label_dropout above 0 to keep it".into(),
                        );
                    }
                    pipeline.unet.with_classes(&rows_from(&pipeline, rows, &numbered.unknown))?
                }
                None => pipeline.unet,
            },
            Start::Initialised | Start::Checkpoint(..) => UNet::initialised(&network, config.seed)?,
        };
        let schedule = scheduler.schedule();
        let prediction = scheduler.prediction();
        let weights = config.weighting().weights(&schedule, prediction)?;
        let optimizer = &config.optimizer;
        let (betas, epsilon, weight_decay) = (optimizer.betas, optimizer.epsilon, optimizer.weight_decay);
        let adam = Adam { betas, epsilon, weight_decay, ..Adam::new(optimizer.learning_rate) };
        let averages = config.ema.rates.iter().map(|&rate| Ema::new(rate, config.ema.warmup, &unet)).collect();
        let (plan, order) = (None, None);
        Ok(Self {
            config,
            checksum,
            data,
            class_changes,
            sampling,
            trained,
            held: all,
            network,
            scheduler,
            schedule,
            prediction,
            weights,
            unet,
            plan,
            elsewhere: None,
            checkpoint_activations: false,
            adam,
            averages,
            step: 0,
            order,
        })
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the data that is trained on.
    pub fn data(&self) -> &DataSet {
        &self.data
    }

    /// Returns the numbers of images trained on and of images held out.
    pub fn split(&self) -> [usize; 2] {
        [self.trained.len(), self.held.len()]
    }

    /// Returns the network's configuration.
    pub fn network(&self) -> &UNetConfig {
        &self.network
    }

    /// The largest weight of a timestep in the objective.
    pub(crate) fn largest_weight(&self) -> f64 {
        self.weights.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the number of weights.
    pub fn parameters(&self) -> usize {
        self.unet.values().len()
    }

    pub(crate) fn unet(&self) -> &UNet {
        &self.unet
    }

    pub(crate) fn restore(&mut self, weights: Vec<f32>) -> Result<()> {
        self.unet = self.unet.with_values(weights)?;
        Ok(())
    }

    /// The index of the image at a position of the run: each epoch has an order of its own.
    fn image_at(&mut self, position: u64) -> usize {
        let n = self.trained.len() as u64;
        let epoch = position / n;
        if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let mut order = self.trained.clone();
            shuffle(&mut order, Key { seed: self.config.seed, image: epoch, draw: Draw::Order }.stream());
            self.order = Some((epoch, order));
        }
        self.order.as_ref().expect("made above").1[(position % n) as usize]
    }

    /// Takes one step of the optimizer, and of the averages.
    ///
    /// # Errors
    /// Returns an error if the loss or the gradient is not finite; the state is then that before the step.
    pub fn step(&mut self) -> Result<Stepped> {
        let batch = self.config.batch_size;
        let [loss, norm] = self.gradients(self.step * batch as u64, batch)?;
        let k = self.step + 1;
        if !loss.is_finite() || !norm.is_finite() {
            let what = if loss.is_finite() { format!("the gradient's norm is {norm}") } else { format!("the loss is {loss}") };
            return Err(Error::new(ErrorKind::Diverged, format!("step {k}: {what}: expected a finite number")));
        }
        let scale = self.config.optimizer.clip.map_or(1.0, |clip| clipping(norm, clip));
        self.update(scale, self.config.learning_rate(k), k)?;
        self.step = k;
        Ok(Stepped { loss, norm, learning_rate: self.adam.learning_rate })
    }

    /// Sets whether values within residual blocks are recomputed in the backward pass instead of kept: less memory, more time, and the same
    /// bits.
    pub fn checkpoint_activations(&mut self, on: bool) {
        if self.checkpoint_activations != on {
            (self.checkpoint_activations, self.plan) = (on, None);
        }
    }

    /// Takes a trial step of `n` images that changes only the memory of the optimizer and the averages, to see what a step takes.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn try_step(&mut self, n: usize) -> Result<()> {
        let [_, norm] = self.gradients(0, n)?;
        self.update(clipping(norm, 1.0), 0.0, 1)
    }

    /// Returns how many images of a step are in memory at a time on the processor, if a batch has that many.
    pub fn images_at_a_time(&mut self) -> usize {
        let plan = self.take_plan();
        self.plan.insert(plan).images_at_a_time()
    }

    /// The gradients of the objective of `n` images from a position of the run; that objective, and their norm.
    fn gradients(&mut self, position: u64, n: usize) -> Result<[f64; 2]> {
        let share = 1.0 / n as f64;
        if self.elsewhere.is_some() {
            let drawn = self.drawn(position, n, share);
            if let Some(found) = self.there(|there, state| there.gradients(state, &drawn.examples())) {
                return found;
            }
        }
        let mut plan = self.take_plan();
        plan.begin();
        let part = plan.images_at_a_time();
        for first in (0..n).step_by(part) {
            let drawn = self.drawn(position + first as u64, part.min(n - first), share);
            plan.add(&self.unet, &drawn.examples());
        }
        let found = [plan.loss(), plan.norm()];
        self.plan = Some(plan);
        Ok(found)
    }

    fn take_plan(&mut self) -> TrainingPlan {
        let [_, h, w] = self.data.shape;
        let new = if self.checkpoint_activations { TrainingPlan::checkpointed } else { TrainingPlan::new };
        self.plan.take().unwrap_or_else(|| new(&self.unet, [h, w]))
    }

    /// The optimizer's part of step `k`, and the averages'.
    fn update(&mut self, scale: f64, learning_rate: f64, k: u64) -> Result<()> {
        self.adam.learning_rate = learning_rate;
        if let Some(done) = self.there(|there, state| there.update(state, scale, k)) {
            return done;
        }
        if let Some(plan) = &self.plan {
            self.adam.step(&mut self.unet, plan.gradients(), scale, &mut self.averages, k);
        }
        Ok(())
    }

    /// `n` images from a position of the run, each with its share of the objective.
    fn drawn(&mut self, position: u64, n: usize, share: f64) -> Drawn {
        let indices: Vec<usize> = (0..n as u64).map(|i| self.image_at(position + i)).collect();
        let seed = self.config.seed;
        let [c, h, w] = self.data.shape;
        let dim = c * h * w;
        let (mut x, mut target) = (vec![0.0; n * dim], vec![0.0; n * dim]);
        let levels = self.schedule.levels() as u64;
        let antithetic = self.config.objective.timesteps == Timesteps::Antithetic;
        let work = x.par_chunks_mut(dim).zip(target.par_chunks_mut(dim)).zip(indices.par_iter().enumerate());
        let drawn: Vec<(usize, Option<usize>)> = work
            .map(|((x, target), (i, &index))| {
                let position = position + i as u64;
                let key = |image, draw| Key { seed, image, draw };
                let mut stream = key(position, Draw::Example).stream();
                let own = stream.below(levels) as usize;
                let level = match (antithetic, position & 1) {
                    (false, _) | (true, 0) => 1 + own,
                    // The draw of the image before.
                    _ => levels as usize - key(position - 1, Draw::Example).stream().below(levels) as usize,
                };
                let (window, mirrored) = ([stream.unit(), stream.unit()], stream.unit() < 0.5 && self.config.data.flip);
                let mut jitter = key(position, Draw::Jitter).stream();
                let dequantize = self.config.data.dequantize;
                self.data.write(index, window, mirrored, || if dequantize { jitter.unit() - 0.5 } else { 0.0 }, x);
                key(position, Draw::TrainingNoise).fill(target);
                noisy(x, target, self.schedule.alpha_bar(level), self.prediction);
                let label = self.data.labels.as_ref().map(|labels| {
                    let dropped = stream.unit() < self.config.objective.label_dropout;
                    if dropped { self.no_label() } else { labels[index] }
                });
                (level, label)
            })
            .collect();
        // The network's timesteps are 0..T-1.
        let timesteps: Vec<usize> = drawn.iter().map(|(level, _)| level - 1).collect();
        let weights: Vec<f32> = timesteps.iter().map(|t| (self.weights[*t] * share) as f32).collect();
        let labels: Option<Vec<usize>> = drawn.iter().map(|(_, label)| *label).collect();
        let condition = labels.map_or(Condition::None, Condition::Labels);
        // Of each image's place in the run: the same in any part of a batch.
        let batch = Batch { seed, first: position };
        let dropout: Vec<u64> = (0..n).map(|i| batch.key(i, Draw::Dropout).stream().below(u64::MAX)).collect();
        Drawn { shape: [n, c, h, w], x, target, timesteps, weights, condition, dropout }
    }

    /// The class that stands for no label: the network's last.
    fn no_label(&self) -> usize {
        self.network.num_class_embeds.map_or(self.data.classes, |rows| rows - 1)
    }

    /// Returns a pipeline of the average of `ema.rates[which]`, to sample from or to save.
    ///
    /// # Panics
    /// Panics if there is no rate with this index.
    pub fn pipeline(&self, which: usize) -> Result<Pipeline> {
        Ok(self.pipeline_of(self.unet.with_values(self.averages[which].values.clone())?))
    }

    fn pipeline_of(&self, unet: UNet) -> Pipeline {
        Pipeline {
            config: self.network.clone(),
            classes: self.data.class_names.clone(),
            class_counts: self.data.class_counts(),
            sampling: self.sampling.clone(),
            ..Pipeline::new(unet, self.scheduler.clone())
        }
    }
}

/// Fisher and Yates'.
fn shuffle(items: &mut [usize], mut stream: Stream) {
    for i in (1..items.len()).rev() {
        items.swap(i, stream.below(i as u64 + 1) as usize);
    }
}
