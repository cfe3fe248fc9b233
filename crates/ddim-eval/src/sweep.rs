//! A table of FID and KID over numbers of steps S, solvers, trajectories, amounts of noise and guidance (Table 1 of the paper), kept in a
//! folder so that it can be stopped at any time: features of a few images at a time become files, each cell becomes one when it is done,
//! and nothing that exists is computed again.
//!
//! `sweep.json` says what is compared; `reference.npz` has the statistics of real images, and features of them for KID; `cells/` has a
//! `.json`, the first images (`.npy`) and FID without each image (`-without.npy`) of each cell, and a folder of parts for one that is not
//! done; `timings.json` has the time that sampling took, and is the one file that differs from run to run.

use crate::cache::KeptFeatures;
use crate::cell::{Cell, CellResult, Plain, sigma_name};
use crate::error::{Error, Result};
use crate::features::features_of_images;
use crate::kernel::jackknife;
use crate::reference::{SweepReference, floats};
use crate::statistics::{Statistics, npy, to_npz};
use ddim_data::{Npz, npy_numbers};
use ddim_nn::Inception;
use ddim_weights::{TEMPORARY, lock_folder, write_file};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a sweep reports to its observer.
#[derive(Debug)]
#[non_exhaustive]
pub enum SweepEvent<'a> {
    /// This many images of a cell (or of the reference, if `None`) are done, now or in an earlier run.
    Images(Option<&'a Cell>, usize),
    /// A cell is done, now or in an earlier run.
    Done(&'a CellResult),
    /// The reference's features could not be kept for other sweeps, for this reason.
    NotKept(Error),
}

/// Images that become a file together: what a kill loses at most.
const PART: usize = 32;

/// How the file of a cell ends that has its FID without each of its images.
const WITHOUT: &str = "-without.npy";

/// The number of images of each cell that are kept for display.
pub const SHOWN: usize = 8;

/// The folder of a sweep, locked.
#[derive(Debug)]
pub struct Sweep {
    folder: PathBuf,
    shape: [usize; 3],
    computed_by: Vec<String>,
    plain: Plain,
    _lock: File,
}

/// Where `sweep.json` says what computed it.
const COMPUTED_BY: &str = "computed_by";

/// Features of some images, and what they cost.
struct Part {
    features: Vec<f32>,
    seconds: f64,
    /// The first images of all, [n, c, h, w].
    shown: Vec<f32>,
}

impl Sweep {
    /// Checks whether `folder` could be that of a sweep with some `settings`, as far as that can be told before the others, which take
    /// time, are known. Nothing is written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(folder: &Path, settings: &Map<String, Value>) -> Result<()> {
        match known(folder)? {
            Some(known) => compare(folder, &known, settings),
            None => check_new(folder),
        }
    }

    /// Returns what the cells of `folder` stand for if their names do not say, if it already is a sweep's folder.
    ///
    /// # Errors
    /// Returns an error for a `sweep.json` that cannot be read, or is of a version that did not record it.
    pub fn plain(folder: &Path) -> Result<Option<Plain>> {
        known(folder)?.map(|known| Plain::among(&known, folder)).transpose()
    }

    /// Creates the folder, or continues in one with the same settings.
    ///
    /// `settings` are what all cells share (the contents of model and reference, count, …), and the `trajectory`, `guidance` and `seed` of
    /// those whose names do not say ([`Plain`]); `names` are kept beside them and may change; `computed_by` says what computes (version,
    /// vectors), and [`computed_by`](Self::computed_by) has all that took part. `shape` [c, h, w] is that of an image.
    ///
    /// # Errors
    /// Returns an error for a folder with other settings (naming those that differ), with other content, or in use.
    pub fn open(
        folder: &Path,
        settings: &Map<String, Value>,
        names: &Map<String, Value>,
        computed_by: &str,
        shape: [usize; 3],
    ) -> Result<Self> {
        let io = |e| Error::sweep(folder, &e).because(e);
        let plain = Plain::among(settings, folder)?;
        let known = known(folder)?;
        match &known {
            Some(known) => compare(folder, known, settings)?,
            None => {
                check_new(folder)?;
                std::fs::create_dir_all(folder).map_err(io)?;
            }
        }
        let lock = lock(folder)?;
        remove_temporary(folder)?;
        let before = known.as_ref().and_then(|known| known.get(COMPUTED_BY)?.as_array().cloned()).unwrap_or_default();
        let mut all: Vec<String> = before.iter().filter_map(|by| Some(by.as_str()?.to_owned())).collect();
        if all.iter().all(|by| by != computed_by) {
            all.push(computed_by.to_owned());
        }
        let mut kept = settings.clone();
        kept.extend(names.clone());
        kept.insert(COMPUTED_BY.to_owned(), serde_json::json!(all));
        let sweep = Self { folder: folder.to_owned(), shape, computed_by: all, plain, _lock: lock };
        // Before anything else, so that a folder with something in it is known again.
        sweep.write("sweep.json", format!("{:#}\n", Value::Object(kept)).as_bytes())?;
        std::fs::create_dir_all(folder.join("cells")).map_err(io)?;
        remove_temporary(&folder.join("cells"))?;
        Ok(sweep)
    }

    /// Returns what computed the cells, first to last: versions and vectors, between which results may differ in their last digits.
    pub fn computed_by(&self) -> &[String] {
        &self.computed_by
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_whole(&self.folder.join(name), bytes)
    }

    /// Returns the reference: the one that is already here, or the statistics and some features of `count` images. Their features are
    /// `kept` or computed by `features`, and their classes are `labels`, if they have any.
    ///
    /// # Errors
    /// Returns the errors of `features` and `observe`, and an error if files cannot be read or written.
    pub fn reference(
        &self,
        count: usize,
        labels: Option<&[usize]>,
        kept: &KeptFeatures,
        features: &mut dyn FnMut(Range<usize>) -> Result<Vec<f32>>,
        observe: &mut dyn FnMut(SweepEvent<'_>) -> Result<()>,
    ) -> Result<SweepReference> {
        let path = self.folder.join("reference.npz");
        let parts = self.folder.join("cells/reference");
        if path.is_file() {
            observe(SweepEvent::Images(None, count))?;
        } else {
            let all = match kept.read() {
                Some(features) => {
                    observe(SweepEvent::Images(None, count))?;
                    features
                }
                None => {
                    let resumed = parts.read_dir().is_ok_and(|mut entries| entries.next().is_some());
                    let mut make = |range: Range<usize>| Ok(Part { features: features(range)?, seconds: 0.0, shown: Vec::new() });
                    let all = collect(&parts, count, &mut make, &mut |n| observe(SweepEvent::Images(None, n)))?.features;
                    // Parts of a run by another version or processor are not what this one would compute.
                    if !resumed || self.computed_by.len() == 1 {
                        kept.write(&all).or_else(|error| observe(SweepEvent::NotKept(error)))?;
                    }
                    all
                }
            };
            self.write("reference.npz", &SweepReference::file_of(&all, labels)?)?;
        }
        remove_folder(&parts)?;
        // As it was written, so that a run that goes on has the same numbers.
        SweepReference::read(&path)
    }

    /// Computes one cell: FID and KID of `count` images. `sample` draws a range of them ([n, c, h, w], the same for the same number), and
    /// the network is evaluated `evaluations` times for each. `labels` are the classes that they are drawn for, numbered as in the
    /// reference.
    ///
    /// # Errors
    /// Returns the errors of `sample` and `observe`, and an error if files cannot be read or written, or images have no features.
    #[allow(clippy::too_many_arguments)] // all are needed, none belong together
    pub fn cell(
        &self,
        cell: &Cell,
        evaluations: usize,
        count: usize,
        labels: Option<&[usize]>,
        reference: &SweepReference,
        inception: &Inception,
        sample: &mut dyn FnMut(Range<usize>) -> Result<Vec<f32>>,
        observe: &mut dyn FnMut(SweepEvent<'_>) -> Result<()>,
    ) -> Result<CellResult> {
        let name = cell.name(&self.plain);
        let parts = self.folder.join("cells").join(&name);
        let done = self.folder.join("cells").join(format!("{name}.json"));
        if done.is_file() {
            let text = std::fs::read_to_string(&done).map_err(|e| Error::sweep(&done, &e).because(e))?;
            let result: CellResult = serde_json::from_str(&text).map_err(|e| Error::sweep(&done, &e).because(e))?;
            let (solver, trajectory) = (cell.solver.to_string(), cell.trajectory.clone());
            let result = CellResult { solver, trajectory, guidance: cell.guidance, seed: cell.seed, ..result };
            remove_folder(&parts)?;
            observe(SweepEvent::Images(Some(cell), count))?;
            observe(SweepEvent::Done(&result))?;
            return Ok(result);
        }
        let dim: usize = self.shape.iter().product();
        let mut make = |range: Range<usize>| {
            let kept = SHOWN.saturating_sub(range.start).min(range.len());
            let begin = Instant::now();
            let x = sample(range)?;
            let seconds = begin.elapsed().as_secs_f64();
            Ok(Part { features: features_of_images(inception, &x, self.shape)?, seconds, shown: x[..kept * dim].to_vec() })
        };
        let all = collect(&parts, count, &mut make, &mut |n| observe(SweepEvent::Images(Some(cell), n)))?;
        let statistics = Statistics::of(&all.features, Inception::FEATURES)?;
        let fid = reference.fid.distance(&statistics)?;
        let without = reference.fid.distances_without(&statistics, &all.features)?;
        let fid_error = without.as_ref().map(|without| jackknife(without).sqrt());
        let kid = reference.kid.as_ref().map(|reference| reference.distance(&all.features)).transpose()?;
        let (kid, kid_error) = (kid.map(|kid| kid.distance), kid.and_then(|kid| kid.error));
        let by_class = labels.map(|labels| reference.by_class(&all.features, labels)).transpose()?.flatten();
        let (accuracy, classes) = by_class.unwrap_or_default();
        let (solver, trajectory, eta) = (cell.solver.to_string(), cell.trajectory.clone(), sigma_name(&cell.sigma));
        let &Cell { steps, guidance, seed, .. } = cell;
        let result = CellResult {
            steps,
            evaluations,
            solver,
            trajectory,
            eta,
            guidance,
            seed,
            count,
            fid,
            fid_error,
            kid,
            kid_error,
            accuracy,
            classes,
        };
        let mut timings = self.timings()?;
        timings.insert(name.clone(), all.seconds);
        self.write("timings.json", format!("{:#}\n", serde_json::json!(timings)).as_bytes())?;
        let [c, h, w] = self.shape.map(|n| n as u64);
        self.write(&format!("cells/{name}.npy"), &npy(&all.shown, &[(all.shown.len() / dim) as u64, c, h, w]))?;
        if let Some(without) = without {
            self.write(&format!("cells/{name}{WITHOUT}"), &npy(&without, &[count as u64]))?;
        }
        let text = serde_json::to_string_pretty(&result).map_err(|e| Error::sweep(&done, &e).because(e))?;
        self.write(&format!("cells/{name}.json"), format!("{text}\n").as_bytes())?;
        remove_folder(&parts)?;
        observe(SweepEvent::Done(&result))?;
        Ok(result)
    }

    /// Seconds that sampling took, of each cell by its name.
    fn timings(&self) -> Result<BTreeMap<String, f64>> {
        let path = self.folder.join("timings.json");
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| Error::sweep(&path, &e).because(e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => Err(Error::sweep(&path, &e).because(e)),
        }
    }

    /// Returns the seconds that sampling a cell's images took.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn seconds(&self, cell: &Cell) -> Result<Option<f64>> {
        Ok(self.timings()?.get(&cell.name(&self.plain)).copied())
    }

    /// Returns the first images of a finished cell, [n, c, h, w], at most [`SHOWN`].
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn shown(&self, cell: &Cell) -> Result<Vec<f32>> {
        let path = self.beside(cell, ".npy");
        let bytes = std::fs::read(&path).map_err(|e| Error::sweep(&path, &e).because(e))?;
        let floats = npy_numbers(&bytes).map_err(|e| Error::sweep(&path, &e).because(e))?;
        Ok(floats.data.into_iter().map(|x| x as f32).collect())
    }

    /// Returns the FID of a finished cell without each of its images. `None` for fewer than 3, and for earlier versions, which did not keep
    /// it.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn fid_without(&self, cell: &Cell) -> Result<Option<Vec<f64>>> {
        let path = self.beside(cell, WITHOUT);
        match std::fs::read(&path) {
            Ok(bytes) => npy_numbers(&bytes).map(|numbers| Some(numbers.data)).map_err(|e| Error::sweep(&path, &e).because(e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::sweep(&path, &e).because(e)),
        }
    }

    /// A file of a cell.
    fn beside(&self, cell: &Cell, end: &str) -> PathBuf {
        self.folder.join("cells").join(cell.name(&self.plain) + end)
    }
}

/// What is in the `sweep.json` of a folder, where there is one.
fn known(folder: &Path) -> Result<Option<Map<String, Value>>> {
    let path = folder.join("sweep.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| Error::sweep(&path, &e).because(e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::sweep(&path, &e).because(e)),
    }
}

/// Whether a folder that has no sweep yet is there for one.
fn check_new(folder: &Path) -> Result<()> {
    let ours = |path: &Path| is_temporary(path) || path.ends_with(".lock");
    let other = folder.read_dir().ok().and_then(|mut entries| entries.find_map(|e| e.ok().filter(|e| !ours(&e.path()))));
    match other {
        Some(other) => {
            let name = other.file_name();
            Err(Error::sweep(folder, format!("not a sweep, it has {}: expected a new folder", name.display())))
        }
        None => Ok(()),
    }
}

/// Whether settings are those that are known.
fn compare(folder: &Path, known: &Map<String, Value>, settings: &Map<String, Value>) -> Result<()> {
    // What a sweep has none of, it did not note.
    let noted = |key: &String| known.get(key).unwrap_or(&Value::Null);
    if let Some((missing, _)) = settings.iter().find(|(key, here)| !known.contains_key(*key) && !here.is_null()) {
        let message = format!("a sweep from an earlier version, which did not record {missing}: expected a new folder, or another --out");
        return Err(Error::sweep(folder, message));
    }
    let different = settings.iter().filter(|(key, here)| noted(key) != *here);
    let said: Vec<String> = different.map(|(key, here)| difference(key, noted(key), here)).collect();
    match said.is_empty() {
        true => Ok(()),
        false => Err(Error::sweep(folder, format!("another sweep: {}: expected the same, or another --out", said.join(", ")))),
    }
}

/// Settings that are checksums, and what of.
const CHECKSUMS: [(&str, &str); 5] = [
    ("weights", "the model's weights"),
    ("classes", "the classes that are drawn"),
    ("reference_classes", "the classes of the reference"),
    ("reference_checksum", "the contents of the reference"),
    ("inception_checksum", "Inception's weights"),
];

/// What is different about a setting, in words.
fn difference(key: &str, there: &Value, here: &Value) -> String {
    match CHECKSUMS.iter().find(|(known, _)| *known == key) {
        Some((_, what)) => format!("{what} differ"),
        None => format!("{key} is {} there and {} here", short(there), short(here)),
    }
}

/// The beginning of a value, as text.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 70 { text } else { text.chars().take(60).chain("…".chars()).collect() }
}

/// `count` images, a part at a time; parts that are in `folder` are not made again.
fn collect(
    folder: &Path,
    count: usize,
    make: &mut dyn FnMut(Range<usize>) -> Result<Part>,
    observe: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Part> {
    std::fs::create_dir_all(folder).map_err(|e| Error::sweep(folder, &e).because(e))?;
    remove_temporary(folder)?;
    let mut all = Part { features: Vec::with_capacity(count * Inception::FEATURES), seconds: 0.0, shown: Vec::new() };
    for first in (0..count).step_by(PART) {
        let range = first..(first + PART).min(count);
        let n = range.len();
        let path = folder.join(format!("{first:08}.npz"));
        let part = if path.is_file() {
            read_part(&path, n)?
        } else {
            let part = make(range)?;
            let arrays = [
                ("features", npy(&part.features, &[n as u64, Inception::FEATURES as u64])),
                ("seconds", npy(&[part.seconds], &[1])),
                ("shown", npy(&part.shown, &[part.shown.len() as u64])),
            ];
            write_whole(&path, &to_npz(&arrays))?;
            part
        };
        all.features.extend(part.features);
        all.seconds += part.seconds;
        all.shown.extend(part.shown);
        observe(n)?;
    }
    Ok(all)
}

fn read_part(path: &Path, n: usize) -> Result<Part> {
    let mut archive = Npz::open(path)?;
    let mut floats = |name: &str| floats(&mut archive, name, path);
    let narrow = |wide: Vec<f64>| wide.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let (features, seconds, shown) = (narrow(floats("features")?), floats("seconds")?, narrow(floats("shown")?));
    if features.len() != n * Inception::FEATURES || seconds.len() != 1 {
        return Err(Error::sweep(path, format!("{} features: expected {n} x {}", features.len(), Inception::FEATURES)));
    }
    Ok(Part { features, seconds: seconds[0], shown })
}

fn lock(folder: &Path) -> Result<File> {
    lock_folder(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::sweep(folder, "another process is running this sweep: expected one at a time").because(e),
        _ => Error::sweep(folder, &e).because(e),
    })
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

/// Files of a process that was killed while it wrote them.
fn remove_temporary(folder: &Path) -> Result<()> {
    ddim_weights::remove_temporary(folder).map_err(|e| Error::sweep(folder, &e).because(e))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::sweep(folder, &e).because(e)),
        _ => Ok(()),
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file(path, bytes).map_err(|e| Error::sweep(path, format!("cannot be written: {e}")).because(e))
}
