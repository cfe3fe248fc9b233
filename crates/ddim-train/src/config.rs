//! The settings of a run: TOML tables laid over each other (defaults, preset, a file, flags), then checked as a whole.

use crate::error::{Error, ErrorKind, Result};
use ddim::objective::Weighting;
use ddim_data::{BadFiles, Fit, Labels, Preparation, Request, parse_colour};
use ddim_nn::{Ema, SchedulerConfig, TimeEmbeddingType, UNetConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
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

/// Of `data.labels`: the data's own.
const LABELS_OF_DATA: &str = "data";

/// Settings that are paths.
const PATHS: [&str; 3] = ["data.path", "data.labels", "model"];

/// Settings that "none" leaves to what a run finds.
const FOUND: [&str; 5] = ["data.path", "network.in_channels", "network.out_channels", "network.num_class_embeds", "optimizer.decay_steps"];

/// All settings. `presets/defaults.toml` says what each means.
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
    /// Keys of diffusers' `UNet2DModel`; channels and classes may be left to the data.
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
    /// What is asked of [`DataSet::load`](ddim_data::DataSet::load), for images of `size` [h, w]; `besides` are folders that are no data.
    ///
    /// # Errors
    /// No path.
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
    #[serde(default)]
    pub decay_steps: Option<DecayEnd>,
}

/// What the learning rate does after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Stays.
    Constant,
    /// Falls to 0 at `decay_steps`, as half a cosine.
    Cosine,
}

/// The step at which the learning rate has fallen to 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of steps, or a list of [after step, end]")]
pub enum DecayEnd {
    /// The same for the whole run.
    Step(u64),
    /// Of a run that was made longer: [after this step, the end], in the order of the steps, the first after step 0.
    Changed(Vec<[u64; 2]>),
}

impl DecayEnd {
    /// The end that goes for step `k`.
    fn at(&self, k: u64) -> u64 {
        match self {
            Self::Step(end) => *end,
            Self::Changed(ends) => ends.iter().rev().find(|[after, _]| *after < k).or(ends.first()).map_or(k, |[_, end]| *end),
        }
    }

    /// This, but another end after step `after`.
    fn changed(&self, after: u64, end: u64) -> Self {
        let mut ends = match self {
            Self::Step(end) => vec![[0, *end]],
            Self::Changed(ends) => ends.clone(),
        };
        ends.retain(|[known, _]| *known < after);
        if ends.is_empty() {
            return Self::Step(end);
        }
        if ends[ends.len() - 1][1] != end {
            ends.push([after, end]);
        }
        match ends[..] {
            [[_, end]] => Self::Step(end),
            _ => Self::Changed(ends),
        }
    }
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
    SchedulerConfig::from_json(&json, Path::new("[scheduler]")).map_err(serde::de::Error::custom)
}

fn colour<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<[u8; 3], D::Error> {
    parse_colour(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

fn colour_name<S: Serializer>([r, g, b]: &[u8; 3], output: S) -> std::result::Result<S::Ok, S::Error> {
    output.serialize_str(&format!("#{r:02x}{g:02x}{b:02x}"))
}

/// A path as a setting: text where it is Unicode, else its units (bytes, or 16 bits on Windows).
pub(crate) fn path_value(path: &Path) -> Value {
    if let Some(text) = path.to_str() {
        return text.into();
    }
    #[cfg(unix)]
    let units: Vec<Value> = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).iter().map(|b| i64::from(*b).into()).collect();
    #[cfg(windows)]
    let units: Vec<Value> = std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).map(|u| i64::from(u).into()).collect();
    #[cfg(not(any(unix, windows)))]
    let units = path.to_string_lossy().into_owned();
    units.into()
}

/// What [`path_value`] writes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a path, as text or as a list of its bytes")]
enum Written {
    Text(String),
    Units(Vec<u16>),
}

impl Written {
    fn path(self) -> std::result::Result<PathBuf, String> {
        match self {
            Self::Text(text) => Ok(text.into()),
            #[cfg(unix)]
            Self::Units(units) => {
                let bytes: std::result::Result<Vec<u8>, _> = units.into_iter().map(u8::try_from).collect();
                let bytes = bytes.map_err(|_| "a number above 255: expected the bytes of a path".to_owned())?;
                Ok(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
            }
            #[cfg(windows)]
            Self::Units(units) => Ok(<std::ffi::OsString as std::os::windows::ffi::OsStringExt>::from_wide(&units).into()),
            #[cfg(not(any(unix, windows)))]
            Self::Units(_) => Err("a list of numbers: expected a path as text".to_owned()),
        }
    }
}

fn optional_path<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Option<PathBuf>, D::Error> {
    let written = Option::<Written>::deserialize(input)?;
    written.map(Written::path).transpose().map_err(serde::de::Error::custom)
}

fn optional_path_value<S: Serializer>(path: &Option<PathBuf>, output: S) -> std::result::Result<S::Ok, S::Error> {
    path.as_deref().map(path_value).serialize(output)
}

fn optional_labels<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Option<Labels>, D::Error> {
    match Option::<Written>::deserialize(input)? {
        None => Ok(None),
        Some(Written::Text(text)) if text == LABELS_OF_DATA => Ok(Some(Labels::Data)),
        Some(file) => file.path().map(|path| Some(Labels::File(path))).map_err(serde::de::Error::custom),
    }
}

fn optional_labels_value<S: Serializer>(labels: &Option<Labels>, output: S) -> std::result::Result<S::Ok, S::Error> {
    let value = labels.as_ref().map(|labels| match labels {
        Labels::Data => LABELS_OF_DATA.into(),
        Labels::File(path) => path_value(path),
    });
    value.serialize(output)
}

/// Settings as they are collected, not yet checked as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    table: Table,
    /// What was set by a file or one by one, not by a preset: the keys of single values.
    given: BTreeSet<String>,
    /// Whether a preset was chosen; else these are changes of a run that has its settings.
    whole: bool,
}

/// A setting that is asked for, and is another in a run.
pub(crate) struct Difference {
    pub(crate) key: String,
    /// What is asked for.
    pub(crate) value: Value,
    /// By a file or flag, not by a preset.
    pub(crate) given: bool,
    /// `optimizer.clip is 1.0, there 0.5`
    pub(crate) text: String,
}

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
        let table = DEFAULTS.parse().expect("the defaults are TOML");
        let mut settings = Self { table, given: BTreeSet::new(), whole: true };
        settings.insert_network(&UNetConfig::preset(name).expect("each preset has a network"), &SchedulerConfig::default());
        // Of the data, unless they are said.
        for key in ["in_channels", "out_channels"] {
            settings.insert(&format!("network.{key}"), NONE.into());
        }
        settings.over(text, "the preset")?;
        settings.given.clear();
        Ok(settings)
    }

    /// No settings: those that are set on these are changes of a run that has its own ([`Run::resume`](crate::Run::resume)).
    pub fn changes() -> Self {
        let preset = Self::preset("ddpm-cifar10").expect("it is a preset");
        Self { whole: false, ..preset }
    }

    /// The settings that a run was made with: its `config.toml`.
    ///
    /// # Errors
    /// A file that cannot be read; what [`over`](Self::over) says.
    pub fn of_run(path: &Path) -> Result<Self> {
        let mut settings = Self::preset("ddpm-cifar10")?;
        let text = std::fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Config, format!("{}: {e}", path.display())))?;
        // A model's tables may have keys that a preset's have not.
        if let Ok(table) = text.parse::<Table>() {
            for name in ["network", "scheduler"] {
                for key in table.get(name).and_then(Value::as_table).into_iter().flat_map(Table::keys) {
                    let known = settings.table[name].as_table_mut().expect("a table of settings");
                    known.entry(key.clone()).or_insert(NONE.into());
                }
            }
        }
        settings.over(&text, &path.display().to_string())?;
        settings.given.clear();
        Ok(settings)
    }

    /// Lays the tables of a TOML text over these; `name` is for messages.
    ///
    /// # Errors
    /// Not TOML; a key that is not known, with the nearest that is.
    pub fn over(&mut self, text: &str, name: &str) -> Result<()> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| Error::config(format!("{name}: {e}")))?;
        self.lay_over(table).map_err(|e| Error::config(format!("{name}: {e}")))
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
    /// As [`over`](Self::over); quotes or brackets that are not closed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let parsed = format!("v = {value}").parse::<Table>();
        let parsed = parsed.ok().filter(|table| table.len() == 1).and_then(|mut table| table.remove("v"));
        let value = match parsed {
            // A folder may be called 2024.
            Some(other) if PATHS.contains(&key) && !(other.is_str() || other.is_array()) => Value::String(value.to_owned()),
            Some(value) => value,
            None if value.starts_with(['"', '\'', '[', '{']) => {
                return Err(Error::config(format!("{key}={value}: expected a value as TOML writes it, or a bare word")));
            }
            None => Value::String(value.to_owned()),
        };
        self.set_value(key, value)
    }

    /// Sets `key` (as `optimizer.clip`) to a value.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn set_value(&mut self, key: &str, mut value: Value) -> Result<()> {
        for part in key.rsplit('.') {
            value = Value::Table(Table::from_iter([(part.to_owned(), value)]));
        }
        let Value::Table(table) = value else { unreachable!("wrapped in one table at least") };
        self.lay_over(table).map_err(Error::config)
    }

    /// Sets `key` to a path, Unicode or not.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn set_path(&mut self, key: &str, path: &Path) -> Result<()> {
        self.set_value(key, path_value(path))
    }

    fn lay_over(&mut self, table: Table) -> std::result::Result<(), String> {
        lay_over(&mut self.table, table, "", &mut self.given)
    }

    /// Sets a key that there is, as what was found, not as what was asked for.
    pub(crate) fn insert(&mut self, key: &str, value: Value) {
        let (path, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            table = table[part].as_table_mut().expect("a table of settings");
        }
        table.insert(name.to_owned(), value);
    }

    /// Sets the tables `network` and `scheduler`.
    pub(crate) fn insert_network(&mut self, network: &UNetConfig, scheduler: &SchedulerConfig) {
        self.insert("network", Value::Table(from_json(network)));
        self.insert("scheduler", Value::Table(from_json(scheduler)));
    }

    /// The value of a key, None where it is "none".
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
        let value = self.table.get(first)?;
        let value = rest.map_or(Some(value), |rest| rest.split('.').try_fold(value, |value, part| value.get(part)));
        value.filter(|value| value.as_str() != Some(NONE))
    }

    /// Whether a file or flag set a key.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given.contains(key)
    }

    /// Whether a preset was chosen, so that these are all settings of a run.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// A setting that is a path.
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key)?.clone().try_into::<Written>().ok()?.path().ok()
    }

    /// Makes the paths among the settings absolute, so that they mean the same from any folder. A model that is no folder, and is not that of
    /// `run` (whose folder may be gone), is one by name.
    ///
    /// # Errors
    /// The operating system's: no current folder.
    pub(crate) fn make_absolute(&mut self, run: Option<&Self>) -> Result<()> {
        for key in PATHS {
            let Some(path) = self.path(key).filter(|path| !path.as_os_str().is_empty()) else { continue };
            let absolute = std::path::absolute(&path).map_err(|e| Error::config(format!("{key}: {}: {e}", path.display())))?;
            let known = || run.is_some_and(|run| run.path(key).as_ref() == Some(&absolute));
            let named = match key {
                "data.labels" => path == Path::new(LABELS_OF_DATA),
                "model" => !path.exists() && !known(),
                _ => false,
            };
            if !named {
                self.insert(key, path_value(&absolute));
            }
        }
        Ok(())
    }

    /// Sets what the network and scheduler of a model decide.
    ///
    /// # Errors
    /// A setting that a file or flag gave, and that is another in the model.
    pub(crate) fn take_model(&mut self, network: &UNetConfig, scheduler: &SchedulerConfig) -> Result<()> {
        let mut of_model = self.clone();
        of_model.insert_network(network, scheduler);
        let own_size = of_model.get("network.sample_size").is_some();
        for key in self.given.iter().filter(|key| key.starts_with("network.") || key.starts_with("scheduler.")) {
            let (given, theirs) = (self.get(key), of_model.get(key));
            if (key == "network.sample_size" && !own_size) || (given.is_none() && FOUND.contains(&key.as_str())) {
                continue;
            }
            let same = match (given, theirs) {
                (Some(given), Some(theirs)) => alike(given, theirs),
                (given, theirs) => given == theirs,
            };
            if !same {
                let flag = if key == "network.sample_size" { " (--size)" } else { "" };
                let (given, theirs) = (shown(key, given), shown(key, theirs));
                return Err(Error::config(format!("{key}{flag} is {given}, the model's {theirs}: expected the model's, or none given")));
            }
        }
        if let (false, Some(size)) = (own_size, self.get("network.sample_size").filter(|_| self.is_given("network.sample_size"))) {
            of_model.insert("network.sample_size", size.clone());
        }
        *self = of_model;
        Ok(())
    }

    /// What these ask for and `run` has otherwise: all of the settings if a preset was chosen, else those given. What a run finds by itself
    /// (channels, classes, the end of the decay, a model's network) is no difference where it is not asked for.
    pub(crate) fn asked_of(&self, run: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let fine_tuned = run.get("model").is_some();
        for (key, value) in leaves(&self.table, "") {
            let given = self.is_given(&key);
            let of_network = key.starts_with("network.") || key.starts_with("scheduler.");
            if !given && (!self.whole || (of_network && fine_tuned)) {
                continue;
            }
            let none = value.as_str() == Some(NONE);
            if none && FOUND.contains(&key.as_str()) {
                continue;
            }
            let there = run.get(&key);
            if !there.map_or(none, |there| alike(value, there)) {
                let text = format!("{key} is {}, there {}", shown(&key, Some(value)), shown(&key, there));
                found.push(Difference { key, value: value.clone(), given, text });
            }
        }
        found
    }

    /// The keys whose values differ from those of `other`, as `optimizer.clip is 1.0, there 0.5`.
    pub fn differences(&self, other: &Self) -> Vec<(String, String)> {
        let differ = |(key, value): (String, &Value)| {
            let there = other.get(&key);
            let same = there.map_or(value.as_str() == Some(NONE), |there| there == value);
            (!same).then(|| (key.clone(), format!("{key} is {}, there {}", shown(&key, Some(value)), shown(&key, there))))
        };
        leaves(&self.table, "").into_iter().filter_map(differ).collect()
    }

    /// Fixes where a decay ends: at the last step of now, if it is not said.
    pub(crate) fn fix_decay(&mut self) {
        let decays = self.get("optimizer.decay").and_then(Value::as_str) == Some("cosine");
        if let (true, None, Some(steps)) = (decays, self.get("optimizer.decay_steps"), self.get("steps").cloned()) {
            self.insert("optimizer.decay_steps", steps);
        }
    }

    /// Moves the end of a decay from `step` on, if `asked` has another or the run is longer or shorter than it was, `then`. Gives a line on
    /// what the learning rate does, if it does something else from there.
    pub(crate) fn change_decay(&mut self, then: &Config, asked: &Self, step: u64) -> Result<Vec<String>> {
        let now = self.resolve()?;
        let (Decay::Cosine, Some(ends)) = (now.optimizer.decay, &now.optimizer.decay_steps) else { return Ok(Vec::new()) };
        let last = ends.at(u64::MAX);
        let wanted = asked.get("optimizer.decay_steps").filter(|_| asked.is_given("optimizer.decay_steps"));
        let end = match wanted.map(|value| value.clone().try_into::<DecayEnd>()) {
            // The whole story, as config.toml tells it.
            Some(Ok(known)) if known == *ends => last,
            Some(Ok(DecayEnd::Step(end))) => end,
            Some(_) => return Err(Error::config("optimizer.decay_steps: expected a number of steps, to resume")),
            None if last == then.steps => now.steps,
            None => last,
        };
        if end != last {
            self.insert("optimizer.decay_steps", Value::try_from(ends.changed(step, end)).expect("numbers"));
        }
        let changed = self.resolve()?;
        let (before, after) = (then.learning_rate(step), changed.learning_rate(step + 1));
        let same = then.learning_rate(step + 1) == after;
        let line = format!(
            "the learning rate goes from {before:.2e} to {after:.2e}: its cosine, which ended at step {last}, ends at step {end} from here on"
        );
        Ok(if same || end == last { Vec::new() } else { vec![line] })
    }

    /// Takes over what was asked for, and that it was.
    pub(crate) fn give_all(&mut self, asked: &Self, differences: Vec<Difference>) {
        for Difference { key, value, .. } in differences {
            self.insert(&key, value);
        }
        self.given.extend(asked.given.iter().cloned());
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// A value of another type or out of its range: the message names the key.
    pub fn resolve(&self) -> Result<Config> {
        let mut table = self.table.clone();
        without_none(&mut table);
        let config: Config = table.try_into().map_err(|e: toml::de::Error| Error::config(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// As a file that makes the same run.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.table).expect("tables of plain values")
    }
}

/// Single settings with their keys, tables opened.
fn leaves<'a>(table: &'a Table, prefix: &str) -> Vec<(String, &'a Value)> {
    let of = |(key, value): (&String, &'a Value)| match value {
        Value::Table(inner) => leaves(inner, &format!("{prefix}{key}.")),
        value => vec![(format!("{prefix}{key}"), value)],
    };
    table.iter().flat_map(of).collect()
}

/// The same setting, however it is written: 1 and 1.0, a size and a square of it.
fn alike(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|n| n as f64));
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Array(sides), one) | (one, Value::Array(sides)) => sides.len() == 2 && sides.iter().all(|side| alike(side, one)),
        _ => a == b || number(a).is_some_and(|a| Some(a) == number(b)),
    }
}

/// A value for messages.
fn shown(key: &str, value: Option<&Value>) -> String {
    let path = value.filter(|value| value.is_array() && PATHS.contains(&key));
    let path = path.and_then(|value| value.clone().try_into::<Written>().ok()).and_then(|written| written.path().ok());
    match (path, value) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(value)) => value.to_string(),
        (None, None) => NONE.to_owned(),
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

fn lay_over(base: &mut Table, table: Table, prefix: &str, given: &mut BTreeSet<String>) -> std::result::Result<(), String> {
    for (key, value) in table {
        let Some(old) = base.get_mut(&key) else {
            let nearest = base.keys().max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
            let nearest = nearest.map_or(String::new(), |nearest| format!(": did you mean {prefix}{nearest}?"));
            return Err(format!("no setting is called {prefix}{key}{nearest}"));
        };
        let name = format!("{prefix}{key}");
        match (old, value) {
            (Value::Table(old), Value::Table(new)) => {
                lay_over(old, new, &format!("{name}."), given)?;
                continue;
            }
            (Value::Table(_), other) => return Err(format!("{name} is {other}: expected a table of settings")),
            // A whole number where a fraction may stand.
            (old @ Value::Float(_), Value::Integer(n)) => *old = Value::Float(n as f64),
            (old, new) => *old = new,
        }
        given.insert(name);
    }
    Ok(())
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
        if let Some(DecayEnd::Changed(ends)) = &self.optimizer.decay_steps
            && !(ends.first().is_some_and(|[after, _]| *after == 0) && ends.is_sorted_by(|a, b| a[0] < b[0]))
        {
            return Err(Error::config("optimizer.decay_steps: expected [after step, end] in the order of the steps, the first after 0"));
        }
        self.weighting().weights(&self.scheduler.schedule(), self.scheduler.prediction())?;
        if self.network.get("sample_size").is_some_and(|size| size.as_str() != Some(NONE)) {
            self.image_size()?;
        }
        // Channels and classes may be the data's: any will do here.
        if self.network_config(3, None)?.time_embedding_type == TimeEmbeddingType::Fourier {
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
                let done = (k - warmup) as f64 / self.decay_end(k).saturating_sub(warmup).max(1) as f64;
                learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }

    /// Where the cosine that goes for step `k` ends.
    pub(crate) fn decay_end(&self, k: u64) -> u64 {
        self.optimizer.decay_steps.as_ref().map_or(self.steps, |ends| ends.at(k))
    }

    /// The share that the weights before training still have in the average of `ema.rates[which]` after the last step.
    ///
    /// # Panics
    /// On an index that has no rate.
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
