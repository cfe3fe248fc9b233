//! Output files that are written completely or not at all.

use crate::error::{Error, Result};
use crate::used_folder::would_hold;
use ddim_pictures::AnimationFormat;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A file to be written. Its folder is tried before the work starts, so that one that cannot be written is found at once; the contents go
/// to a temporary name beside it and are moved into place when they are complete. Nothing is left behind if the run ends in between.
pub(crate) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Prepares to write `path`; its folder must exist.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.is_dir() || !is_name(path) {
            return Err(Error::file(path, "a folder: expected the name of a file"));
        }
        ddim_weights::try_file(path).map_err(|e| unwritable(path, &e))?;
        Ok(Self { path: path.to_owned() })
    }

    /// [`create`](Self::create) for a flag that may not be given.
    pub(crate) fn create_optional(path: Option<&PathBuf>) -> Result<Option<Self>> {
        Self::create_within(path, &[])
    }

    /// The same, where it may lie in one of `folders`, which will be made.
    pub(crate) fn create_within(path: Option<&PathBuf>, folders: &[&PathBuf]) -> Result<Option<Self>> {
        // Folders are made with those that they lie in.
        let made = |parent: &Path| {
            !parent.exists()
                && std::path::absolute(parent).is_ok_and(|parent| {
                    folders.iter().any(|folder| std::path::absolute(folder).is_ok_and(|folder| folder.starts_with(&parent)))
                })
        };
        let later = |path: &Path| is_name(path) && path.parent().is_some_and(made);
        let create = |path: &PathBuf| {
            if !later(path) {
                return Self::create(path);
            }
            // As far as can be told before its folder is made: a name that is too long is so anywhere.
            let there = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new(""));
            match there.join(path.file_name().unwrap_or_default()).symlink_metadata() {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritable(path, &e)),
                _ => Ok(Self { path: path.clone() }),
            }
        };
        path.map(create).transpose()
    }

    /// Writes the file.
    pub(crate) fn commit(self, bytes: &[u8]) -> Result<PathBuf> {
        write(&self.path, bytes)?;
        Ok(self.path)
    }
}

/// Whether a path ends in a name, and not in what follows that of a folder.
fn is_name(path: &Path) -> bool {
    path.file_name().is_some() && !path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// Writes a file under a temporary name, syncs it and moves it into place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    ddim_weights::write_file(path, bytes).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::file(path, format!("cannot be written: {error}"))
}

/// A folder for many files, made where it does not exist and tried for writing.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    // In memory there are none but in names.
    if !ddim_weights::memory::ONLY {
        std::fs::create_dir_all(path).map_err(|e| Error::file(path, format!("cannot be created: {e}")))?;
    }
    ddim_weights::try_file(&path.join("file")).map_err(|e| unwritable(path, &e))
}

/// Paths of a request, with their fields.
pub(crate) type Named<'a> = [(&'static str, Option<&'a Path>)];

/// Fields that name a PNG.
const PNG_FIELDS: [&str; 2] = ["grid", "nearest"];
/// Endings of other pictures.
const OTHER_PICTURES: [&str; 9] = ["jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "svg", "avif"];

/// The paths of a request against each other, before anything is read: what is read, the folders, and the files that are written. A file that is
/// written twice, or read as well, would be lost without a word.
pub(crate) fn check_paths(read: &Named<'_>, folders: &Named<'_>, written: &Named<'_>) -> Result<()> {
    let [read, folders, written] = [read, folders, written].map(given);
    if let Some((field, _)) = read.iter().chain(&folders).chain(&written).find(|(_, path)| path.as_os_str().is_empty()) {
        return Err(Error::field(field, "empty: expected a path"));
    }
    let is_other = |path: &Path| path.extension().is_some_and(|end| OTHER_PICTURES.iter().any(|other| end.eq_ignore_ascii_case(other)));
    if let Some((field, path)) = written.iter().find(|(field, path)| PNG_FIELDS.contains(field) && is_other(path)) {
        return Err(Error::field(field, format!("{}: the output is a PNG: expected a name that ends in .png", path.display())));
    }
    for (field, folder) in &folders {
        let same = |(_, read): &&(&str, &Path)| read.is_dir() && read.canonicalize().ok() == folder.canonicalize().ok();
        if let Some((other, _)) = read.iter().find(same) {
            return Err(Error::field(field, format!("{} is read by `{other}`: expected another folder", folder.display())));
        }
    }
    for (i, (field, path)) in written.iter().enumerate() {
        if let Some((other, folder)) = folders.iter().find(|(_, folder)| would_hold(folder, path)) {
            let of = folder.display();
            let expected = "expected another name";
            return Err(Error::field(
                field,
                format!("{} is named like the files that `{other}` writes in {of}: {expected}", path.display()),
            ));
        }
        let Some(place) = place(path) else { continue };
        let is_same = |(_, other): &&(&str, &Path)| self::place(other).is_some_and(|other| other == place);
        if let Some((other, _)) = written[..i].iter().find(is_same) {
            return Err(Error::field(field, format!("{} is also written by `{other}`: expected another file", path.display())));
        }
        if let Some((other, _)) = read.iter().find(is_same) {
            return Err(Error::field(field, format!("{} is read by `{other}`: expected another file", path.display())));
        }
        // One of the images of a folder.
        let is_in =
            |(_, folder): &&(&str, &Path)| path.exists() && folder.is_dir() && folder.canonicalize().is_ok_and(|at| place.starts_with(at));
        if let Some((other, folder)) = read.iter().find(is_in) {
            let of = folder.display();
            return Err(Error::field(field, format!("{} lies in {of}, which `{other}` reads: expected a new file", path.display())));
        }
    }
    Ok(())
}

/// Those that are there.
fn given<'a>(named: &Named<'a>) -> Vec<(&'static str, &'a Path)> {
    named.iter().filter_map(|(field, path)| Some((*field, (*path)?))).collect()
}

/// By which files are the same. None of what is no file: that may be written to twice.
fn place(path: &Path) -> Option<PathBuf> {
    match path.metadata() {
        Ok(found) if !found.is_file() => None,
        Ok(_) => path.canonicalize().ok(),
        Err(_) => {
            let path = ddim_weights::followed(path).ok()?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        }
    }
}

/// Whether images of this shape can be drawn, where they could be written as numbers as well.
pub(crate) fn check_drawable(shape: [usize; 3]) -> Result<()> {
    ddim_pictures::check_drawable(shape).map_err(|e| Error::failure(format!("{e} (use `save_npy`)")))
}

/// What an animation's name says of its format.
pub(crate) fn animation_format(path: Option<&Path>) -> Result<Option<AnimationFormat>> {
    path.map(AnimationFormat::of).transpose().map_err(|e| Error::field("animate", &e).because(e))
}

/// Items as text, with `separator` between.
pub(crate) fn joined<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

/// Paths for a report: JSON has no bytes that are not Unicode.
pub(crate) fn shown(files: &[impl AsRef<Path>]) -> Vec<String> {
    files.iter().map(|file| file.as_ref().display().to_string()).collect()
}
