//! A run: its folder, and the loop that fills it.
//!
//! The folder holds `config.toml` (the resolved settings of the run), `metrics.jsonl` (one line per tick), `events.out.tfevents.*` for
//! TensorBoard, `checkpoints/`, and whatever the observer adds (previews). It also holds what makes a run need nothing but its data:
//! `base/`, the model that it started from, and `labels.txt`, the file of its classes.

mod event;
mod folder;

use crate::checkpoint;
use crate::config::{Config, Difference, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventFile;
use crate::shell::quoted;
use crate::tally::Tally;
use crate::trainer::{Evaluated, Trainer};
use ddim_data::Labels;
use ddim_nn::{Device, Pipeline};
use ddim_weights::WeightsDtype;
use folder::{BASE, CONFIG, LABELS, METRICS, PREVIEWS, lock, open_metrics, refuse_used, remove, same_file, unused_beside, write_whole};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use event::{Event, Metrics, Outcome};

/// A run's folder, held by one process.
///
/// ```
/// use ddim_train::{Event, Run, Settings};
/// use std::sync::atomic::AtomicBool;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("data.npy"), ddim_data::npy_bytes(&[0.25; 6 * 192], [3, 8, 8]))?;
/// let mut settings = Settings::preset("tiny")?;
/// settings.set_path("data.path", &folder.join("data.npy"))?;
/// for (key, value) in [("network.sample_size", "8"), ("steps", "4"), ("batch_size", "2")] {
///     settings.set(key, value)?;
/// }
///
/// let run = Run::create(&folder.join("run"), settings, &ddim_nn::Pipeline::load)?;
/// let mut steps = 0;
/// let outcome = run.train(&AtomicBool::new(false), &mut |event| {
///     steps += u64::from(matches!(event, Event::Stepped { .. }));
///     Ok(())
/// })?;
/// assert_eq!((outcome.step, outcome.finished, steps), (4, true, 4));
/// let pipeline = ddim_nn::Pipeline::load(&outcome.checkpoint.unwrap())?; // the averaged weights
/// assert_eq!(pipeline.config.in_channels, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Run {
    folder: PathBuf,
    config: Config,
    trainer: Trainer,
    tally: Tally,
    remarks: Vec<String>,
    /// Locked as long as it is open.
    _lock: File,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("folder", &self.folder).field("config", &self.config).finish_non_exhaustive()
    }
}

/// Settings that a run with a checkpoint may have otherwise from there on: they change nothing of what was computed. The end of a decay is
/// kept with the step from which on it goes.
fn may_change(key: &str) -> bool {
    ["steps", "data.path", "optimizer.decay_steps"].contains(&key) || key.starts_with("output.")
}

/// What is not to be trained on, wherever the run lies: also within its data, or among them.
fn no_data(folder: &Path) -> [PathBuf; 2] {
    [folder.to_owned(), folder.join(PREVIEWS)]
}

impl Run {
    /// The entries that a run writes into its folder, besides checkpoints, and replaces if another run ended there before its first
    /// checkpoint.
    pub const WRITTEN: [&str; 5] = folder::REPLACED;

    /// Creates the folder and everything in it. A run that ended before its first checkpoint is replaced.
    ///
    /// # Errors
    /// Returns an error if the folder already holds a run, or if the settings or the data are found lacking, before anything is written.
    pub fn create(folder: &Path, settings: Settings, model: &dyn Fn(&Path) -> ddim_nn::Result<Pipeline>) -> Result<Self> {
        refuse_used(folder)?;
        let held = folder.join(CONFIG).exists().then(|| lock(folder)).transpose()?;
        Self::begin(folder, settings, model, held, None)
    }

    /// A run at step 0. `before` has the settings of the run that was there, if this is the same one.
    fn begin(
        folder: &Path,
        mut settings: Settings,
        model: &dyn Fn(&Path) -> ddim_nn::Result<Pipeline>,
        held: Option<File>,
        before: Option<&Settings>,
    ) -> Result<Self> {
        settings.make_absolute(before)?;
        // What the run has copies of, where the same is asked for: from those, unless it is said again and there.
        let same = |key: &str| before.filter(|before| settings.get(key).is_some() && settings.get(key) == before.get(key));
        let copied = |key: &str, copy: &str| {
            let copy = folder.join(copy);
            let gone = settings.path(key).is_none_or(|path| !path.exists());
            (same(key).is_some() && copy.exists() && (gone || !settings.is_given(key))).then_some(copy)
        };
        let (base, labels) = (copied("model", BASE), copied("data.labels", LABELS));
        let original = settings.get("data.labels").cloned();
        if let Some(labels) = &labels {
            settings.insert("data.labels", crate::config::path_value(labels));
        }
        // As it was loaded: training may add classes to it.
        let started_from = RefCell::new(None);
        let load = |path: &Path| {
            let pipeline = if let Some(base) = &base { Pipeline::load(base)? } else { model(path)? };
            let Pipeline { unet, scheduler, classes, class_counts, sampling, .. } = &pipeline;
            let (classes, class_counts, sampling) = (classes.clone(), class_counts.clone(), sampling.clone());
            *started_from.borrow_mut() =
                Some(Pipeline { classes, class_counts, sampling, ..Pipeline::new(unet.clone(), scheduler.clone()) });
            Ok(pipeline)
        };
        let trainer = Trainer::begin(&mut settings, &no_data(folder), &load)?;
        if let Some(original) = original {
            settings.insert("data.labels", original);
        }
        std::fs::create_dir_all(checkpoint::folder(folder)).map_err(|e| Error::run(folder, &e).because(e))?;
        let lock = held.map_or_else(|| lock(folder), Ok)?;
        // Another process may have been here in between.
        refuse_used(folder)?;
        let remove = |name: &str| remove(&folder.join(name));
        [METRICS, PREVIEWS].into_iter().try_for_each(remove)?;
        if base.is_none() {
            remove(BASE)?;
        }
        if labels.is_none() {
            remove(LABELS)?;
        }
        write_whole(&folder.join(CONFIG), settings.to_toml().as_bytes())?;
        if let Some(model) = started_from.take().filter(|_| base.is_none()) {
            model.save(&folder.join(BASE), WeightsDtype::F32)?;
        }
        // As it was read: a pipe is read once, and a file may have changed since.
        if let (None, Some(text)) = (&labels, trainer.data().labels_text()) {
            write_whole(&folder.join(LABELS), text.as_bytes())?;
        }
        let (config, remarks) = (settings.resolve()?, trainer.remarks());
        Ok(Self { folder: folder.to_owned(), config, trainer, tally: Tally::default(), remarks, _lock: lock })
    }

    /// Opens a run at its last checkpoint, or at its start if there is none. `asked` has changes to its settings ([`Settings::changes`]),
    /// or all of them, as the run was made with, and possibly changes ([`Settings::preset`]). At its start a run accepts any change.
    ///
    /// # Errors
    /// Returns an error if there is no run, another process holds it, a change affects what the steps so far were computed with, or the
    /// data differ.
    pub fn resume(folder: &Path, asked: &Settings, model: &dyn Fn(&Path) -> ddim_nn::Result<Pipeline>) -> Result<Self> {
        let path = folder.join(CONFIG);
        if !path.exists() {
            return Err(Error::run(folder, "holds no run (no config.toml): leave --resume out to start one, or give --data"));
        }
        let lock = lock(folder)?;
        let before = Settings::of_run(&path)?;
        let mut asked = asked.clone();
        asked.make_absolute(Some(&before))?;
        std::fs::create_dir_all(checkpoint::folder(folder)).map_err(|e| Error::run(folder, &e).because(e))?;
        checkpoint::sweep(folder)?;
        let Some((step, last)) = checkpoint::checkpoints(folder)?.pop() else {
            return Self::begin(folder, laid_over(&before, asked), model, Some(lock), Some(&before));
        };
        let mut settings = before.clone();
        if before.get("model").is_some() {
            // The first version recorded the preset's network instead of the model's.
            let (network, scheduler) = checkpoint::configuration(&last)?;
            settings.insert_network(&network, &scheduler);
        }
        let differences = allowed(folder, &asked, &settings)?;
        let then = before.resolve()?;
        // What a run of the first version did.
        settings.fix_decay();
        for Difference { key, value, .. } in differences.iter().filter(|d| d.key != "optimizer.decay_steps") {
            settings.insert(key, value.clone());
            settings.come_from(key, asked.file_of(key));
        }
        // A run that is long enough already is as it was.
        let goes_on = settings.resolve()?.steps > step;
        let mut remarks = if goes_on { settings.change_decay(&then, &asked, step)? } else { Vec::new() };
        let config = settings.resolve()?;
        let mut of_copies = config.clone();
        if let (Some(Labels::File(file)), true) = (&mut of_copies.data.labels, folder.join(LABELS).exists()) {
            *file = folder.join(LABELS);
        }
        let mut trainer = Trainer::new(of_copies, &no_data(folder), checkpoint::start(&last)?)?;
        let tally = checkpoint::load(&last, &mut trainer)?;
        remarks.extend(trainer.remarks());
        if settings != before && goes_on {
            write_whole(&path, settings.to_toml().as_bytes())?;
        }
        Ok(Self { folder: folder.to_owned(), config, trainer, tally, remarks, _lock: lock })
    }

    /// Sets activation checkpointing: see [`Trainer::checkpoint_activations`].
    pub fn checkpoint_activations(&mut self, on: bool) {
        self.trainer.checkpoint_activations(on);
    }

    /// Takes further steps on a device: see [`Trainer::train_on`].
    pub fn train_on(&mut self, device: Arc<dyn Device>) {
        self.trainer.train_on(device);
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Trains to the last step, or until `stop` is set: the current step is then finished and saved.
    ///
    /// # Errors
    /// Returns an error if the loss is not a number or grows (naming the last checkpoint), if a folder cannot be written, and whatever
    /// error the observer returns.
    pub fn train(mut self, stop: &AtomicBool, observe: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Outcome> {
        self.steps(stop, observe).map_err(|error| self.ended_by(error))
    }

    /// Returns the command that resumes the run.
    pub fn resume_command(&self) -> String {
        format!("ddim train --out {} --resume{}", quoted(&self.folder), self.trainer.flags())
    }

    fn steps(&mut self, stop: &AtomicBool, observe: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Outcome> {
        let folder = self.folder.clone();
        let started = Instant::now();
        let [images, held] = self.trainer.split();
        let step = self.trainer.step;
        let (data, remarks) = (self.trainer.data(), &self.remarks);
        observe(Event::Started { step, images: [images, held], parameters: self.trainer.parameters(), data, remarks })?;
        let mut metrics_file = open_metrics(&folder.join(METRICS), step)?;
        let mut events = EventFile::create(&folder, step).map_err(|e| Error::run(&folder, &e).because(e))?;
        let output = self.config.output.clone();
        let largest_weight = self.trainer.largest_weight();
        let mut last_saved = Instant::now();
        // Time spent in steps since the last line of metrics, and their images.
        let (mut busy, mut done) = (Duration::ZERO, 0);
        while self.trainer.step < self.config.steps && !stop.load(Ordering::Relaxed) {
            let (begin, before) = (Instant::now(), self.trainer.step);
            let stepped = self.trainer.step();
            busy += begin.elapsed();
            done += self.config.batch_size;
            let step = self.trainer.step;
            let healthy =
                stepped.and_then(|stepped| self.tally.add(&stepped, step, self.config.batch_size, largest_weight).map(|()| stepped));
            let stepped = healthy.map_err(|e| self.diverged(e, before))?;
            if let Some(remark) = self.trainer.remark() {
                observe(Event::Remark(&remark))?;
            }
            observe(Event::Stepped { step, stepped })?;
            let last = step == self.config.steps;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || last);
            let evaluated = if due(output.evaluate_every) { self.trainer.evaluate()? } else { None };
            if due(output.log_every) || evaluated.is_some() {
                let Tally { loss, norm, steps, .. } = self.tally;
                let images_seen = step * self.config.batch_size as u64;
                let metrics = Metrics {
                    step,
                    images: images_seen,
                    epoch: images_seen as f64 / images as f64,
                    loss: loss / steps as f64,
                    gradient_norm: norm / steps as f64,
                    learning_rate: stepped.learning_rate,
                    evaluation_loss: evaluated.map(|of| of.average),
                    evaluation_loss_raw: evaluated.map(|of| of.raw),
                    images_per_second: done as f64 / busy.as_secs_f64(),
                };
                (busy, done) = (Duration::ZERO, 0);
                self.tally.begin_line();
                let io = |e| Error::run(&folder.join(METRICS), &e).because(e);
                writeln!(metrics_file, "{}", serde_json::to_string(&metrics).expect("plain numbers")).map_err(io)?;
                let mut scalars = vec![
                    ("loss", metrics.loss),
                    ("gradient_norm", metrics.gradient_norm),
                    ("learning_rate", metrics.learning_rate),
                    ("images_per_second", metrics.images_per_second),
                ];
                if let Some(Evaluated { average, raw }) = evaluated {
                    scalars.extend([("evaluation_loss", average), ("evaluation_loss_raw", raw)]);
                }
                events.scalars(step, &scalars).map_err(|e| Error::run(&folder, &e).because(e))?;
                observe(Event::Metrics(&metrics))?;
            }
            if due(output.preview_every) {
                let images = self.trainer.preview(output.preview_count, output.preview_steps)?;
                observe(Event::Preview { step, shape: self.trainer.data().shape, images: &images })?;
            }
            let minutes = last_saved.elapsed().as_secs_f64() / 60.0;
            if due(output.checkpoint_every) || output.checkpoint_minutes.is_some_and(|every| minutes >= every) {
                self.save(observe)?;
                last_saved = Instant::now();
            }
        }
        let step = self.trainer.step;
        // What has not been trained at all is no checkpoint.
        let checkpoint = if step > 0 { Some(self.save(observe)?) } else { None };
        Ok(Outcome { step, finished: step >= self.config.steps, checkpoint, seconds: started.elapsed().as_secs_f64() })
    }

    fn save(&mut self, observe: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<PathBuf> {
        let path = checkpoint::path(&self.folder, self.trainer.step);
        if !path.exists() {
            self.trainer.fetch()?;
            checkpoint::save(&path, &self.trainer, &self.tally)?;
            checkpoint::prune(&self.folder, self.config.output.keep)?;
            observe(Event::Checkpoint { step: self.trainer.step, path: &path })?;
        }
        Ok(path)
    }

    /// What ended the run: a device that is lost or full takes the state with it.
    fn ended_by(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Network || !self.trainer.is_elsewhere() {
            return error;
        }
        let last = checkpoint::checkpoints(&self.folder).unwrap_or_default().pop();
        let from = last.map_or("the start: there is no checkpoint yet".to_owned(), |(_, path)| path.display().to_string());
        let next = format!("{} continues from {from}", self.resume_command());
        Error::new(ErrorKind::Network, format!("after step {}: {error}; {next}", self.trainer.step)).because(error)
    }

    /// What went wrong with the weights of step `failed`, and a command that goes on from what there is, with a lower learning rate.
    fn diverged(&self, error: Error, failed: u64) -> Error {
        if error.kind() != ErrorKind::Diverged {
            return error;
        }
        let rate = (self.config.optimizer.learning_rate / 10.0).min(MODEST);
        let all = checkpoint::checkpoints(&self.folder).unwrap_or_default();
        if all.is_empty() {
            let next = format!("{} --learning-rate {rate:.1e}", self.resume_command());
            return Error::new(ErrorKind::Diverged, format!("{error}; there is no checkpoint yet, start again with {next}")).because(error);
        }
        // Those saved while the loss grew are no better.
        let good = |(step, path): &&(u64, PathBuf)| *step < failed && checkpoint::tally(path).is_ok_and(|tally| tally.is_low());
        let good = all.iter().rev().find(good).map(|(_, path)| path.clone());
        let own = |name: &str| Some(self.folder.join(name)).filter(|path| path.exists());
        let flag = |name: &str, path: Option<PathBuf>| path.map_or(String::new(), |path| format!(" --{name} {}", quoted(&path)));
        let next = format!(
            "ddim train --config {}{}{} --out {} --learning-rate {rate:.1e}{}",
            quoted(&self.folder.join(CONFIG)),
            flag("model", good.clone().or(own(BASE))),
            flag("labels", own(LABELS)),
            quoted(&unused_beside(&self.folder)),
            self.trainer.flags(),
        );
        let last =
            good.map_or("there is no earlier checkpoint".to_owned(), |path| format!("the last good checkpoint is {}", path.display()));
        Error::new(ErrorKind::Diverged, format!("{error}; {last}, start again with {next}")).because(error)
    }
}

/// The learning rate that is advised at most: DDPM's.
const MODEST: f64 = 2e-4;

/// The changes that a run with a checkpoint takes.
///
/// # Errors
/// Others.
fn allowed(folder: &Path, asked: &Settings, settings: &Settings) -> Result<Vec<Difference>> {
    let (copy, labels) = (folder.join(LABELS), asked.path("data.labels"));
    let mut differences = asked.asked_of(settings);
    differences.retain(|difference| match difference.key.as_str() {
        "data.labels" => !same_file(&copy, labels.as_deref()),
        key => difference.given || !may_change(key),
    });
    let refused: Vec<&str> = differences.iter().filter(|d| !may_change(&d.key)).map(|d| d.text.as_str()).collect();
    if !refused.is_empty() {
        return Err(Error::run(folder, format!("a run with other settings: {}: expected the same, to resume", refused.join("; "))));
    }
    // The same name, and another file by now.
    let given = labels.filter(|file| asked.is_given("data.labels") && copy.exists() && file.is_file());
    match given.filter(|file| !same_file(&copy, Some(file))) {
        Some(file) => Err(Error::data(&file, format!("the labels have changed: they differ from {}: expected the same", copy.display()))),
        None => Ok(differences),
    }
}

/// What is asked for, over the settings of a run that has computed nothing yet.
fn laid_over(before: &Settings, asked: Settings) -> Settings {
    if asked.is_whole() {
        return asked;
    }
    let differences = asked.asked_of(before);
    let mut settings = before.clone();
    let other = |keys: &[&str]| differences.iter().any(|d| keys.contains(&d.key.as_str()));
    // What was found of other data, or of a model.
    if other(&["data.path", "data.labels", "objective.label_dropout", "model"]) {
        for key in ["in_channels", "out_channels", "num_class_embeds"] {
            settings.insert(&format!("network.{key}"), "none".into());
        }
    }
    if other(&["steps", "optimizer.decay"]) && settings.get("optimizer.decay_steps") == before.get("steps") {
        settings.insert("optimizer.decay_steps", "none".into());
    }
    settings.give_all(&asked, differences);
    settings
}
