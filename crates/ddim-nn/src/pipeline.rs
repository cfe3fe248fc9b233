//! A network with its scheduler, and what is known about both: from memory here, from disk in folder.rs.

use crate::classes::{CLASSES, classes_of};
use crate::defaults::{SAMPLING, SamplingDefaults};
use crate::error::{Error, Result, built_in, read_text};
use crate::scheduler::SchedulerConfig;
use crate::unet::{SampleSize, UNet, UNetConfig};
use crate::weights;
use ddim_weights::{StateDict, parse_safetensors};
use std::path::{Path, PathBuf};

pub(crate) const UNET_CONFIG: &str = "unet/config.json";
pub(crate) const SCHEDULER_CONFIG: &str = "scheduler/scheduler_config.json";
pub(crate) const SAFETENSORS: &str = "unet/diffusion_pytorch_model.safetensors";

/// A U-Net with its configuration and that of its scheduler.
///
/// ```
/// use ddim_nn::{Pipeline, SchedulerConfig, UNetConfig};
/// use ddim_weights::WeightsDtype;
///
/// # let folder = tempfile::tempdir()?;
/// let folder = folder.path().join("model");
/// let pipeline = Pipeline::untrained(UNetConfig::preset("tiny").unwrap(), SchedulerConfig::default())?;
/// pipeline.save(&folder, WeightsDtype::F32)?; // as diffusers has it
/// assert!(folder.join("unet/diffusion_pytorch_model.safetensors").exists());
/// assert_eq!(Pipeline::load(&folder)?.unet.values(), pipeline.unet.values());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The network.
    pub unet: UNet,
    /// `unet/config.json`.
    pub config: UNetConfig,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: SchedulerConfig,
    /// The class that the scheduler's file names; empty if there was none.
    pub scheduler_class: String,
    /// The names of classes, in the order of their numbers; empty if unknown.
    pub classes: Vec<String>,
    /// How many images of each class it was trained on, including held-out ones; empty if unknown.
    pub class_counts: Vec<usize>,
    /// How its images look best, according to its `sampling.json`.
    pub sampling: SamplingDefaults,
    /// The file that the weights came from.
    pub weights_file: PathBuf,
    /// The file with the other weights of a checkpoint of `ddim train`.
    pub training_state: Option<PathBuf>,
    /// What was assumed or chosen, one line each.
    pub notes: Vec<String>,
}

/// The caller's choices for what the files of a model leave open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// A `scheduler_config.json`, or a folder that contains one, to use instead of the model's own.
    pub scheduler: Option<PathBuf>,
    /// Whether to use the weights themselves, for a model that also has averaged ones.
    pub raw: bool,
    /// For a checkpoint of `ddim train`, the rate of the average to use, one of its `ema.rates`. `None` is the first of them.
    pub ema: Option<f64>,
    /// The `config.json` of a network whose weights come alone.
    pub config: Option<PathBuf>,
    /// [height, width] of the images, if the files do not give it.
    pub size: Option<[usize; 2]>,
}

impl Choices {
    /// What has more weights than one set, where others than the usual are asked for.
    pub(crate) fn expected(&self) -> Option<&'static str> {
        match (self.ema, self.raw) {
            (Some(_), _) => Some("a run of ddim train, or a checkpoint of one"),
            (None, true) => Some("a model with averaged weights and those themselves"),
            (None, false) => None,
        }
    }
}

/// The files of a pipeline in memory: a model that is built into a binary, or one from elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedPipeline<'a> {
    /// The name used in messages.
    pub name: &'a str,
    /// `unet/config.json`.
    pub config: &'a str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'a str,
    /// `unet/diffusion_pytorch_model.safetensors`.
    pub safetensors: &'a [u8],
    /// `classes.json`; `[]` for a network without classes.
    pub classes: &'a str,
    /// `sampling.json`; `{}` for a model without recommendations.
    pub sampling: &'a str,
}

impl Pipeline {
    pub(crate) fn sized(self, choices: &Choices) -> Result<Self> {
        match choices.size {
            Some(size) => self.with_size(size),
            None => Ok(self),
        }
    }

    /// Returns the same pipeline for images of another size, [height, width]; the network is convolutional.
    ///
    /// # Errors
    /// Returns an error if the network's resolutions do not divide the size.
    pub fn with_size(mut self, size: [usize; 2]) -> Result<Self> {
        let m = self.config.size_multiple();
        if !size.iter().all(|n| (1..=UNetConfig::MOST_PIXELS).contains(n) && n % m == 0) {
            let [h, w] = size;
            let most = UNetConfig::MOST_PIXELS;
            return Err(Error::input(format!("images of {h}x{w}: expected multiples of {m}, up to {most}, for the network's resolutions")));
        }
        let square = |n: usize| SampleSize::Square(n);
        self.config.sample_size = Some(if size[0] == size[1] { square(size[0]) } else { SampleSize::Rectangle(size) });
        Ok(self)
    }

    /// Loads a model from files in memory, such as one that is built into the binary.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn embedded(files: &EmbeddedPipeline<'_>) -> Result<Self> {
        Self::embedded_with(files, &Choices::default())
    }

    /// Loads a model as [`embedded`](Self::embedded) does, with another scheduler or size.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with).
    pub fn embedded_with(files: &EmbeddedPipeline<'_>, choices: &Choices) -> Result<Self> {
        if let Some(expected) = choices.expected() {
            return Err(Error::choice(format!("the built-in model {} has one set of weights: expected {expected}", files.name)));
        }
        let config = UNetConfig::from_json(files.config, &built_in(files.name, UNET_CONFIG))?;
        let (scheduler, scheduler_class) = match &choices.scheduler {
            Some(given) => given_scheduler(given)?,
            None => SchedulerConfig::read(files.scheduler, &built_in(files.name, SCHEDULER_CONFIG))?,
        };
        let (classes, class_counts) = classes_of(files.classes, &built_in(files.name, CLASSES))?;
        let sampling = SamplingDefaults::read(files.sampling, &built_in(files.name, SAMPLING))?;
        let path = built_in(files.name, SAFETENSORS);
        let state = parse_safetensors(files.safetensors, &path)?;
        let pipeline = Self::assemble(config, scheduler, state, path)?;
        Self { scheduler_class, classes, class_counts, sampling, ..pipeline }.sized(choices)
    }

    pub(crate) fn assemble(config: UNetConfig, scheduler: SchedulerConfig, state: StateDict, weights_file: PathBuf) -> Result<Self> {
        let unet = weights::apply(&UNet::without_values(&config)?, state, &weights_file)?;
        Ok(Self { weights_file, ..Self::new(unet, scheduler) })
    }

    /// Creates a pipeline from a network in memory, without class names.
    pub fn new(unet: UNet, scheduler: SchedulerConfig) -> Self {
        Self {
            config: unet.config().clone(),
            unet,
            scheduler,
            scheduler_class: String::new(),
            classes: Vec::new(),
            class_counts: Vec::new(),
            sampling: SamplingDefaults::default(),
            weights_file: PathBuf::from("untrained"),
            training_state: None,
            notes: Vec::new(),
        }
    }

    /// Creates a pipeline with an untrained network: [`UNet::initialised`] with seed 0.
    ///
    /// # Errors
    /// As [`UNetConfig::check`].
    pub fn untrained(config: UNetConfig, scheduler: SchedulerConfig) -> Result<Self> {
        Ok(Self::new(UNet::initialised(&config, 0)?, scheduler))
    }

    /// Returns the number of classes that the network takes, or `None` if it takes none, or any.
    pub fn classes_count(&self) -> Option<usize> {
        self.config.num_class_embeds.filter(|_| self.config.class_embed_type.is_none())
    }

    /// Returns the number of classes known by name or by count, without the one that stands for no class.
    pub fn known_classes(&self) -> usize {
        self.classes.len().max(self.class_counts.len())
    }

    /// Returns the label that stands for no class, as training leaves one when it drops labels: the last row of the network's table, if
    /// that has one row more than there are classes by name or by count. `None` otherwise, or if the classes are not known.
    pub fn null_class(&self) -> Option<usize> {
        let known = self.known_classes();
        (known > 0 && self.classes_count() == Some(known + 1)).then_some(known)
    }

    /// Returns the classes listed in its [`sampling`](Self::sampling), if the network takes any.
    pub fn usual_classes(&self) -> Option<&str> {
        self.sampling.classes.as_deref().filter(|_| self.classes_count().is_some())
    }

    /// Returns the guidance scale in its [`sampling`](Self::sampling), if there is a class that stands for no class to guide away from.
    pub fn usual_guidance(&self) -> Option<f64> {
        self.sampling.guidance.filter(|_| self.null_class().is_some())
    }

    /// Returns the levels that its [`sampling`](Self::sampling) guides, as fractions of T, if it can be guided at all.
    pub fn usual_guidance_interval(&self) -> Option<[f64; 2]> {
        self.sampling.guidance_interval.filter(|_| self.null_class().is_some())
    }

    /// Returns the number of weights.
    pub fn parameters(&self) -> usize {
        self.unet.values().len()
    }
}

/// A file of a pipeline: in its sub-folder, or in the folder itself where there is no such sub-folder (diffusers' rule).
pub(crate) fn part(folder: &Path, file: &str) -> PathBuf {
    match file.split_once('/') {
        Some((sub, name)) if !folder.join(sub).is_dir() && folder.join(name).is_file() => folder.join(name),
        _ => folder.join(file),
    }
}

/// A scheduler's file, or that of a folder.
pub(crate) fn given_scheduler(given: &Path) -> Result<(SchedulerConfig, String)> {
    let path = if given.is_dir() { part(given, SCHEDULER_CONFIG) } else { given.to_owned() };
    SchedulerConfig::read(&read_text(&path)?, &path)
}
