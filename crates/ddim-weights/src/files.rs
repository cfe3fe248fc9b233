//! Files that appear whole or not at all, and folders that one process works in.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use tempfile::NamedTempFile;

/// What the names of files begin with that are not whole yet, or that a killed process left behind.
pub const TEMPORARY: &str = ".ddim-";

/// Whoever writes reads this; whoever ends the process writes it.
static WRITING: RwLock<()> = RwLock::new(());

/// While this is held, what is being written will be finished before the process is ended by [`no_more_writes`]: temporary names do not stay.
pub fn writing() -> impl Drop {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no file is half-written, and lets no other be begun as long as what is returned is held: for a process that is to end at once.
pub fn no_more_writes() -> impl Drop {
    WRITING.write().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file under a temporary name beside it, syncs it and moves it into place.
///
/// # Errors
/// The operating system's. Nothing is left behind.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let _writing = writing();
    let mut file = temporary_beside(path)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// An empty file in the folder of `path`, deleted when it is dropped.
///
/// # Errors
/// The operating system's words, without the temporary name.
pub fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Ordinary files, not the private ones that temporary files are.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder).map_err(|e| e.raw_os_error().map_or(e, Error::from_raw_os_error))
}

/// Removes what processes that were killed left in a folder under temporary names; for whoever alone works in it.
///
/// # Errors
/// The operating system's. A folder that is not there has nothing.
pub fn remove_temporary(folder: &Path) -> Result<()> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let is_folder = entry.file_type()?.is_dir();
            if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) }?;
        }
    }
    Ok(())
}

/// Locks a folder until the file that is returned is dropped, or the process ends however it does.
///
/// # Errors
/// `WouldBlock` where another process has it; else the operating system's.
pub fn lock_folder(folder: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(".lock"))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        // Some network file systems have no locks: the work matters more.
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(file),
    }
}
