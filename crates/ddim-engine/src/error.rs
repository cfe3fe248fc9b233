//! What can be wrong with a request, or go wrong while it runs.

use std::path::Path;

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error in one line: what was found, what was expected, and in which file, flag or address. See [`Error::kind`].
///
/// The line includes the message of the error's [`source`](std::error::Error::source), which is there for its type.
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
    /// The request itself: a name, an id, a number.
    Request,
    /// A training setting, which the message calls by its name in `config.toml`.
    Setting,
    /// The hub: something it does not have or does not give access to, a failure to reach it, or a damaged download.
    Hub,
    /// A file or folder that cannot be read or written.
    Io,
    /// The work was cancelled.
    Cancelled,
    /// One file of a set of images, which could be skipped.
    BadFile,
    /// An image with transparent pixels, and no background to put behind them.
    Transparent,
    /// An error from one of the underlying crates.
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl std::fmt::Display) -> Self {
        // One line, whatever a library's message holds; other spaces may be those of a path.
        let message = message.to_string();
        let lines = message.lines().map(|line| line.trim_matches([' ', '\t'])).filter(|line| !line.is_empty());
        Self { kind, message: lines.collect::<Vec<_>>().join(" "), source: None }
    }

    pub(crate) fn request(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Request, message)
    }

    pub(crate) fn hub(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Hub, message)
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{}: {error}", path.display())).because(error)
    }

    pub(crate) fn cancelled(what: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Cancelled, what)
    }

    /// What is wrong with a field of a request; messages write fields in backticks, so that a front end can call them as its users do.
    pub(crate) fn field(field: &str, message: impl std::fmt::Display) -> Self {
        Self::request(format!("`{field}`: {message}"))
    }

    /// What is wrong with a file or folder.
    pub(crate) fn file(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::failure(format!("{}: {message}", path.display()))
    }

    pub(crate) fn failure(message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Other, message)
    }

    /// The same of one of several things, which `whose` names.
    pub(crate) fn of(self, whose: &str) -> Self {
        Self { message: format!("{whose}: {}", self.message), ..self }
    }

    /// The same of a field that stands for another.
    pub(crate) fn renamed(self, field: &str, other: &str) -> Self {
        Self { message: self.message.replace(&format!("`{field}`"), &format!("`{other}`")), ..self }
    }

    /// The same error with what it came from.
    pub(crate) fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

macro_rules! other {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(ErrorKind::Other, &error).because(error)
            }
        }
    )*};
}

other!(ddim::Error, ddim_nn::Error, ddim_pictures::Error);

/// An error of a room that tells apart what could be left out.
macro_rules! of_images {
    ($($room:ident),*) => {$(
        impl From<$room::Error> for Error {
            fn from(error: $room::Error) -> Self {
                let kind = match error.kind() {
                    $room::ErrorKind::BadFile => ErrorKind::BadFile,
                    $room::ErrorKind::Transparent => ErrorKind::Transparent,
                    _ => ErrorKind::Other,
                };
                Self::new(kind, &error).because(error)
            }
        }
    )*};
}

of_images!(ddim_data, ddim_eval);

impl From<ddim_train::Error> for Error {
    fn from(error: ddim_train::Error) -> Self {
        let kind = match error.kind() {
            ddim_train::ErrorKind::BadFile => ErrorKind::BadFile,
            ddim_train::ErrorKind::Config => ErrorKind::Setting,
            _ => ErrorKind::Other,
        };
        Self::new(kind, &error).because(error)
    }
}
