//! What is wrong with a call.

use ddim_engine::ErrorKind;
use serde::Serialize;

/// One line, and the field of the request that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "error")]
    pub(crate) message: String,
    pub(crate) field: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cancelled: bool,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), field: None, cancelled: false }
    }

    /// What is wrong with a field, in the words that the engine has for it.
    pub(crate) fn field(field: &str, message: impl std::fmt::Display) -> Self {
        Self { message: format!("`{field}`: {message}"), field: Some(field.to_owned()), cancelled: false }
    }
}

impl From<ddim_engine::Error> for Problem {
    fn from(error: ddim_engine::Error) -> Self {
        let message = error.to_string();
        let field = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(field, _)| field.to_owned());
        Self { field, cancelled: error.kind() == ErrorKind::Cancelled, message }
    }
}
