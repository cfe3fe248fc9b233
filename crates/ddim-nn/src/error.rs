//! Errors in a model on disk, or in the inputs of a network.

use std::path::{Path, PathBuf};

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error that names the file, what was found and what was expected. See [`Error::kind`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
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
    /// Weights, among those that [`Choices`](crate::Choices) can ask for (`raw`, `ema`), that a model does not have.
    Choice,
    /// A schedule, trajectory or deviation: an error of [`ddim`].
    Mathematics,
    /// The device that a network is evaluated on.
    Device,
    /// The device that a network is evaluated on has run out of memory.
    Memory,
}

impl Error {
    fn new(kind: ErrorKind, message: String) -> Self {
        // One line, whatever a library's message holds.
        Self { kind, message: message.split_whitespace().collect::<Vec<_>>().join(" "), source: None }
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

    pub(crate) fn choice(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Choice, message.into())
    }

    /// Creates an error of the code that chose the model, with its message, and with `error` as the source.
    pub fn caller(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self::new(ErrorKind::Io, error.to_string()).because(error)
    }

    /// The same error with what it came from, which [`source`](std::error::Error::source) gives.
    pub(crate) fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Creates an error with the device's own message.
    pub fn device(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Device, message.to_string())
    }

    /// Creates an error for memory that the device does not have.
    pub fn memory(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Memory, message.to_string())
    }

    /// Returns what this error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<ddim::Error> for Error {
    fn from(error: ddim::Error) -> Self {
        Self::new(ErrorKind::Mathematics, error.to_string()).because(error)
    }
}

impl From<ddim_weights::Error> for Error {
    fn from(error: ddim_weights::Error) -> Self {
        let kind = match error.kind() {
            ddim_weights::ErrorKind::Io => ErrorKind::Io,
            ddim_weights::ErrorKind::Config => ErrorKind::Config,
            ddim_weights::ErrorKind::Input => ErrorKind::Input,
            _ => ErrorKind::Weights,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

/// Reads a file that should hold text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    // A pipe would wait for somebody to write into it.
    if std::fs::metadata(path).is_ok_and(|found| !(found.is_file() || found.is_dir())) {
        return Err(Error::config(path, "expected a file"));
    }
    std::fs::read_to_string(path).map_err(|e| Error::io(path, &e).because(e))
}

/// Whether a name is taken: by a link that leads nowhere too, which is no missing file.
pub(crate) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// A file name for messages about a model that is not on disk.
pub(crate) fn built_in(name: &str, file: &str) -> PathBuf {
    PathBuf::from(format!("built-in model {name}")).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = read_text(Path::new("no such file")).unwrap_err();
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        is_shared(&error);
        assert!(source.is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound));
    }
}
