//! The kinds of job: requests of the engine, and what comes of each.

use crate::config::Limits;
use crate::error::Problem;
use axum::body::Bytes;
use axum::http::StatusCode;
use ddim_engine::{
    Consistency, Control, Edit, EditFiles, Encode, Engine, ErrorKind, Event, Interpolate, Model, Picture, Reconstruct, Sample, SampleFiles,
    Spacing, description, npy_bytes, single,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

/// Times that a difference is shown as large as it is, around gray: as the engine's pictures show it.
const MAGNIFIED: f32 = 4.0;

/// A request of the engine, with its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "request", rename_all = "snake_case")]
pub(crate) enum Work {
    Sample(Sample),
    Consistency(Consistency),
    Interpolate(Interpolate),
    Encode(Encode),
    Reconstruct(Reconstruct),
    Edit(Edit),
}

/// The same of whatever kind.
macro_rules! each {
    ($work:expr, $request:ident => $what:expr) => {
        match $work {
            Work::Sample($request) => $what,
            Work::Consistency($request) => $what,
            Work::Interpolate($request) => $what,
            Work::Encode($request) => $what,
            Work::Reconstruct($request) => $what,
            Work::Edit($request) => $what,
        }
    };
}

/// A field that names a file to be read, which a client sends instead.
pub(crate) enum Upload<'a> {
    /// It must be there.
    Needed(&'a mut PathBuf),
    /// It may be.
    Optional(&'a mut Option<PathBuf>),
}

/// What comes of a job.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    /// The engine's report.
    pub(crate) report: Value,
    /// Pictures as PNG files.
    pub(crate) images: Vec<Bytes>,
    /// The number of the first of them.
    pub(crate) first: usize,
    /// The batch as a .npy file.
    pub(crate) array: Option<Bytes>,
    /// All of it in one picture, as the command line draws it.
    pub(crate) grid: Option<Bytes>,
}

/// Why a job ends without results.
#[derive(Debug)]
pub(crate) enum End {
    Cancelled,
    Failed(Problem),
}

impl From<ddim_engine::Error> for End {
    fn from(error: ddim_engine::Error) -> Self {
        if error.kind() == ErrorKind::Cancelled { Self::Cancelled } else { Self::Failed(Problem::of(&error)) }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the job's files: {error}")))
    }
}

impl Work {
    /// The kinds by name.
    pub(crate) const KINDS: [&'static str; 6] = ["sample", "consistency", "interpolate", "encode", "reconstruct", "edit"];

    /// Its name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sample(_) => "sample",
            Self::Consistency(_) => "consistency",
            Self::Interpolate(_) => "interpolate",
            Self::Encode(_) => "encode",
            Self::Reconstruct(_) => "reconstruct",
            Self::Edit(_) => "edit",
        }
    }

    pub(crate) fn model(&mut self) -> &mut Model {
        each!(self, request => &mut request.model)
    }

    /// Fields that are files to be read.
    pub(crate) fn uploads(&mut self) -> Vec<(&'static str, Upload<'_>)> {
        match self {
            Self::Sample(request) => vec![("latents", Upload::Optional(&mut request.latents))],
            Self::Interpolate(request) => vec![("latents", Upload::Optional(&mut request.latents))],
            Self::Encode(request) => vec![("input", Upload::Needed(&mut request.input))],
            Self::Reconstruct(request) => vec![("input", Upload::Needed(&mut request.input))],
            Self::Edit(request) => vec![("input", Upload::Needed(&mut request.input)), ("mask", Upload::Optional(&mut request.mask))],
            Self::Consistency(_) => Vec::new(),
        }
    }

    /// Classes of a request, besides those of its model.
    pub(crate) fn encoded_under(&self) -> Option<&Path> {
        if let Self::Edit(request) = self { request.from_class.as_deref() } else { None }
    }

    /// The field of another model that decodes.
    pub(crate) fn decoder(&mut self) -> Option<&mut PathBuf> {
        if let Self::Edit(request) = self { request.to_model.as_mut() } else { None }
    }

    /// No path of a request is followed, and nothing is downloaded for it.
    ///
    /// # Errors
    /// The first field that would.
    pub(crate) fn check_paths(&self) -> Result<(), Problem> {
        let (spacing, rest) = match self {
            Self::Sample(request) => (&request.trajectory, vec![("files", request.files != SampleFiles::default())]),
            Self::Consistency(request) => (
                &request.trajectory,
                vec![("grid", request.grid.is_some()), ("inception", request.inception.is_some()), ("features", request.features)],
            ),
            Self::Interpolate(request) => (
                &request.trajectory,
                vec![("grid", request.grid.is_some()), ("animate", request.animate.is_some()), ("save_npy", request.save_npy.is_some())],
            ),
            Self::Encode(request) => (&request.trajectory, vec![("save_npy", request.save_npy.is_some())]),
            Self::Reconstruct(request) => (&request.trajectory, vec![("grid", request.grid.is_some())]),
            Self::Edit(request) => (&request.trajectory, vec![("files", request.files != EditFiles::default())]),
        };
        let common = [
            ("scheduler", each!(self, request => request.model.scheduler.is_some())),
            ("trajectory", matches!(spacing, Some(Spacing::Tuned(Some(_))))),
        ];
        match common.into_iter().chain(rest).find(|(_, given)| *given) {
            Some((field, _)) => Err(Problem::field(field, "given: a request opens and writes no files here, expected none")),
            None => Ok(()),
        }
    }

    /// Sets what is left to the server, and refuses what is too much; the number of images that are drawn.
    ///
    /// # Errors
    /// What is none, or too much.
    pub(crate) fn bound(&mut self, limits: &Limits) -> Result<usize, Problem> {
        let images = limits.images;
        let each = |steps: &[usize]| steps.iter().try_for_each(|steps| within("steps", *steps, limits.steps));
        // All numbers of steps, of as many images, within the limit of one.
        let columns = |count: usize, steps: &[usize]| {
            within("steps", steps.len(), images)?;
            each(steps)?;
            within("count", count.saturating_mul(steps.len()), images).map_err(|_| {
                let found = format!("{count} with {} numbers of steps: expected {images} images at most", steps.len());
                Problem::field("count", found)
            })
        };
        let count = match self {
            Self::Sample(request) => {
                match &request.timesteps {
                    Some(timesteps) => within("timesteps", timesteps.len(), limits.steps)?,
                    None => within("steps", request.steps, limits.steps)?,
                }
                // Of latents as many as there are, which are within what an upload may be.
                match (request.count, &request.latents) {
                    (Some(count), _) => count,
                    (None, Some(_)) => 1,
                    (None, None) => *request.count.insert(64.min(images)),
                }
            }
            Self::Consistency(request) => {
                within("count", request.count, images)?;
                columns(request.count, &request.steps)?;
                request.count * request.steps.len()
            }
            Self::Interpolate(request) => {
                within("steps", request.steps, limits.steps)?;
                within("frames", request.frames, images)?;
                let (rows, cols) = (request.rows.unwrap_or(8), request.cols.unwrap_or(8));
                if request.seeds.len() == 4 || request.latents.is_some() {
                    within("rows", rows, images)?;
                    within("cols", cols, images)?;
                    within("rows", rows * cols, images)
                        .map_err(|_| Problem::field("rows", format!("{rows} by {cols}: expected {images} images at most")))?;
                }
                request.frames.max(rows * cols)
            }
            Self::Encode(request) => {
                within("steps", request.steps, limits.steps)?;
                1
            }
            Self::Reconstruct(request) => {
                let count = *request.count.get_or_insert(1);
                within("count", count, images)?;
                columns(count, &request.steps)?;
                count * request.steps.len()
            }
            Self::Edit(request) => {
                within("steps", request.steps, limits.steps)?;
                let count = *request.count.get_or_insert(1);
                within("count", count, images)?;
                within("variations", request.variations, images)?;
                if let Some(repaint) = request.repaint {
                    within("repaint", repaint.times, 20)?;
                }
                count.saturating_mul(request.variations)
            }
        };
        within("count", count, images)?;
        Ok(count)
    }

    /// Works on it. Files that the engine is asked for lie in `folder`, which is empty but for uploads.
    pub(crate) fn run(self, folder: &Path, engine: &Engine, control: &Control, tell: &mut (dyn FnMut(Event) + Send)) -> Result<Drawn, End> {
        let (out, grid, npy) = (folder.join("images"), folder.join("grid.png"), folder.join("result.npy"));
        let mut drawn = match self {
            Self::Sample(mut request) => {
                // As the command line writes them: the same bytes.
                let grid = Some(grid.clone());
                request.files = SampleFiles { out: Some(out.clone()), grid, save_npy: Some(npy.clone()), ..SampleFiles::default() };
                let report = engine.run(&request, control, tell)?;
                let numbers = report.first..report.first + report.count;
                let images = numbers.map(|n| read(&out.join(format!("{n:05}.png")))).collect::<Result<_, End>>()?;
                Drawn { images, first: report.first, array: Some(read(&npy)?), ..Drawn::of(&report) }
            }
            Self::Consistency(mut request) => {
                request.grid = Some(grid.clone());
                let report = engine.run(&request, control, tell)?;
                let dim: usize = report.shape.iter().product();
                let rows = (0..report.count).flat_map(|i| report.images.iter().map(move |column| &column[i * dim..][..dim]));
                Drawn { images: pngs(rows, report.shape, &grid)?, ..Drawn::of(&report) }
            }
            Self::Interpolate(mut request) => {
                request.grid = Some(grid.clone());
                let report = engine.run(&request, control, tell)?;
                Drawn { images: batch(&report.images, report.shape, &grid)?, ..Drawn::of(&report) }.with(&report.images, report.shape)
            }
            Self::Encode(request) => {
                let report = engine.run(&request, control, tell)?;
                let images = [&report.originals, &report.latents].map(|x| batch(x, report.shape, &grid));
                let images = images.into_iter().collect::<Result<Vec<_>, End>>()?.concat();
                Drawn { images, ..Drawn::of(&report) }.with(&report.latents, report.shape)
            }
            Self::Reconstruct(mut request) => {
                request.grid = Some(grid.clone());
                let report = engine.run(&request, control, tell)?;
                let dim: usize = report.shape.iter().product();
                let mut rows: Vec<f32> = Vec::new();
                for (i, original) in report.originals.chunks_exact(dim).enumerate() {
                    rows.extend(original);
                    for decoded in report.decoded.iter().map(|x| &x[i * dim..][..dim]) {
                        rows.extend(decoded);
                        rows.extend(decoded.iter().zip(original).map(|(a, b)| MAGNIFIED * (a - b)));
                    }
                }
                Drawn { images: batch(&rows, report.shape, &grid)?, ..Drawn::of(&report) }
            }
            Self::Edit(mut request) => {
                request.files.grid = Some(grid.clone());
                let report = engine.run(&request, control, tell)?;
                let images = [&report.originals, &report.edits].map(|x| batch(x, report.shape, &grid));
                let images = images.into_iter().collect::<Result<Vec<_>, End>>()?.concat();
                Drawn { images, ..Drawn::of(&report) }.with(&report.edits, report.shape)
            }
        };
        if grid.exists() {
            drawn.grid = Some(without(folder, read(&grid)?)?);
        }
        Ok(drawn)
    }
}

impl Drawn {
    fn of(report: &impl Serialize) -> Self {
        let mut report = serde_json::to_value(report).unwrap_or_default();
        if let Some(fields) = report.as_object_mut() {
            fields.shift_remove("files");
        }
        Self { report, ..Self::default() }
    }

    /// With the batch [n, c, h, w].
    fn with(self, x: &[f32], shape: [usize; 3]) -> Self {
        Self { array: Some(npy_bytes(x, shape).into()), ..self }
    }

    /// Bytes of memory that it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        self.images.iter().chain(&self.array).chain(&self.grid).map(Bytes::len).sum()
    }
}

/// Each image [c, h, w] as a file, with what the picture of all is described by.
fn pngs<'a>(images: impl Iterator<Item = &'a [f32]>, shape: [usize; 3], grid: &Path) -> Result<Vec<Bytes>, End> {
    let caption = match std::fs::read(grid) {
        Ok(png) => description(Cursor::new(png)).unwrap_or_default(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let caption = grid.parent().map_or_else(|| caption.clone(), |folder| outside(folder, &caption));
    let one = |image: &[f32]| Ok(single(image, shape).map_err(ddim_engine::Error::from)?.to_png(&caption).into());
    images.map(one).collect()
}

/// A picture whose caption does not say where the server had its files: the same bytes wherever that was.
fn without(folder: &Path, png: Bytes) -> Result<Bytes, End> {
    let caption = description(Cursor::new(&png)).unwrap_or_default();
    let said = outside(folder, &caption);
    if said == caption {
        return Ok(png);
    }
    Ok(Picture::from_png(&png).map_err(ddim_engine::Error::from)?.to_png(&said).into())
}

/// A caption with the names of files alone, of those in `folder`.
fn outside(folder: &Path, caption: &str) -> String {
    caption.replace(&format!("{}{MAIN_SEPARATOR}", folder.display()), "")
}

/// The same of a batch [n, c, h, w].
fn batch(images: &[f32], shape: [usize; 3], grid: &Path) -> Result<Vec<Bytes>, End> {
    pngs(images.chunks_exact(shape.iter().product()), shape, grid)
}

fn read(path: &Path) -> Result<Bytes, End> {
    Ok(std::fs::read(path)?.into())
}

/// # Errors
/// None, or more than `most`.
pub(crate) fn within(field: &str, n: usize, most: usize) -> Result<(), Problem> {
    if (1..=most).contains(&n) { Ok(()) } else { Err(Problem::field(field, format!("{n}: expected 1 to {most}"))) }
}

/// What a request is, as it can be sent again: without uploads, the model by the name that requests know.
pub(crate) fn told(work: &Work, model: &str, to_model: Option<&str>) -> Value {
    let mut request = serde_json::to_value(work).unwrap_or_default()["request"].take();
    let ours = ["files", "latents", "grid", "animate", "save_npy", "inception", "features", "no_labels", "input", "mask"];
    if let Some(fields) = request.as_object_mut() {
        ours.iter().for_each(|field| drop(fields.shift_remove(*field)));
        if let Some(to_model) = to_model {
            fields.insert("to_model".to_owned(), json!(to_model));
        }
        if let Some(fields) = fields.get_mut("model").and_then(Value::as_object_mut) {
            fields.shift_remove("scheduler");
            fields.insert("model".to_owned(), json!(model));
        }
    }
    request
}
