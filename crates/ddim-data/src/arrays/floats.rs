//! Batches of floats, as networks read and write them.

use super::archive::{in_array, names, open_entry};
use super::array::Opened;
use super::container::{Container, opened};
use super::numbers::Numbers;
use crate::batch::{Step, in_file};
use crate::error::Result;
use npyz::WriterBuilder;
use std::io::{Read, Seek};
use std::path::Path;

/// Floats of a batch [n, c, h, w], with that shape, which must be of `shape` [c, h, w] where that is given.
fn floats_of<R: Read>(mut array: Opened<R>, shape: Option<[usize; 3]>) -> Step<([usize; 4], Vec<f32>)> {
    let found: Vec<usize> = array.header.shape.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect();
    let expected = || shape.map_or("[n, c, h, w]".into(), |[c, h, w]| format!("[n, {c}, {h}, {w}]"));
    let right = !found.contains(&0) && shape.is_none_or(|shape| found.get(1..) == Some(&shape[..]));
    let (&[n, c, h, w], true) = (found.as_slice(), right) else {
        return Err(format!("an array of shape {found:?}: expected {}", expected()));
    };
    let wrong = "f32 (or f16, f64) in [-1, 1]";
    if !array.header.numbers.is_some_and(Numbers::is_float) {
        return Err(format!("numbers of type {}: expected {wrong}", array.header.descr));
    }
    let numbers = array.checked(wrong)?;
    let bytes = array.whole(numbers)?;
    let mut data = Vec::with_capacity(bytes.len() / numbers.size);
    numbers.singles(&bytes, &mut data);
    if let Some(at) = data.iter().position(|x| !x.is_finite()) {
        return Err(format!("{} in image {}: expected finite numbers", data[at], at / (c * h * w)));
    }
    Ok(([n, c, h, w], data))
}

pub(super) fn floats_in<R: Read + Seek>(container: Container<R>, shape: Option<[usize; 3]>) -> Step<([usize; 4], Vec<f32>)> {
    match container {
        Container::Npy(array) => floats_of(array, shape),
        Container::Npz(mut archive) => match names(&archive).as_slice() {
            [(index, name)] => in_array(name, open_entry(&mut archive, *index).and_then(|array| floats_of(array, shape))),
            several => Err(format!("an archive of {} arrays: expected a .npy, or one array", several.len())),
        },
    }
}

/// Reads a batch of floats [n, c, h, w] of images of `shape` [c, h, w], unclamped, in the network's scale [-1, 1]; f16 and f64 are
/// converted.
///
/// # Errors
/// Returns an error for another kind of file, for another shape or type, and for numbers that are not finite.
///
/// ```
/// use ddim_data::{npy_bytes, read_floats};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("latents.npy");
/// std::fs::write(&path, npy_bytes(&[0.5; 2 * 12], [3, 2, 2]))?;
/// assert_eq!(read_floats(&path, [3, 2, 2])?, [0.5; 24]);
/// assert!(read_floats(&path, [3, 4, 4]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_floats(path: &Path, shape: [usize; 3]) -> Result<Vec<f32>> {
    Ok(in_file(path, floats_in(opened(path)?, Some(shape)))?.1)
}

/// Reads a batch as [`read_floats`] does, but of images of any shape. Also returns the shape found, [n, c, h, w].
///
/// # Errors
/// Returns an error for another kind of file, for an array without four dimensions, for another type, and for numbers that are not finite.
pub fn read_floats_any(path: &Path) -> Result<([usize; 4], Vec<f32>)> {
    in_file(path, floats_in(opened(path)?, None))
}

/// Returns the bytes of a `.npy` file of images of `shape` [c, h, w], which follow each other in `data`.
///
/// # Panics
/// Panics on an empty shape, or on a partial image.
///
/// ```
/// let bytes = ddim_data::npy_bytes(&[0.0; 3 * 4], [1, 2, 2]);
/// assert_eq!(bytes[..6], *b"\x93NUMPY");
/// assert_eq!(ddim_data::npy_numbers(&bytes)?.shape, [3, 1, 2, 2]);
/// # Ok::<(), ddim_data::Error>(())
/// ```
pub fn npy_bytes(data: &[f32], shape: [usize; 3]) -> Vec<u8> {
    let [c, h, w] = shape;
    let mut bytes = Vec::with_capacity(data.len() * 4 + 128);
    let shape = [data.len() / (c * h * w), c, h, w].map(|d| d as u64);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().expect("writing to memory");
    writer.extend(data.iter().copied()).and_then(|()| writer.finish()).expect("writing to memory");
    bytes
}
