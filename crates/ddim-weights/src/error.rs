//! Errors in files of weights.

use std::path::Path;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: the file, what was found and what was expected. See [`Error::kind`].
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
    /// A file or folder that cannot be read or is missing.
    Io,
    /// A JSON file.
    Config,
    /// A weights file.
    Weights,
    /// A weight that cannot be written as requested.
    Input,
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

    pub(crate) fn input(message: String) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// The same error with what it came from, which [`source`](std::error::Error::source) gives.
    pub(crate) fn because(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..self }
    }

    /// Returns what this error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = crate::read_file(Path::new("no such file"), false).unwrap_err();
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        is_shared(&error);
        assert!(source.is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound));
    }
}
