//! Reading of weights files by path.

use crate::error::{Error, Result};
use crate::safetensors::{open_safetensors, tensors};
use crate::state_dict::StateDict;
use crate::torch::TorchFile;
use crate::wrapped::{Unwrapped, parse};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Reads a file and [`parse`]s it.
///
/// # Errors
/// As `parse`, and an error if the file cannot be read.
///
/// ```
/// use ddim_weights::{WeightsDtype, read_file, to_safetensors, write_file};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// write_file(&path, &to_safetensors([("temb.dense.0.weight", &[2][..], &[0.5, 1.0][..])], WeightsDtype::Bf16)?)?;
/// assert_eq!(read_file(&path, false)?.state["temb.dense.0.weight"].data, [0.5, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_file(path: &Path, raw: bool) -> Result<Unwrapped> {
    parse(open(path)?, raw, path)
}

/// Reads the tensors whose names `keep` accepts from the top-level dictionary of a file that `torch.save` wrote. Nothing in it is run.
///
/// # Errors
/// Returns an error for another kind of file or object, and for tensors that extend beyond it.
pub fn read_pickle(path: &Path, keep: impl Fn(&str) -> bool) -> Result<StateDict> {
    let mut file = TorchFile::parse(open(path)?, path)?;
    file.state_dict(file.root(), keep)
}

/// Reads the tensors whose names `keep` accepts from a safetensors file; others may be of any type.
///
/// # Errors
/// Returns an error for another kind of file, and for tensors that are not floats.
pub fn read_safetensors(path: &Path, keep: impl Fn(&str) -> bool) -> Result<StateDict> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, &e).because(e))?;
    tensors(&open_safetensors(&bytes, path)?, path, keep)
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| Error::io(path, &e).because(e))
}
