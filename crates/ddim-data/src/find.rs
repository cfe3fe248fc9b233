//! Image files below a folder: which are data, which are not, and why.

use crate::decode::{Content, content_of};
use crate::error::Error;
use crate::report::LeftOut;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Endings of the formats that are read.
const READ: [&str; 17] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam", "mpo"];

/// Endings of images that are not.
const OTHER: [&str; 26] = [
    "avif", "heic", "heif", "jp2", "j2k", "jpx", "jxl", "jxr", "svg", "psd", "xcf", "exr", "hdr", "tga", "ico", "qoi", "dds", "raw", "dng",
    "nef", "arw", "cr2", "cr3", "orf", "rw2", "pcx",
];

/// What a search brings back.
pub(crate) struct Search {
    /// In the order of their paths.
    pub(crate) files: Vec<PathBuf>,
    /// Files and folders that should be data and cannot be reached.
    pub(crate) unreachable: Vec<Error>,
    /// What is no data, where that deserves a word.
    pub(crate) left_out: Vec<LeftOut>,
    /// Where data would have been, but for what is in the other two: they count for which classes there are.
    pub(crate) lost: Vec<PathBuf>,
}

/// The ending of a name, in lower case.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether a name says that a file is an image of a format that is read.
pub(crate) fn named_as_image(path: &Path) -> bool {
    READ.contains(&ending(path).as_str())
}

/// Names that are never data: hidden ones (Unix's, and macOS' `._x` beside x) and what macOS puts into archives.
pub(crate) fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX"
}

/// What a training run or a sweep writes into its folder that is pictures, or holds some: they are no data. None of another folder.
fn written_by_run(folder: &Path) -> Option<&'static [&'static str]> {
    let has = |file: &str, beside: &str| folder.join(file).is_file() && folder.join(beside).is_dir();
    if has("config.toml", "checkpoints") {
        return Some(&["previews", "checkpoints", "base"]);
    }
    has("sweep.json", "cells").then_some(&["cells", "grid.png", "fid.png", "kid.png", "seconds.png"])
}

/// The images below `root`, whose own name does not matter, but for the folders `besides`.
///
/// Links are followed; one to a folder that holds it is not entered again. Names that begin with a dot are passed over, as are links that lead
/// nowhere where their names are no images'. Where a name says that a file is an image its contents decide of which format; a file without
/// an ending is an image if its contents are one.
pub(crate) fn images_below(root: &Path, besides: &[PathBuf]) -> Search {
    let besides: Vec<PathBuf> = besides.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut search = Search { files: Vec::new(), unreachable: Vec::new(), left_out: Vec::new(), lost: Vec::new() };
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    let mut dangling = Vec::new();
    // Of a run that is named itself.
    let written = written_by_run(root).unwrap_or_default();
    let is_written = |entry: &walkdir::DirEntry| entry.depth() == 1 && written.iter().any(|name| entry.file_name() == *name);
    let mut walk = walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                match unreachable(root, &path, &error) {
                    Unreachable::Nothing => {}
                    Unreachable::Dangling => dangling.push(path),
                    Unreachable::File(why) => {
                        search.unreachable.push(why);
                        search.lost.push(path);
                    }
                    Unreachable::Folder(why) => {
                        search.unreachable.push(why);
                        // Whatever is in it.
                        search.lost.push(path.join("?"));
                    }
                }
                continue;
            }
        };
        let path = entry.path();
        if entry.depth() > 0 && is_hidden(entry.file_name()) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        if is_written(&entry) && !entry.file_type().is_dir() {
            search.left_out.push(LeftOut::Run(path.to_owned()));
            continue;
        }
        if entry.file_type().is_dir() {
            let run = is_written(&entry) || entry.depth() > 0 && written_by_run(path).is_some();
            let beside = entry.depth() > 0 && !besides.is_empty() && path.canonicalize().is_ok_and(|path| besides.contains(&path));
            if run && !beside {
                search.left_out.push(LeftOut::Run(path.to_owned()));
            }
            if run || beside {
                walk.skip_current_dir();
            }
            continue;
        }
        match (kind(path), entry.file_type().is_file()) {
            (Kind::Image, true) => search.files.push(entry.into_path()),
            (Kind::Image, false) => {
                search.unreachable.push(Error::bad(path, "not a regular file: expected an image"));
                search.lost.push(entry.into_path());
            }
            (Kind::Other(ending), _) => {
                *others.entry(ending).or_default() += 1;
                search.lost.push(entry.into_path());
            }
            (Kind::Nothing, _) => {}
        }
    }
    if !others.is_empty() {
        search.left_out.push(LeftOut::OtherFormats(others.into_iter().collect()));
    }
    if !dangling.is_empty() {
        search.left_out.push(LeftOut::DanglingLinks(dangling));
    }
    search
}

/// What a place that the walk could not enter was.
enum Unreachable {
    /// No data.
    Nothing,
    /// A link that leads nowhere, of which nobody can say what it was.
    Dangling,
    File(Error),
    Folder(Error),
}

/// What an error of the walk means: nothing where no data can be lost by it.
fn unreachable(root: &Path, path: &Path, error: &walkdir::Error) -> Unreachable {
    let hidden = path != root && path.file_name().is_some_and(is_hidden);
    // A loop's folder has been entered: it is the one that holds the link.
    if hidden || error.loop_ancestor().is_some() {
        return Unreachable::Nothing;
    }
    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    let gone = error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    match gone {
        true if named_as_image(path) => Unreachable::File(Error::bad(path, "a broken link: expected an image")),
        true => Unreachable::Dangling,
        false => Unreachable::Folder(Error::bad(path, format!("cannot be entered: {why}"))),
    }
}

pub(crate) enum Kind {
    Image,
    /// An image that is not read, by its ending.
    Other(String),
    Nothing,
}

/// What a file is: by its name where that is an image's of a kind that is read, else by its contents.
fn kind(path: &Path) -> Kind {
    // A pipe or a device would never end.
    let regular = || std::fs::metadata(path).is_ok_and(|m| m.is_file());
    kind_of(path, || if regular() { head(path) } else { None })
}

/// The same of a file of this name, whose first bytes `head` reads if they are needed.
pub(crate) fn kind_of(path: &Path, head: impl FnOnce() -> Option<Vec<u8>>) -> Kind {
    let ending = ending(path);
    if READ.contains(&ending.as_str()) {
        return Kind::Image;
    }
    let content = head().map_or(Content::Unknown, |head| content_of(&head));
    match (OTHER.contains(&ending.as_str()), content) {
        (true, Content::Read) => Kind::Image,
        (true, _) => Kind::Other(ending),
        (false, Content::Read) if ending.is_empty() => Kind::Image,
        // Backups and half-finished downloads are not taken for data, and not passed over in silence.
        (false, Content::Read) => Kind::Other(ending),
        (false, Content::Other(name)) => Kind::Other(if ending.is_empty() { name.to_lowercase() } else { ending }),
        (false, Content::Unknown) => Kind::Nothing,
    }
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(32).read_to_end(&mut head).ok()?;
    Some(head)
}
