//! What a path refers to: pictures in files or in an archive, or images of one size in arrays.

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::find::{Kind, ending, images_below, kind_of, named_as_image};
use crate::report::{LeftOut, Report, Warning};
use crate::source;
use crate::zips::{self, ZipImages};
use crate::{arrays, cifar, idx};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What happens when a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadFiles {
    /// It is an error.
    Stop,
    /// It is left out and reported.
    Skip,
}

/// What is read, when nothing is found.
pub(crate) const EXPECTED: &str =
    "expected a folder or .zip of images (PNG, JPEG, WebP, BMP, TIFF, GIF, PNM), CIFAR-10's or MNIST's files, or a .npy or .npz batch";

/// The files of a place, not read yet.
pub(crate) enum Place {
    Pictures(Pictures),
    /// One size, in one file or a few: read when it is asked for.
    Arrays(Arrays),
}

/// A data set in arrays.
#[derive(Debug, Clone)]
pub(crate) enum Arrays {
    Cifar(PathBuf),
    Idx(PathBuf),
    /// `.npy` or `.npz`.
    Numpy(PathBuf),
}

impl Arrays {
    /// Height and width, from the heads of the files where that is enough.
    pub(crate) fn size(&self) -> Result<[usize; 2]> {
        match self {
            Self::Cifar(_) => Ok([32, 32]),
            Self::Idx(path) => Ok(idx::shape_of(path)?[1..].try_into().expect("n, h, w")),
            Self::Numpy(path) => Ok(arrays::shape_of(path)?[1..].try_into().expect("n, h, w")),
        }
    }

    /// The first `limit` images.
    pub(crate) fn read(&self, limit: usize) -> Result<Batch> {
        match self {
            Self::Cifar(path) => cifar::read(path, limit),
            Self::Idx(path) => idx::read(path, limit),
            Self::Numpy(path) => arrays::read_batch(path, limit),
        }
    }
}

/// Pictures of any size and kind, each a file or an entry of an archive.
#[derive(Debug)]
pub(crate) struct Pictures {
    pub(crate) root: PathBuf,
    sources: Sources,
    /// Whether a `dataset.json` says the classes.
    described: bool,
    /// The class of each, where it has one.
    pub(crate) classes: Vec<Option<usize>>,
    /// Names of the classes, by their numbers; empty where they have none.
    pub(crate) class_names: Vec<String>,
    /// What was left out so far.
    pub(crate) report: Report,
}

#[derive(Debug)]
enum Sources {
    Files(Vec<PathBuf>),
    Entries(Box<ZipImages>, Vec<usize>),
}

/// A file larger than this is no picture.
const LARGEST_FILE: u64 = 1 << 30;

impl Pictures {
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The path of picture `index`; that of an archive's entry begins with the archive's.
    pub(crate) fn path(&self, index: usize) -> PathBuf {
        match &self.sources {
            Sources::Files(files) => files[index].clone(),
            Sources::Entries(zip, which) => self.root.join(&zip.names[which[index]]),
        }
    }

    /// What is wrong with picture `index`: a bad file where it is one among others.
    pub(crate) fn error(&self, index: usize, message: impl std::fmt::Display) -> Error {
        let path = self.path(index);
        if path == self.root { Error::at(&path, message) } else { Error::bad(&path, message) }
    }

    /// The bytes of picture `index`.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        let path = self.path(index);
        match &self.sources {
            Sources::Entries(zip, which) => zip.read(which[index]).map_err(|e| Error::of(ErrorKind::BadFile, e)),
            Sources::Files(_) => {
                let read = || {
                    let mut bytes = Vec::new();
                    source::open(&path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
                    Ok::<_, std::io::Error>(bytes)
                };
                match read() {
                    Ok(bytes) if bytes.len() as u64 > LARGEST_FILE => Err(self.error(index, "larger than 1 GiB: expected an image")),
                    Ok(bytes) => Ok(bytes),
                    Err(e) => Err(self.error(index, e)),
                }
            }
        }
    }

    /// Keeps the pictures that `keep` says.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        fn kept<T>(items: &mut Vec<T>, keep: &[bool]) {
            let mut at = 0;
            items.retain(|_| {
                at += 1;
                keep[at - 1]
            });
        }
        kept(&mut self.classes, keep);
        match &mut self.sources {
            Sources::Files(files) => kept(files, keep),
            Sources::Entries(_, which) => kept(which, keep),
        }
    }

    /// The classes of all, for whoever needs them: a picture without one is left out with `Skip`, else an error.
    pub(crate) fn require_classes(&mut self, bad: BadFiles) -> Result<()> {
        if self.classes.iter().all(Option::is_none) {
            return Err(Error::labels(
                &self.root,
                "no labels: expected sub-folders, an archive or data set with labels, or a file of labels",
            ));
        }
        let (what, expected) = match self.described {
            true => ("an image without a label in dataset.json", "one for each image"),
            false => ("an image outside any class folder", "all in sub-folders"),
        };
        let outside: Vec<usize> = (0..self.len()).filter(|&i| self.classes[i].is_none()).collect();
        if let Some(&first) = outside.first() {
            let path = self.path(first);
            let others = if outside.len() > 1 { format!(" (and {} more)", outside.len() - 1) } else { String::new() };
            if bad == BadFiles::Stop {
                return Err(Error::bad(&path, format!("{what}{others}: expected {expected}")));
            }
            for &i in &outside {
                self.report.left_out.push(LeftOut::Bad(Error::bad(&self.path(i), what)));
            }
            let keep: Vec<bool> = self.classes.iter().map(Option::is_some).collect();
            self.retain(&keep);
        }
        const PARTS: [&str; 9] = ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"];
        if self.class_names.len() > 1 && self.class_names.iter().all(|name| PARTS.contains(&name.to_lowercase().as_str())) {
            self.report.warnings.push(Warning::PartsAsClasses(self.class_names.clone()));
        }
        Ok(())
    }
}

/// Opens a folder, an archive or a file; `besides` are folders that are passed over.
pub(crate) fn open(path: &Path, besides: &[PathBuf], bad: BadFiles) -> Result<Place> {
    if path.is_dir() {
        if let Some(folder) = cifar::find_in(path)? {
            return Ok(Place::Arrays(Arrays::Cifar(folder)));
        }
        if let Some(file) = idx::find_in(path)? {
            return Ok(Place::Arrays(Arrays::Idx(file)));
        }
        return folder(path, besides, bad).map(Place::Pictures);
    }
    let is_file = source::is_file(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::no_images(path, "not found: expected images").because(e),
        _ => Error::no_images(path, &e).because(e),
    })?;
    if !is_file {
        return Err(Error::no_images(path, format!("neither a file nor a folder: {EXPECTED}")));
    }
    let mut head = Vec::new();
    source::open(path).and_then(|file| file.take(32).read_to_end(&mut head)).map_err(|e| Error::no_images(path, &e).because(e))?;
    let arrays = match ending(path).as_str() {
        "npy" | "npz" => Some(Arrays::Numpy(path.to_owned())),
        "zip" => None,
        _ if arrays::is_array(path) => Some(Arrays::Numpy(path.to_owned())),
        _ if idx::is_idx(path) => Some(Arrays::Idx(path.to_owned())),
        _ if cifar::is_cifar_file(path) => Some(Arrays::Cifar(path.to_owned())),
        // Whatever is wrong with them is said by who reads them.
        "bin" => Some(Arrays::Cifar(path.to_owned())),
        _ if path.file_name().is_some_and(|name| name.to_string_lossy().contains("idx3")) => Some(Arrays::Idx(path.to_owned())),
        _ => None,
    };
    if let Some(arrays) = arrays {
        return Ok(Place::Arrays(arrays));
    }
    if zips::is_zip(path) || ending(path) == "zip" {
        return archive(path).map(Place::Pictures);
    }
    if named_as_image(path) || crate::decode::content_of(&head) != crate::decode::Content::Unknown {
        let sources = Sources::Files(vec![path.to_owned()]);
        return Ok(Place::Pictures(Pictures {
            root: path.to_owned(),
            sources,
            described: false,
            classes: vec![None],
            class_names: Vec::new(),
            report: Report::default(),
        }));
    }
    Err(Error::no_images(path, format!("not a file of images: {EXPECTED}")))
}

/// The pictures below a folder. Classes are what its `dataset.json` says (EDM's), else the folders right below, in the order of their names,
/// of all files that are found: a file that turns out to be broken changes no class's number.
fn folder(path: &Path, besides: &[PathBuf], bad: BadFiles) -> Result<Pictures> {
    let search = images_below(path, besides);
    let mut report = Report { left_out: search.left_out, warnings: Vec::new() };
    if let (Some(error), BadFiles::Stop) = (search.unreachable.first(), bad) {
        return Err(error.clone());
    }
    report.left_out.extend(search.unreachable.into_iter().map(LeftOut::Bad));
    let files = search.files;
    if files.is_empty() {
        if let Some(file) = idx::test_part(path) {
            return Err(Error::no_images(
                path,
                format!("only test images ({}): expected training images, or that file itself", file.display()),
            ));
        }
        let why: Vec<String> = report.left_out.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!(" (left out: {})", why.join("; ")) };
        return Err(Error::no_images(path, format!("no images{why}: {EXPECTED}")));
    }
    let below = |file: &PathBuf| file.strip_prefix(path).unwrap_or(file).to_owned();
    let relative: Vec<PathBuf> = files.iter().map(below).collect();
    let lost: Vec<PathBuf> = search.lost.iter().map(below).collect();
    let description = path.join("dataset.json");
    let described = if description.is_file() { Some(zips::edm_labels(&description)?) } else { None };
    let has_description = described.is_some();
    let (classes, class_names) = match described {
        Some(None) => (vec![None; files.len()], Vec::new()),
        Some(Some(labels)) => {
            let names: BTreeSet<String> = relative.iter().map(|file| file.to_string_lossy().replace('\\', "/")).collect();
            let absent = labels.keys().filter(|name| !names.contains(*name));
            if let Some(first) = absent.clone().min() {
                let said = format!("{}: labels {} missing files, the first: {first}", description.display(), absent.count());
                report.warnings.push(Warning::Said(said));
            }
            let of = |file: &PathBuf| labels.get(&file.to_string_lossy().replace('\\', "/")).copied();
            (relative.iter().map(of).collect(), Vec::new())
        }
        None => classes_of(&relative, &lost),
    };
    Ok(Pictures { root: path.to_owned(), sources: Sources::Files(files), described: has_description, classes, class_names, report })
}

/// The class of each path by the first of its folders, and their names in order: also those of `lost` paths alone.
fn classes_of(paths: &[PathBuf], lost: &[PathBuf]) -> (Vec<Option<usize>>, Vec<String>) {
    let first = |path: &PathBuf| {
        let mut parts = path.components();
        let first = parts.next()?.as_os_str().to_owned();
        parts.next().map(|_| first)
    };
    let folders: Vec<Option<_>> = paths.iter().map(first).collect();
    let of_lost: Vec<_> = if folders.iter().any(Option::is_some) { lost.iter().filter_map(first).collect() } else { Vec::new() };
    let distinct: Vec<_> = folders.iter().flatten().chain(&of_lost).collect::<BTreeSet<_>>().into_iter().collect();
    let classes = folders.iter().map(|name| name.as_ref().and_then(|name| distinct.binary_search(&name).ok())).collect();
    (classes, distinct.iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

/// The pictures of a zip archive. Classes are what its `dataset.json` says, else its folders.
fn archive(path: &Path) -> Result<Pictures> {
    let zip = zips::open(path)?;
    let names: Vec<PathBuf> = zip.names.iter().map(PathBuf::from).collect();
    let warnings = zip.warnings.iter().cloned().map(Warning::Said).collect();
    let mut report = Report { left_out: Vec::new(), warnings };
    // What a name does not say is seen from the contents; an entry that cannot be read is no image by them.
    let kinds = (0..names.len()).map(|i| kind_of(&names[i], || zip.head(i)));
    let (mut images, mut lost, mut others) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (i, kind) in kinds.enumerate() {
        match kind {
            Kind::Image => images.push(i),
            Kind::Other(ending) => {
                lost.push(i);
                *others.entry(ending).or_insert(0) += 1;
            }
            Kind::Nothing => {}
        }
    }
    if !others.is_empty() {
        report.left_out.push(LeftOut::OtherFormats(others.into_iter().collect()));
    }
    if images.is_empty() {
        return Err(Error::no_images(path, "an archive without images: expected PNG, JPEG, WebP, BMP, TIFF, GIF or PNM files in it"));
    }
    let below = |&i: &usize| PathBuf::from(zip.names[i].strip_prefix(&zip.root).unwrap_or(&zip.names[i]));
    let (classes, class_names) = match &zip.labels {
        Some(labels) => (images.iter().map(|&i| labels[i]).collect(), Vec::new()),
        None if zip.described => (vec![None; images.len()], Vec::new()),
        None => classes_of(&images.iter().map(below).collect::<Vec<_>>(), &lost.iter().map(below).collect::<Vec<_>>()),
    };
    let described = zip.described;
    Ok(Pictures { root: path.to_owned(), sources: Sources::Entries(Box::new(zip), images), described, classes, class_names, report })
}
