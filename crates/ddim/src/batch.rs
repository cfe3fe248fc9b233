//! Checks on batches: a whole number of images, one level per image, finite numbers.

use crate::error::{Error, ErrorKind};
use crate::real::Real;

/// `Ok(n)`, the number of images of `dim` elements in a batch, or what is wrong with its length.
pub(crate) fn batch_len(len: usize, dim: usize) -> Result<usize, Error> {
    if dim == 0 || len % dim != 0 {
        return Err(Error::new(ErrorKind::Batch, format!("a batch of {len} elements: expected a multiple of {dim}, one image")));
    }
    Ok(len / dim)
}

/// An error that names the first sample of `what` that has NaN or infinity; samples are numbered from `first`, `dim` elements each.
pub(crate) fn check_finite<T: Real>(what: &str, batch: &[T], dim: usize, first: u64, level: Option<usize>) -> Result<(), Error> {
    let Some(at) = batch.iter().position(|v| !v.to_f64().is_finite()) else { return Ok(()) };
    let sample = first.wrapping_add((at / dim) as u64);
    let at = level.map_or(String::new(), |level| format!(" at timestep {}", level - 1));
    Err(Error::new(ErrorKind::Batch, format!("{what} for sample {sample}{at} is not finite")))
}
