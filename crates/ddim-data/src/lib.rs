//! Images in: finding, decoding and preparing pictures, arrays and archives, labels, and what was left out and why.

mod error;

pub use error::{Error, Result};
