//! Files that appear whole or not at all, and the reports on standard output.

use crate::error::{Error, Result};
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file to be written. Its folder is tried before the work starts, so that one that cannot be written is found at once; the contents go
/// to a temporary name beside it and are moved into place when they are complete. Nothing is left behind if the run ends in between.
pub(crate) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Prepares to write `path`; its folder must exist.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::file(path, "a folder: expected the name of a file"));
        }
        temporary(path).map(drop)?;
        Ok(Self { path: path.to_owned() })
    }

    /// [`create`](Self::create) for a flag that may not be given.
    pub(crate) fn create_optional(path: Option<&PathBuf>) -> Result<Option<Self>> {
        path.map(|p| Self::create(p)).transpose()
    }

    /// Writes the file.
    pub(crate) fn commit(self, bytes: &[u8]) -> Result<PathBuf> {
        write(&self.path, bytes)?;
        Ok(self.path)
    }
}

/// Writes a file under a temporary name, syncs it and moves it into place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| Error::file(path, e))?;
    file.persist(path).map(drop).map_err(|e| Error::file(path, e.error))
}

/// An empty file in the folder of `path`, deleted when it is dropped.
fn temporary(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ddim-");
    // Ordinary files, not the private ones that temporary files are.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder).map_err(|e| Error::file(path, format!("cannot be written: {}", reason(&e))))
}

/// The operating system's words, without the temporary name that tempfile adds.
fn reason(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| std::io::Error::from_raw_os_error(code).to_string())
}

/// A folder for many files, made where it does not exist and tried for writing.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::file(path, format!("cannot be made: {e}")))?;
    OutputFile::create(&path.join("probe")).map(drop)
}

/// Items as text, with `separator` between.
pub(crate) fn joined<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

/// Prints a report: `human` lines, or one JSON object.
pub(crate) fn report(json: bool, object: &serde_json::Value, human: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if json { writeln!(out, "{object}") } else { write!(out, "{human}") };
    written.and_then(|()| out.flush()).map_err(Error::stdout)
}
