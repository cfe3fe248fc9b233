//! What can be wrong with a model on disk, or with what is put through one.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error that names the file, and says what was found and what was expected. See [`Error::kind`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or folder that cannot be read or written.
    Io,
    /// A `config.json`, `scheduler_config.json` or `model_index.json`.
    Config,
    /// A weights file.
    Weights,
    /// A batch, timestep or class label that the network does not take.
    Input,
    /// A schedule, trajectory or deviation: an error of [`ddim`].
    Mathematics,
}

impl Error {
    fn new(kind: ErrorKind, message: String) -> Self {
        // One line, whatever a library's message holds.
        Self { kind, message: message.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    pub(crate) fn io(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Io, format!("{}: {error}", path.display()))
    }

    pub(crate) fn config(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Config, format!("{}: {message}", path.display()))
    }

    pub(crate) fn weights(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Weights, format!("{}: {message}", path.display()))
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message.into())
    }

    /// An error of whoever chose the model, in their words.
    pub fn caller(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Io, message.to_string())
    }

    /// What this is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<ddim::Error> for Error {
    fn from(error: ddim::Error) -> Self {
        Self::new(ErrorKind::Mathematics, error.to_string())
    }
}

/// Reads a file that should hold text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io(path, e))
}

/// Parses JSON with messages that name the key.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let key = e.path().to_string();
        let at = if key == "." || key == "?" { String::new() } else { format!("{key}: ") };
        match e.inner().classify() {
            serde_json::error::Category::Data => Error::config(path, format!("{at}{}", e.inner())),
            _ => Error::config(path, format!("not JSON: {}", e.inner())),
        }
    })?;
    json.end().map_err(|e| Error::config(path, format!("not JSON: {e}")))?;
    Ok(value)
}

/// A file name for messages about a model that is not on disk.
pub(crate) fn built_in(name: &str, file: &str) -> PathBuf {
    PathBuf::from(format!("built-in model {name}")).join(file)
}
