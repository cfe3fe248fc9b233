//! Arrays of any real numbers, for callers who know what is in a file.

use super::archive::{in_array, names, open_entry};
use super::array::Opened;
use super::header::Header;
use super::numbers::Kind;
use crate::batch::{Step, in_file};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// An array of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct RealArray {
    /// Its dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// Its numbers in C order.
    pub data: Vec<f64>,
    /// The distance from 1 to the next larger number of the file's type.
    pub epsilon: f64,
}

/// An open `.npz`, for callers who know the names in it.
///
/// ```
/// use ddim_data::Npz;
/// # use std::io::Write;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("statistics.npz"); // with an array `mu`
/// # let mut archive = zip::ZipWriter::new(std::fs::File::create(&path)?);
/// # archive.start_file("mu.npy", zip::write::SimpleFileOptions::default())?;
/// # archive.write_all(&ddim_data::npy_bytes(&[0.5, 2.0], [1, 1, 2]))?;
/// # archive.finish()?;
/// let mut archive = Npz::open(&path)?;
/// assert_eq!(archive.names(), ["mu"]);
/// assert_eq!(archive.numbers("mu")?.unwrap().data, [0.5, 2.0]);
/// assert!(archive.numbers("sigma")?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl std::fmt::Debug for Npz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Npz").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Npz {
    /// Opens an archive without reading any array.
    ///
    /// # Errors
    /// Returns an error if the file is not an archive.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::at(path, &e).because(e))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| Error::at(path, format!("not a .npz file: {e}")).because(e))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Returns the names of its arrays, without their ending, in the order of the archive.
    pub fn names(&self) -> Vec<String> {
        names(&self.archive).into_iter().map(|(_, name)| name).collect()
    }

    /// Reads an array of any real type, in C order. Returns `None` if there is no array of that name.
    ///
    /// # Errors
    /// Returns an error for other types, and if there are fewer numbers than the shape says.
    pub fn numbers(&mut self, name: &str) -> Result<Option<RealArray>> {
        let Some(index) = self.archive.index_for_name(&format!("{name}.npy")) else { return Ok(None) };
        let read = open_entry(&mut self.archive, index).and_then(numbers_of);
        in_file(&self.path, in_array(name, read)).map(Some)
    }
}

pub(super) fn numbers_of<R: Read>(mut array: Opened<R>) -> Step<RealArray> {
    let numbers = array.checked("real numbers")?;
    let bytes = array.whole(numbers)?;
    let shape = array.header.shape.iter().map(|n| *n as usize).collect();
    let epsilon = match (numbers.kind, numbers.size) {
        (Kind::Float, 2) => f64::from(half::f16::EPSILON),
        (Kind::Float, 4) => f64::from(f32::EPSILON),
        _ => f64::EPSILON,
    };
    Ok(RealArray { shape, data: numbers.numbers(&bytes).collect(), epsilon })
}

/// Returns the shape and numbers of a `.npy` file in memory, as [`Npz::numbers`] does.
///
/// # Errors
/// As there, in one line that names no file.
///
/// ```
/// use ddim_data::{npy_bytes, npy_numbers};
///
/// let array = npy_numbers(&npy_bytes(&[0.5, 2.0], [1, 1, 2]))?;
/// assert_eq!((array.shape, array.data), (vec![1, 1, 1, 2], vec![0.5, 2.0]));
/// # Ok::<(), ddim_data::Error>(())
/// ```
pub fn npy_numbers(bytes: &[u8]) -> Result<RealArray> {
    Opened::new(bytes, bytes.len() as u64).and_then(numbers_of).map_err(Error::new)
}

/// Returns the shape of a `.npy` file in memory according to its header; what follows the header is neither read nor measured.
///
/// # Errors
/// Returns an error if it is not a `.npy` file.
///
/// ```
/// use ddim_data::{npy_bytes, npy_shape};
///
/// assert_eq!(npy_shape(&npy_bytes(&[0.5, 2.0], [1, 1, 2]))?, [1, 1, 1, 2]);
/// # Ok::<(), ddim_data::Error>(())
/// ```
pub fn npy_shape(bytes: &[u8]) -> Result<Vec<u64>> {
    Ok(Header::read(&mut &*bytes).map_err(Error::new)?.shape)
}
