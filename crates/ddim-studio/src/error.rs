//! Why a server does not run, and what can be wrong with a request to it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ddim_jobs::ProblemKind;
use serde_json::json;
use std::sync::Arc;

/// Seconds after which whoever was refused for want of room may come again.
const RETRY_AFTER: &str = "1";

/// A `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server does not start or keep running, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An invalid configuration; fields of [`Config`](crate::Config) are in `backticks`.
    #[error("{0}")]
    Config(String),
    /// A device, a number of threads or a model that is not available.
    #[error(transparent)]
    Engine(#[from] ddim_engine::Error),
    /// A path that should be a folder of runs.
    #[error("`runs` {0}: not a folder: expected a run of ddim train, or a folder of them")]
    Runs(String),
    /// A problem with the file in which jobs are kept.
    #[error("{path}: {message}")]
    Store {
        /// Path of the file.
        path: String,
        /// What is wrong with it, and what was expected.
        message: String,
    },
    /// An I/O error with the address, a thread, or the folder for results.
    #[error("{what}: {source}")]
    Io {
        /// The operation that failed.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    pub(crate) fn store(path: &std::path::Path, message: impl std::fmt::Display) -> Self {
        // Libraries may take several lines.
        let message = message.to_string().replace('\n', " ");
        Self::Store { path: path.display().to_string(), message }
    }

    /// What it says, without where the store lies.
    pub(crate) fn without_path(&self) -> String {
        match self {
            Self::Store { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What is wrong with a request: an HTTP status and one line, which is sent as `{"error": …, "field": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The field of the request that it is about.
    pub(crate) field: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None }
    }

    /// What is wrong with a field of the request, in the words that the engine has for it.
    pub(crate) fn field(field: &str, message: impl std::fmt::Display) -> Self {
        let field = field.to_owned();
        Self { status: StatusCode::BAD_REQUEST, message: format!("`{field}`: {message}"), field: Some(field) }
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what}: not found"))
    }
}

impl From<ddim_jobs::Problem> for Problem {
    fn from(problem: ddim_jobs::Problem) -> Self {
        let status = match problem.kind {
            ProblemKind::Request => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: problem.message, field: problem.field }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.message, "field": self.field }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&self.status) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        // For whoever tells it in other words: an API that has another shape for errors.
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
