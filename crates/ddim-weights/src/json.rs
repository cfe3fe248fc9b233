//! JSON as Python writes it.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::path::Path;

/// Parses JSON as Python reads it, with messages that name the key; `path` is for the messages.
///
/// # Errors
/// Returns an error if the text is not JSON, or not of that type.
///
/// ```
/// use ddim_weights::from_json;
/// use std::collections::BTreeMap;
/// use std::path::Path;
///
/// let found: BTreeMap<String, f64> = from_json(r#"{ "beta_end": 0.02 }"#, Path::new("config.json"))?;
/// assert_eq!(found["beta_end"], 0.02);
/// let error = from_json::<BTreeMap<String, f64>>(r#"{ "beta_end": "much" }"#, Path::new("config.json")).unwrap_err();
/// assert!(error.to_string().starts_with("config.json: beta_end: invalid type"), "{error}");
/// assert!(std::error::Error::source(&error).is_some());
/// # Ok::<(), ddim_weights::Error>(())
/// ```
pub fn from_json<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    let text = with_quoted_constants(text);
    let mut json = serde_json::Deserializer::from_str(&text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| unread(e, path))?;
    json.end().map_err(|e| Error::config(path, format!("not JSON: {e}")).because(e))?;
    Ok(value)
}

/// Converts JSON that is already parsed to a type; messages name the key.
///
/// # Errors
/// Returns an error if the value is not of that type.
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value, path: &Path) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|e| unread(e, path))
}

fn unread(error: serde_path_to_error::Error<serde_json::Error>, path: &Path) -> Error {
    let key = error.path().to_string();
    let at = if key == "." || key == "?" { String::new() } else { format!("{key}: ") };
    let error = error.into_inner();
    let message = match error.classify() {
        serde_json::error::Category::Data => format!("{at}{error}"),
        _ => format!("not JSON: {error}"),
    };
    Error::config(path, message).because(error)
}

/// Python writes numbers that JSON has no word for as `NaN`, `Infinity` and `-Infinity`. As strings they pass where a key is not read, and
/// are named where a number is expected.
fn with_quoted_constants(text: &str) -> Cow<'_, str> {
    const CONSTANTS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !CONSTANTS[1..].iter().any(|constant| text.contains(constant)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut rest, mut in_string) = (text, false);
    while let Some(first) = rest.chars().next() {
        let constant = CONSTANTS.iter().find(|constant| !in_string && rest.starts_with(**constant));
        let length = match (constant, first) {
            (Some(constant), _) => {
                quoted.extend(["\"", constant, "\""]);
                rest = &rest[constant.len()..];
                continue;
            }
            // What is escaped ends no string.
            (None, '\\') if in_string => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, _) => first.len_utf8(),
        };
        in_string ^= first == '"';
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_constants() {
        for (text, expected) in [
            (r#"{"a": -Infinity, "b": [NaN,Infinity]}"#, r#"{"a": "-Infinity", "b": ["NaN","Infinity"]}"#),
            (r#"{"NaN": "Infinity \" NaN", "\\": NaN}"#, r#"{"NaN": "Infinity \" NaN", "\\": "NaN"}"#),
            ("NaN", r#""NaN""#),
            ("\"NaN \\", "\"NaN \\"),
            ("{\"ä\\é\": NaN}", "{\"ä\\é\": \"NaN\"}"),
        ] {
            assert_eq!(with_quoted_constants(text), expected);
        }
        let read = from_json::<Vec<f64>>("[1, NaN]", Path::new("x.json")).unwrap_err().to_string();
        assert!(read.contains("x.json: [1]: ") && read.contains("\"NaN\""), "{read}");
    }
}
