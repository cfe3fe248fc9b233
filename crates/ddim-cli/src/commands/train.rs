//! `ddim train`

use crate::args::Train;
use crate::error::{Error, Result};
use crate::output::{joined, report, write};
use crate::session::{check_device, use_threads};
use crate::signals;
use crate::usage::usage;
use crate::{inputs, models};
use ddim_pictures::{grid, square_columns};
use ddim_train::{Event, Metrics, Run, Settings, Trainer, Value};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn run(args: &Train) -> Result<()> {
    check_device(&args.device)?;
    use_threads(args.threads)?;
    let load = |model: &Path| -> ddim_nn::Result<_> { models::load(model, &ddim_nn::Choices::default()).map_err(ddim_nn::Error::caller) };
    if args.dry_run {
        return dry_run(args, &load);
    }
    // A job script says the same line first and after each interruption: then there is no run yet.
    let there = args.out.join("config.toml").exists();
    let whole = args.data.is_some() || args.config.is_some();
    let mut run = if args.resume && (there || !whole) {
        Run::resume(&args.out, &settings(args, None)?, &load)?
    } else {
        Run::create(&args.out, settings(args, Some("small"))?, &load)?
    };
    run.checkpoint_activations(args.checkpoint_activations);
    let config = run.config().clone();
    if config.output.preview_every > 0 {
        crate::output::create_folder(&args.out.join("previews"))?;
    }
    let asked = signals::watch().map_err(|e| Error::failure(format!("signals cannot be handled: {e}")))?;
    let mut view = View::new(config.steps, args.quiet);
    let mut last: Option<Metrics> = None;
    let (mut remarked, mut read, mut classes) = (Vec::new(), serde_json::Value::Null, serde_json::Value::Null);
    let outcome = run.train(&asked.stop, &mut |event| {
        match event {
            Event::Started { step, images: [trained, held], parameters, data, remarks } => {
                inputs::lines(&data.report).for_each(|line| view.warn(&line));
                (read, classes) = (inputs::as_json(&data.report), inputs::classes_as_json(data));
                let (runs, classes) = (inputs::runs(&data.report), inputs::classes(data));
                let classes = classes.map(|line| if held > 0 { format!("{line}, those held out included") } else { line });
                let data = if held > 0 { format!("{trained} images, {held} held out") } else { format!("{trained} images") };
                let from = if step > 0 { format!(", from step {step}") } else { String::new() };
                view.line(&format!("{parameters} parameters, {data}, batches of {}{from}", config.batch_size));
                runs.for_each(|line| view.warn(&line));
                classes.iter().chain(remarks).for_each(|line| view.line(line));
                remarked = remarks.to_vec();
                view.start(step);
            }
            Event::Stepped { step, stepped } => view.step(step, stepped.loss, config.batch_size, stepped.learning_rate),
            Event::Metrics(metrics) => {
                view.metrics(metrics, config.steps);
                last = Some(metrics.clone());
            }
            Event::Preview { step, shape, images } => {
                let count = images.len() / shape.iter().product::<usize>();
                let picture = grid(images, shape, square_columns(count)).map_err(ddim_train::Error::observer)?;
                let caption = format!("ddim train, step {step}: the run's latents in {} steps", config.output.preview_steps);
                let path = args.out.join("previews").join(format!("step-{step:08}.png"));
                write(&path, &picture.to_png(&caption)).map_err(ddim_train::Error::observer)?;
                view.line(&format!("{}", path.display()));
            }
            Event::Checkpoint { path, .. } => view.line(&format!("{}", path.display())),
            _ => {}
        }
        Ok(())
    })?;
    view.finish();
    let out = ddim_train::quoted(&args.out);
    let resume = format!("ddim train --out {out} --resume");
    let checkpoint = outcome.checkpoint.as_ref().map(|path| path.display().to_string());
    let object = json!({
        "command": "train", "run": args.out.display().to_string(), "step": outcome.step, "finished": outcome.finished,
        "seconds": outcome.seconds, "checkpoint": checkpoint, "metrics": last, "remarks": remarked, "data": read,
        "classes": classes, "resume": resume,
    });
    if outcome.finished && outcome.step > config.steps {
        say_past_the_end(outcome.step, config.steps);
    }
    let how = if outcome.finished { "done" } else { "stopped" };
    let loss = last.map_or(String::new(), |m| format!(", loss {:.4}", m.loss));
    let mut human = format!("{how} at step {} of {}{loss}\n", outcome.step, config.steps);
    human += &checkpoint.map_or(String::new(), |path| format!("{path}\n"));
    human += &if outcome.finished { format!("ddim sample --model {out}\n") } else { format!("to go on: {resume}\n") };
    let reported = report(args.json, &object, &human);
    match asked.signal() {
        // Whether anybody read the report or not.
        Some(signal) if !outcome.finished => Err(Error::Interrupted(signal)),
        _ => reported,
    }
}

/// What the flags ask for: over the preset that they name, or `default`; without either, changes of a run.
fn settings(args: &Train, default: Option<&str>) -> Result<Settings> {
    let mut settings = match args.preset.as_deref().or(default) {
        Some(preset) => Settings::preset(preset).map_err(|e| Error::usage(format!("--{e}")))?,
        None => Settings::changes(),
    };
    lay_over(&mut settings, args)?;
    Ok(settings)
}

/// The file and the flags, over the settings.
fn lay_over(settings: &mut Settings, args: &Train) -> ddim_train::Result<()> {
    if let Some(file) = &args.config {
        settings.over_file(file)?;
    }
    for pair in &args.set {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        settings.set(key.trim(), value.trim())?;
    }
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let number = |flag: &str, value: Option<u64>| -> ddim_train::Result<Option<Value>> {
        let small =
            |n: u64| i64::try_from(n).map_err(|_| ddim_train::Error::observer(format!("--{flag} {n}: expected at most {}", i64::MAX)));
        Ok(value.map(small).transpose()?.map(Value::Integer))
    };
    let count = |flag: &str, value: Option<usize>| number(flag, value.map(|n| n as u64));
    let flags = [
        ("steps", number("steps", args.steps)?),
        ("batch_size", count("batch-size", args.batch_size)?),
        ("optimizer.learning_rate", args.learning_rate.map(Value::Float)),
        ("seed", number("seed", args.seed)?),
        ("network.sample_size", args.size.as_deref().map(size)),
        ("data.fit", text(&args.fit)),
        ("data.background", text(&args.background)),
        ("data.flip", args.no_flip.then_some(Value::Boolean(false))),
        ("data.limit", count("limit", args.limit)?),
        ("data.holdout", count("holdout", args.holdout)?),
        ("data.bad_files", args.skip_bad_files.then(|| "skip".into())),
        ("output.checkpoint_every", number("checkpoint-every", args.checkpoint_every)?),
        ("output.preview_every", number("preview-every", args.preview_every)?),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            settings.set_value(key, value)?;
        }
    }
    // A folder called "none" is one.
    let data = args.data.as_deref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    for (key, path) in [("data.path", data.as_deref()), ("data.labels", args.labels.as_deref()), ("model", args.model.as_deref())] {
        if let Some(path) = path {
            settings.set_path(key, path)?;
        }
    }
    Ok(())
}

/// N or HxW; anything else is left to the check of the setting.
fn size(text: &str) -> Value {
    let side = |text: &str| text.trim().parse::<i64>().map_or_else(|_| text.into(), Value::Integer);
    match text.split_once(['x', 'X']) {
        Some((h, w)) => Value::Array(vec![side(h), side(w)]),
        None => side(text),
    }
}

/// Images of the smaller and of the larger step that a dry run takes.
const TRIED: [usize; 2] = [2, 8];

fn dry_run(args: &Train, load: &dyn Fn(&Path) -> ddim_nn::Result<ddim_nn::Pipeline>) -> Result<()> {
    let mut settings = settings(args, Some("small"))?;
    let mut trainer = Trainer::begin(&mut settings, std::slice::from_ref(&args.out), load)?;
    trainer.checkpoint_activations(args.checkpoint_activations);
    let config = trainer.config().clone();
    inputs::say(&trainer.data().report);
    let classes = inputs::classes(trainer.data());
    let [_, h, w] = trainer.data().shape;
    // What memory a step takes grows with the images that go through together: two sizes give the slope.
    let part = config.batch_size.min(ddim_nn::TrainingPlan::images_together([h, w]));
    let sizes = TRIED.map(|n| n.min(part));
    let mut found = Vec::new();
    for n in sizes {
        trainer.try_step(n)?;
        let begin = Instant::now();
        trainer.try_step(n)?;
        found.push((begin.elapsed().as_secs_f64(), usage().map(|used| used.peak_memory)));
    }
    let per_step = found[1].0 / sizes[1] as f64 * config.batch_size as f64;
    let memory = match (found[0].1, found[1].1) {
        (Some(small), Some(large)) if sizes[1] > sizes[0] => {
            Some(large + (large - small) / (sizes[1] - sizes[0]) as u64 * (part - sizes[1]) as u64)
        }
        (_, large) => large,
    };
    let [trained, held] = trainer.split();
    let total = Duration::from_secs_f64(per_step * config.steps as f64);
    let object = json!({
        "command": "train", "dry_run": true, "config": settings.to_toml(), "parameters": trainer.parameters(), "images": trained, "held_out": held,
        "data_bytes": trainer.data().bytes(), "remarks": trainer.remarks(), "data": inputs::as_json(&trainer.data().report), "classes": inputs::classes_as_json(trainer.data()),
        "memory_bytes": memory, "seconds_per_step": per_step, "seconds": total.as_secs_f64(),
    });
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let rows = [
        ("network", format!("{} parameters", trainer.parameters())),
        ("images", format!("{trained}, {held} held out, {} in memory", mib(trainer.data().bytes() as u64))),
        ("memory", memory.map_or("unknown".to_owned(), |m| format!("about {}", mib(m)))),
        ("a step", format!("about {per_step:.2} s, {:.1} images/s", config.batch_size as f64 / per_step)),
        ("all steps", format!("about {}", HumanDuration(total))),
    ];
    let rows = rows.iter().map(|(name, value)| format!("# {name:<9} {value}"));
    let remarks = trainer.remarks().into_iter().map(|remark| format!("# {remark}"));
    let classes = classes.map_or(String::new(), |line| format!("# {line}\n"));
    let human = format!("{}\n{}\n{classes}", settings.to_toml(), joined(rows.chain(remarks), "\n"));
    report(args.json, &object, &human)
}

/// Nothing was trained: said, since `--steps` asked for something.
fn say_past_the_end(step: u64, steps: u64) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "the run is at step {step} already, past the {steps} that --steps asks for: nothing was trained");
}

/// What a person sees of a run: a live line on a terminal, lines now and then elsewhere.
struct View {
    bar: ProgressBar,
    plain: bool,
    /// The loss, averaged over about a hundred steps.
    loss: Option<f64>,
    /// When it started, and at which step.
    started: (Instant, u64),
}

impl View {
    fn new(steps: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.set_length(steps);
        let style = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg}  {eta} left");
        bar.set_style(style.expect("the template is valid"));
        Self { bar, plain: !quiet && !terminal, loss: None, started: (Instant::now(), 0) }
    }

    fn start(&mut self, step: u64) {
        self.bar.set_position(step);
        self.bar.reset_eta();
        self.started = (Instant::now(), step);
    }

    fn line(&self, text: &str) {
        if self.plain {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// A line that `--quiet` does not hide.
    fn warn(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    fn step(&mut self, step: u64, loss: f64, batch: usize, learning_rate: f64) {
        let average = self.loss.map_or(loss, |average| average + 0.01 * (loss - average));
        self.loss = Some(average);
        let per_second = (step - self.started.1) as f64 * batch as f64 / self.started.0.elapsed().as_secs_f64();
        let memory = usage().map_or(String::new(), |used| format!("  {:.0} MiB", used.peak_memory as f64 / f64::from(1 << 20)));
        self.bar.set_position(step);
        self.bar.set_message(format!("loss {average:.4}  lr {learning_rate:.1e}  {per_second:.1} images/s{memory}"));
    }

    fn metrics(&self, metrics: &Metrics, steps: u64) {
        if !self.plain {
            return;
        }
        let Metrics { step, loss, learning_rate, images_per_second, .. } = metrics;
        let held = metrics.evaluation_loss_raw.map_or(String::new(), |loss| format!(", held out {loss:.4}"));
        let average = metrics.evaluation_loss.map_or(String::new(), |loss| format!(" ({loss:.4} averaged)"));
        let seconds = self.started.0.elapsed().as_secs_f64() / (step - self.started.1).max(1) as f64 * steps.saturating_sub(*step) as f64;
        let left = HumanDuration(Duration::from_secs_f64(seconds));
        self.line(&format!(
            "step {step} of {steps}: loss {loss:.4}{held}{average}, lr {learning_rate:.1e}, {images_per_second:.1} images/s, {left} left"
        ));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
