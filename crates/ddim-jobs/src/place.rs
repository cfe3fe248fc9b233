//! Where the files of a job are kept while it runs, and what they are called in its output.

use crate::problem::Problem;
use ddim_engine::memory;
use serde_json::Value;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

/// A folder for the files of one job, initially empty; where there is no file system, a prefix of names in [`memory`].
///
/// Its location is not revealed: a job's output contains only the names of its files, so that it is the same wherever they were.
#[derive(Debug, Clone)]
pub struct Place {
    folder: PathBuf,
    /// What lies where, and what it is called instead.
    names: Vec<(String, String)>,
}

impl Place {
    /// Uses a folder, which must exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let names = vec![(format!("{}{MAIN_SEPARATOR}", folder.display()), String::new())];
        Self { folder, names }
    }

    /// Calls something that is kept elsewhere, at `path`, by `name` in the job's output.
    #[must_use]
    pub fn calling(mut self, path: &Path, name: &str) -> Self {
        self.names.push((path.display().to_string(), name.to_owned()));
        self
    }

    pub(crate) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &Path, bytes: &[u8]) -> Result<(), Problem> {
        if memory::ONLY {
            memory::put(self.at(name), bytes);
            return Ok(());
        }
        Ok(std::fs::write(self.at(name), bytes)?)
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Result<Vec<u8>, Problem> {
        let name = name.as_ref();
        self.read_if_there(name)?.ok_or_else(|| Problem::from(std::io::Error::other(format!("{}: was not written", name.display()))))
    }

    pub(crate) fn read_if_there(&self, name: impl AsRef<Path>) -> Result<Option<Vec<u8>>, Problem> {
        let path = self.at(name);
        if memory::ONLY {
            return Ok(memory::get(&path).map(|bytes| bytes.to_vec()));
        }
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A text without the folder.
    pub(crate) fn named_files(&self, text: &str) -> String {
        let (folder, nothing) = &self.names[0];
        text.replace(folder, nothing)
    }

    /// A text with names instead of places.
    pub(crate) fn named(&self, text: &str) -> String {
        self.names[1..].iter().fold(self.named_files(text), |text, (path, name)| replaced(&text, path, name))
    }

    /// The same of all texts of a value.
    pub(crate) fn named_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.named(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.named_json(item)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, self.named_json(value))).collect(),
            other => other,
        }
    }
}

/// A text with a name where a path stands as a word: `.` is a path as well.
fn replaced(text: &str, path: &str, name: &str) -> String {
    if path.is_empty() {
        return text.to_owned();
    }
    let is_part = |c: char| c.is_alphanumeric() || "._-+/\\".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(path) {
        let (before, after) = (&rest[..at], &rest[at + path.len()..]);
        let begins = !before.chars().next_back().or(out.chars().next_back()).is_some_and(is_part);
        // What lies in a folder follows it.
        let ends = after.starts_with(MAIN_SEPARATOR) || !after.chars().next().is_some_and(is_part);
        out += before;
        out += if begins && ends { name } else { path };
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stand_for_places() {
        let place = Place::new("/tmp/x").calling("/home/me/run".as_ref(), "run");
        let said = place.named_json(json!({ "inputs": ["/tmp/x/input.png[0]"], "model": "/home/me/run", "n": 3 }));
        assert_eq!(said, json!({ "inputs": ["input.png[0]"], "model": "run", "n": 3 }));
        let here = Place::new("/tmp/x").calling(".".as_ref(), "run");
        assert_eq!(
            here.named("--model . --trajectory power:1.5 ./unet/a.json: bad."),
            "--model run --trajectory power:1.5 run/unet/a.json: bad."
        );
        assert_eq!(place.named("/home/me/run2 /home/me/run: x /home/me/run/unet"), "/home/me/run2 run: x run/unet");
        assert_eq!(place.named_files("--model /home/me/run --input /tmp/x/input.png"), "--model /home/me/run --input input.png");
    }
}
