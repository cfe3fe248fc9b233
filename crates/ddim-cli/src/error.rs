//! What the binary says when something is wrong, and the exit code that goes with it.

use std::fmt::Display;
use std::path::Path;

/// A `Result` of the binary.
pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub(crate) enum Error {
    /// Flags that do not make sense: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Failure(String),
    /// Whoever read our standard output has gone: no message, exit code 0, as `yes | head` does.
    ClosedPipe,
    /// A signal that asked us to stop, after everything was saved and said: the process ends of it.
    Interrupted(i32),
}

impl Error {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// A flag whose value is out of range.
    pub(crate) fn flag(flag: &str, error: impl Display) -> Self {
        Self::Usage(format!("{flag}: {error}"))
    }

    pub(crate) fn failure(message: impl Display) -> Self {
        Self::Failure(message.to_string())
    }

    pub(crate) fn file(path: &Path, error: impl Display) -> Self {
        Self::Failure(format!("{}: {error}", path.display()))
    }

    /// The same of one of several things, which `whose` names.
    pub(crate) fn of(self, whose: &str) -> Self {
        match self {
            Self::Failure(message) => Self::Failure(format!("{whose}: {message}")),
            other => other,
        }
    }

    /// An error of writing to standard output.
    pub(crate) fn stdout(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::Failure(format!("standard output: {error}"))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) | Self::Failure(message) => f.write_str(message),
            Self::ClosedPipe => f.write_str("standard output is closed"),
            Self::Interrupted(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl From<ddim_nn::Error> for Error {
    fn from(error: ddim_nn::Error) -> Self {
        Self::Failure(error.to_string())
    }
}

/// What to do about an image: every verb that reads them has the flags.
fn with_advice(error: impl Display, [bad_file, transparent]: [bool; 2]) -> Error {
    let advice = match (bad_file, transparent) {
        (true, _) => " (--skip-bad-files leaves such files out)",
        (_, true) => " (--background)",
        _ => "",
    };
    Error::Failure(format!("{error}{advice}"))
}

impl From<ddim_data::Error> for Error {
    fn from(error: ddim_data::Error) -> Self {
        let kinds = [ddim_data::ErrorKind::BadFile, ddim_data::ErrorKind::Transparent].map(|kind| error.kind() == kind);
        with_advice(error, kinds)
    }
}

impl From<ddim_eval::Error> for Error {
    fn from(error: ddim_eval::Error) -> Self {
        let kinds = [ddim_eval::ErrorKind::BadFile, ddim_eval::ErrorKind::Transparent].map(|kind| error.kind() == kind);
        with_advice(error, kinds)
    }
}

impl From<ddim_pictures::Error> for Error {
    fn from(error: ddim_pictures::Error) -> Self {
        let advice = if error.kind() == ddim_pictures::ErrorKind::Channels { " (use --save-npy)" } else { "" };
        Self::Failure(format!("{error}{advice}"))
    }
}

impl From<ddim_train::Error> for Error {
    fn from(error: ddim_train::Error) -> Self {
        let bad = error.kind() == ddim_train::ErrorKind::BadFile;
        with_advice(error, [bad, false])
    }
}

impl From<ddim::Error> for Error {
    fn from(error: ddim::Error) -> Self {
        Self::Failure(error.to_string())
    }
}
