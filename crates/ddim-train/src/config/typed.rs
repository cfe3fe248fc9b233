//! The settings as types, checked.

use super::decay::{Decay, DecayEnd};
use super::value::{NONE, optional_labels, optional_labels_value, optional_path, optional_path_value, to_json};
use crate::error::{Error, ErrorKind, Result};
use ddim::Prediction;
use ddim::objective::Weighting;
use ddim_data::{BadFiles, Fit, Labels, Preparation, Request, parse_colour};
use ddim_nn::{Ema, SchedulerConfig, TimeEmbeddingType, UNetConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// All settings. `presets/defaults.toml` explains each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Config {
    pub seed: u64,
    pub steps: u64,
    pub batch_size: usize,
    pub accumulate: usize,
    #[serde(default, deserialize_with = "optional_path", serialize_with = "optional_path_value")]
    pub model: Option<PathBuf>,
    pub data: Data,
    /// Keys of diffusers' `UNet2DModel`; channels and classes can be left to the data.
    pub network: Table,
    #[serde(deserialize_with = "scheduler")]
    pub scheduler: SchedulerConfig,
    pub objective: Objective,
    pub optimizer: Optimizer,
    pub ema: Average,
    pub output: Output,
}

/// Where images come from and what is done to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Data {
    #[serde(default, deserialize_with = "optional_path", serialize_with = "optional_path_value")]
    pub path: Option<PathBuf>,
    pub fit: Fit,
    pub resize: Option<usize>,
    #[serde(deserialize_with = "colour", serialize_with = "colour_name")]
    pub background: [u8; 3],
    pub flip: bool,
    pub dequantize: bool,
    pub limit: Option<usize>,
    #[serde(default, deserialize_with = "optional_labels", serialize_with = "optional_labels_value")]
    pub labels: Option<Labels>,
    pub bad_files: BadFiles,
    pub holdout: usize,
}

impl Data {
    /// Returns the request for [`DataSet::load`](ddim_data::DataSet::load), for images of `size` [h, w]; `besides` are folders that are not
    /// data.
    ///
    /// # Errors
    /// Returns an error if there is no path.
    pub fn request(&self, size: [usize; 2], channels: Option<usize>, besides: &[PathBuf]) -> Result<Request> {
        let path = self.path.as_deref().ok_or_else(|| Error::config("data.path is missing: expected images to train on (--data)"))?;
        let preparation = Preparation { size, fit: self.fit, background: self.background };
        Ok(Request {
            resize: self.resize,
            channels,
            limit: self.limit,
            labels: self.labels.clone(),
            bad_files: self.bad_files,
            besides: besides.to_vec(),
            ..Request::new(path, preparation)
        })
    }
}

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Objective {
    pub weighting: WeightingName,
    pub min_snr_gamma: f64,
    pub timesteps: Timesteps,
    pub label_dropout: f64,
}

/// The name of a [`Weighting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum WeightingName {
    Simple,
    Variational,
    MinSnr,
}

/// How timesteps are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timesteps {
    /// Each one independently.
    Uniform,
    /// In pairs of t and T - 1 - t, as the authors do.
    Antithetic,
}

/// Adam or AdamW, and the learning rate over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Optimizer {
    pub learning_rate: f64,
    pub betas: [f64; 2],
    pub epsilon: f64,
    pub weight_decay: f64,
    pub clip: Option<f64>,
    pub warmup: u64,
    pub decay: Decay,
    #[serde(default)]
    pub decay_steps: Option<DecayEnd>,
}

/// Averages of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Average {
    pub rates: Vec<f64>,
    pub warmup: bool,
}

/// What is written, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Output {
    pub log_every: u64,
    pub evaluate_every: u64,
    pub preview_every: u64,
    pub preview_count: usize,
    pub preview_steps: usize,
    pub checkpoint_every: u64,
    pub checkpoint_minutes: Option<f64>,
    pub keep: usize,
}

fn scheduler<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<SchedulerConfig, D::Error> {
    let json = to_json(&Table::deserialize(input)?, "DDIMScheduler");
    SchedulerConfig::from_json(&json, Path::new(TABLE)).map_err(|e| serde::de::Error::custom(of_table("scheduler", &e)))
}

fn colour<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<[u8; 3], D::Error> {
    parse_colour(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

fn colour_name<S: Serializer>([r, g, b]: &[u8; 3], output: S) -> std::result::Result<S::Ok, S::Error> {
    output.serialize_str(&format!("#{r:02x}{g:02x}{b:02x}"))
}

impl Config {
    pub(super) fn check(&self) -> Result<()> {
        let whole = [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("accumulate", self.accumulate as u64),
            ("output.log_every", self.output.log_every),
            ("output.evaluate_every", self.output.evaluate_every),
            ("output.preview_count", self.output.preview_count as u64),
            ("output.preview_steps", self.output.preview_steps as u64),
            ("output.checkpoint_every", self.output.checkpoint_every),
            ("output.keep", self.output.keep as u64),
            ("data.limit", self.data.limit.unwrap_or(1) as u64),
        ];
        if let Some((key, _)) = whole.iter().find(|(_, value)| *value == 0) {
            return Err(Error::config(format!("{key} is 0: expected 1 or more")));
        }
        // Pictures are in memory as a whole.
        let most = 4096;
        for (key, found) in [("output.preview_count", self.output.preview_count), ("data.resize", self.data.resize.unwrap_or(1))] {
            if found > most {
                return Err(Error::config(format!("{key} is {found}: expected at most {most}")));
            }
        }
        if !self.batch_size.is_multiple_of(self.accumulate) {
            return Err(Error::config(format!("accumulate is {}: expected a divisor of batch_size, {}", self.accumulate, self.batch_size)));
        }
        let Optimizer { learning_rate, betas, epsilon, weight_decay, clip, .. } = &self.optimizer;
        let Objective { weighting, min_snr_gamma: gamma, .. } = &self.objective;
        let above = |value: f64| value > 0.0 && value.is_finite();
        let share = |value: f64| (0.0..1.0).contains(&value);
        let minutes = self.output.checkpoint_minutes.unwrap_or(1.0);
        let ranges = [
            ("optimizer.learning_rate", *learning_rate, above(*learning_rate), "a positive number"),
            ("optimizer.betas", betas[0], share(betas[0]), "numbers from 0 to below 1"),
            ("optimizer.betas", betas[1], share(betas[1]), "numbers from 0 to below 1"),
            ("optimizer.epsilon", *epsilon, above(*epsilon), "a positive number"),
            ("optimizer.weight_decay", *weight_decay, *weight_decay >= 0.0 && weight_decay.is_finite(), "0 or more"),
            ("optimizer.clip", clip.unwrap_or(1.0), above(clip.unwrap_or(1.0)), "a positive number"),
            ("objective.min_snr_gamma", *gamma, !matches!(weighting, WeightingName::MinSnr) || above(*gamma), "a positive number"),
            ("objective.label_dropout", self.objective.label_dropout, share(self.objective.label_dropout), "0 to below 1"),
            ("output.checkpoint_minutes", minutes, above(minutes), "a positive number"),
        ];
        if let Some((key, value, _, expected)) = ranges.iter().find(|(_, _, fine, _)| !fine) {
            return Err(Error::config(format!("{key} is {value}: expected {expected}")));
        }
        if let Some(rate) = self.ema.rates.iter().find(|rate| !share(**rate)) {
            return Err(Error::config(format!("ema.rates has {rate}: expected numbers from 0 to below 1")));
        }
        if self.ema.rates.is_empty() {
            return Err(Error::config("ema.rates is empty: expected one rate or more (0 keeps the weights themselves)"));
        }
        if let Some(DecayEnd::Changed(ends)) = &self.optimizer.decay_steps
            && !(ends.first().is_some_and(|[after, _]| *after == 0) && ends.is_sorted_by(|a, b| a[0] < b[0]))
        {
            return Err(Error::config("optimizer.decay_steps: expected [after step, end] in the order of the steps, the first after 0"));
        }
        let timesteps = self.scheduler.num_train_timesteps;
        if self.output.preview_every > 0 && self.output.preview_steps > timesteps {
            let found = self.output.preview_steps;
            return Err(Error::config(format!("output.preview_steps is {found}: expected at most {timesteps}, the timesteps of training")));
        }
        let schedule = self.scheduler.schedule();
        self.weighting().weights(&schedule, self.scheduler.prediction())?;
        // Said now and not when the first preview is due.
        if self.output.preview_every > 0 && self.scheduler.prediction() == Prediction::Epsilon {
            let trajectory = self.scheduler.trajectory(self.output.preview_steps)?;
            if let Some(level) = trajectory.levels().iter().find(|level| schedule.alpha_bar(**level) == 0.0) {
                let why = format!(
                    "a preview of output.preview_steps starts at timestep {}, where the image is pure noise and ε says nothing about it",
                    level - 1
                );
                let expected = "expected another scheduler.prediction_type or timestep_spacing, or output.preview_every = 0";
                return Err(Error::config(format!("scheduler.prediction_type is epsilon: {why}: {expected}")));
            }
        }
        if self.network.get("sample_size").is_some_and(|size| size.as_str() != Some(NONE)) {
            self.image_size()?;
        }
        // Channels and classes may be the data's: any will do here.
        let network = self.network_config(3, None)?;
        if let (TimeEmbeddingType::Learned, Some(rows)) = (network.time_embedding_type, network.num_train_timesteps)
            && rows < timesteps
        {
            return Err(Error::config(format!(
                "network.num_train_timesteps is {rows}: expected at least {timesteps}, the timesteps of training"
            )));
        }
        if network.time_embedding_type == TimeEmbeddingType::Fourier {
            let why = "it takes the logarithm of the timestep, and training draws timestep 0, which has none";
            return Err(Error::config(format!("network.time_embedding_type is fourier: {why}: expected positional or learned")));
        }
        Ok(())
    }

    /// The weights of the objective.
    pub(crate) fn weighting(&self) -> Weighting {
        match self.objective.weighting {
            WeightingName::Simple => Weighting::Simple,
            WeightingName::Variational => Weighting::Variational,
            WeightingName::MinSnr => Weighting::MinSnr(self.objective.min_snr_gamma),
        }
    }

    /// The network for images of `channels`, and `classes` where it is conditional.
    pub(crate) fn network_config(&self, channels: usize, classes: Option<usize>) -> Result<UNetConfig> {
        let mut network = self.network.clone();
        let given = |network: &Table, key: &str| network.get(key).is_some_and(|value| value.as_str() != Some(NONE));
        let default = |network: &mut Table, key: &str, value: i64| {
            if !given(network, key) {
                network.insert(key.into(), value.into());
            }
        };
        default(&mut network, "in_channels", channels as i64);
        let ins = network["in_channels"].clone();
        if !given(&network, "out_channels") {
            network.insert("out_channels".into(), ins);
        }
        if let Some(classes) = classes {
            default(&mut network, "num_class_embeds", classes as i64);
        }
        UNetConfig::from_json(&to_json(&network, "UNet2DModel"), Path::new(TABLE))
            .map_err(|e| Error::new(ErrorKind::Config, of_table("network", &e)).because(e))
    }

    /// Height and width of the images, and their channels where the configuration says them.
    pub(crate) fn image_size(&self) -> Result<([usize; 2], Option<usize>)> {
        let wrong = || Error::config("network.sample_size: expected a number from 1 to 4096, or [height, width]");
        let side =
            |value: &Value| value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=4096).contains(n)).ok_or_else(wrong);
        let size = match self.network.get("sample_size") {
            Some(Value::Array(both)) if both.len() == 2 => [side(&both[0])?, side(&both[1])?],
            Some(one) => [side(one)?; 2],
            None => return Err(wrong()),
        };
        Ok((size, self.network.get("in_channels").and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok())))
    }

    /// Returns the learning rate of step `k`, counted from 1.
    pub fn learning_rate(&self, k: u64) -> f64 {
        let Optimizer { learning_rate, warmup, decay, .. } = self.optimizer;
        if k < warmup {
            return learning_rate * k as f64 / warmup as f64;
        }
        match decay {
            Decay::Constant => learning_rate,
            Decay::Cosine => {
                let done = (k - warmup) as f64 / self.decay_end(k).saturating_sub(warmup).max(1) as f64;
                learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }

    /// Where the cosine that goes for step `k` ends.
    pub(crate) fn decay_end(&self, k: u64) -> u64 {
        self.optimizer.decay_steps.as_ref().map_or(self.steps, |ends| ends.at(k))
    }

    /// Returns the share that the initial weights still have in the average of `ema.rates[which]` after the last step.
    ///
    /// # Panics
    /// Panics if there is no rate with this index.
    pub fn initial_share(&self, which: usize) -> f64 {
        let average = Ema { rate: self.ema.rates[which], warmup: self.ema.warmup, values: Vec::new() };
        let mut share = 1.0;
        for k in 1..=self.steps {
            share *= average.rate_at(k);
            if share < 1e-9 {
                return 0.0;
            }
        }
        share
    }
}

/// What stands for a table in what its own reader says, where that has a file's name.
const TABLE: &str = "[table]";

/// What the reader of a table says, by the setting, and without the place, which is one in a text that no one wrote.
fn of_table(table: &str, error: &ddim_nn::Error) -> String {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    message.replacen(&format!("{TABLE}: "), &format!("{table}."), 1)
}
