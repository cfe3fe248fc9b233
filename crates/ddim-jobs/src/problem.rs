//! What can be wrong with a job.

use ddim_engine::ErrorKind;
use serde::Deserialize;

/// What a [`Problem`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The request: a different one may work.
    Request,
    /// The job was cancelled.
    Cancelled,
    /// Anything else: files, devices, memory.
    Other,
}

/// A problem in one line, and the field of the request that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What the problem is about.
    pub kind: ProblemKind,
    /// The problem in one line, with field names in backticks.
    pub message: String,
    /// The field, such as `steps` or `model.guidance.scale`.
    pub field: Option<String>,
}

impl Problem {
    /// A problem with a request as a whole.
    pub fn request(message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Request, message: message.into(), field: None }
    }

    /// A problem with a field of a request, by the engine's name for the field.
    pub fn field(field: &str, message: impl std::fmt::Display) -> Self {
        Self { field: Some(field.to_owned()), ..Self::request(format!("`{field}`: {message}")) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<ddim_engine::Error> for Problem {
    fn from(error: ddim_engine::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Request => ProblemKind::Request,
            ErrorKind::Cancelled => ProblemKind::Cancelled,
            _ => ProblemKind::Other,
        };
        let message = error.to_string();
        Self { kind, field: named(&message).map(str::to_owned), message }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self { kind: ProblemKind::Other, message: format!("the job's files: {error}"), field: None }
    }
}

/// The field that a message of the engine begins with, in backticks.
fn named(message: &str) -> Option<&str> {
    message.strip_prefix('`')?.split_once('`').map(|(field, _)| field)
}

/// Deserializes JSON into a type; the error names the field that does not fit.
///
/// # Errors
/// [`ProblemKind::Request`].
pub fn parsed<'de, T: Deserialize<'de>>(from: impl serde::Deserializer<'de, Error = serde_json::Error>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let path = path.strip_prefix("request.").unwrap_or(&path);
        // A path of "." is the whole; where it is the text that is no JSON, the position is in the message.
        if ["", ".", "request"].contains(&path) { Problem::request(error.inner().to_string()) } else { Problem::field(path, error.inner()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_in_backticks() {
        assert_eq!(named("`steps`: 0: expected 1 to 1000"), Some("steps"));
        assert_eq!(named("`size` is missing: x"), Some("size"));
        assert_eq!(named("stopped"), None);
        assert_eq!(named("`open"), None);
    }
}
