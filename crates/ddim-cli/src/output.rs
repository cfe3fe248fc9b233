//! Files that appear whole or not at all, and the reports on standard output.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file to be written: made beside its final name before the work starts, so that a folder that cannot be written is found at once,
/// and moved there when its contents are complete.
pub(crate) struct OutputFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl OutputFile {
    /// Prepares to write `path`; its folder must exist.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::file(path, "a folder: expected the name of a file"));
        }
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ddim-");
        // Ordinary files, not the private ones that temporary files are.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let file = builder.tempfile_in(folder).map_err(|e| Error::file(path, format!("cannot be written: {}", reason(&e))))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// [`create`](Self::create) for a flag that may not be given.
    pub(crate) fn create_optional(path: Option<&PathBuf>) -> Result<Option<Self>> {
        path.map(|p| Self::create(p)).transpose()
    }

    /// Writes and moves into place.
    pub(crate) fn commit(mut self, bytes: &[u8]) -> Result<PathBuf> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.as_file().sync_all());
        written.map_err(|e| Error::file(&self.path, e))?;
        self.file.persist(&self.path).map_err(|e| Error::file(&self.path, e.error))?;
        Ok(self.path)
    }
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

/// Prints a report: `human` lines, or one JSON object.
pub(crate) fn report(json: bool, object: &serde_json::Value, human: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if json { writeln!(out, "{object}") } else { write!(out, "{human}") };
    written.and_then(|()| out.flush()).map_err(Error::stdout)
}
