//! Telling a `.npy` file from an archive of such files.

use super::archive::names;
use super::array::Opened;
use crate::batch::{Step, in_file};
use crate::error::{Error, Result};
use crate::source::{self, Source};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// Whether bytes begin as those of an archive do.
fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// Looks at the first bytes of a source and goes back.
fn first_bytes(source: &mut (impl Read + Seek)) -> std::io::Result<Vec<u8>> {
    let mut first = Vec::new();
    source.by_ref().take(8).read_to_end(&mut first)?;
    source.rewind()?;
    Ok(first)
}

fn open(path: &Path) -> Result<Box<dyn Source>> {
    let io = |e| Error::at(path, &e).because(e);
    if source::is_file(path).map_err(io)? {
        return source::open(path).map_err(io);
    }
    let mut file = File::open(path).map_err(io)?;
    // Arrays may come from another program; nothing else may, without end.
    let mut bytes = Vec::new();
    file.by_ref().take(8).read_to_end(&mut bytes).map_err(io)?;
    if bytes.starts_with(b"\x93NUMPY") || is_zip(&bytes) {
        file.read_to_end(&mut bytes).map_err(io)?;
    }
    Ok(source::of_bytes(bytes))
}

/// A `.npy` or `.npz`, by its first bytes.
pub(super) enum Container<R> {
    Npy(Opened<R>),
    Npz(Box<ZipArchive<R>>),
}

impl<R: Read + Seek> Container<R> {
    pub(super) fn of(mut source: R) -> Step<Self> {
        let io = |e: std::io::Error| e.to_string();
        let first = first_bytes(&mut source).map_err(io)?;
        if is_zip(&first) {
            let archive = ZipArchive::new(source).map_err(|e| format!("not a .npz file: {e}"))?;
            return Ok(Self::Npz(Box::new(archive)));
        }
        let total = source.seek(SeekFrom::End(0)).map_err(io)?;
        source.rewind().map_err(io)?;
        Ok(Self::Npy(Opened::new(source, total)?))
    }
}

pub(super) fn opened(path: &Path) -> Result<Container<Box<dyn Source>>> {
    let named_npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    let container = Container::of(open(path)?);
    in_file(path, container.map_err(|e| if named_npz { e.replacen("not a .npy file", "not a .npz file", 1) } else { e }))
}

/// Whether a file is an array, or an archive of arrays, whatever its name.
pub(crate) fn is_array(path: &Path) -> bool {
    let Some(mut file) = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file())) else { return false };
    match first_bytes(&mut file) {
        Ok(first) if first.starts_with(b"\x93NUMPY") => true,
        Ok(first) if is_zip(&first) => {
            ZipArchive::new(BufReader::new(file)).is_ok_and(|archive| !archive.is_empty() && names(&archive).len() == archive.len())
        }
        _ => false,
    }
}
