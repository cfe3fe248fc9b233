//! Sampling: drawing images from noise.

use crate::choices::{Clipping, Eta, Model, check_count, check_room};
use crate::error::{Error, Result};
use crate::job::{Request, Within};
use crate::output::{OutputFile, animation_format, check_drawable, check_paths, create_folder, joined, shown, write};
use crate::plan::{self, PlannedStep};
use crate::session::Session;
use crate::spacing::Spacing;
use crate::used_folder;
use ddim::{Sampler, Sampling, Solver, Step, Trajectory};
use ddim_data::npy_bytes;
use ddim_nn::Guided;
use ddim_pictures::{Picture, beside, shown_frames, single, square_columns};
use ddim_train::quoted;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Images where a request does not say how many.
const DEFAULT_COUNT: usize = 64;

/// Draws images from latents x_T, by Eq. 12 over S of the model's T timesteps. Image k of a seed is the same whatever else is drawn.
///
/// ```
/// use ddim_engine::{Control, Engine, Eta, Sample};
///
/// let request = Sample { count: Some(2), steps: 2, eta: Eta::Value(0.0), seed: 7, ..Sample::default() };
/// let drawn = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((drawn.shape, drawn.images.len()), ([3, 32, 32], 2 * 3072));
/// assert_eq!(drawn.timesteps.len(), 2);
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// The model, and how to run it.
    pub model: Model,
    /// Number of images. Defaults to the number of `latents`, or else to 64.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub count: Option<usize>,
    /// Number of the first image; lower numbers are left to other requests, whose images may be in the same folder. Defaults to 0.
    pub first: Option<usize>,
    /// S, the number of steps.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub steps: usize,
    /// Noise added while sampling.
    pub eta: Eta,
    /// How the S timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How a step uses earlier predictions of the network: `ddim`, or one of the other [`Solver`]s.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName, default = crate::schemas::default_solver))]
    pub solver: Solver,
    /// Exactly these code timesteps, in descending order, instead of `steps`.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub timesteps: Option<Vec<usize>>,
    /// Seed of the latents and the noise.
    pub seed: u64,
    /// A .npy file of latents [n, c, h, w] to use instead of the seed's: image k starts from the k-th.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub latents: Option<PathBuf>,
    /// How the predicted x_0 is clipped.
    pub clip: Clipping,
    /// Files to write.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: SampleFiles,
}

/// The output files of a [`Sample`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleFiles {
    /// A folder that receives each image as a numbered PNG. Images of the same request that are already there are not drawn again.
    pub out: Option<PathBuf>,
    /// All images as one picture.
    pub grid: Option<PathBuf>,
    /// The batch as a .npy file, [n, c, h, w].
    pub save_npy: Option<PathBuf>,
    /// A folder that receives every x_t and predicted x_0, and the coefficients of the steps.
    pub trace: Option<PathBuf>,
    /// A GIF or an animated PNG of the grid while it is being drawn.
    pub animate: Option<PathBuf>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            model: Model::default(),
            count: None,
            first: None,
            steps: 50,
            eta: Eta::Value(0.0),
            trajectory: None,
            solver: Solver::Ddim,
            timesteps: None,
            seed: 0,
            latents: None,
            clip: Clipping::default(),
            files: SampleFiles::default(),
        }
    }
}

/// The result of a [`Sample`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "sample")]
pub struct SampleReport {
    /// The model, as named in the request.
    pub model: String,
    /// Whether the weights themselves were used, not their average.
    pub raw: bool,
    /// Rate of the average that was used, if the request gave one.
    pub ema: Option<f64>,
    /// Number of the first image.
    pub first: usize,
    /// Number of images of the request.
    pub count: usize,
    /// Number of images drawn now; fewer if some were already in the folder.
    pub drawn: usize,
    /// S, the number of steps per image: one network evaluation each, or two with heun or guidance.
    pub steps: usize,
    /// Code timesteps in the order in which they were visited.
    pub timesteps: Vec<usize>,
    /// Noise added while sampling.
    pub eta: Eta,
    /// How steps used earlier predictions of the network.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName))]
    pub solver: Solver,
    /// Seed of the latents and the noise.
    pub seed: u64,
    /// Sampling time in seconds.
    pub seconds: f64,
    /// Milliseconds per network evaluation of one image; steps with guidance or `heun` take two. None where nothing was drawn.
    pub ms_per_image_step: Option<f64>,
    /// Size of an image, [height, width].
    pub size: [usize; 2],
    /// The class of each image, for models with classes. None where some are mixed.
    pub classes: Option<Vec<usize>>,
    /// The classes of each image with their weights, which sum to 1, if some are mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixtures: Option<Vec<Vec<(usize, f64)>>>,
    /// Guidance scale; 1 means no guidance.
    pub guidance: f64,
    /// Levels that guidance is limited to, as fractions of T; [0, 1] is all.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub guidance_interval: [f64; 2],
    /// How far guided predictions are rescaled to their standard deviation without guidance, from 0 to 1.
    pub guidance_rescale: f64,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The images, [count, c, h, w] in [-1, 1], unclamped; only if no file was asked for.
    #[serde(skip)]
    pub images: Vec<f32>,
}

impl Request for Sample {
    type Report = SampleReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<SampleReport> {
        let files = &self.files;
        check_paths(
            &self.model.reading(&[("latents", self.latents.as_deref())]),
            &[("out", files.out.as_deref()), ("trace", files.trace.as_deref())],
            &[("grid", files.grid.as_deref()), ("save_npy", files.save_npy.as_deref()), ("animate", files.animate.as_deref())],
        )?;
        let (session, given) = Session::drawing(&self.model, self.latents.as_deref(), watch)?;
        let (shape, dim) = (session.shape(), session.dim());
        let trajectory = plan::chosen(&session, self.timesteps.as_deref(), self.trajectory.as_ref(), self.steps, self.solver)?;
        let sampler = session.sampler(&trajectory, &self.eta.into(), self.clip, self.solver)?;
        let images = self.images(given.as_ref().map(|x| x.len() / dim))?;

        if files.grid.is_some() || files.out.is_some() || files.animate.is_some() {
            check_drawable(shape)?;
        }
        let animation = animation_format(files.animate.as_deref())?;
        let folders: Vec<&PathBuf> = files.out.iter().chain(&files.trace).collect();
        let grid = OutputFile::create_within(files.grid.as_ref(), &folders)?;
        let npy = OutputFile::create_within(files.save_npy.as_ref(), &folders)?;
        let animated = OutputFile::create_within(files.animate.as_ref(), &folders)?.zip(animation);
        let settings = self.settings(&session, &trajectory);
        let of = self.first.map_or(String::new(), |first| format!(" --first {first}"));
        let contents = self.contents(&session, given.as_deref())?;
        let caption = format!("ddim sample --count {}{of} {settings}", images.len());
        let traced = format!("{caption} ({contents})");
        let single_caption = |image| single_caption(&session, self.seed, &settings, &contents, image);
        // Whoever names a first image shares the folder with others.
        let end = self.first.is_none().then_some(images.end);
        let written_before = files.out.iter().map(|folder| used_folder::images(folder, end, single_caption)).next().transpose()?;
        files.trace.iter().try_for_each(|folder| used_folder::check_trace(folder, &traced))?;
        let mut watcher = Watcher::new(files, shape, images.len(), trajectory.len());
        if watcher.watches() {
            // All images at once: where they are, where they were, their x_0, and as bytes, twice as wide, each frame and what is encoded of it.
            check_room(images.len(), 4 * dim + watcher.shown.len() * dim)?;
        }
        folders.iter().try_for_each(|folder| create_folder(folder))?;

        watcher.describe(&session, &sampler, &traced)?;
        // What is there as bytes serves where nothing but bytes is written.
        let goes_on = npy.is_none() && !watcher.watches();
        let there = Singles { folder: files.out.as_deref().filter(|_| goes_on), shape };
        let before = written_before.filter(|_| goes_on).unwrap_or_default();
        // A file that does not decode is drawn again.
        let missing: Vec<usize> = images.clone().filter(|image| !before.contains(image) || there.read(*image).is_err()).collect();
        if missing.len() < images.len() {
            watch.note(format!("{} of {} images already exist", images.len() - missing.len(), images.len()));
        }
        watch.begin("sampling", "image-steps", missing.len() * trajectory.len());
        // Traces and animations show all images at once.
        let together = if watcher.watches() { images.len() } else { session.batch_size() };
        let asked_for_arrays = *files == SampleFiles::default();
        let keep = grid.is_some() || npy.is_some() || asked_for_arrays;
        // The images in order, as far as they are kept.
        let mut kept: Vec<f32> = Vec::new();
        kept.try_reserve_exact(if keep { images.len() * dim } else { 0 })
            .map_err(|_| Error::field("count", format!("{}: more than fits in memory, in one picture or array", images.len())))?;
        for batch in runs(&missing, together) {
            let at = batch.start * dim..batch.end * dim;
            let latents = given.as_ref().map_or_else(|| session.latents(self.seed, batch.start, batch.len()), |x| x[at].to_vec());
            watcher.start(&latents, &sampler)?;
            let x = session.sample_batch(&sampler, latents, (self.seed, batch.start), |step, sampling| {
                watch.advance(batch.len());
                watcher.step(step, sampling)
            })?;
            if let Some(folder) = &files.out {
                write_singles(folder, &x, shape, batch.start, single_caption)?;
            }
            if keep {
                there.read_up_to(batch.start, images.start, &mut kept)?;
                kept.extend(x);
            }
        }
        if keep {
            there.read_up_to(images.end, images.start, &mut kept)?;
        }
        let seconds = watch.end();

        let mut written: Vec<PathBuf> = files.out.iter().chain(&files.trace).cloned().collect();
        if let Some(file) = grid {
            let columns = square_columns(images.len());
            written.push(file.commit(&ddim_pictures::grid(&kept, shape, columns)?.to_png(&caption))?);
        }
        if let Some(file) = npy {
            written.push(file.commit(&npy_bytes(&kept, shape))?);
        }
        if let Some((file, format)) = animated {
            written.push(file.commit(&format.encode(&watcher.frames, true, &caption)?)?);
        }
        let evaluations = missing.len() * session.evaluations(&sampler);
        Ok(SampleReport {
            raw: self.model.raw,
            ema: self.model.ema,
            first: images.start,
            count: images.len(),
            drawn: missing.len(),
            steps: trajectory.len(),
            timesteps: trajectory.timesteps().collect(),
            eta: self.eta,
            solver: self.solver,
            seed: self.seed,
            seconds,
            ms_per_image_step: (evaluations > 0).then(|| seconds * 1e3 / evaluations as f64),
            size: [shape[1], shape[2]],
            classes: session.classes.labels(self.seed, images.clone()),
            mixtures: session.classes.mixtures(self.seed, images),
            guidance: session.guidance_scale(),
            guidance_interval: session.guidance_interval(),
            guidance_rescale: session.guidance_rescale(),
            files: shown(&written),
            shape,
            images: if asked_for_arrays { kept } else { Vec::new() },
            model: session.model,
        })
    }
}

impl Sample {
    /// The numbers of the images.
    fn images(&self, latents: Option<usize>) -> Result<Range<usize>> {
        let first = self.first.unwrap_or(0);
        let left = latents.map(|n| n.saturating_sub(first));
        let path = self.latents.as_deref().unwrap_or(Path::new("")).display();
        if let (Some(0), Some(n)) = (left, latents.filter(|n| *n > 0)) {
            return Err(Error::field("first", format!("{first}: expected at most {}, as {path} has {n}", n - 1)));
        }
        let count = match (self.count, left) {
            (Some(count), Some(n)) if count > n => {
                let from = if first > 0 { format!(" from number {first} on") } else { String::new() };
                return Err(Error::field("count", format!("{count}: expected at most {n}, the latents in {path}{from}")));
            }
            (count, left) => check_count(count.or(left).unwrap_or(DEFAULT_COUNT))?,
        };
        match first.checked_add(count) {
            Some(end) => Ok(first..end),
            None => Err(Error::field("first", format!("{first}: expected a smaller number"))),
        }
    }

    /// Weights, scheduler and latents by their contents: names stay when a run goes on or a file is written anew, and images of both would lie in one
    /// folder.
    fn contents(&self, session: &Session<'_, '_>, latents: Option<&[f32]>) -> Result<String> {
        let mut bytes = used_folder::contents_of(session)?;
        bytes.extend(latents.unwrap_or_default().iter().flat_map(|x| x.to_le_bytes()));
        Ok(format!("model and latents {:08x}", ddim_weights::checksum_of(&bytes)))
    }

    /// What decides the pictures, as one would type it.
    fn settings(&self, session: &Session<'_, '_>, trajectory: &Trajectory) -> String {
        let noise = match self.eta {
            Eta::Hat => "--sigma-hat".to_owned(),
            Eta::Value(eta) => format!("--eta {eta}"),
        };
        // Whoever tunes again finds others: what was tuned is said in full.
        let is_listed = self.timesteps.is_some() || matches!(self.trajectory, Some(Spacing::Tuned(_)));
        let path = match is_listed {
            true => format!("--timesteps {}", joined(trajectory.timesteps(), ",")),
            false => format!("--steps {} --trajectory {}", self.steps, session.spacing_word(self.trajectory.as_ref())),
        };
        let latents = self.latents.as_ref().map_or(String::new(), |p| format!(" --latents {}", quoted(p)));
        format!("{} {path} {noise} --seed {}{}{latents}", session.model_flags(), self.seed, session.flags(self.clip, self.solver))
    }
}

/// What image `number` of a folder is described by; it does not say how many others there are.
fn single_caption(session: &Session<'_, '_>, seed: u64, settings: &str, contents: &str, number: usize) -> String {
    let class = session.classes.said(seed, number).map_or(String::new(), |class| format!(", {class}"));
    format!("ddim sample {settings}, image {number}{class} ({contents})")
}

/// DIR/00000.png, …
pub(crate) fn single_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:05}.png"))
}

/// Writes a batch [n, c, h, w] as images `first`, …, each described by its caption.
pub(crate) fn write_singles(folder: &Path, x: &[f32], shape: [usize; 3], first: usize, caption: impl Fn(usize) -> String) -> Result<()> {
    for (image, x) in (first..).zip(x.chunks_exact(shape.iter().product())) {
        write(&single_path(folder, image), &single(x, shape)?.to_png(&caption(image)))?;
    }
    Ok(())
}

/// Ascending numbers as runs of neighbours, of at most so many.
fn runs(numbers: &[usize], most: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == number && run.len() < most => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

/// Images that an earlier run of the same request wrote.
struct Singles<'a> {
    /// None where they are not to be used.
    folder: Option<&'a Path>,
    shape: [usize; 3],
}

impl Singles<'_> {
    /// An image [c, h, w] as its bytes have it.
    fn read(&self, image: usize) -> Result<Vec<f32>> {
        let gone = || Error::failure(format!("image {image} has disappeared from its folder since it was checked"));
        let bytes = self.folder.and_then(|folder| std::fs::read(single_path(folder, image)).ok());
        let picture = bytes.and_then(|bytes| Picture::from_png(&bytes).ok()).filter(|picture| picture.shape() == self.shape);
        Ok(picture.ok_or_else(gone)?.to_image())
    }

    /// Adds what follows in `kept`, the images from `first` on, up to image `end`.
    fn read_up_to(&self, end: usize, first: usize, kept: &mut Vec<f32>) -> Result<()> {
        for image in first + kept.len() / self.shape.iter().product::<usize>()..end {
            kept.extend(self.read(image)?);
        }
        Ok(())
    }
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
    fn new(files: &SampleFiles, shape: [usize; 3], count: usize, steps: usize) -> Self {
        let (columns, trace) = (square_columns(count), files.trace.clone());
        let shown = if files.animate.is_some() { shown_frames(steps + 1) } else { Vec::new() };
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

    fn step(&mut self, step: &Step, sampling: &Sampling<Guided>) -> Result<()> {
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
    fn describe(&self, session: &Session<'_, '_>, sampler: &Sampler, caption: &str) -> Result<()> {
        let Some(folder) = &self.trace else { return Ok(()) };
        let object = json!({
            "caption": caption, "prediction_type": session.scheduler.prediction().name(), "steps": PlannedStep::of(sampler),
        });
        write(&folder.join("steps.json"), format!("{object:#}\n").as_bytes())
    }
}
