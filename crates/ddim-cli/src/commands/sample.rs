//! `ddim sample`

use crate::args::Sample;
use crate::error::{Error, Result};
use crate::output::{OutputFile, create_folder, joined, report, write};
use crate::progress::Progress;
use crate::session::{Session, check_count, shown, spacing_name, timesteps};
use crate::used_folder;
use ddim::{Sampler, Sampling, Sigma, Step, Trajectory};
use ddim_data::npy_bytes;
use ddim_nn::Network;
use ddim_pictures::{AnimationFormat, Picture, beside, check_drawable, shown_frames, single, square_columns};
use serde_json::json;
use std::path::{Path, PathBuf};

const DEFAULT_COUNT: usize = 64;

pub(crate) fn run(args: &Sample) -> Result<()> {
    let format = args.animate.as_deref().map(AnimationFormat::of).transpose().map_err(|e| Error::flag("--animate", e))?;
    let (session, given) = Session::with_latents(&args.common, &args.class, args.latents.as_deref())?;
    let shape = session.shape();
    let trajectory = match &args.timesteps {
        Some(list) => Trajectory::from_timesteps(session.schedule.levels(), list).map_err(|e| Error::flag("--timesteps", e))?,
        None => session.trajectory(&args.trajectory, args.steps)?,
    };
    let sigma = if args.sigma_hat { Sigma::Hat } else { Sigma::Eta(args.eta) };
    let sampler = session.sampler(&trajectory, &sigma, &args.clip)?;
    let count = count(args, given.as_ref().map(|x| x.len() / session.dim()))?;

    let default_grid = PathBuf::from("sample.png");
    let only_default = args.out.is_none() && args.save_npy.is_none() && args.trace.is_none() && args.animate.is_none();
    let grid_path = args.grid.as_ref().or(only_default.then_some(&default_grid));
    if grid_path.is_some() || args.out.is_some() || args.animate.is_some() {
        check_drawable(shape)?;
    }
    let grid = OutputFile::create_optional(grid_path)?;
    let npy = OutputFile::create_optional(args.save_npy.as_ref())?;
    let animation = OutputFile::create_optional(args.animate.as_ref())?;
    let settings = settings(&session, args, &trajectory);
    let caption = format!("ddim sample --count {count} {settings}");
    args.out
        .iter()
        .try_for_each(|folder| used_folder::check_images(folder, count, |i| single_caption(&session, args.seed, &settings, i)))?;
    args.trace.iter().try_for_each(|folder| used_folder::check_trace(folder, &caption))?;
    args.out.iter().chain(&args.trace).try_for_each(|folder| create_folder(folder))?;

    let progress = Progress::new("sampling", count * trajectory.len(), session.quiet);
    let mut watcher = Watcher::new(args, shape, count, trajectory.len());
    watcher.describe(&session, &sampler, &caption)?;
    // Traces and animations show all images at once.
    let batches = if watcher.watches() { vec![(0, count)] } else { session.batches(count).collect() };
    let keep = grid.is_some() || npy.is_some();
    let mut kept = Vec::new();
    for (first, n) in batches {
        let at = first * session.dim()..(first + n) * session.dim();
        let mut x = given.as_ref().map_or_else(|| session.latents(args.seed, first, n), |x| x[at].to_vec());
        watcher.start(&x, &sampler)?;
        session.sample_batch(&sampler, &mut x, (args.seed, first), &progress, |step, sampling| watcher.step(step, sampling))?;
        if let Some(folder) = &args.out {
            write_singles(folder, &x, &session, (args.seed, first), &settings)?;
        }
        if keep {
            kept.extend(x);
        }
    }
    let seconds = progress.finish();

    let mut files: Vec<PathBuf> = args.out.iter().chain(&args.trace).cloned().collect();
    let columns = square_columns(count);
    if let Some(file) = grid {
        files.push(file.commit(&ddim_pictures::grid(&kept, shape, columns)?.to_png(&caption))?);
    }
    if let Some(file) = npy {
        files.push(file.commit(&npy_bytes(&kept, shape))?);
    }
    if let Some((file, format)) = animation.zip(format) {
        files.push(file.commit(&format.encode(&watcher.frames, true, &caption)?)?);
    }
    let evaluations = (count * trajectory.len()) as f64;
    let object = json!({
        "command": "sample", "model": session.model, "raw": args.common.choices.raw, "count": count, "steps": trajectory.len(), "timesteps": timesteps(&trajectory),
        "eta": if args.sigma_hat { json!("hat") } else { json!(args.eta) }, "seed": args.seed, "seconds": seconds,
        "ms_per_image_step": seconds * 1e3 / evaluations, "size": shape[1..], "classes": session.labels(args.seed, count), "files": shown(&files),
    });
    let human = format!(
        "{count} images of {} in {} steps: {seconds:.1} s, {:.2} ms an image and step\n{}\n",
        session.model,
        trajectory.len(),
        seconds * 1e3 / evaluations,
        joined(files.iter().map(|f| f.display()), "\n")
    );
    report(session.json, &object, &human)
}

fn count(args: &Sample, latents: Option<usize>) -> Result<usize> {
    match (args.count, latents) {
        (Some(count), Some(n)) if count > n => {
            let path = args.latents.as_deref().unwrap_or(Path::new(""));
            Err(Error::flag("--count", format!("{count}: expected at most {n}, the latents in {}", path.display())))
        }
        (count, latents) => check_count(count.or(latents).unwrap_or(DEFAULT_COUNT)),
    }
}

/// The flags that decide the pictures, as one would type them.
fn settings(session: &Session, args: &Sample, trajectory: &Trajectory) -> String {
    let noise = if args.sigma_hat { "--sigma-hat".to_owned() } else { format!("--eta {}", args.eta) };
    let path = match &args.timesteps {
        Some(_) => {
            format!("--timesteps {}", joined(trajectory.timesteps(), ","))
        }
        None => format!("--steps {} --trajectory {}", args.steps, spacing_name(session, &args.trajectory)),
    };
    let latents = args.latents.as_ref().map_or(String::new(), |p| format!(" --latents {}", p.display()));
    format!("{} {path} {noise} --seed {}{}{latents}", session.model_flags(&args.common), args.seed, session.flags(&args.clip))
}

/// What image `number` of a folder is described by; it does not say how many others there are.
fn single_caption(session: &Session, seed: u64, settings: &str, number: usize) -> String {
    let class = session.classes.said(seed, number).map_or(String::new(), |class| format!(", {class}"));
    format!("ddim sample {settings}, image {number}{class}")
}

/// DIR/00000.png, …
fn write_singles(folder: &Path, x: &[f32], session: &Session, (seed, first): (u64, usize), settings: &str) -> Result<()> {
    for (i, image) in x.chunks_exact(session.dim()).enumerate() {
        let caption = single_caption(session, seed, settings, first + i);
        write(&folder.join(format!("{:05}.png", first + i)), &single(image, session.shape())?.to_png(&caption))?;
    }
    Ok(())
}

/// Frames and traces of one batch that holds all images.
struct Watcher {
    shape: [usize; 3],
    columns: usize,
    trace: Option<PathBuf>,
    /// Which of the S + 1 frames of an animation are drawn: none where there is no animation.
    shown: Vec<usize>,
    x_t: Vec<f32>,
    frames: Vec<Picture>,
}

impl Watcher {
    fn new(args: &Sample, shape: [usize; 3], count: usize, steps: usize) -> Self {
        let (columns, trace) = (square_columns(count), args.trace.clone());
        let shown = if args.animate.is_some() { shown_frames(steps + 1) } else { Vec::new() };
        Self { shape, columns, trace, shown, x_t: Vec::new(), frames: Vec::new() }
    }

    fn watches(&self) -> bool {
        !self.shown.is_empty() || self.trace.is_some()
    }

    fn write(&self, name: &str, x: &[f32]) -> Result<()> {
        let Some(folder) = &self.trace else { return Ok(()) };
        write(&folder.join(name), &npy_bytes(x, self.shape))
    }

    fn start(&mut self, x: &[f32], sampler: &Sampler) -> Result<()> {
        if !self.watches() {
            return Ok(());
        }
        self.x_t = x.to_vec();
        self.write(&format!("x_t_{:04}.npy", sampler.steps()[0].level - 1), x)
    }

    fn step(&mut self, step: &Step, sampling: &Sampling<Network>) -> Result<()> {
        if !self.watches() {
            return Ok(());
        }
        // What the network saw beside what it made of it; in the last frame, what came out.
        let draw = |x: &[f32]| ddim_pictures::grid(x, self.shape, self.columns);
        let frame_after = sampling.progress().0;
        for (frame, x) in [(frame_after - 1, &self.x_t[..]), (frame_after, sampling.x())] {
            if self.shown.contains(&frame) && (frame < frame_after || step.next == 0) {
                self.frames.push(beside(&draw(x)?, &draw(sampling.x_0())?)?);
            }
        }
        self.x_t.copy_from_slice(sampling.x());
        self.write(&format!("x_0_{:04}.npy", step.level - 1), sampling.x_0())?;
        let name = if step.next == 0 { "x_final.npy".to_owned() } else { format!("x_t_{:04}.npy", step.next - 1) };
        self.write(&name, sampling.x())
    }

    /// steps.json, before all else: it says of what command the folder is.
    fn describe(&self, session: &Session, sampler: &Sampler, caption: &str) -> Result<()> {
        let Some(folder) = &self.trace else { return Ok(()) };
        let steps = sampler.steps().iter().map(|s| {
            json!({
                "timestep": s.level - 1, "next_timestep": s.next.checked_sub(1), "alpha_bar": s.alpha_bar,
                "alpha_bar_next": s.alpha_bar_next, "direction": s.direction, "sigma": s.sigma,
            })
        });
        let object = json!({
            "caption": caption, "prediction_type": session.scheduler.prediction().name(), "steps": steps.collect::<Vec<_>>(),
        });
        write(&folder.join("steps.json"), format!("{object:#}\n").as_bytes())
    }
}
