//! Training.

use crate::device;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::inputs;
use crate::job::{Request, Watch, Within};
use crate::models;
use crate::output::{check_paths, create_folder, write};
use crate::reports::{ClassReport, DataReport};
use crate::usage::usage;
use ddim_nn::{Choices, Pipeline};
use ddim_pictures::{grid, square_columns};
use ddim_train::{Metrics, PREVIEWS, Run, Settings, Trainer, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Starts a training run, or resumes one to the same bytes.
///
/// After [`Control::cancel`](crate::Control::cancel), it finishes the step, saves, and returns the report of an unfinished run.
///
/// ```
/// use ddim_engine::{Control, Engine, Train};
///
/// # let folder = tempfile::tempdir()?;
/// let data = folder.path().join("data.npy"); // six images [3, 8, 8] in [-1, 1]
/// std::fs::write(&data, ddim_data::npy_bytes(&[0.25; 6 * 192], [3, 8, 8]))?;
/// let set = [("network.sample_size", "8"), ("steps", "3"), ("batch_size", "2")];
/// let request = Train {
///     out: folder.path().join("run"),
///     data: Some(data),
///     preset: Some("tiny".into()),
///     set: set.map(|(key, value)| (key.into(), value.into())).to_vec(),
///     ..Train::default()
/// };
/// let trained = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert!(trained.finished && trained.checkpoint.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// The folder of the run.
    pub out: PathBuf,
    /// Whether to resume the run in `out`. With `data` or `config`, a new run is started if there is none yet.
    pub resume: bool,
    /// Training images.
    pub data: Option<PathBuf>,
    /// Classes: `data`, or a text file with one number per line.
    pub labels: Option<PathBuf>,
    /// A model to start from.
    pub model: Option<PathBuf>,
    /// Name of a preset of settings. Defaults to `small`, or when resuming to the run's own settings.
    pub preset: Option<String>,
    /// A file of settings that override the preset's.
    pub config: Option<PathBuf>,
    /// Settings that override these, as text: `("ema.rates", "[0.999]")`.
    pub set: Vec<(String, String)>,
    /// Settings that override all of these.
    pub settings: BTreeMap<String, Value>,
    /// Whether to recompute activations in the backward pass: less memory, more time, the same bytes.
    pub checkpoint_activations: bool,
}

/// The result of a [`Train`].
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "command", rename = "train")]
pub struct TrainReport {
    /// The folder of the run.
    pub run: String,
    /// Number of steps taken.
    pub step: u64,
    /// Whether the run has finished.
    pub finished: bool,
    /// Time taken by this call, in seconds.
    pub seconds: f64,
    /// The last checkpoint.
    pub checkpoint: Option<String>,
    /// The last line of metrics that this call wrote.
    pub metrics: Option<Metrics>,
    /// Remarks on the settings, one line each.
    pub remarks: Vec<String>,
    /// Files left out of the images.
    pub data: DataReport,
    /// The classes of the images, if they have any.
    pub classes: Option<Vec<ClassReport>>,
    /// The command that resumes the run.
    pub resume: String,
    /// Number of steps of the whole run.
    #[serde(skip)]
    pub steps: u64,
}

impl Train {
    /// A new run writes its settings, labels and model where no file lies that it is told to read.
    fn check_read(&self) -> Result<()> {
        for (field, path) in [("config", &self.config), ("labels", &self.labels), ("model", &self.model)] {
            let Some(read) = path.as_ref().and_then(|path| path.canonicalize().ok()) else { continue };
            let writes = |name: &&&str| self.out.join(name).canonicalize().is_ok_and(|written| read.starts_with(written));
            if let Some(name) = Run::WRITTEN.iter().find(writes) {
                let found = format!("{} is {name} of {}, which the run writes", read.display(), self.out.display());
                return Err(Error::field(field, format!("{found}: expected another file, or another folder for the run")));
            }
        }
        Ok(())
    }

    /// What another device than the processor does not do.
    fn check_device(&self, watch: &Watch<'_>) -> Result<()> {
        match watch.device() {
            Some(device) if self.checkpoint_activations => Err(device::only_here("checkpoint_activations", &**device)),
            _ => Ok(()),
        }
    }
}

impl Request for Train {
    type Report = TrainReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<TrainReport> {
        check_paths(&[], &[("out", Some(&self.out))], &[])?;
        self.check_device(watch)?;
        let load = |model: &Path| load(model, watch);
        // A job script says the same line first and after each interruption: then there is no run yet.
        let there = self.out.join(models::RUN).exists();
        let whole = self.data.is_some() || self.config.is_some();
        let mut run = if self.resume && (there || !whole) {
            Run::resume(&self.out, &self.settings(None)?, &load)?
        } else {
            self.check_read()?;
            Run::create(&self.out, self.settings(Some("small"))?, &load)?
        };
        self.say_network(watch);
        run.checkpoint_activations(self.checkpoint_activations);
        if let Some(device) = watch.device() {
            run.train_on(device.clone());
            watch.note(format!("training on {}; the first step waits for kernels to compile", device.described()));
        }
        let config = run.config().clone();
        let previews = self.out.join(PREVIEWS);
        if config.output.preview_every > 0 {
            create_folder(&previews)?;
        }
        let (mut metrics, mut remarks, mut data, mut classes) = (None, Vec::new(), DataReport::default(), None);
        let resume = run.resume_command();
        let outcome = run.train(&watch.control().flag(), &mut |event| {
            match event {
                ddim_train::Event::Started { step, images: [images, held_out], parameters, data: set, remarks: said } => {
                    inputs::lines(&set.report).for_each(|note| watch.tell(note));
                    (data, classes, remarks) = ((&set.report).into(), inputs::classes(set), said.to_vec());
                    let (steps, batch_size, classes, remarks) = (config.steps, config.batch_size, classes.clone(), remarks.clone());
                    watch.tell(Event::TrainingBegan { step, steps, images, held_out, parameters, batch_size, classes, remarks });
                    inputs::runs(&set.report).for_each(|note| watch.tell(note));
                }
                ddim_train::Event::Stepped { step, stepped } => {
                    let peak_memory_bytes = usage().map(|used| used.peak_memory);
                    watch.tell(Event::Trained { step, loss: stepped.loss, learning_rate: stepped.learning_rate, peak_memory_bytes });
                }
                ddim_train::Event::Metrics(line) => {
                    watch.tell(Event::Metrics { metrics: line.clone() });
                    metrics = Some(line.clone());
                }
                ddim_train::Event::Preview { step, shape, images } => {
                    let count = images.len() / shape.iter().product::<usize>();
                    let picture = grid(images, shape, square_columns(count)).map_err(ddim_train::Error::observer)?;
                    let caption = format!("ddim train, step {step}: the run's latents in {} steps", config.output.preview_steps);
                    let path = previews.join(format!("step-{step:08}.png"));
                    write(&path, &picture.to_png(&caption)).map_err(ddim_train::Error::observer)?;
                    watch.line(path.display().to_string());
                }
                ddim_train::Event::Remark(remark) => watch.note(remark),
                ddim_train::Event::Checkpoint { path, .. } => watch.line(path.display().to_string()),
                _ => {}
            }
            Ok(())
        })?;
        Ok(TrainReport {
            run: self.out.display().to_string(),
            step: outcome.step,
            finished: outcome.finished,
            seconds: outcome.seconds,
            checkpoint: outcome.checkpoint.as_ref().map(|path| path.display().to_string()),
            metrics,
            remarks,
            data,
            classes,
            resume,
            steps: config.steps,
        })
    }
}

fn load(model: &Path, watch: &Watch<'_>) -> ddim_nn::Result<Pipeline> {
    models::load(model, &Choices::default(), watch).map_err(ddim_nn::Error::caller)
}

impl Train {
    /// What the request asks for: over the preset that it names, or `default`; without either, changes of a run.
    fn settings(&self, default: Option<&str>) -> Result<Settings> {
        let mut settings = match self.preset.as_deref().or(default) {
            Some(preset) => Settings::preset(preset).map_err(|e| Error::request(e.to_string().replacen("preset", "`preset`", 1)))?,
            None => Settings::changes(),
        };
        self.lay_over(&mut settings)?;
        Ok(settings)
    }

    /// Says that a preset's network is not what is trained, where a model's is.
    fn say_network(&self, watch: &Watch<'_>) {
        if let (Some(preset), Some(model)) = (&self.preset, &self.model) {
            watch.note(format!("`preset` {preset}: only its settings are used, the network is that of `model` {}", model.display()));
        }
    }

    fn lay_over(&self, settings: &mut Settings) -> Result<()> {
        if let Some(file) = &self.config {
            settings.over_file(file)?;
        }
        for (key, value) in &self.set {
            let pair = format!("{key}={value}: ");
            let named = |e: ddim_train::Error| {
                let what = e.to_string();
                Error::request(format!("`set` {pair}{}", what.strip_prefix(&pair).unwrap_or(&what))).because(e)
            };
            settings.set(key, value).map_err(named)?;
        }
        for (key, value) in &self.settings {
            settings.set_value(key, value.clone())?;
        }
        // A folder called "none" is one.
        let data = self.data.as_deref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        for (key, path) in [("data.path", data.as_deref()), ("data.labels", self.labels.as_deref()), ("model", self.model.as_deref())] {
            if let Some(path) = path {
                settings.set_path(key, path)?;
            }
        }
        Ok(())
    }
}

/// Images of the smaller and of the larger step that a dry run takes.
const TRIED: [usize; 2] = [2, 8];

/// Predicts the settings, memory and time of a [`Train`] by taking two of its steps; nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DryRun(pub Train);

/// The result of a [`DryRun`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "train")]
pub struct DryRunReport {
    /// Always true.
    pub dry_run: bool,
    /// Every setting, as TOML.
    pub config: String,
    /// Number of parameters of the network.
    pub parameters: usize,
    /// Number of training images.
    pub images: usize,
    /// Number of held-out images.
    pub held_out: usize,
    /// Bytes of memory that all images take.
    pub data_bytes: usize,
    /// Remarks on the settings, one line each.
    pub remarks: Vec<String>,
    /// Files left out of the images.
    pub data: DataReport,
    /// The classes of the images, if they have any.
    pub classes: Option<Vec<ClassReport>>,
    /// Approximate peak memory of a step in bytes, where the system reports it.
    pub memory_bytes: Option<u64>,
    /// Approximate time per step in seconds.
    pub seconds_per_step: f64,
    /// Approximate time of the whole run in seconds.
    pub seconds: f64,
    /// Number of images per step.
    #[serde(skip)]
    pub batch_size: usize,
}

impl Request for DryRun {
    type Report = DryRunReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<DryRunReport> {
        check_paths(&[], &[("out", Some(&self.0.out))], &[])?;
        self.0.check_device(watch)?;
        if self.0.resume {
            return Err(Error::field("resume", "a dry run tries the start of a new run: expected one or the other"));
        }
        let mut settings = self.0.settings(Some("small"))?;
        let mut trainer = Trainer::begin(&mut settings, std::slice::from_ref(&self.0.out), &|model: &Path| load(model, watch))?;
        self.0.say_network(watch);
        trainer.checkpoint_activations(self.0.checkpoint_activations);
        if let Some(device) = watch.device() {
            trainer.train_on(device.clone());
        }
        let config = trainer.config().clone();
        inputs::say(&trainer.data().report, watch);
        let [_, h, w] = trainer.data().shape;
        // What memory a step takes grows with the images that go through together: two sizes give the slope.
        let part = config.batch_size.min(ddim_nn::TrainingPlan::images_together([h, w]));
        // On a device whole batches go through, and it says what that takes.
        let sizes = if watch.device().is_some() {
            [config.batch_size; 2]
        } else {
            match config.batch_size.min(trainer.images_at_a_time()) {
                // The memory of several at a time is bounded: they are measured as they are.
                several if several > part => [several; 2],
                _ => TRIED.map(|n| n.min(part)),
            }
        };
        let mut found = Vec::new();
        for n in sizes {
            watch.check()?;
            trainer.try_step(n)?;
            watch.check()?;
            let begin = Instant::now();
            trainer.try_step(n)?;
            found.push((begin.elapsed().as_secs_f64(), usage().map(|used| used.peak_memory)));
        }
        let seconds_per_step = found[1].0 / sizes[1] as f64 * config.batch_size as f64;
        let memory_bytes = match (found[0].1, found[1].1) {
            (Some(small), Some(large)) if sizes[1] > sizes[0] => {
                Some(large + (large - small) / (sizes[1] - sizes[0]) as u64 * (part - sizes[1]) as u64)
            }
            (_, large) => large,
        };
        let memory_bytes = watch.device().map_or(memory_bytes, |device| device.memory());
        let [images, held_out] = trainer.split();
        Ok(DryRunReport {
            dry_run: true,
            config: settings.to_toml(),
            parameters: trainer.parameters(),
            images,
            held_out,
            data_bytes: trainer.data().bytes(),
            remarks: trainer.remarks(),
            data: (&trainer.data().report).into(),
            classes: inputs::classes(trainer.data()),
            memory_bytes,
            seconds_per_step,
            seconds: seconds_per_step * config.steps as f64,
            batch_size: config.batch_size,
        })
    }
}
