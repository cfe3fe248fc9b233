//! A run: its folder, and the loop that fills it.
//!
//! `config.toml` (as resolved), `metrics.jsonl` (one line a tick), `events.out.tfevents.*` for TensorBoard, `checkpoints/`, and whatever the
//! observer adds (previews).

use crate::checkpoint;
use crate::config::{Config, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventFile;
use crate::trainer::{Stepped, Trainer};
use ddim_data::DataSet;
use ddim_nn::Pipeline;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";

/// What happens in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Everything is loaded; training starts after this step.
    Started {
        /// Steps that were taken before.
        step: u64,
        /// Images to train on and images held out.
        images: [usize; 2],
        /// Weights.
        parameters: usize,
        /// The images, and what was left out of them.
        data: &'a DataSet,
    },
    /// A step is over.
    Stepped {
        /// Its number.
        step: u64,
        /// What it did.
        stepped: Stepped,
    },
    /// A line of metrics was written.
    Metrics(&'a Metrics),
    /// Images [n, c, h, w] in [-1, 1] from the run's latents.
    Preview {
        /// After this step.
        step: u64,
        /// Of one image: [c, h, w].
        shape: [usize; 3],
        /// All of them.
        images: &'a [f32],
    },
    /// A checkpoint is complete.
    Checkpoint {
        /// After this step.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
}

/// A line of `metrics.jsonl`: means over the steps since the last.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Metrics {
    pub step: u64,
    pub images: u64,
    pub epoch: f64,
    pub loss: f64,
    pub gradient_norm: f64,
    pub learning_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_loss: Option<f64>,
    pub images_per_second: f64,
}

/// Sums since the last line of metrics, and what a loss that grows is measured against. Part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    loss: f64,
    norm: f64,
    steps: u64,
    /// An average of the loss over about fifty steps, and the lowest it was.
    recent: f64,
    lowest: f64,
    seen: u64,
}

/// The averaged loss may be so many times its lowest.
const GROWTH: f64 = 10.0;
/// Steps of that average.
const RECENT: f64 = 50.0;

impl Tally {
    fn add(&mut self, stepped: &Stepped, step: u64) -> Result<()> {
        self.loss += stepped.loss;
        self.norm += stepped.norm;
        self.steps += 1;
        self.seen += 1;
        // A plain mean at first.
        self.recent += (stepped.loss - self.recent) / (self.seen as f64).min(RECENT);
        if self.seen as f64 >= RECENT {
            self.lowest = if self.seen as f64 == RECENT { self.recent } else { self.lowest.min(self.recent) };
            if self.recent > GROWTH * self.lowest {
                let Self { recent, lowest, .. } = self;
                let message = format!(
                    "step {step}: the loss has grown to {recent:.4}, from {lowest:.4}: expected it to fall (a lower learning rate?)"
                );
                return Err(Error::new(ErrorKind::Diverged, message));
            }
        }
        Ok(())
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Steps taken in all.
    pub step: u64,
    /// Whether that is all of them; else it was asked to stop.
    pub finished: bool,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    /// Seconds since training started, this time.
    pub seconds: f64,
}

/// A run's folder, held by one process.
pub struct Run {
    folder: PathBuf,
    config: Config,
    trainer: Trainer,
    tally: Tally,
    /// Locked as long as it is open.
    _lock: File,
}

/// Settings that a resumed run may have otherwise: they change nothing of what was computed.
fn may_change(key: &str) -> bool {
    key == "steps" || key == "data.path" || key.starts_with("output.")
}

impl Run {
    /// Makes the folder and everything in it.
    ///
    /// # Errors
    /// A folder that holds a run already; what the settings and the data are found to lack, before anything is written.
    pub fn create(folder: &Path, mut settings: Settings, model: &dyn Fn(&str) -> ddim_nn::Result<Pipeline>) -> Result<Self> {
        if folder.join(CONFIG).exists() {
            return Err(Error::run(folder, "holds a run already: --resume continues it, or choose another folder"));
        }
        let config = settings.resolve()?;
        let trainer = Trainer::new(config, &[folder.to_owned()], model)?;
        settings.set("network.in_channels", &trainer.network().in_channels.to_string())?;
        settings.set("network.out_channels", &trainer.network().out_channels.to_string())?;
        if let Some(classes) = trainer.network().num_class_embeds {
            settings.set("network.num_class_embeds", &classes.to_string())?;
        }
        // The same run from any folder.
        if let Some(path) = &trainer.data_path() {
            let absolute = std::fs::canonicalize(path).map_err(|e| Error::data(path, e))?;
            settings.set("data.path", &format!("{:?}", absolute.display().to_string()))?;
        }
        let config = settings.resolve()?;
        std::fs::create_dir_all(checkpoint::folder(folder)).map_err(|e| Error::run(folder, e))?;
        let lock = lock(folder)?;
        write_whole(&folder.join(CONFIG), settings.to_toml().as_bytes())?;
        Ok(Self { folder: folder.to_owned(), config, trainer, tally: Tally::default(), _lock: lock })
    }

    /// Opens a run at its last checkpoint, or at its start where there is none. `changes` lays flags over the run's own settings.
    ///
    /// # Errors
    /// No run there, or one that another process holds; a change of what the steps so far were computed with; other data.
    pub fn resume(
        folder: &Path,
        changes: impl FnOnce(&mut Settings) -> Result<()>,
        model: &dyn Fn(&str) -> ddim_nn::Result<Pipeline>,
    ) -> Result<Self> {
        let path = folder.join(CONFIG);
        if !path.exists() {
            return Err(Error::run(folder, "holds no run (no config.toml): leave --resume out to start one"));
        }
        let lock = lock(folder)?;
        let before = Settings::of_run(&path)?;
        let mut settings = before.clone();
        changes(&mut settings)?;
        let differences = settings.differences(&before);
        let refused: Vec<&str> = differences.iter().filter(|(key, _)| !may_change(key)).map(|(_, text)| text.as_str()).collect();
        if !refused.is_empty() {
            return Err(Error::run(folder, format!("a run of other settings: {}: expected the same, to resume", refused.join("; "))));
        }
        let config = settings.resolve()?;
        let mut trainer = Trainer::new(config.clone(), &[folder.to_owned()], model)?;
        std::fs::create_dir_all(checkpoint::folder(folder)).map_err(|e| Error::run(folder, e))?;
        checkpoint::sweep(folder)?;
        let tally = match checkpoint::checkpoints(folder)?.last() {
            Some((_, last)) => checkpoint::load(last, &mut trainer)?,
            None => Tally::default(),
        };
        if !differences.is_empty() {
            write_whole(&path, settings.to_toml().as_bytes())?;
        }
        Ok(Self { folder: folder.to_owned(), config, trainer, tally, _lock: lock })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Trains to the last step, or until `stop` is set: then the step is finished and saved.
    ///
    /// # Errors
    /// A loss that is no number or grows (the last checkpoint is named); a folder that cannot be written; what the observer returns.
    pub fn train(mut self, stop: &AtomicBool, observe: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<Outcome> {
        let folder = self.folder.clone();
        let started = Instant::now();
        let [images, held] = self.trainer.split();
        let step = self.trainer.step;
        let data = self.trainer.data();
        observe(Event::Started { step, images: [images, held], parameters: self.trainer.parameters(), data })?;
        let mut metrics_file = open_metrics(&folder.join(METRICS), step)?;
        let mut events = EventFile::create(&folder, step).map_err(|e| Error::run(&folder, e))?;
        let output = self.config.output.clone();
        let mut last_saved = Instant::now();
        // Time spent in steps since the last line of metrics, and their images.
        let (mut busy, mut done) = (Duration::ZERO, 0);
        while self.trainer.step < self.config.steps && !stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let stepped = self.trainer.step();
            busy += begin.elapsed();
            done += self.config.batch_size;
            let step = self.trainer.step;
            let healthy = stepped.and_then(|stepped| self.tally.add(&stepped, step).map(|()| stepped));
            let stepped = healthy.map_err(|e| self.diverged(e))?;
            observe(Event::Stepped { step, stepped })?;
            let last = step == self.config.steps;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || last);
            let evaluation_loss = if due(output.evaluate_every) { self.trainer.evaluate()? } else { None };
            if due(output.log_every) || evaluation_loss.is_some() {
                let Tally { loss, norm, steps, .. } = self.tally;
                let images_seen = step * self.config.batch_size as u64;
                let metrics = Metrics {
                    step,
                    images: images_seen,
                    epoch: images_seen as f64 / images as f64,
                    loss: loss / steps as f64,
                    gradient_norm: norm / steps as f64,
                    learning_rate: stepped.learning_rate,
                    evaluation_loss,
                    images_per_second: done as f64 / busy.as_secs_f64(),
                };
                (busy, done) = (Duration::ZERO, 0);
                self.tally = Tally { loss: 0.0, norm: 0.0, steps: 0, ..self.tally };
                let io = |e| Error::run(&folder.join(METRICS), e);
                writeln!(metrics_file, "{}", serde_json::to_string(&metrics).expect("plain numbers")).map_err(io)?;
                let mut scalars = vec![
                    ("loss", metrics.loss),
                    ("gradient_norm", metrics.gradient_norm),
                    ("learning_rate", metrics.learning_rate),
                    ("images_per_second", metrics.images_per_second),
                ];
                scalars.extend(evaluation_loss.map(|loss| ("evaluation_loss", loss)));
                events.scalars(step, &scalars).map_err(|e| Error::run(&folder, e))?;
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
        let checkpoint = self.save(observe)?;
        let step = self.trainer.step;
        Ok(Outcome { step, finished: step >= self.config.steps, checkpoint, seconds: started.elapsed().as_secs_f64() })
    }

    fn save(&self, observe: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<PathBuf> {
        let path = checkpoint::path(&self.folder, self.trainer.step);
        if !path.exists() {
            checkpoint::save(&path, &self.trainer, &self.tally)?;
            checkpoint::prune(&self.folder, self.config.output.keep)?;
            observe(Event::Checkpoint { step: self.trainer.step, path: &path })?;
        }
        Ok(path)
    }

    /// What went wrong, and what there is to go back to.
    fn diverged(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Diverged {
            return error;
        }
        let last = checkpoint::checkpoints(&self.folder).ok().and_then(|all| all.last().cloned());
        let last =
            last.map_or("there is no checkpoint yet".to_owned(), |(_, path)| format!("the last good checkpoint is {}", path.display()));
        Error::new(ErrorKind::Diverged, format!("{error}; {last}"))
    }
}

fn lock(folder: &Path) -> Result<File> {
    ddim_nn::lock_folder(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::run(folder, "another process is training here: expected one at a time"),
        _ => Error::run(folder, e),
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    ddim_nn::write_file(path, bytes).map_err(|e| Error::run(path, e))
}

/// Opens the metrics to append to; lines of steps that will be taken again go, and so does half a line.
fn open_metrics(path: &Path, step: u64) -> Result<File> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    let io = |e| Error::run(path, e);
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let kept = |line: &&str| serde_json::from_str::<Line>(line).is_ok_and(|line| line.step <= step);
            let lines: String = text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
            if lines != text {
                write_whole(path, lines.as_bytes())?;
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(io)
}
