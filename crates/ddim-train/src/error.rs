//! Errors in data, a configuration, or a run.

use std::path::Path;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: the file or setting, what was found, what was expected. See [`Error::kind`].
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
    /// Images, labels, or the places that should hold them.
    Data,
    /// A single file of the data, which `data.bad_files = "skip"` would leave out.
    BadFile,
    /// A setting.
    Config,
    /// A run folder that cannot be read or written.
    Run,
    /// A loss that is no longer a number, or that grows.
    Diverged,
    /// The network or its files: an error of [`ddim_nn`].
    Network,
    /// An error that the observer of a run returned to end it.
    Observer,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message holds; other spaces may be those of a path.
        let message = message.to_string();
        let lines = message.lines().map(|line| line.trim_matches([' ', '\t'])).filter(|line| !line.is_empty());
        Self { kind, message: lines.collect::<Vec<_>>().join(" "), source: None }
    }

    pub(crate) fn data(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Data, format!("{}: {message}", path.display()))
    }

    pub(crate) fn config(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn run(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Run, format!("{}: {message}", path.display()))
    }

    /// Creates an error of a run's observer, which ends the run, with its message and with `error` as the source.
    pub fn observer(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self::new(ErrorKind::Observer, &error).because(error)
    }

    /// The same error with what it came from, which [`source`](std::error::Error::source) gives.
    pub(crate) fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Returns what this error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<ddim_nn::Error> for Error {
    fn from(error: ddim_nn::Error) -> Self {
        Self::new(ErrorKind::Network, &error).because(error)
    }
}

impl From<ddim_data::Error> for Error {
    fn from(error: ddim_data::Error) -> Self {
        let kind = if error.kind() == ddim_data::ErrorKind::BadFile { ErrorKind::BadFile } else { ErrorKind::Data };
        Self { kind, message: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl From<ddim::Error> for Error {
    fn from(error: ddim::Error) -> Self {
        Self::new(ErrorKind::Config, &error).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = crate::Settings::preset("tiny").unwrap().over_file(Path::new("no such file")).unwrap_err();
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        is_shared(&error);
        assert!(source.is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound));
    }
}
