//! The kinds of job: requests of the engine, and what comes of each.

use crate::problem::Problem;
use crate::upload;
use ddim_engine::{
    Consistency, Control, Edit, EditFiles, Encode, Engine, Event, Interpolate, Model, Reconstruct, Sample, SampleFiles, Spacing,
    description, memory, npy_bytes, single,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Times that a difference is shown as large as it is, around gray: as the engine's pictures show it.
const MAGNIFIED: f32 = 4.0;

/// What the engine writes, in memory.
const IMAGES: &str = "images";
const GRID: &str = "grid.png";
const ARRAY: &str = "result.npy";

/// A request of the engine, with its kind.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", content = "request", rename_all = "snake_case")]
pub(crate) enum Work {
    Sample(Sample),
    Consistency(Consistency),
    Interpolate(Interpolate),
    Encode(Encode),
    Reconstruct(Reconstruct),
    Edit(Edit),
}

/// What comes of a job.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    /// The engine's report.
    pub(crate) report: Value,
    /// Pictures as PNG files.
    pub(crate) images: Vec<Vec<u8>>,
    /// The batch as a .npy file.
    pub(crate) array: Option<Vec<u8>>,
}

/// A field that names a file to be read, which comes instead.
enum Upload<'a> {
    /// It must be there.
    Needed(&'a mut PathBuf),
    /// It may be.
    Optional(&'a mut Option<PathBuf>),
}

impl Work {
    pub(crate) const KINDS: [&'static str; 6] = ["sample", "consistency", "interpolate", "encode", "reconstruct", "edit"];

    pub(crate) fn model(&self) -> &Model {
        match self {
            Self::Sample(request) => &request.model,
            Self::Consistency(request) => &request.model,
            Self::Interpolate(request) => &request.model,
            Self::Encode(request) => &request.model,
            Self::Reconstruct(request) => &request.model,
            Self::Edit(request) => &request.model,
        }
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

    /// Puts what comes within the request into memory, and names it there.
    ///
    /// # Errors
    /// A field that is no upload, or is missing.
    pub(crate) fn take_uploads(&mut self) -> Result<(), Problem> {
        for (field, upload) in self.uploads() {
            let path = match upload {
                Upload::Needed(path) if path.as_os_str().is_empty() => {
                    return Err(Problem::field(field, format!("missing: expected {}", upload::EXPECTED)));
                }
                Upload::Needed(path) | Upload::Optional(Some(path)) => path,
                Upload::Optional(None) => continue,
            };
            *path = upload::put(field, &path.to_string_lossy())?;
        }
        Ok(())
    }

    /// There are no files to write, and none to download.
    ///
    /// # Errors
    /// The first field that asks for one.
    pub(crate) fn check_paths(&self) -> Result<(), Problem> {
        let (spacing, asked) = match self {
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
        let common = [("scheduler", self.model().scheduler.is_some()), ("trajectory", matches!(spacing, Some(Spacing::Tuned(Some(_)))))];
        match common.into_iter().chain(asked).find(|(_, given)| *given) {
            Some((field, _)) => Err(Problem::field(field, "given: a request opens and writes no files here, expected none")),
            None => Ok(()),
        }
    }

    /// Works on it; what the engine writes in memory is removed again.
    pub(crate) fn run(self, engine: &Engine, control: &Control, tell: &mut (dyn FnMut(Event) + Send)) -> Result<Drawn, Problem> {
        let drawn = self.draw(engine, control, tell);
        for path in [IMAGES, GRID, ARRAY] {
            memory::remove(path.as_ref());
        }
        drawn
    }

    fn draw(self, engine: &Engine, control: &Control, tell: &mut (dyn FnMut(Event) + Send)) -> Result<Drawn, Problem> {
        match self {
            Self::Sample(mut request) => {
                // As the command line writes them: with what describes them.
                request.files = SampleFiles { out: Some(IMAGES.into()), save_npy: Some(ARRAY.into()), ..SampleFiles::default() };
                let report = engine.run(&request, control, tell)?;
                let numbers = report.first..report.first + report.count;
                let images = numbers.map(|n| read(&Path::new(IMAGES).join(format!("{n:05}.png")))).collect::<Result<_, _>>()?;
                Ok(Drawn { images, array: Some(read(ARRAY.as_ref())?), ..Drawn::of(&report) })
            }
            Self::Consistency(mut request) => {
                // The words above its columns are no part of the pictures that come of it.
                (request.grid, request.no_labels) = (Some(GRID.into()), true);
                let report = engine.run(&request, control, tell)?;
                let dim: usize = report.shape.iter().product();
                let rows = (0..report.count).flat_map(|i| report.images.iter().map(move |column| &column[i * dim..][..dim]));
                Ok(Drawn { images: pngs(rows, report.shape)?, ..Drawn::of(&report) })
            }
            Self::Interpolate(mut request) => {
                (request.grid, request.no_labels) = (Some(GRID.into()), true);
                let report = engine.run(&request, control, tell)?;
                Ok(Drawn { images: batch(&report.images, report.shape)?, ..Drawn::of(&report) }.with(&report.images, report.shape))
            }
            Self::Encode(request) => {
                let report = engine.run(&request, control, tell)?;
                let images = [batch(&report.originals, report.shape)?, batch(&report.latents, report.shape)?].concat();
                Ok(Drawn { images, ..Drawn::of(&report) }.with(&report.latents, report.shape))
            }
            Self::Reconstruct(mut request) => {
                request.grid = Some(GRID.into());
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
                Ok(Drawn { images: batch(&rows, report.shape)?, ..Drawn::of(&report) })
            }
            Self::Edit(mut request) => {
                request.files.grid = Some(GRID.into());
                let report = engine.run(&request, control, tell)?;
                let images = [batch(&report.originals, report.shape)?, batch(&report.edits, report.shape)?].concat();
                Ok(Drawn { images, ..Drawn::of(&report) }.with(&report.edits, report.shape))
            }
        }
    }
}

impl Drawn {
    fn of(report: &impl Serialize) -> Self {
        let mut report = serde_json::to_value(report).unwrap_or_default();
        report.as_object_mut().and_then(|fields| fields.shift_remove("files"));
        Self { report, ..Self::default() }
    }

    /// With the batch [n, c, h, w].
    fn with(self, x: &[f32], shape: [usize; 3]) -> Self {
        Self { array: Some(npy_bytes(x, shape)), ..self }
    }
}

/// Each image [c, h, w] as a file, with what the picture of all is described by.
fn pngs<'a>(images: impl Iterator<Item = &'a [f32]>, shape: [usize; 3]) -> Result<Vec<Vec<u8>>, Problem> {
    let caption = memory::get(GRID.as_ref()).and_then(|png| description(Cursor::new(png))).unwrap_or_default();
    let one = |image: &[f32]| Ok(single(image, shape).map_err(ddim_engine::Error::from)?.to_png(&caption));
    images.map(one).collect()
}

/// The same of a batch [n, c, h, w].
fn batch(images: &[f32], shape: [usize; 3]) -> Result<Vec<Vec<u8>>, Problem> {
    pngs(images.chunks_exact(shape.iter().product()), shape)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    memory::get(path).map(|bytes| bytes.to_vec()).ok_or_else(|| Problem::new(format!("{}: was not written", path.display())))
}
