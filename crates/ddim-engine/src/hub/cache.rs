//! The hub's cache on disk, in the layout of Python's `huggingface_hub`, so that each finds the other's files:
//!
//! ```text
//! models--OWNER--NAME/refs/REVISION           the commit that a branch or tag was when it was last asked for
//! models--OWNER--NAME/blobs/ETAG              contents, by checksum; ETAG.incomplete while they come
//! models--OWNER--NAME/snapshots/COMMIT/PATH   relative links to them, or the files where links cannot be made
//! models--OWNER--NAME/.no_exist/COMMIT/PATH   empty: the repository has no such file
//! .locks/models--OWNER--NAME/ETAG.lock        locked by who writes a blob
//! ```

use super::choose::{DESCRIBING, TRAINING_STATE, choose, shards};
use super::id::{HubId, is_commit};
use super::options::Options;
use super::progress::{Observer, Progress, tell};
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one waits between two looks at a lock, or two questions whether to go on.
pub(super) const MOMENT: Duration = Duration::from_millis(100);

/// A model's part of the cache.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl Repository {
    pub(super) fn new(cache: &Path, id: &HubId, symlinks: bool) -> Self {
        let name = id.folder();
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name), symlinks }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where a snapshot has a file.
    pub(super) fn pointer(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshot(commit).join(file.split('/').collect::<PathBuf>())
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where a blob lies while it comes.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The commit that a branch or tag was when it was last asked for; that of a commit is itself.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = std::fs::read_to_string(self.reference(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Remembers which commit a branch or tag is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> Result<()> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        make_folder_of(&path)?;
        ddim_weights::write_file(&path, commit.as_bytes()).map_err(|e| Error::io(&path, e))
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision.split('/').collect::<PathBuf>())
    }

    /// Whether all that a model needs is in the snapshot of a commit, as far as its files tell: there is no list of all of them. What describes
    /// a model comes before its weights, here and in Python's diffusers, so weights that are there are a model that is.
    pub(super) fn is_whole(&self, commit: &str, options: &Options) -> bool {
        let mut names = Vec::new();
        for folder in ["", "unet", "unet_ema", "scheduler"] {
            for entry in self.snapshot(commit).join(folder).read_dir().into_iter().flatten().flatten() {
                // Through links, which may lead nowhere.
                if let (true, Ok(name)) = (entry.path().is_file(), entry.file_name().into_string()) {
                    names.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
                }
            }
        }
        let Ok(choice) = choose(&names, options.raw || options.state) else { return false };
        if options.state && !names.iter().any(|name| name == TRAINING_STATE) {
            return false;
        }
        let all_shards = |index: &String| {
            shards(&self.pointer(commit, index), index).is_ok_and(|files| files.iter().all(|file| self.pointer(commit, file).is_file()))
        };
        choice.whole && choice.index.as_ref().is_none_or(all_shards)
    }

    /// What describes a model and is not in the snapshot of a commit, as far as it is not known that the repository has none of it: whoever asked for a part of a
    /// model, as Python does, leaves that open.
    pub(super) fn unknown(&self, commit: &str) -> Vec<&'static str> {
        let known = |file: &str| self.pointer(commit, file).is_file() || self.no_exist(commit, file).is_file();
        DESCRIBING.into_iter().filter(|file| !known(file)).collect()
    }

    /// Remembers what describes a model and is not among the `files` of the repository. A cache that cannot be written asks again.
    pub(super) fn remember_missing(&self, commit: &str, files: &[String]) {
        for file in DESCRIBING.into_iter().filter(|file| !files.iter().any(|there| there == file)) {
            let path = self.no_exist(commit, file);
            if !path.is_file() && make_folder_of(&path).is_ok() {
                let _ = ddim_weights::write_file(&path, b"");
            }
        }
    }

    fn no_exist(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file.split('/').collect::<PathBuf>())
    }

    /// Waits until no other process writes a blob, and keeps them away until the returned file is dropped or the process ends. Not for ever
    /// where a file system has no locks: checksums then see what two made of one file.
    ///
    /// # Errors
    /// The lock's file cannot be made; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub(super) fn lock(&self, etag: &str, file: &str, observe: &mut Observer<'_>) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        loop {
            make_folder_of(&path)?;
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| Error::io(&path, e))?;
            match lock.try_lock() {
                // Python may have deleted it in between: then the next one has another.
                Ok(()) if !is_at(&lock, &path) => {}
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    tell(observe, Progress::Waiting { file })?;
                    std::thread::sleep(MOMENT);
                }
            }
        }
    }

    /// Makes a blob's file one of a snapshot. One that is `new` may be moved there where links cannot be made.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn link(&self, etag: &str, commit: &str, file: &str, new: bool) -> Result<()> {
        let (blob, pointer) = (self.blob(etag), self.pointer(commit, file));
        if pointer.is_file() {
            return Ok(());
        }
        make_folder_of(&pointer)?;
        // A link that leads nowhere.
        if pointer.is_symlink() {
            std::fs::remove_file(&pointer).map_err(|e| Error::io(&pointer, e))?;
        }
        let up = file.matches('/').count() + 2;
        let target: PathBuf = std::iter::repeat_n("..", up).chain(["blobs", etag]).collect();
        if self.symlinks && symlink(&target, &pointer).is_ok() {
            return Ok(());
        }
        if new {
            return std::fs::rename(&blob, &pointer).map_err(|e| Error::io(&pointer, e));
        }
        let copy = || {
            let mut copy = ddim_weights::temporary_beside(&pointer)?;
            io::copy(&mut File::open(&blob)?, &mut copy)?;
            copy.persist(&pointer)
        };
        copy().map_err(|e| Error::io(&pointer, e))
    }
}

/// Makes the folder that a file is to lie in.
pub(super) fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether an open file is the one that a path leads to.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(place).ok() == path.metadata().map(place).ok()
}

/// Where open files cannot be deleted.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}
