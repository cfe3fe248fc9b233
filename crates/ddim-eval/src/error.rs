//! Errors in what is compared, or on the way there.

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
    /// Images or statistics that cannot be read or compared.
    Data,
    /// A single file of a set of images, which could be left out.
    BadFile,
    /// An image with transparent pixels, without a background to put behind them.
    Transparent,
    /// The Inception network's weights, or their download.
    Weights,
    /// The folder of a sweep.
    Sweep,
    /// A network, or a number that it produced.
    Network,
    /// An error that the caller of a sweep returned to end it.
    Observer,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message holds.
        Self { kind, message: message.to_string().replace(['\n', '\r'], " ").trim_end().to_owned(), source: None }
    }

    pub(crate) fn data(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Data, format!("{}: {message}", path.display()))
    }

    pub(crate) fn weights(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Weights, message)
    }

    pub(crate) fn sweep(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Sweep, format!("{}: {message}", path.display()))
    }

    /// Creates an error of an observer, which ends the work, with its message and with `error` as the source.
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
        let kind = match error.kind() {
            ddim_data::ErrorKind::BadFile => ErrorKind::BadFile,
            ddim_data::ErrorKind::Transparent => ErrorKind::Transparent,
            _ => ErrorKind::Data,
        };
        Self { kind, message: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl From<ddim::Error> for Error {
    fn from(error: ddim::Error) -> Self {
        Self::new(ErrorKind::Network, &error).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = crate::Statistics::read(Path::new("no such file")).unwrap_err();
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<ddim_data::Error>());
        is_shared(&error);
        assert!(source.is_some_and(|source| source.to_string() == error.to_string() && std::error::Error::source(source).is_some()));
    }
}
