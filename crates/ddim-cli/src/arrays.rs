//! .npy batches: f32, [n, c, h, w], unclamped, in the network's scale [-1, 1].

use crate::error::{Error, Result};
use ddim_nn::{SampleSize, UNetConfig};
use npyz::{Order, WriterBuilder};
use std::path::Path;

/// Reads a batch of images of `shape` [c, h, w].
pub(crate) fn read(path: &Path, shape @ [c, h, w]: [usize; 3]) -> Result<Vec<f32>> {
    read_of(path, &|found| found == shape, &format!("[n, {c}, {h}, {w}]")).map(|(batch, _)| batch)
}

/// Reads latents of any size that a network takes, or of the one given; also the shape [c, h, w] of one.
pub(crate) fn read_latents(path: &Path, config: &UNetConfig, size: Option<[usize; 2]>) -> Result<(Vec<f32>, [usize; 3])> {
    let (channels, m) = (config.in_channels, config.size_multiple());
    let accepted = |[c, h, w]: [usize; 3]| {
        let fits = |n: usize| n > 0 && n.is_multiple_of(m);
        c == channels && size.map_or(fits(h) && fits(w), |size| [h, w] == size)
    };
    let expected = match (size, config.sample_size.map(SampleSize::dims)) {
        (Some([h, w]), _) => format!("[n, {channels}, {h}, {w}]"),
        (None, Some([h, w])) => format!("[n, {channels}, {h}, {w}], or other multiples of {m}"),
        (None, None) => format!("[n, {channels}, h, w], h and w multiples of {m}"),
    };
    read_of(path, &accepted, &expected)
}

fn read_of(path: &Path, accepted: &dyn Fn([usize; 3]) -> bool, expected: &str) -> Result<(Vec<f32>, [usize; 3])> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    let npy = npyz::NpyFile::new(&bytes[..]).map_err(|e| Error::file(path, format!("not a .npy file: {e}")))?;
    let found = npy.shape().to_vec();
    let shape = match found[..] {
        [n, c, h, w] if n > 0 => Some([c, h, w].map(|n| usize::try_from(n).unwrap_or(usize::MAX))).filter(|shape| accepted(*shape)),
        _ => None,
    };
    let Some(shape) = shape else { return Err(Error::file(path, format!("an array of shape {found:?}: expected {expected}"))) };
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
        let image = at / shape.iter().product::<usize>();
        return Err(Error::file(path, format!("{} in image {image}: expected finite numbers", data[at])));
    }
    Ok((data, shape))
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
