//! `ddim train`

use crate::error::{Error, Result, in_flags};
use crate::flags::{Machine, parse_size};
use crate::front::{self, ask, joined, lines, report};
use crate::terminal::{printable, say};
use clap::Args;
use ddim_engine as engine;
use ddim_engine::{ClassReport, Event, Metrics, Value};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Train a network on images.
///
/// Reads folders and .zip archives of images, CIFAR-10, IDX files (such as MNIST's), and .npy and .npz batches. Minimises the DDPM
/// objective. Writes a run folder with metrics, previews, and checkpoints that both ddim and Python diffusers can sample from.
///
/// Settings come from the preset, then --config, then flags; use --dry-run to see them all. A run that was stopped or killed continues with
/// --resume and ends with the same bytes.
///
/// Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 finish the current step, save, and exit with 128 plus the signal number (130, 143, 129, 138). A
/// second signal exits at once, without saving.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
#[command(after_help = "Examples:
  ddim train --data photos --out run --preset small         32 x 32, from images of any size
  ddim train --data photos --out run --size 64 --dry-run    what it would take
  ddim train --out run --resume                             after Ctrl-C, a crash or kill -9
  ddim train --out run --resume --steps 40000               longer, and so is a cosine decay
  ddim train --data photos --out run --steps 9000 --resume  in a job script: starts or continues
  ddim train --data photos --out more --model run           from another run, or a pipeline
  ddim sample --model run --steps 50                        images from the trained model")]
pub(crate) struct Flags {
    /// Training images: a folder (with its sub-folders) or .zip of images, CIFAR-10's or MNIST's files or their folder, or a .npy batch.
    #[arg(long, value_name = "DIR|FILE", required_unless_present_any = ["resume", "config"], help_heading = "Data")]
    pub(crate) data: Option<PathBuf>,
    /// Run folder: config.toml, metrics.jsonl, TensorBoard events, previews/, checkpoints/.
    #[arg(long, value_name = "RUN", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Network and training recipe: tiny, small, ddpm-cifar10, ddpm-celeba64 or ddpm-lsun256 [default: small].
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// TOML file of settings that override the preset's, such as a run's config.toml.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Continue the run in --out from its last checkpoint.
    ///
    /// If there is no run yet and --data or --config is given, start one.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Show the settings, the size of the network, and the memory and time needed, without training.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Start from this model's weights, with its network, size and scheduler.
    ///
    /// Takes a built-in name, a pipeline folder, another run, or a model on the Hugging Face Hub.
    ///
    /// If --labels is given, the model learns the classes of the data and keeps those it already knows by name.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME")]
    pub(crate) model: Option<PathBuf>,
    /// Total number of optimizer steps.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Number of images per step.
    #[arg(long, value_name = "B")]
    pub(crate) batch_size: Option<usize>,
    /// Keep fewer activations in memory and recompute them in the backward pass.
    ///
    /// Uses less memory but is slower. Does not change any result. CPU only.
    #[arg(long)]
    pub(crate) checkpoint_activations: bool,
    /// Learning rate of Adam.
    #[arg(long, value_name = "X")]
    pub(crate) learning_rate: Option<f64>,
    /// Seed for everything random.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Height and width of the images: N or HxW.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Data")]
    pub(crate) size: Option<[usize; 2]>,
    /// How to fit images of other sizes: crop, random-crop, pad or stretch.
    #[arg(long, value_name = "HOW", help_heading = "Data")]
    pub(crate) fit: Option<String>,
    /// Colour behind transparent pixels and around padded images: #rrggbb, white or black.
    #[arg(long, value_name = "COLOUR", help_heading = "Data")]
    pub(crate) background: Option<String>,
    /// Do not mirror half of the images.
    #[arg(long, help_heading = "Data")]
    pub(crate) no_flip: bool,
    /// Use only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) limit: Option<usize>,
    /// Train a class-conditional network: data (sub-folders, or the data set's own labels) or a text file with one number per line.
    #[arg(long, value_name = "data|FILE", help_heading = "Data")]
    pub(crate) labels: Option<PathBuf>,
    /// Number of images to hold out from training for the evaluation loss.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) holdout: Option<usize>,
    /// Skip files that cannot be decoded, and name them.
    #[arg(long, help_heading = "Data")]
    pub(crate) skip_bad_files: bool,
    /// Number of steps between checkpoints.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) checkpoint_every: Option<u64>,
    /// Number of steps between previews; 0 for none.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) preview_every: Option<u64>,
    /// Change any other setting by its name in config.toml, as in --set ema.rates=[0.999,0.9999].
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let named = named(flags)?;
    let request = engine::Train {
        out: flags.out.clone(),
        resume: flags.resume,
        data: flags.data.clone(),
        labels: flags.labels.clone(),
        model: flags.model.clone(),
        preset: flags.preset.clone(),
        config: flags.config.clone(),
        set: flags.set.iter().map(|pair| pair_of(pair)).collect::<Result<_>>()?,
        settings: named.iter().map(|(key, _, value)| ((*key).to_owned(), value.clone())).collect(),
        checkpoint_activations: flags.checkpoint_activations,
    };
    let given = given(&named, &request.set);
    let engine = front::engine(&flags.machine)?;
    let mut view = View::new(flags.machine.output.quiet);
    if flags.dry_run {
        let (found, _) = asked_of(&engine, &engine::DryRun(request), &mut view, &given)?;
        return report(&flags.machine.output, &found, &in_words(&found));
    }
    let (outcome, asked) = asked_of(&engine, &request, &mut view, &given)?;
    view.finish();
    if outcome.finished && outcome.step > outcome.steps {
        say_past_the_end(outcome.step, outcome.steps);
    }
    let how = if outcome.finished { "done" } else { "stopped" };
    let loss = outcome.metrics.as_ref().map_or(String::new(), |m| format!(", loss {:.4}", m.loss));
    let mut human = format!("{how} at step {} of {}{loss}\n", outcome.step, outcome.steps);
    human += &lines(outcome.checkpoint.as_slice());
    let out = engine::quoted(&flags.out);
    human +=
        &if outcome.finished { format!("to sample: ddim sample --model {out}\n") } else { format!("to continue: {}\n", outcome.resume) };
    let reported = report(&flags.machine.output, &outcome, &human);
    match asked {
        // Whether anybody read the report or not.
        Some(signal) if !outcome.finished => Err(Error::Interrupted(signal)),
        _ => reported,
    }
}

/// Works on a request; what is wrong with a flag is said of the flag.
fn asked_of<R: engine::Request>(
    engine: &engine::Engine,
    request: &R,
    view: &mut View,
    given: &[Given],
) -> Result<(R::Report, Option<i32>)> {
    ask(engine, request, &mut |event| view.show(&event)).map_err(|error| match error {
        Error::Setting(message) => by_flag(&message, given),
        error => error,
    })
}

/// KEY=VALUE.
fn pair_of(pair: &str) -> Result<(String, String)> {
    let both = pair.split_once('=').ok_or_else(|| Error::Usage(format!("--set {pair}: expected KEY=VALUE")))?;
    Ok((both.0.trim().to_owned(), both.1.trim().to_owned()))
}

/// A setting that has a flag of its own: what config.toml calls it, the flag, and what it says.
type Named = (&'static str, &'static str, Value);

/// Those that were given.
fn named(flags: &Flags) -> Result<Vec<Named>> {
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let number = |flag: &str, value: Option<u64>| -> Result<Option<Value>> {
        let small = |n: u64| i64::try_from(n).map_err(|_| Error::Usage(format!("--{flag} {n}: expected at most {}", i64::MAX)));
        Ok(value.map(small).transpose()?.map(Value::Integer))
    };
    let count = |flag: &str, value: Option<usize>| number(flag, value.map(|n| n as u64));
    let named = [
        ("steps", "steps", number("steps", flags.steps)?),
        ("batch_size", "batch-size", count("batch-size", flags.batch_size)?),
        ("optimizer.learning_rate", "learning-rate", flags.learning_rate.map(Value::Float)),
        ("seed", "seed", number("seed", flags.seed)?),
        ("network.sample_size", "size", flags.size.map(size).transpose()?),
        ("data.fit", "fit", text(&flags.fit)),
        ("data.background", "background", text(&flags.background)),
        ("data.flip", "no-flip", flags.no_flip.then_some(Value::Boolean(false))),
        ("data.limit", "limit", count("limit", flags.limit)?),
        ("data.holdout", "holdout", count("holdout", flags.holdout)?),
        ("data.bad_files", "skip-bad-files", flags.skip_bad_files.then(|| "skip".into())),
        ("output.checkpoint_every", "checkpoint-every", number("checkpoint-every", flags.checkpoint_every)?),
        ("output.preview_every", "preview-every", number("preview-every", flags.preview_every)?),
    ];
    Ok(named.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value?))).collect())
}

/// A setting that a flag gave: what config.toml calls it, and the flag's words.
type Given = (String, String);

/// All of those, first the ones that win: a flag of its own, then the last --set.
fn given(named: &[Named], set: &[(String, String)]) -> Vec<Given> {
    let own = named.iter().map(|(key, flag, _)| ((*key).to_owned(), format!("--{flag}")));
    own.chain(set.iter().rev().map(|(key, _)| (key.clone(), format!("--set {key}")))).collect()
}

/// What is wrong with a setting, by the flag that gave it where one did.
fn by_flag(error: &str, given: &[Given]) -> Error {
    // Messages begin with the setting, or with the file that it stands in.
    let begins = |key: &str| {
        error.strip_prefix(key).filter(|rest| rest.starts_with([' ', ':', '=', '[', '.'])).map(|rest| rest.replacen(" (--size)", "", 1))
    };
    // The TOML reader says it at the end.
    let ends = |key: &str| error.strip_suffix(&format!(" in `{key}`")).map(|said| format!(": {said}"));
    // Several of a table that do not go together: `scheduler.beta_start, beta_end: ...`.
    let listed = |key: &str| {
        let (names, rest) = error.split_once(": ").filter(|(names, _)| names.contains(", "))?;
        let (table, names) = names.split_once('.')?;
        let name = key.strip_prefix(table)?.strip_prefix('.')?;
        names.split(", ").any(|listed| listed == name).then(|| format!(": {rest}"))
    };
    match given.iter().find_map(|(key, flag)| Some((begins(key).or_else(|| ends(key)).or_else(|| listed(key))?, flag))) {
        Some((rest, flag)) => Error::Usage(format!("{flag}{rest}")),
        None => Error::failure(error),
    }
}

/// A side, or both.
fn size([h, w]: [usize; 2]) -> Result<Value> {
    let side =
        |n: usize| i64::try_from(n).map(Value::Integer).map_err(|_| Error::Usage(format!("--size {n}: expected at most {}", i64::MAX)));
    if h == w { side(h) } else { Ok(Value::Array(vec![side(h)?, side(w)?])) }
}

/// The classes of a data set, in a line.
fn classes(classes: &[ClassReport], held_out: usize) -> String {
    let name = |class: &ClassReport| class.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
    let each = classes.iter().map(|class| format!("{}{} ({})", class.class, name(class), class.images));
    let line = format!("classes: {}", joined(each, ", "));
    if held_out > 0 { format!("{line}, including those held out") } else { line }
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

fn in_words(found: &engine::DryRunReport) -> String {
    let per_step = found.seconds_per_step;
    let rows = [
        ("network", format!("{} parameters", found.parameters)),
        ("images", format!("{}, {} held out, {} in memory", found.images, found.held_out, mib(found.data_bytes as u64))),
        ("memory", found.memory_bytes.map_or("unknown".to_owned(), |m| format!("about {}", mib(m)))),
        ("a step", format!("about {per_step:.2} s, {:.1} images/s", found.batch_size as f64 / per_step)),
        ("all steps", format!("about {}", HumanDuration(Duration::try_from_secs_f64(found.seconds).unwrap_or(Duration::MAX)))),
    ];
    let rows = rows.iter().map(|(name, value)| format!("# {name:<9} {value}"));
    let remarks = found.remarks.iter().map(|remark| format!("# {remark}"));
    let classes = found.classes.as_ref().map_or(String::new(), |all| format!("# {}\n", classes(all, 0)));
    format!("{}\n{}\n{classes}", found.config, joined(rows.chain(remarks), "\n"))
}

/// Nothing was trained: said, since `--steps` asked for something.
fn say_past_the_end(step: u64, steps: u64) {
    say(&format!("the run is already at step {step}, past the {steps} of --steps: nothing was trained"));
}

/// What a person sees of a run: a live line on a terminal, lines now and then elsewhere.
struct View {
    bar: ProgressBar,
    plain: bool,
    /// The loss, averaged over about a hundred steps.
    loss: Option<f64>,
    /// When it started, and at which step.
    started: (Instant, u64),
    /// Steps of the whole run.
    steps: u64,
    /// Images of a step.
    batch: usize,
}

impl View {
    fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let style = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg}  {eta} left");
        bar.set_style(style.expect("the template is valid"));
        Self { bar, plain: !quiet && !terminal, loss: None, started: (Instant::now(), 0), steps: 0, batch: 0 }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Note { kind, text } => self.warn(&format!("{kind}: {}", in_flags(text))),
            Event::Line { text } => self.line(text),
            Event::TrainingBegan { step, steps, images, held_out, parameters, batch_size, classes: found, remarks } => {
                let data = if *held_out > 0 { format!("{images} images, {held_out} held out") } else { format!("{images} images") };
                let from = if *step > 0 { format!(", from step {step}") } else { String::new() };
                self.line(&format!("{parameters} parameters, {data}, batches of {batch_size}{from}"));
                found.iter().for_each(|found| self.line(&classes(found, *held_out)));
                remarks.iter().for_each(|remark| self.warn(&format!("note: {remark}")));
                self.start(*step, *steps, *batch_size);
            }
            Event::Trained { step, loss, learning_rate, peak_memory_bytes } => self.step(*step, *loss, *learning_rate, *peak_memory_bytes),
            Event::Metrics { metrics } => self.metrics(metrics),
            _ => {}
        }
    }

    fn start(&mut self, step: u64, steps: u64, batch: usize) {
        (self.steps, self.batch) = (steps, batch);
        self.bar.set_length(steps);
        self.bar.set_position(step);
        self.bar.reset_eta();
        self.started = (Instant::now(), step);
    }

    fn line(&self, text: &str) {
        if self.plain {
            say(text);
        } else {
            self.bar.println(printable(text));
        }
    }

    /// A line that `--quiet` does not hide.
    fn warn(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn step(&mut self, step: u64, loss: f64, learning_rate: f64, memory: Option<u64>) {
        let average = self.loss.map_or(loss, |average| average + 0.01 * (loss - average));
        self.loss = Some(average);
        let per_second = (step - self.started.1) as f64 * self.batch as f64 / self.started.0.elapsed().as_secs_f64();
        self.bar.set_position(step);
        let memory = memory.map_or(String::new(), |bytes| format!("  {}", mib(bytes)));
        self.bar.set_message(format!("loss {average:.4}  lr {learning_rate:.1e}  {per_second:.1} images/s{memory}"));
    }

    fn metrics(&self, metrics: &Metrics) {
        if !self.plain {
            return;
        }
        let Metrics { step, loss, learning_rate, images_per_second, .. } = metrics;
        let held = metrics.evaluation_loss_raw.map_or(String::new(), |loss| format!(", held out {loss:.4}"));
        let average = metrics.evaluation_loss.map_or(String::new(), |loss| format!(" ({loss:.4} averaged)"));
        let seconds =
            self.started.0.elapsed().as_secs_f64() / (step - self.started.1).max(1) as f64 * self.steps.saturating_sub(*step) as f64;
        let left = HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        self.line(&format!(
            "step {step} of {}: loss {loss:.4}{held}{average}, lr {learning_rate:.1e}, {images_per_second:.1} images/s, {left} left",
            self.steps
        ));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
