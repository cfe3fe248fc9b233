//! Safetensors files: F64, F32, F16 and BF16 read, the latter three written.

use crate::error::{Error, Result};
use crate::state_dict::{Array, StateDict, narrowed};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

/// The element type of a weights file to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsDtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl WeightsDtype {
    /// Returns what a file keeps of a value: the nearest value of this type, or infinity beyond the largest.
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// What was saved in the place of weights, where the first bytes of a file say so.
pub(crate) fn mistaken(first: &[u8]) -> Option<&'static str> {
    let text = first[..first.len().min(512)].to_ascii_lowercase();
    let text = text.trim_ascii_start();
    let begins = |with: &[&[u8]]| with.iter().any(|with| text.starts_with(with));
    if begins(&[b"version https://git-lfs"]) {
        return Some("a Git LFS pointer, not the weights themselves: run git lfs pull in its repository");
    }
    begins(&[b"<!doctype", b"<html", b"<head", b"<?xml"]).then_some("a web page, not safetensors or PyTorch's: download the file itself")
}

/// Parses a safetensors file in memory; `path` is for messages.
///
/// # Errors
/// Returns an error for another kind of file, and for tensors of other types.
pub fn parse_safetensors(bytes: &[u8], path: &Path) -> Result<StateDict> {
    let file = open_safetensors(bytes, path)?;
    tensors(&file, path, |_| true)
}

/// The directory of a safetensors file.
pub(crate) fn open_safetensors<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    if let Some(what) = mistaken(bytes) {
        return Err(Error::weights(path, what));
    }
    SafeTensors::deserialize(bytes)
        .map_err(|e| Error::weights(path, format!("not a complete safetensors file ({} bytes): {e}", bytes.len())).because(e))
}

/// Its tensors, as far as `keep` says so by their names: others may be of any type.
pub(crate) fn tensors(file: &SafeTensors<'_>, path: &Path, keep: impl Fn(&str) -> bool) -> Result<StateDict> {
    let arrays = file.iter().filter(|(name, _)| keep(name)).map(|(name, view)| {
        let data = decode(name, view.dtype(), view.data()).map_err(|e| Error::weights(path, e))?;
        Ok((name.to_owned(), Array { shape: view.shape().to_vec(), data }))
    });
    arrays.collect()
}

fn decode(name: &str, dtype: Dtype, bytes: &[u8]) -> std::result::Result<Vec<f32>, String> {
    let halves = |convert: fn([u8; 2]) -> f32| bytes.chunks_exact(2).map(|b| convert([b[0], b[1]])).collect();
    let double = |b: &[u8]| {
        let found = f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        narrowed(found).ok_or_else(|| format!("tensor {name} has {found:e}: expected numbers that f32 holds"))
    };
    match dtype {
        Dtype::F32 => Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        Dtype::F16 => Ok(halves(|b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Ok(halves(|b| bf16::from_le_bytes(b).to_f32())),
        Dtype::F64 => bytes.chunks_exact(8).map(double).collect(),
        other => Err(format!("tensor {name} is {other:?}: expected F64, F32, F16 or BF16")),
    }
}

/// Returns a safetensors file of tensors, each given as name, shape and values, as diffusers writes it.
///
/// # Errors
/// Returns an error for a value that `dtype` cannot hold.
///
/// # Panics
/// Panics if the number of values does not match a shape.
///
/// ```
/// use ddim_weights::{WeightsDtype, parse_safetensors, to_safetensors};
///
/// let bytes = to_safetensors([("conv_in.weight", &[2, 1][..], &[0.5, -1.0][..])], WeightsDtype::F16)?;
/// let state = parse_safetensors(&bytes, "model.safetensors".as_ref())?;
/// assert_eq!(state["conv_in.weight"].shape, [2, 1]);
/// assert_eq!(state["conv_in.weight"].data, [0.5, -1.0]);
/// # Ok::<(), ddim_weights::Error>(())
/// ```
pub fn to_safetensors<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>, dtype: WeightsDtype) -> Result<Vec<u8>> {
    let (kind, largest, called) = match dtype {
        WeightsDtype::F32 => (Dtype::F32, f32::MAX, "f32"),
        WeightsDtype::F16 => (Dtype::F16, f16::MAX.to_f32(), "f16"),
        WeightsDtype::Bf16 => (Dtype::BF16, bf16::MAX.to_f32(), "bf16"),
    };
    // Rounding may lead beyond the largest, too.
    let over = |v: &&f32| v.is_finite() && dtype.rounded(**v).is_infinite();
    let encoded: Vec<(&str, &[usize], Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            if let Some(value) = values.iter().find(over) {
                return Err(Error::input(format!(
                    "tensor {name} has {value:e}, beyond the largest {called}, {largest:e}: expected another dtype"
                )));
            }
            let bytes = match dtype {
                WeightsDtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                WeightsDtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
                WeightsDtype::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            };
            Ok((name, shape, bytes))
        })
        .collect::<Result<_>>()?;
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(kind, shape.to_vec(), bytes).expect("as many bytes as the shape needs");
        (*name, view)
    });
    // Python readers look for it.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|e| Error::input(format!("safetensors: {e}")).because(e))
}
