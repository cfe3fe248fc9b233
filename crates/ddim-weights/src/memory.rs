//! Files in memory, for targets without a file system: wasm32-unknown-unknown, as in a browser.
//!
//! The embedding code puts the files to be read here, and takes those that were written. On other targets nothing reads them.

use std::collections::BTreeMap;
use std::io::{Cursor, Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether these are the only files there are: [`write_file`](crate::write_file) then writes here.
pub const ONLY: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

static FILES: Mutex<BTreeMap<PathBuf, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

fn files() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<[u8]>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores a file, replacing one of the same name. Folders exist only as parts of names.
///
/// ```
/// use ddim_weights::memory;
/// use std::io::Read;
///
/// memory::put("models/a", b"bytes");
/// let mut text = String::new();
/// memory::open("models/a".as_ref())?.read_to_string(&mut text)?;
/// assert_eq!(text, "bytes");
/// memory::remove("models".as_ref());
/// assert!(memory::open("models/a".as_ref()).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn put(path: impl AsRef<Path>, bytes: &[u8]) {
    files().insert(path.as_ref().to_owned(), bytes.into());
}

/// Returns the bytes of a file.
pub fn get(path: &Path) -> Option<Arc<[u8]>> {
    files().get(path).cloned()
}

/// Opens a file for reading.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is none.
pub fn open(path: &Path) -> Result<Cursor<Arc<[u8]>>> {
    get(path).map(Cursor::new).ok_or_else(|| Error::new(ErrorKind::NotFound, "no such file"))
}

/// Removes a file, or all files whose names begin with a folder.
pub fn remove(path: &Path) {
    files().retain(|name, _| !name.starts_with(path));
}
