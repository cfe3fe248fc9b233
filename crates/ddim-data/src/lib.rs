//! Reading of images: finding, decoding and preparing pictures, arrays and archives, their labels, and what was left out and why.
//!
//! A path is a folder that is searched, an archive, a data set's files, or one array or image. [`DataSet`] holds images of one size as
//! bytes, for training; [`ImageSet`] reads a few at a time, for evaluation; [`read_inputs`] produces the numbers that a network takes.

mod arrays;
mod batch;
mod cifar;
mod data_set;
mod decode;
mod error;
mod find;
#[cfg(test)]
mod fuzz;
mod idx;
mod image_set;
mod inputs;
#[cfg_attr(target_family = "wasm", path = "jpeg_without_c.rs")]
mod jpeg;
mod pickle;
mod place;
mod prepare;
mod report;
mod source;
mod tiffs;
mod zips;

pub use arrays::{Npz, RealArray, npy_bytes, npy_numbers, npy_shape, read_floats, read_floats_any};
pub use data_set::{DataSet, Labels, Request};
pub use error::{Error, ErrorKind, Result};
pub use image_set::{ImageSet, Look};
pub use inputs::{Inputs, read_inputs, read_labelled_inputs};
pub use place::BadFiles;
pub use prepare::{Fit, Preparation, parse_colour};
pub use report::{LeftOut, Report, Warning};
