//! The error of this crate.

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A device that does not exist or cannot be used, in one line: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl std::fmt::Display) -> Self {
        // One line, whatever a driver's message holds.
        Self(message.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
