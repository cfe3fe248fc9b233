//! A model's class names and the number of images that each was trained on, as a file.

use crate::error::{Result, is_there, read_text};
use ddim_weights::from_json;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The classes, a JSON list in the order of their numbers: [`Class`].
pub(crate) const CLASSES: &str = "classes.json";

/// A class in `classes.json`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Class {
    Name(String),
    #[serde(rename_all = "lowercase")]
    Counted {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        images: Option<usize>,
    },
}

/// Names and numbers of images from the text of `classes.json`; either is empty where no class has one.
pub(crate) fn classes_of(text: &str, path: &Path) -> Result<(Vec<String>, Vec<usize>)> {
    let classes: Vec<Class> = from_json(text, path)?;
    let (names, counts): (Vec<Option<String>>, Vec<Option<usize>>) = classes
        .into_iter()
        .map(|class| match class {
            Class::Name(name) => (Some(name), None),
            Class::Counted { name, images } => (name, images),
        })
        .unzip();
    let named = names.iter().any(Option::is_some);
    let names =
        if named { names.into_iter().enumerate().map(|(k, name)| name.unwrap_or_else(|| k.to_string())).collect() } else { Vec::new() };
    let counted = counts.iter().any(Option::is_some);
    Ok((names, if counted { counts.into_iter().map(|count| count.unwrap_or(0)).collect() } else { Vec::new() }))
}

/// Reads a folder's `classes.json` without the weights beside it.
///
/// The names and image counts are those of [`Pipeline::classes`](crate::Pipeline::classes) and
/// [`Pipeline::class_counts`](crate::Pipeline::class_counts). Returns `None` if there is no such file.
///
/// # Errors
/// Returns an error if the file cannot be read, or is not a list of classes.
pub fn classes_in(folder: &Path) -> Result<Option<(Vec<String>, Vec<usize>)>> {
    let path = folder.join(CLASSES);
    if is_there(&path) { classes_of(&read_text(&path)?, &path).map(Some) } else { Ok(None) }
}

/// The value of `classes.json`; none where nothing is known.
pub(crate) fn as_classes(names: &[String], counts: &[usize]) -> Option<serde_json::Result<serde_json::Value>> {
    let class = |k: usize| match (names.get(k).cloned(), counts.get(k)) {
        (Some(name), None) => Class::Name(name),
        (name, images) => Class::Counted { name, images: images.copied() },
    };
    let classes: Vec<Class> = (0..names.len().max(counts.len())).map(class).collect();
    (!classes.is_empty()).then(|| serde_json::to_value(classes))
}
