//! Single files: from the file system, or from memory where there is none.

use ddim_weights::memory;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Result, Seek};
use std::path::Path;

/// What is read of.
pub(crate) trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// Opens a file.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Source>> {
    Ok(if memory::ONLY { Box::new(memory::open(path)?) } else { Box::new(BufReader::new(File::open(path)?)) })
}

/// Whether a path leads to a file, rather than to something else.
pub(crate) fn is_file(path: &Path) -> Result<bool> {
    if memory::ONLY { memory::open(path).map(|_| true) } else { Ok(std::fs::metadata(path)?.is_file()) }
}

/// What came of something that is no file, as one.
pub(crate) fn of_bytes(bytes: Vec<u8>) -> Box<dyn Source> {
    Box::new(Cursor::new(bytes))
}
