//! Weights on disk and in memory: state dicts of safetensors files (whole, sharded, of variants) and of PyTorch's pickles, without running
//! anything in them; and files that appear whole or not at all.
//!
//! [`parse`] and [`parse_safetensors`] take what is already in memory. Without a file system, as in a browser, [`memory`] holds the files
//! that are written and read.

#[cfg(test)]
mod damage;
mod error;
mod files;
#[cfg(test)]
mod hostile;
mod json;
pub mod memory;
pub mod pickle;
mod read;
mod safetensors;
mod state_dict;
mod torch;
mod variants;
mod wrapped;

pub use error::{Error, ErrorKind, Result};
pub use files::{
    TEMPORARY, TemporaryFile, followed, lock_folder, no_more_writes, remove_temporary, temporary_beside, try_file, write_file, writing,
};
pub use json::{from_json, from_value};
pub use read::{read_file, read_pickle, read_safetensors};
pub use safetensors::{WeightsDtype, parse_safetensors, to_safetensors};
pub use state_dict::{Array, StateDict, checksum_of};
pub use variants::{read_folder, weight_map, weights_file};
pub use wrapped::{Unwrapped, parse};
