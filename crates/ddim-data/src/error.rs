//! Errors in images, labels, or the places that should hold them.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: the file, what was found, what was expected. See [`Error::kind`].
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
    /// A single file or folder among others, which [`BadFiles::Skip`](crate::BadFiles::Skip) would leave out.
    BadFile,
    /// A place without images, or a file of an unsupported kind.
    NoImages,
    /// Labels that are missing or do not fit.
    Labels,
    /// An image with transparent pixels, without a background to put behind them.
    Transparent,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn of(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message or a path holds; other blanks stay as they are.
        Self { kind, message: message.to_string().replace(['\n', '\r'], " ").trim_end().to_owned(), source: None }
    }

    /// An error that is about no file.
    pub(crate) fn new(message: impl std::fmt::Display) -> Self {
        Self::of(ErrorKind::Other, message)
    }

    /// What is wrong with a file or folder.
    pub(crate) fn at(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(Located(path, message))
    }

    /// What is wrong with one file among others.
    pub(crate) fn bad(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::of(ErrorKind::BadFile, Located(path, message))
    }

    /// An image that is not opaque.
    pub(crate) fn transparent(path: &Path) -> Self {
        Self::of(
            ErrorKind::Transparent,
            Located(path, "an image with transparent pixels: expected an opaque one, or a background behind it"),
        )
    }

    /// Nothing to read at `path`.
    pub(crate) fn no_images(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::of(ErrorKind::NoImages, Located(path, message))
    }

    /// What is wrong with the labels at `path`.
    pub(crate) fn labels(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::of(ErrorKind::Labels, Located(path, message))
    }

    /// The same error with what it came from, which [`source`](std::error::Error::source) gives.
    pub(crate) fn because(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Source(Arc::new(source))), ..self }
    }

    /// Returns what this error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// A message about a path.
struct Located<'a, T>(&'a Path, T);

impl<T: std::fmt::Display> std::fmt::Display for Located<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.display(), self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_what_it_came_from() {
        fn is_shared<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
        let error = crate::ImageSet::open(
            Path::new("no such folder"),
            crate::Look::AsTheyAre { background: None },
            None,
            crate::BadFiles::Stop,
            &[],
        );
        let error = error.unwrap_err();
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        is_shared(&error);
        assert!(source.is_some_and(|source| source.kind() == std::io::ErrorKind::NotFound) && error == error.clone());
    }
}
