//! The settings of a run: TOML tables laid over each other (defaults, preset, a file, flags), then checked as a whole.

use crate::error::{Error, ErrorKind, Result};
use ddim::objective::Weighting;
use ddim_data::{BadFiles, Fit, Labels, Preparation, Request, parse_colour};
use ddim_nn::{SchedulerConfig, UNetConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("../presets/defaults.toml");

/// Names, and what each says over the defaults; its network is [`UNetConfig::preset`]'s.
const PRESETS: [(&str, &str); 5] = [
    ("tiny", include_str!("../presets/tiny.toml")),
    ("small", include_str!("../presets/small.toml")),
    ("ddpm-cifar10", include_str!("../presets/ddpm-cifar10.toml")),
    ("ddpm-celeba64", include_str!("../presets/ddpm-celeba64.toml")),
    ("ddpm-lsun256", include_str!("../presets/ddpm-lsun256.toml")),
];

/// What stands for a setting that is left out, because TOML has no null.
const NONE: &str = "none";

/// All settings. `presets/defaults.toml` says what each means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Config {
    pub seed: u64,
    pub steps: u64,
    pub batch_size: usize,
    pub accumulate: usize,
    pub model: Option<String>,
    pub data: Data,
    pub network: Table,
    pub scheduler: Table,
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
    pub path: Option<PathBuf>,
    pub fit: Fit,
    pub resize: Option<usize>,
    #[serde(deserialize_with = "colour", serialize_with = "colour_name")]
    pub background: [u8; 3],
    pub flip: bool,
    pub dequantize: bool,
    pub limit: Option<usize>,
    pub labels: Option<String>,
    pub bad_files: BadFiles,
    pub holdout: usize,
}

impl Data {
    /// What is asked of [`DataSet::load`](ddim_data::DataSet::load), for images of `size` [h, w]; `besides` are folders that are no data.
    ///
    /// # Errors
    /// No path.
    pub fn request(&self, size: [usize; 2], channels: Option<usize>, besides: &[PathBuf]) -> Result<Request> {
        let path = self.path.as_deref().ok_or_else(|| Error::config("data.path is missing: expected images to train on (--data)"))?;
        let labels = match self.labels.as_deref() {
            None => Labels::None,
            Some("data") => Labels::Data,
            Some(file) => Labels::File(file.into()),
        };
        let preparation = Preparation { size, fit: self.fit, background: self.background };
        Ok(Request {
            resize: self.resize,
            channels,
            limit: self.limit,
            labels,
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

/// How timesteps are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timesteps {
    /// Each by itself.
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
}

/// What the learning rate does after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Stays.
    Constant,
    /// Falls to 0 at the last step, as half a cosine.
    Cosine,
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

fn colour<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<[u8; 3], D::Error> {
    parse_colour(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

fn colour_name<S: Serializer>([r, g, b]: &[u8; 3], output: S) -> std::result::Result<S::Ok, S::Error> {
    output.serialize_str(&format!("#{r:02x}{g:02x}{b:02x}"))
}

/// Settings as they are collected, not yet checked as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings(Table);

impl Settings {
    /// The names that [`preset`](Self::preset) knows.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The defaults with a preset over them.
    ///
    /// # Errors
    /// Another name.
    pub fn preset(name: &str) -> Result<Self> {
        let Some((_, text)) = PRESETS.iter().find(|(known, _)| *known == name) else {
            let known = Self::presets().collect::<Vec<_>>().join(", ");
            return Err(Error::config(format!("preset {name}: expected one of {known}")));
        };
        let mut settings = Self(DEFAULTS.parse().expect("the defaults are TOML"));
        let mut network = from_json(&UNetConfig::preset(name).expect("each preset has a network"));
        // Of the data, unless they are said.
        for key in ["in_channels", "out_channels"] {
            network.insert(key.into(), NONE.into());
        }
        settings.0.insert("network".into(), Value::Table(network));
        settings.0.insert("scheduler".into(), Value::Table(from_json(&SchedulerConfig::default())));
        settings.over(text, "the preset")?;
        Ok(settings)
    }

    /// The settings that a run was made with: its `config.toml`.
    ///
    /// # Errors
    /// A file that cannot be read; what [`over`](Self::over) says.
    pub fn of_run(path: &Path) -> Result<Self> {
        let mut settings = Self::preset("ddpm-cifar10")?;
        settings.over_file(path)?;
        Ok(settings)
    }

    /// Lays the tables of a TOML text over these; `name` is for messages.
    ///
    /// # Errors
    /// Not TOML; a key that is not known, with the nearest that is.
    pub fn over(&mut self, text: &str, name: &str) -> Result<()> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| Error::config(format!("{name}: {e}")))?;
        lay_over(&mut self.0, table, "").map_err(|e| Error::config(format!("{name}: {e}")))
    }

    /// [`over`](Self::over), from a file.
    ///
    /// # Errors
    /// As that, and a file that cannot be read.
    pub fn over_file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Config, format!("{}: {e}", path.display())))?;
        self.over(&text, &path.display().to_string())
    }

    /// Sets `key` (as `optimizer.clip`) to a value as TOML writes it; a bare word is taken as a string.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let parsed = format!("v = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
        let mut value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
        for part in key.rsplit('.') {
            value = Value::Table(Table::from_iter([(part.to_owned(), value)]));
        }
        let Value::Table(table) = value else { unreachable!("wrapped in one table at least") };
        lay_over(&mut self.0, table, "").map_err(Error::config)
    }

    /// The keys whose values differ from those of `other`, as `optimizer.clip is 1.0, there 0.5`.
    pub fn differences(&self, other: &Self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        differences(&self.0, &other.0, "", &mut found);
        found
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// A value of another type or out of its range: the message names the key.
    pub fn resolve(&self) -> Result<Config> {
        let mut table = self.0.clone();
        without_none(&mut table);
        let config: Config = table.try_into().map_err(|e: toml::de::Error| Error::config(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// As a file that makes the same run.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.0).expect("tables of plain values")
    }
}

/// The fields of a configuration of diffusers; those that it takes for itself left out.
fn from_json<T: Serialize>(config: &T) -> Table {
    let json = serde_json::to_value(config).expect("plain values");
    let fields = json.as_object().expect("a struct").iter().filter(|(key, _)| !key.starts_with('_'));
    fields.map(|(key, value)| (key.clone(), toml_value(value))).collect()
}

fn toml_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => NONE.into(),
        other => Value::try_from(other).expect("plain values"),
    }
}

/// A table of the configuration as diffusers' JSON, "none" as null.
fn to_json(table: &Table, class: &str) -> String {
    let entry = |(key, value): (&String, &Value)| {
        let value = if value.as_str() == Some(NONE) { serde_json::Value::Null } else { serde_json::to_value(value).expect("plain values") };
        (key.clone(), value)
    };
    let mut fields: serde_json::Map<String, serde_json::Value> = table.iter().map(entry).collect();
    fields.insert("_class_name".into(), class.into());
    serde_json::Value::Object(fields).to_string()
}

fn without_none(table: &mut Table) {
    // Tables of diffusers' keys keep theirs: absent and null mean different things there.
    table.retain(|_, value| value.as_str() != Some(NONE));
    for (key, value) in table.iter_mut() {
        if let (Value::Table(inner), false) = (value, ["network", "scheduler"].contains(&key.as_str())) {
            without_none(inner);
        }
    }
}

fn lay_over(base: &mut Table, table: Table, prefix: &str) -> std::result::Result<(), String> {
    for (key, value) in table {
        let Some(old) = base.get_mut(&key) else {
            let nearest = base.keys().max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
            let nearest = nearest.map_or(String::new(), |nearest| format!(": did you mean {prefix}{nearest}?"));
            return Err(format!("no setting is called {prefix}{key}{nearest}"));
        };
        match (old, value) {
            (Value::Table(old), Value::Table(new)) => lay_over(old, new, &format!("{prefix}{key}."))?,
            (Value::Table(_), other) => return Err(format!("{prefix}{key} is {other}: expected a table of settings")),
            // A whole number where a fraction may stand.
            (old @ Value::Float(_), Value::Integer(n)) => *old = Value::Float(n as f64),
            (old, new) => *old = new,
        }
    }
    Ok(())
}

fn differences(a: &Table, b: &Table, prefix: &str, found: &mut Vec<(String, String)>) {
    for (key, value) in a {
        match (value, b.get(key)) {
            (Value::Table(a), Some(Value::Table(b))) => differences(a, b, &format!("{prefix}{key}."), found),
            (value, other) if Some(value) != other => {
                let other = other.map_or("absent".to_owned(), ToString::to_string);
                found.push((format!("{prefix}{key}"), format!("{prefix}{key} is {value}, there {other}")));
            }
            _ => {}
        }
    }
}

impl Config {
    fn check(&self) -> Result<()> {
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
        if !self.batch_size.is_multiple_of(self.accumulate) {
            return Err(Error::config(format!("accumulate is {}: expected a divisor of batch_size, {}", self.accumulate, self.batch_size)));
        }
        let Optimizer { learning_rate, betas, epsilon, weight_decay, clip, .. } = &self.optimizer;
        let above = |value: f64| value > 0.0 && value.is_finite();
        let share = |value: f64| (0.0..1.0).contains(&value);
        let ranges = [
            ("optimizer.learning_rate", *learning_rate, above(*learning_rate), "a positive number"),
            ("optimizer.betas", betas[0], share(betas[0]), "numbers from 0 to below 1"),
            ("optimizer.betas", betas[1], share(betas[1]), "numbers from 0 to below 1"),
            ("optimizer.epsilon", *epsilon, above(*epsilon), "a positive number"),
            ("optimizer.weight_decay", *weight_decay, *weight_decay >= 0.0 && weight_decay.is_finite(), "0 or more"),
            ("optimizer.clip", clip.unwrap_or(1.0), above(clip.unwrap_or(1.0)), "a positive number"),
            ("objective.label_dropout", self.objective.label_dropout, share(self.objective.label_dropout), "0 to below 1"),
            ("output.checkpoint_minutes", 0.0, self.output.checkpoint_minutes.is_none_or(above), "a positive number"),
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
        let scheduler = self.scheduler_config()?;
        self.weighting()?.weights(&scheduler.schedule(), scheduler.prediction())?;
        Ok(())
    }

    /// The weights of the objective.
    pub(crate) fn weighting(&self) -> Result<Weighting> {
        Ok(match self.objective.weighting {
            WeightingName::Simple => Weighting::Simple,
            WeightingName::Variational => Weighting::Variational,
            WeightingName::MinSnr => Weighting::MinSnr(self.objective.min_snr_gamma),
        })
    }

    /// The scheduler of a network that is trained from nothing.
    pub(crate) fn scheduler_config(&self) -> Result<SchedulerConfig> {
        Ok(SchedulerConfig::from_json(&to_json(&self.scheduler, "DDIMScheduler"), Path::new("[scheduler]"))?)
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
        Ok(UNetConfig::from_json(&to_json(&network, "UNet2DModel"), Path::new("[network]"))?)
    }

    /// Height and width of the images, and their channels where the configuration says them.
    pub(crate) fn image_size(&self) -> Result<([usize; 2], Option<usize>)> {
        let wrong = || Error::config("network.sample_size: expected a number, or [height, width]");
        let side =
            |value: &Value| value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=4096).contains(n)).ok_or_else(wrong);
        let size = match self.network.get("sample_size") {
            Some(Value::Array(both)) if both.len() == 2 => [side(&both[0])?, side(&both[1])?],
            Some(one) => [side(one)?; 2],
            None => return Err(wrong()),
        };
        Ok((size, self.network.get("in_channels").and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok())))
    }

    /// The learning rate of step `k`, the first being 1.
    pub fn learning_rate(&self, k: u64) -> f64 {
        let Optimizer { learning_rate, warmup, decay, .. } = self.optimizer;
        if k < warmup {
            return learning_rate * k as f64 / warmup as f64;
        }
        match decay {
            Decay::Constant => learning_rate,
            Decay::Cosine => {
                let done = (k - warmup) as f64 / (self.steps.saturating_sub(warmup)).max(1) as f64;
                learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}
