//! Images in: finding, decoding and preparing pictures, arrays and archives, labels, and what was left out and why.

// What no loader calls yet.
#[allow(dead_code)]
mod arrays;
#[allow(dead_code)]
mod batch;
#[allow(dead_code)]
mod cifar;
mod error;
#[cfg(test)]
mod fuzz;
#[allow(dead_code)]
mod idx;
#[allow(dead_code)]
mod pickle;
#[allow(dead_code)]
mod zips;

pub use arrays::{Npz, npy_bytes, npy_numbers, read_floats, read_floats_any};
pub use error::{Error, Result};
