//! The settings while they are collected: tables over tables, and what was asked for by name.

use super::decay::{Decay, DecayEnd};
use super::typed::Config;
use super::value::{LABELS_OF_DATA, NONE, PATHS, Written, alike, from_json, in_words, path_value, shown};
use crate::error::{Error, ErrorKind, Result};
use ddim_nn::{SchedulerConfig, UNetConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("../../presets/defaults.toml");

/// Names, and what each says over the defaults; its network is [`UNetConfig::preset`]'s.
const PRESETS: [(&str, &str); 5] = [
    ("tiny", include_str!("../../presets/tiny.toml")),
    ("small", include_str!("../../presets/small.toml")),
    ("ddpm-cifar10", include_str!("../../presets/ddpm-cifar10.toml")),
    ("ddpm-celeba64", include_str!("../../presets/ddpm-celeba64.toml")),
    ("ddpm-lsun256", include_str!("../../presets/ddpm-lsun256.toml")),
];

/// Settings that "none" leaves to what a run finds.
const FOUND: [&str; 5] = ["data.path", "network.in_channels", "network.out_channels", CLASSES, "optimizer.decay_steps"];

/// Rows of a network's table of classes.
const CLASSES: &str = "network.num_class_embeds";

/// Settings while they are collected, not yet checked as a whole.
///
/// ```
/// use ddim_train::{ErrorKind, Settings};
///
/// let mut settings = Settings::preset("tiny")?;
/// settings.over("[optimizer]\nclip = 0.5", "mine.toml")?;
/// settings.set("batch_size", "4")?;
/// let config = settings.resolve()?;
/// assert_eq!((config.batch_size, config.optimizer.clip), (4, Some(0.5)));
/// assert_eq!(settings.set("optimizer.clipp", "0.5").unwrap_err().kind(), ErrorKind::Config);
/// # Ok::<(), ddim_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    table: Table,
    /// What was set by a file or one by one, not by a preset: the keys of single values.
    given: BTreeSet<String>,
    /// The files that single values are from, by their keys.
    files: BTreeMap<String, String>,
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
    /// `optimizer.clip is 1.0 here, 0.5 there`
    pub(crate) text: String,
}

impl Settings {
    /// Returns the names that [`preset`](Self::preset) accepts.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// Returns the defaults with a preset laid over them.
    ///
    /// # Errors
    /// Returns an error for any other name.
    pub fn preset(name: &str) -> Result<Self> {
        let Some((_, text)) = PRESETS.iter().find(|(known, _)| *known == name) else {
            let known = Self::presets().collect::<Vec<_>>().join(", ");
            return Err(Error::config(format!("preset {name}: expected one of {known}")));
        };
        let table = DEFAULTS.parse().expect("the defaults are TOML");
        let mut settings = Self { table, given: BTreeSet::new(), files: BTreeMap::new(), whole: true };
        settings.insert_network(&UNetConfig::preset(name).expect("each preset has a network"), &SchedulerConfig::default());
        // Of the data, unless they are said.
        for key in ["in_channels", "out_channels"] {
            settings.insert(&format!("network.{key}"), NONE.into());
        }
        settings.over(text, "the preset")?;
        settings.given.clear();
        settings.files.clear();
        Ok(settings)
    }

    /// Returns empty settings, on which changes of a run that has its own can be set ([`Run::resume`](crate::Run::resume)).
    pub fn changes() -> Self {
        let preset = Self::preset("ddpm-cifar10").expect("it is a preset");
        Self { whole: false, ..preset }
    }

    /// Reads the settings that a run was made with: its `config.toml`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, and the errors of [`over`](Self::over).
    pub fn of_run(path: &Path) -> Result<Self> {
        let mut settings = Self::preset("ddpm-cifar10")?;
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Config, format!("{}: {e}", path.display())).because(e))?;
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

    /// Lays the tables of a TOML text over these settings; `name` is for messages.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML or has an unknown key, with the nearest known one.
    pub fn over(&mut self, text: &str, name: &str) -> Result<()> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| Error::config(format!("{name}: {e}")).because(e))?;
        self.lay_over(table, Some(name)).map_err(|e| Error::config(format!("{name}: {e}")))
    }

    /// Lays the tables of a TOML file over these settings, as [`over`](Self::over) does.
    ///
    /// # Errors
    /// As `over`, and an error if the file cannot be read.
    pub fn over_file(&mut self, path: &Path) -> Result<()> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Config, format!("{}: {e}", path.display())).because(e))?;
        self.over(&text, &path.display().to_string())
    }

    /// Sets `key` (such as `optimizer.clip`) to a value in TOML syntax; a bare word is taken as a string.
    ///
    /// # Errors
    /// As [`over`](Self::over), and an error for unclosed quotes or brackets.
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

    /// Sets `key` (such as `optimizer.clip`) to a value.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn set_value(&mut self, key: &str, mut value: Value) -> Result<()> {
        for part in key.rsplit('.') {
            value = Value::Table(Table::from_iter([(part.to_owned(), value)]));
        }
        let Value::Table(table) = value else { unreachable!("wrapped in one table at least") };
        self.lay_over(table, None).map_err(Error::config)
    }

    /// Sets `key` to a path, whether or not it is Unicode.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn set_path(&mut self, key: &str, path: &Path) -> Result<()> {
        self.set_value(key, path_value(path))
    }

    fn lay_over(&mut self, table: Table, file: Option<&str>) -> std::result::Result<(), String> {
        let mut keys = Vec::new();
        lay_over(&mut self.table, table, "", &mut keys)?;
        for key in keys {
            self.come_from(&key, file);
            self.given.insert(key);
        }
        Ok(())
    }

    /// Notes the file that the value of a key is from now on from, or that it is from none.
    pub(crate) fn come_from(&mut self, key: &str, file: Option<&str>) {
        match file {
            Some(file) => self.files.insert(key.to_owned(), file.to_owned()),
            None => self.files.remove(key),
        };
    }

    /// The file that the value of a key is from.
    pub(crate) fn file_of(&self, key: &str) -> Option<&str> {
        self.files.get(key).map(String::as_str)
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
            let absolute = std::path::absolute(&path).map_err(|e| Error::config(format!("{key}: {}: {e}", path.display())).because(e))?;
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
            // A model may be given more classes.
            let [rows, known] = [given, theirs].map(|value| value.and_then(Value::as_integer));
            let added = key == CLASSES && rows > known;
            if added || (key == "network.sample_size" && !own_size) || (given.is_none() && FOUND.contains(&key.as_str())) {
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
        if network.num_class_embeds.is_none() || network.class_embed_type.is_none() {
            // The rows of a table are found with the data's classes.
            let rows = self.get(CLASSES).filter(|_| self.is_given(CLASSES)).cloned();
            of_model.insert(CLASSES, rows.unwrap_or_else(|| NONE.into()));
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
                let text = format!("{key} is {} here, {} there", shown(&key, Some(value)), shown(&key, there));
                found.push(Difference { key, value: value.clone(), given, text });
            }
        }
        found
    }

    /// Returns the keys whose values differ from those of `other`, with a text such as `optimizer.clip is 1.0 here, 0.5 there`.
    pub fn differences(&self, other: &Self) -> Vec<(String, String)> {
        let differ = |(key, value): (String, &Value)| {
            let there = other.get(&key);
            let same = there.map_or(value.as_str() == Some(NONE), |there| there == value);
            (!same).then(|| (key.clone(), format!("{key} is {} here, {} there", shown(&key, Some(value)), shown(&key, there))))
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
        let line =
            format!("the learning rate goes from {before:.2e} to {after:.2e}: its cosine decay now ends at step {end}, not at step {last}");
        Ok(if same || end == last { Vec::new() } else { vec![line] })
    }

    /// Takes over what was asked for, and that it was.
    pub(crate) fn give_all(&mut self, asked: &Self, differences: Vec<Difference>) {
        for Difference { key, value, .. } in differences {
            self.insert(&key, value);
            self.come_from(&key, asked.file_of(&key));
        }
        self.given.extend(asked.given.iter().cloned());
    }

    /// Checks the settings and returns them as types.
    ///
    /// # Errors
    /// Returns an error for a value of another type or out of range. The message names the key and the file that it comes from.
    pub fn resolve(&self) -> Result<Config> {
        let mut table = self.table.clone();
        without_none(&mut table);
        let config: Result<Config> = table.try_into().map_err(|e: toml::de::Error| Error::config(in_words(&e.to_string())).because(e));
        config.and_then(|config| config.check().map(|()| config)).map_err(|error| self.by_file(error))
    }

    /// What is wrong with a setting, with the file that it is from.
    pub(crate) fn by_file(&self, error: Error) -> Error {
        let text = error.to_string();
        let named = |key: &str| {
            let own = text.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', ':', '[']));
            own || text.contains(&format!("in `{key}`"))
        };
        match self.files.iter().find(|(key, _)| error.kind() == ErrorKind::Config && named(key)) {
            Some((_, file)) => Error::config(format!("{file}: {text}")).because(error),
            None => error,
        }
    }

    /// Returns the settings as the text of a file that makes the same run.
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

fn without_none(table: &mut Table) {
    // Tables of diffusers' keys keep theirs: absent and null mean different things there.
    table.retain(|_, value| value.as_str() != Some(NONE));
    for (key, value) in table.iter_mut() {
        if let (Value::Table(inner), false) = (value, ["network", "scheduler"].contains(&key.as_str())) {
            without_none(inner);
        }
    }
}

/// Lays a table over another; `keys` gets those of the single values.
fn lay_over(base: &mut Table, table: Table, prefix: &str, keys: &mut Vec<String>) -> std::result::Result<(), String> {
    for (key, value) in table {
        let Some(old) = base.get_mut(&key) else {
            let nearest = base.keys().max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
            let nearest = nearest.map_or(String::new(), |nearest| format!(": did you mean {prefix}{nearest}?"));
            return Err(format!("no setting is called {prefix}{key}{nearest}"));
        };
        let name = format!("{prefix}{key}");
        match (old, value) {
            (Value::Table(old), Value::Table(new)) => {
                lay_over(old, new, &format!("{name}."), keys)?;
                continue;
            }
            (Value::Table(_), other) => return Err(format!("{name} is {other}: expected a table of settings")),
            // A whole number where a fraction may stand.
            (old @ Value::Float(_), Value::Integer(n)) => *old = Value::Float(n as f64),
            (old, new) => *old = new,
        }
        keys.push(name);
    }
    Ok(())
}
