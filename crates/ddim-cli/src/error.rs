//! What the binary says when something is wrong, and the exit code that goes with it.

use ddim_engine::ErrorKind;
use std::fmt::Display;

/// A `Result` of the binary.
pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub(crate) enum Error {
    /// Flags that do not make sense: exit code 2.
    Usage(String),
    /// A setting of training: exit code 1, or 2 where a flag gave it.
    Setting(String),
    /// Anything else: exit code 1.
    Failure(String),
    /// Whoever read our standard output has gone: no message, exit code 0, as `yes | head` does.
    ClosedPipe,
    /// A signal that asked us to stop, after everything was saved and said: the process ends of it.
    Interrupted(i32),
}

impl Error {
    pub(crate) fn failure(message: impl Display) -> Self {
        Self::Failure(message.to_string())
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
            Self::Usage(message) | Self::Setting(message) | Self::Failure(message) => f.write_str(message),
            Self::ClosedPipe => f.write_str("standard output is closed"),
            Self::Interrupted(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl From<ddim_engine::Error> for Error {
    fn from(error: ddim_engine::Error) -> Self {
        // What has a source, and is no matter of the request, is in the words of a library: backticks are its own.
        let own = error.kind() == ErrorKind::Request || std::error::Error::source(&error).is_none();
        let message = if own { in_flags(&error.to_string()) } else { error.to_string() };
        // What to do about an image: every verb that reads them has the flags.
        match error.kind() {
            ErrorKind::Request => Self::Usage(message),
            ErrorKind::Setting => Self::Setting(message),
            ErrorKind::BadFile => Self::Failure(format!("{message} (--skip-bad-files leaves such files out)")),
            ErrorKind::Transparent => Self::Failure(format!("{message} (--background)")),
            _ => Self::Failure(message),
        }
    }
}

/// Fields that are told by their places, and what --help calls them.
const PLACED: [(&str, &str); 3] = [("a", "A"), ("b", "B"), ("destination", "DST")];

/// The engine's words with the fields of requests, which it writes in backticks, as flags.
pub(crate) fn in_flags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split('`').enumerate() {
        let is_field = !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        match (i % 2 == 1, is_field) {
            (true, true) => match PLACED.iter().find(|(field, _)| *field == part) {
                Some((_, name)) => out += name,
                None => out += &format!("--{}", part.replace('_', "-")),
            },
            (true, false) => out += &format!("`{part}`"),
            (false, _) => out += part,
        }
    }
    // A backtick alone is somebody else's.
    if text.matches('`').count() % 2 == 1 { text.to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_flags() {
        assert_eq!(in_flags("`batch_size`: 0 (use `save_npy`)"), "--batch-size: 0 (use --save-npy)");
        assert_eq!(in_flags("what `a` names"), "what A names");
        for text in ["a `b", "a file `A b.png`: bad", "no field"] {
            assert_eq!(in_flags(text), text);
        }
    }
}
