//! Images in: finding, decoding and preparing pictures, arrays and archives, labels, and what was left out and why.

mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "not called yet"))]
mod jpeg;

pub use error::{Error, Result};
