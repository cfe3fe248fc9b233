//! `ddim train`

use crate::args::Train;
use crate::error::{Error, Result};
use crate::output::{joined, report, write};
use crate::session::{check_device, use_threads};
use crate::usage::usage;
use crate::{inputs, models, pictures};
use ddim_nn::training_cpu;
use ddim_train::{Event, Metrics, Run, Settings, Trainer};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn run(args: &Train) -> Result<()> {
    check_device(&args.device)?;
    use_threads(args.threads)?;
    let load = |model: &str| -> ddim_nn::Result<_> { models::load_on(model, &training_cpu()).map_err(ddim_nn::Error::caller) };
    if args.dry_run {
        return dry_run(args, &load);
    }
    let run = if args.resume {
        if args.preset.is_some() {
            return Err(Error::usage("--preset with --resume: the run has its settings already"));
        }
        Run::resume(&args.out, |settings| lay_over(settings, args), &load)?
    } else {
        Run::create(&args.out, settings(args)?, &load)?
    };
    let config = run.config().clone();
    if config.output.preview_every > 0 {
        crate::output::create_folder(&args.out.join("previews"))?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    // A second time, whoever asks means it.
    let on_signal = move || {
        if asked.swap(true, Ordering::Relaxed) {
            ended_at_once();
        }
    };
    ctrlc::set_handler(on_signal).map_err(|e| Error::failure(format!("signals cannot be handled: {e}")))?;
    let mut view = View::new(config.steps, args.quiet);
    let mut last: Option<Metrics> = None;
    let outcome = run.train(&stop, &mut |event| {
        match event {
            Event::Started { step, images: [trained, held], parameters, data } => {
                inputs::lines(&data.report).chain(inputs::classes(data)).for_each(|line| view.line(&line));
                let data = if held > 0 { format!("{trained} images, {held} held out") } else { format!("{trained} images") };
                let from = if step > 0 { format!(", from step {step}") } else { String::new() };
                view.line(&format!("{parameters} parameters, {data}, batches of {}{from}", config.batch_size));
                view.start(step);
            }
            Event::Stepped { step, stepped } => view.step(step, stepped.loss, config.batch_size, stepped.learning_rate),
            Event::Metrics(metrics) => {
                view.metrics(metrics, config.steps);
                last = Some(metrics.clone());
            }
            Event::Preview { step, shape, images } => {
                let count = images.len() / shape.iter().product::<usize>();
                let picture = pictures::grid(images, shape, pictures::square_columns(count));
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
    let resume = format!("ddim train --out {} --resume", args.out.display());
    let object = json!({
        "command": "train", "run": args.out, "step": outcome.step, "finished": outcome.finished, "seconds": outcome.seconds,
        "checkpoint": outcome.checkpoint, "metrics": last, "resume": resume,
    });
    let how = if outcome.finished { "done" } else { "stopped" };
    let loss = last.map_or(String::new(), |m| format!(", loss {:.4}", m.loss));
    let mut human = format!("{how} at step {} of {}{loss}\n{}\n", outcome.step, config.steps, outcome.checkpoint.display());
    human += &if outcome.finished { format!("ddim sample --model {}\n", args.out.display()) } else { format!("to go on: {resume}\n") };
    report(args.json, &object, &human)
}

/// Without saving: the last checkpoint is whole.
#[allow(clippy::exit)]
fn ended_at_once() {
    std::process::exit(130);
}

fn settings(args: &Train) -> Result<Settings> {
    let mut settings = Settings::preset(args.preset.as_deref().unwrap_or("small")).map_err(|e| Error::usage(format!("--{e}")))?;
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
    let quoted = |text: &str| format!("{text:?}");
    let data = args.data.as_ref().map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()).display().to_string());
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let size = args.size.as_deref().map(|size| match size.split_once(['x', 'X']) {
        Some((h, w)) => format!("[{h}, {w}]"),
        None => size.to_owned(),
    });
    let flags = [
        ("data.path", data.as_deref().map(quoted)),
        ("model", args.model.as_deref().map(quoted)),
        ("steps", number(args.steps)),
        ("batch_size", number(args.batch_size.map(|n| n as u64))),
        ("optimizer.learning_rate", args.learning_rate.map(|rate| format!("{rate:?}"))),
        ("seed", number(args.seed)),
        ("network.sample_size", size),
        ("data.fit", args.fit.as_deref().map(quoted)),
        ("data.background", args.background.as_deref().map(quoted)),
        ("data.flip", args.no_flip.then(|| "false".to_owned())),
        ("data.limit", number(args.limit.map(|n| n as u64))),
        ("data.labels", args.labels.as_deref().map(quoted)),
        ("data.holdout", number(args.holdout.map(|n| n as u64))),
        ("data.bad_files", args.skip_bad_files.then(|| quoted("skip"))),
        ("output.checkpoint_every", number(args.checkpoint_every)),
        ("output.preview_every", number(args.preview_every)),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            settings.set(key, &value)?;
        }
    }
    Ok(())
}

/// Images of the smaller and of the larger step that a dry run takes.
const TRIED: [usize; 2] = [2, 8];

fn dry_run(args: &Train, load: &dyn Fn(&str) -> ddim_nn::Result<ddim_nn::Pipeline>) -> Result<()> {
    let settings = settings(args)?;
    let config = settings.resolve()?;
    let mut trainer = Trainer::new(config.clone(), std::slice::from_ref(&args.out), load)?;
    let part = config.batch_size / config.accumulate;
    // What memory a step takes grows with its images: two sizes give the slope.
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
        "data_bytes": trainer.data().bytes(), "memory_bytes": memory, "seconds_per_step": per_step, "seconds": total.as_secs_f64(),
    });
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let rows = [
        ("network", format!("{} parameters", trainer.parameters())),
        ("images", format!("{trained}, {held} held out, {} in memory", mib(trainer.data().bytes() as u64))),
        ("memory", memory.map_or("unknown".to_owned(), |m| format!("about {}", mib(m)))),
        ("a step", format!("about {per_step:.2} s, {:.1} images/s", config.batch_size as f64 / per_step)),
        ("all steps", format!("about {}", HumanDuration(total))),
    ];
    let human = format!("{}\n{}\n", settings.to_toml(), joined(rows.iter().map(|(name, value)| format!("# {name:<9} {value}")), "\n"));
    report(args.json, &object, &human)
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
        let held = metrics.evaluation_loss.map_or(String::new(), |loss| format!(", held out {loss:.4}"));
        let seconds = self.started.0.elapsed().as_secs_f64() / (step - self.started.1).max(1) as f64 * steps.saturating_sub(*step) as f64;
        let left = HumanDuration(Duration::from_secs_f64(seconds));
        self.line(&format!(
            "step {step} of {steps}: loss {loss:.4}{held}, lr {learning_rate:.1e}, {images_per_second:.1} images/s, {left} left"
        ));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
