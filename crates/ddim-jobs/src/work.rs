//! The kinds of job: the engine's requests, and their results.

use crate::place::Place;
use crate::problem::{Problem, parsed};
use crate::upload::{self, File};
use ddim_engine::{
    Consistency, Control, Edit, EditFiles, Encode, Engine, Event, InfoReport, Interpolate, Model, Picture, Plan, Reconstruct, Sample,
    SampleFiles, Spacing, description, memory, npy_bytes, single,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that the engine is asked for, in the folder of a job.
const IMAGES: &str = "images";
const GRID: &str = "grid.png";
const ARRAY: &str = "result.npy";

/// A request to the engine, with its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "request", rename_all = "snake_case")]
pub enum Work {
    /// [`ddim_engine::Sample`].
    Sample(Sample),
    /// [`ddim_engine::Consistency`].
    Consistency(Consistency),
    /// [`ddim_engine::Interpolate`].
    Interpolate(Interpolate),
    /// [`ddim_engine::Encode`].
    Encode(Encode),
    /// [`ddim_engine::Reconstruct`].
    Reconstruct(Reconstruct),
    /// [`ddim_engine::Edit`].
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
enum Upload<'a> {
    /// It must be there.
    Needed(&'a mut PathBuf),
    /// It may be.
    Optional(&'a mut Option<PathBuf>),
}

/// The result of a job. Its files can be served as they are.
#[derive(Debug, Clone, Default)]
pub struct JobOutput {
    /// The engine's report.
    pub report: Value,
    /// Images as PNG files. Samples and interpolations: one after the other; consistency: for each latent, its images in turn; encode: the images, then
    /// pictures of their latents; reconstruct: each image, followed for each number of steps by its reconstruction and the difference; edit: the images, then
    /// the edits.
    pub images: Vec<Arc<[u8]>>,
    /// The number of the first of `images`.
    pub first: usize,
    /// The batch as a .npy file.
    pub array: Option<Arc<[u8]>>,
    /// One picture of all of it, as the command line draws it.
    pub grid: Option<Arc<[u8]>>,
}

impl Work {
    /// Names of the kinds.
    pub const KINDS: [&'static str; 6] = ["sample", "consistency", "interpolate", "encode", "reconstruct", "edit"];

    /// Parses a request of the named kind.
    ///
    /// # Errors
    /// If the kind is unknown, the request does not have its form, or it names files to write, or files to read that it does not carry.
    pub fn parse(kind: &str, request: Value) -> Result<Self, Problem> {
        if !Self::KINDS.contains(&kind) {
            return Err(Problem::field("kind", format!("{kind:?}: expected {}", Self::KINDS.join(", "))));
        }
        let work: Self = parsed(json!({ "kind": kind, "request": request }))?;
        work.check_paths()?;
        Ok(work)
    }

    /// The [`Plan`] of a sample request, which ignores its other fields; `None` for other kinds.
    pub fn plan(self) -> Option<Plan> {
        let Self::Sample(Sample { model, steps, eta, trajectory, solver, timesteps, .. }) = self else { return None };
        Some(Plan { model, steps, eta, trajectory, solver, timesteps })
    }

    /// The name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sample(_) => "sample",
            Self::Consistency(_) => "consistency",
            Self::Interpolate(_) => "interpolate",
            Self::Encode(_) => "encode",
            Self::Reconstruct(_) => "reconstruct",
            Self::Edit(_) => "edit",
        }
    }

    /// The request's model.
    pub fn model(&mut self) -> &mut Model {
        each!(self, request => &mut request.model)
    }

    /// Fields that are files to be read.
    fn uploads(&mut self) -> Vec<(&'static str, Upload<'_>)> {
        match self {
            Self::Sample(request) => vec![("latents", Upload::Optional(&mut request.latents))],
            Self::Interpolate(request) => vec![("latents", Upload::Optional(&mut request.latents))],
            Self::Encode(request) => vec![("input", Upload::Needed(&mut request.input))],
            Self::Reconstruct(request) => vec![("input", Upload::Needed(&mut request.input))],
            Self::Edit(request) => vec![("input", Upload::Needed(&mut request.input)), ("mask", Upload::Optional(&mut request.mask))],
            Self::Consistency(_) => Vec::new(),
        }
    }

    /// Takes out the files that came with the request, and replaces them in it by their names. An array may have at most `images` images and `numbers` numbers.
    ///
    /// # Errors
    /// If a field is not a data URL, holds another kind of file or one that is too large, or is missing.
    pub fn take_files(&mut self, images: usize, numbers: usize) -> Result<Vec<File>, Problem> {
        let mut files = Vec::new();
        for (field, upload) in self.uploads() {
            let path = match upload {
                Upload::Needed(path) if path.as_os_str().is_empty() => {
                    return Err(Problem::field(field, format!("missing: expected {}", upload::EXPECTED)));
                }
                Upload::Needed(path) | Upload::Optional(Some(path)) => path,
                Upload::Optional(None) => continue,
            };
            let file = upload::read(field, &path.to_string_lossy(), images, numbers)?;
            path.clone_from(&file.name);
            files.push(file);
        }
        Ok(files)
    }

    /// The classes that an edit encodes images under, if the request gives them apart from its model's.
    pub fn encoded_under(&self) -> Option<&Path> {
        if let Self::Edit(request) = self { request.from_class.as_deref() } else { None }
    }

    /// The field that names another model, which decodes.
    pub fn decoder(&mut self) -> Option<&mut PathBuf> {
        if let Self::Edit(request) = self { request.to_model.as_mut() } else { None }
    }

    /// No path of a request is followed, and nothing is downloaded for it.
    ///
    /// # Errors
    /// The first field that would.
    fn check_paths(&self) -> Result<(), Problem> {
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
            Some((field, _)) => Err(Problem::field(field, "given: requests cannot read or write files here: expected none")),
            None => Ok(()),
        }
    }

    /// Runs the request with the files that [`take_files`](Self::take_files) took out. `tell` receives the engine's events: see
    /// [`EventEncoder`](crate::EventEncoder).
    ///
    /// # Errors
    /// The engine's errors, with the names that `place` gives; or files that cannot be written.
    pub fn run(
        mut self,
        files: Vec<File>,
        place: &Place,
        engine: &Engine,
        control: &Control,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<JobOutput, Problem> {
        let drawn = (|| {
            files.into_iter().try_for_each(|file| place.write(&file.name, &file.bytes))?;
            for (_, upload) in self.uploads() {
                if let Upload::Needed(path) | Upload::Optional(Some(path)) = upload {
                    *path = place.at(&*path);
                }
            }
            self.draw(place, engine, control, tell)
        })();
        match drawn {
            Ok(drawn) => Ok(JobOutput { report: place.named_json(drawn.report), ..drawn }),
            Err(problem) => Err(Problem { message: place.named(&problem.message), ..problem }),
        }
    }

    fn draw(self, place: &Place, engine: &Engine, control: &Control, tell: &mut (dyn FnMut(Event) + Send)) -> Result<JobOutput, Problem> {
        let grid = Some(place.at(GRID));
        let mut drawn = match self {
            Self::Sample(mut request) => {
                // As the command line writes them: the same bytes.
                let (out, save_npy) = (Some(place.at(IMAGES)), Some(place.at(ARRAY)));
                request.files = SampleFiles { out, grid, save_npy, ..SampleFiles::default() };
                let report = engine.run(&request, control, tell)?;
                let numbers = report.first..report.first + report.count;
                let images = numbers.map(|n| place.read(format!("{IMAGES}/{n:05}.png")).map(Arc::from)).collect::<Result<_, Problem>>()?;
                JobOutput { images, first: report.first, array: Some(place.read(ARRAY)?.into()), ..JobOutput::of(&report) }
            }
            Self::Consistency(mut request) => {
                (request.grid, request.no_labels) = (grid, memory::ONLY);
                let report = engine.run(&request, control, tell)?;
                let dim: usize = report.shape.iter().product();
                let rows = (0..report.count).flat_map(|i| report.images.iter().map(move |column| &column[i * dim..][..dim]));
                JobOutput { images: pngs(rows, report.shape, place)?, ..JobOutput::of(&report) }
            }
            Self::Interpolate(mut request) => {
                (request.grid, request.no_labels) = (grid, memory::ONLY);
                let report = engine.run(&request, control, tell)?;
                JobOutput { images: batch(&report.images, report.shape, place)?, ..JobOutput::of(&report) }
                    .with(&report.images, report.shape)
            }
            Self::Encode(request) => {
                let report = engine.run(&request, control, tell)?;
                let images = [&report.originals, &report.latents].map(|x| batch(x, report.shape, place));
                let images = images.into_iter().collect::<Result<Vec<_>, Problem>>()?.concat();
                JobOutput { images, ..JobOutput::of(&report) }.with(&report.latents, report.shape)
            }
            Self::Reconstruct(mut request) => {
                request.grid = grid;
                let report = engine.run(&request, control, tell)?;
                let dim: usize = report.shape.iter().product();
                let mut rows: Vec<f32> = Vec::new();
                for (i, original) in report.originals.chunks_exact(dim).enumerate() {
                    rows.extend(original);
                    for decoded in report.decoded.iter().map(|x| &x[i * dim..][..dim]) {
                        rows.extend(decoded);
                        rows.extend(decoded.iter().zip(original).map(|(a, b)| Reconstruct::MAGNIFIED * (a - b)));
                    }
                }
                JobOutput { images: batch(&rows, report.shape, place)?, ..JobOutput::of(&report) }
            }
            Self::Edit(mut request) => {
                request.files.grid = grid;
                let report = engine.run(&request, control, tell)?;
                let images = [&report.originals, &report.edits].map(|x| batch(x, report.shape, place));
                let images = images.into_iter().collect::<Result<Vec<_>, Problem>>()?.concat();
                JobOutput { images, ..JobOutput::of(&report) }.with(&report.edits, report.shape)
            }
        };
        drawn.grid = place.read_if_there(GRID)?.map(|png| without_places(png, place).map(Arc::from)).transpose()?;
        Ok(drawn)
    }
}

/// Describes a model without its location. `source` is the model's name on the command line of any machine, if it has one.
pub fn model_json(info: &InfoReport, source: Option<&str>) -> Value {
    let mut json = without(info, &["command", "weights"]);
    json["source"] = json!(source);
    json
}

/// A report without some of its fields.
fn without(report: &impl Serialize, left_out: &[&str]) -> Value {
    let mut report = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = report.as_object_mut() {
        left_out.iter().for_each(|field| drop(fields.shift_remove(*field)));
    }
    report
}

impl JobOutput {
    fn of(report: &impl Serialize) -> Self {
        Self { report: without(report, &["files"]), ..Self::default() }
    }

    /// With the batch [n, c, h, w].
    fn with(self, x: &[f32], shape: [usize; 3]) -> Self {
        Self { array: Some(npy_bytes(x, shape).into()), ..self }
    }

    /// Approximate size in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.images.iter().chain(&self.array).chain(&self.grid).map(|file| file.len()).sum()
    }
}

/// Each image [c, h, w] as a file, with what the picture of all is described by.
fn pngs<'a>(images: impl Iterator<Item = &'a [f32]>, shape: [usize; 3], place: &Place) -> Result<Vec<Arc<[u8]>>, Problem> {
    let grid = place.read_if_there(GRID)?;
    let caption = grid.and_then(|png| description(Cursor::new(png))).map_or_else(String::new, |caption| place.named_files(&caption));
    let one = |image: &[f32]| Ok(single(image, shape).map_err(ddim_engine::Error::from)?.to_png(&caption).into());
    images.map(one).collect()
}

/// The same of a batch [n, c, h, w].
fn batch(images: &[f32], shape: [usize; 3], place: &Place) -> Result<Vec<Arc<[u8]>>, Problem> {
    pngs(images.chunks_exact(shape.iter().product()), shape, place)
}

/// A picture whose caption does not say where the job had its files: the same bytes wherever that was.
fn without_places(png: Vec<u8>, place: &Place) -> Result<Vec<u8>, Problem> {
    let caption = description(Cursor::new(&png)).unwrap_or_default();
    let said = place.named_files(&caption);
    if said == caption {
        return Ok(png);
    }
    Ok(Picture::from_png(&png).map_err(ddim_engine::Error::from)?.to_png(&said))
}
