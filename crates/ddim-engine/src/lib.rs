//! requests -> jobs -> results; models by name, folder or hub id

mod error;
pub mod hub;

pub use error::{Error, ErrorKind, Result};
