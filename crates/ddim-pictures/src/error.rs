//! Errors of drawing pictures and reading them back.

use std::ops::Deref;
use std::sync::Arc;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: what was found and what was expected. See [`Error::kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

/// What an error came from. Errors are compared by what they say, so that all are equal here.
#[derive(Debug, Clone)]
struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Deref for Source {
    type Target = dyn std::error::Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Source {}

/// What an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Images with no channels, or with more than a picture can have.
    Channels,
    /// Images that are neither gray nor RGB, where nothing else is supported.
    Colours,
    /// Lengths and sizes that do not match.
    Shape,
    /// Frames that do not make an animation.
    Animation,
    /// A file name that does not indicate its format.
    Name,
    /// A file that is not a complete PNG, or not of the kind written here.
    Png,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message holds.
        Self { kind, message: message.to_string().replace(['\n', '\r'], " ").trim_end().to_owned(), source: None }
    }

    /// The same error with what it came from, which [`source`](std::error::Error::source) gives.
    pub(crate) fn because(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Source(Arc::new(source))), ..self }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = crate::Picture::from_png(b"no picture").unwrap_err();
        is_shared(&error);
        assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<png::DecodingError>()));
    }
}
