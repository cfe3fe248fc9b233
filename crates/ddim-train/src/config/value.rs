//! Values as they are written: paths, labels, nothing, and the configurations of diffusers.

use ddim_data::Labels;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What stands for a setting that is left out, because TOML has no null.
pub(super) const NONE: &str = "none";

/// Of `data.labels`: the data's own.
pub(super) const LABELS_OF_DATA: &str = "data";

/// Settings that are paths.
pub(super) const PATHS: [&str; 3] = ["data.path", "data.labels", "model"];

/// A path as a setting: text where it is Unicode, else its units (bytes, or 16 bits on Windows).
pub(crate) fn path_value(path: &Path) -> Value {
    if let Some(text) = path.to_str() {
        return text.into();
    }
    #[cfg(unix)]
    let units: Vec<Value> = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).iter().map(|b| i64::from(*b).into()).collect();
    #[cfg(windows)]
    let units: Vec<Value> = std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).map(|u| i64::from(u).into()).collect();
    #[cfg(not(any(unix, windows)))]
    let units = path.to_string_lossy().into_owned();
    units.into()
}

/// What [`path_value`] writes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a path, as text or as a list of its bytes")]
pub(super) enum Written {
    Text(String),
    Units(Vec<u16>),
}

impl Written {
    pub(super) fn path(self) -> std::result::Result<PathBuf, String> {
        match self {
            Self::Text(text) => Ok(text.into()),
            #[cfg(unix)]
            Self::Units(units) => {
                let bytes: std::result::Result<Vec<u8>, _> = units.into_iter().map(u8::try_from).collect();
                let bytes = bytes.map_err(|_| "a number above 255: expected the bytes of a path".to_owned())?;
                Ok(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
            }
            #[cfg(windows)]
            Self::Units(units) => Ok(<std::ffi::OsString as std::os::windows::ffi::OsStringExt>::from_wide(&units).into()),
            #[cfg(not(any(unix, windows)))]
            Self::Units(_) => Err("a list of numbers: expected a path as text".to_owned()),
        }
    }
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Option<PathBuf>, D::Error> {
    let written = Option::<Written>::deserialize(input)?;
    written.map(Written::path).transpose().map_err(serde::de::Error::custom)
}

pub(super) fn optional_path_value<S: Serializer>(path: &Option<PathBuf>, output: S) -> std::result::Result<S::Ok, S::Error> {
    path.as_deref().map(path_value).serialize(output)
}

pub(super) fn optional_labels<'de, D: Deserializer<'de>>(input: D) -> std::result::Result<Option<Labels>, D::Error> {
    match Option::<Written>::deserialize(input)? {
        None => Ok(None),
        Some(Written::Text(text)) if text == LABELS_OF_DATA => Ok(Some(Labels::Data)),
        Some(file) => file.path().map(|path| Some(Labels::File(path))).map_err(serde::de::Error::custom),
    }
}

pub(super) fn optional_labels_value<S: Serializer>(labels: &Option<Labels>, output: S) -> std::result::Result<S::Ok, S::Error> {
    let value = labels.as_ref().map(|labels| match labels {
        Labels::Data => LABELS_OF_DATA.into(),
        Labels::File(path) => path_value(path),
    });
    value.serialize(output)
}

/// The same setting, however it is written: 1 and 1.0, a size and a square of it.
pub(super) fn alike(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|n| n as f64));
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Array(sides), one) | (one, Value::Array(sides)) => sides.len() == 2 && sides.iter().all(|side| alike(side, one)),
        _ => a == b || number(a).is_some_and(|a| Some(a) == number(b)),
    }
}

/// A value for messages.
pub(super) fn shown(key: &str, value: Option<&Value>) -> String {
    let path = value.filter(|value| value.is_array() && PATHS.contains(&key));
    let path = path.and_then(|value| value.clone().try_into::<Written>().ok()).and_then(|written| written.path().ok());
    match (path, value) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(value)) => value.to_string(),
        (None, None) => NONE.to_owned(),
    }
}

/// The fields of a configuration of diffusers; those that it takes for itself left out.
pub(super) fn from_json<T: Serialize>(config: &T) -> Table {
    let json = serde_json::to_value(config).expect("plain values");
    let fields = json.as_object().expect("a struct").iter().filter(|(key, _)| !key.starts_with('_'));
    fields.map(|(key, value)| (key.clone(), toml_value(value))).collect()
}

fn toml_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => NONE.into(),
        other => Value::try_from(other).expect("plain values"),
    }
}

/// A table of the configuration as diffusers' JSON, "none" as null.
pub(super) fn to_json(table: &Table, class: &str) -> String {
    let entry = |(key, value): (&String, &Value)| {
        let value = if value.as_str() == Some(NONE) { serde_json::Value::Null } else { serde_json::to_value(value).expect("plain values") };
        (key.clone(), value)
    };
    let mut fields: serde_json::Map<String, serde_json::Value> = table.iter().map(entry).collect();
    fields.insert("_class_name".into(), class.into());
    serde_json::Value::Object(fields).to_string()
}

/// What the TOML reader says, with the key of a value that is none, which it takes for one that is missing, and without a table that the message begins with.
pub(super) fn in_words(message: &str) -> String {
    // In lines: the key, then its table.
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let key = message.strip_prefix("missing field `").and_then(|rest| match rest.split_once('`')? {
        (name, "") => Some(name.to_owned()),
        (name, table) => Some(format!("{}.{name}", table.strip_prefix(" in `")?.strip_suffix('`')?)),
    });
    if let Some(key) = key {
        return format!("{key} is none: expected a value");
    }
    let named = message.split_once('.').and_then(|(table, _)| message.strip_suffix(&format!(" in `{table}`")));
    named.unwrap_or(&message).to_owned()
}
