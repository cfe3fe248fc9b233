//! The images of a file of either kind, and what its headers say about them.

use super::archive::{find_images, in_array, npz_images, read_headers};
use super::container::{Container, opened};
use super::images::{Layout, expect_layout, images};
use super::numbers::Numbers;
use crate::batch::{Batch, Step, in_file};
use crate::error::Result;
use std::io::{Read, Seek};
use std::path::Path;

/// The first `limit` images of a `.npy`, or of the one array of a `.npz` that holds images, with the labels beside them.
///
/// Images are bytes [n, h, w], [n, h, w, c] or [n, c, h, w], or f16, f32 or f64 [n, c, h, w] or [n, h, w, c] in [-1, 1], which are clamped.
///
/// # Errors
/// Another kind of file; other shapes or numbers; more than one array of images; numbers beyond ±10 or not finite; labels of another count.
pub(crate) fn read_batch(path: &Path, limit: usize) -> Result<Batch> {
    Ok(in_file(path, batch_of(opened(path)?, limit))?.of_file(path))
}

pub(super) fn batch_of<R: Read + Seek>(container: Container<R>, limit: usize) -> Step<Batch> {
    match container {
        Container::Npy(array) => images(array, limit),
        Container::Npz(mut archive) => npz_images(&mut archive, limit),
    }
}

pub(super) fn shape_in<R: Read + Seek>(container: Container<R>) -> Step<[usize; 3]> {
    let Layout { size: [h, w], channels, .. } = match container {
        Container::Npy(array) => expect_layout(&array.header)?,
        Container::Npz(mut archive) => {
            let headers = read_headers(&mut archive)?;
            let index = find_images(&headers)?;
            let (_, name, header) = headers.iter().find(|(i, ..)| *i == index).expect("found in it");
            in_array(name, expect_layout(header))?
        }
    };
    Ok([channels, h, w])
}

/// Whether a `.npy`, or a `.npz` of one array, holds floats.
///
/// # Errors
/// Another kind of file, a broken header.
pub(crate) fn is_floats(path: &Path) -> Result<bool> {
    let header = match opened(path)? {
        Container::Npy(array) => Some(array.header),
        Container::Npz(mut archive) => {
            let mut headers = in_file(path, read_headers(&mut archive))?;
            if headers.len() == 1 { headers.pop().map(|(.., header)| header) } else { None }
        }
    };
    Ok(header.is_some_and(|header| header.numbers.is_some_and(Numbers::is_float)))
}

/// Channels, height and width of the images of a `.npy` or `.npz`, of which only headers are read.
///
/// # Errors
/// As [`read_batch`]'s, as far as headers tell.
pub(crate) fn shape_of(path: &Path) -> Result<[usize; 3]> {
    in_file(path, shape_in(opened(path)?))
}
