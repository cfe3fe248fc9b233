//! Files that appear whole or not at all, and folders that only one process works in.

use crate::memory;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use tempfile::NamedTempFile;

/// The prefix of the names of files that are not yet whole, or that a killed process left behind.
pub const TEMPORARY: &str = ".ddim-";

/// Whoever writes reads this; whoever ends the process writes it.
static WRITING: RwLock<()> = RwLock::new(());

/// Marks a write in progress: while the returned guard is held, [`no_more_writes`] waits for it, so that no temporary names stay behind.
///
/// A thread takes it only once: a second one would wait for a caller that waits for the first.
#[must_use = "what is begun after it is dropped may be left half-written"]
pub fn writing() -> impl Drop {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no file is half-written, and prevents new writes while the returned guard is held: for a process that is about to end.
#[must_use = "as long as it is held"]
pub fn no_more_writes() -> impl Drop {
    WRITING.write().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file under a temporary name beside it, syncs it and moves it into place.
///
/// A link stays a link: its target is written. Anything that is not a file (`/dev/null`, a pipe) is written to directly.
///
/// # Errors
/// Returns the operating system's errors. Nothing is left behind.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// ddim_weights::write_file(&path, b"first")?;
/// ddim_weights::write_file(&path, b"whole, or not there")?;
/// assert_eq!(std::fs::read(&path)?, b"whole, or not there");
/// assert_eq!(folder.path().read_dir()?.count(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if memory::ONLY {
        memory::put(path, bytes);
        return Ok(());
    }
    if !is_replaced(path) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let path = &followed(path)?;
    let _writing = writing();
    let mut file = temporary_beside(path)?;
    file.write_all(bytes)?;
    file.persist(path)
}

/// Checks whether [`write_file`] could write `path` later, by trying its name and its folder. For anything that is not a file, the folder
/// does not matter.
///
/// # Errors
/// Returns the operating system's errors.
pub fn try_file(path: &Path) -> Result<()> {
    if memory::ONLY || !is_replaced(path) {
        return Ok(());
    }
    let path = &followed(path)?;
    // A name that is too long, say, which the temporary one is not.
    if let Err(error) = path.symlink_metadata()
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let _writing = writing();
    temporary_beside(path).map(drop)
}

/// Devices and pipes are not replaced by files.
fn is_replaced(path: &Path) -> bool {
    path.metadata().map_or(true, |found| found.is_file() || found.is_dir())
}

/// Returns where links finally lead, even to something that does not exist yet: what [`write_file`] writes.
///
/// # Errors
/// Returns an error for links that only lead to each other.
pub fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(target) = path.read_link() else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(Error::other("too many links to links"))
}

/// A file that is being written under a temporary name.
///
/// [`temporary_beside`] creates it, [`persist`](Self::persist) gives it its name, and it is deleted if dropped before that.
///
/// ```
/// use std::io::Write;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("log.txt");
/// let mut file = ddim_weights::temporary_beside(&path)?;
/// file.write_all(b"in parts")?;
/// assert!(!path.exists());
/// file.persist(&path)?;
/// assert_eq!(std::fs::read(&path)?, b"in parts");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TemporaryFile(NamedTempFile);

impl TemporaryFile {
    /// Syncs the file and moves it to `path`, replacing what is there.
    ///
    /// # Errors
    /// Returns the operating system's errors. The file is then deleted.
    pub fn persist(self, path: &Path) -> Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(path).map(drop).map_err(|e| e.error)
    }
}

/// The file itself: what writes by its name puts that into errors.
impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.as_file_mut().flush()
    }
}

/// Creates an empty file in the folder of `path`, which is deleted when it is dropped.
///
/// # Errors
/// Returns the operating system's message, without the temporary name.
pub fn temporary_beside(path: &Path) -> Result<TemporaryFile> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    // An ordinary file, not a private one as the library's own are, whose errors also name what is nobody's.
    let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, create).map(TemporaryFile)
}

/// Removes files that killed processes left in a folder under temporary names. The caller must be the only one working in it.
///
/// # Errors
/// Returns the operating system's errors. A folder that does not exist has no such files.
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

/// Locks a folder until the returned file is dropped, or the process ends in whatever way.
///
/// # Errors
/// `WouldBlock` if another process holds the lock; otherwise the operating system's errors.
///
/// ```
/// use std::io::ErrorKind;
///
/// # let folder = tempfile::tempdir()?;
/// let lock = ddim_weights::lock_folder(folder.path())?;
/// assert_eq!(ddim_weights::lock_folder(folder.path()).unwrap_err().kind(), ErrorKind::WouldBlock);
/// drop(lock);
/// assert!(ddim_weights::lock_folder(folder.path()).is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn lock_folder(folder: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(".lock"))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        // Some network file systems have no locks: the work matters more.
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn whoever_ends_the_process_waits_for_what_is_written() {
        let (sender, ended) = channel();
        let held = writing();
        std::thread::spawn(move || {
            let _no_more = no_more_writes();
            sender.send(()).unwrap();
        });
        assert!(ended.recv_timeout(Duration::from_millis(50)).is_err(), "something is being written");
        drop(held);
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("below")).unwrap();
        std::os::unix::fs::symlink("below/file", at("link")).unwrap();
        std::os::unix::fs::symlink(at("link"), at("second")).unwrap();
        for (text, name) in [("one", "link"), ("two", "second")] {
            try_file(&at(name)).unwrap();
            write_file(&at(name), text.as_bytes()).unwrap();
            assert!(at(name).is_symlink() && std::fs::read_to_string(at("below/file")).unwrap() == text);
        }
        std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
        for path in [at("null"), "/dev/null".into()] {
            try_file(&path).unwrap();
            write_file(&path, b"nothing").unwrap();
            assert!(!path.metadata().unwrap().is_file());
        }
        std::os::unix::fs::symlink("itself", at("itself")).unwrap();
        assert!(try_file(&at("itself")).is_err() && write_file(&at("itself"), b"").is_err() && at("itself").is_symlink());
        let error = try_file(&at("no folder").join("file")).unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && !error.to_string().contains(TEMPORARY), "{error}");
    }
}
