//! What can be wrong with images, labels, or where they should be.

use std::path::Path;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: the file, what was found, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
}

impl Error {
    /// An error that is about no file.
    pub(crate) fn new(message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message holds.
        Self { message: message.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// What is wrong with a file or folder.
    pub(crate) fn at(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::new(format!("{}: {message}", path.display()))
    }
}
