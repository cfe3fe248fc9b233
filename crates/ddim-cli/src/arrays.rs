//! .npy batches: f32, [n, c, h, w], unclamped, in the network's scale [-1, 1].

use crate::error::{Error, Result};
use npyz::{Order, WriterBuilder};
use std::path::Path;

/// Reads a batch of images of `shape` [c, h, w].
pub(crate) fn read(path: &Path, shape: [usize; 3]) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    let npy = npyz::NpyFile::new(&bytes[..]).map_err(|e| Error::file(path, format!("not a .npy file: {e}")))?;
    let [c, h, w] = shape;
    let found = npy.shape().to_vec();
    if found.len() != 4 || found[0] == 0 || found[1..] != [c as u64, h as u64, w as u64] {
        return Err(Error::file(path, format!("an array of shape {found:?}: expected [n, {c}, {h}, {w}]")));
    }
    let dtype = npy.dtype().descr();
    if dtype.trim_matches('\'') != "<f4" {
        return Err(Error::file(path, format!("an array of dtype {dtype}: expected '<f4', little-endian 32-bit floats")));
    }
    if npy.order() != Order::C {
        return Err(Error::file(path, "an array in Fortran order: expected C order (numpy.ascontiguousarray)"));
    }
    // Before anything of the size that the header claims is allocated.
    let claimed = found.iter().try_fold(4u64, |product, n| product.checked_mul(*n));
    if claimed.is_none_or(|claimed| claimed > bytes.len() as u64) {
        return Err(Error::file(path, format!("{} bytes: too short for an array of shape {found:?}", bytes.len())));
    }
    let data = npy.into_vec::<f32>().map_err(|e| Error::file(path, format!("a broken .npy file: {e}")))?;
    if let Some(at) = data.iter().position(|v| !v.is_finite()) {
        let image = at / (c * h * w);
        return Err(Error::file(path, format!("{} in image {image}: expected finite numbers", data[at])));
    }
    Ok(data)
}

/// The bytes of a .npy file of a batch.
pub(crate) fn to_bytes(data: &[f32], [c, h, w]: [usize; 3]) -> Vec<u8> {
    let n = data.len() / (c * h * w);
    let mut bytes = Vec::with_capacity(data.len() * 4 + 128);
    let shape = [n, c, h, w].map(|d| d as u64);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().expect("writing to memory");
    writer.extend(data.iter().copied()).and_then(|()| writer.finish()).expect("writing to memory");
    bytes
}
