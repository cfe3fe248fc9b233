//! The models that a server was started with.

use crate::config::ServedModel;
use crate::error::{Problem, Result};
use ddim_engine::{Control, Engine, Info, InfoReport, Model, built_in};
use ddim_jobs::model_json;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A model, and what it is.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: String,
    /// As the engine finds it.
    pub(crate) path: PathBuf,
    pub(crate) info: InfoReport,
    /// What the command line calls it on any machine: a built-in model, or an id of the hub. None of a folder.
    source: Option<String>,
}

/// Reads what the models are.
///
/// # Errors
/// A model that the engine cannot read.
pub(crate) fn read(models: &[ServedModel], engine: &Engine) -> Result<Vec<Served>> {
    let one = |ServedModel { name, model }: &ServedModel| {
        let request = Info { model: Model { model: model.clone(), ..Model::default() } };
        let info = engine.run(&request, &Control::default(), &mut |_| {})?;
        let named = model.to_str().filter(|text| built_in().any(|name| name == *text) || !model.exists());
        Ok(Served { name: name.clone(), path: model.clone(), info, source: named.map(str::to_owned) })
    };
    models.iter().map(one).collect()
}

/// The model that a request names, or the first of all, which is then written into the request.
///
/// # Errors
/// A model that the server was not started with.
pub(crate) fn named<'a>(request: &mut Value, models: &'a [Served]) -> std::result::Result<&'a Served, Problem> {
    if let Some(name) = request.get("model").and_then(|model| model.get("model")) {
        return of_name("model", name, models);
    }
    let first = &models[0];
    // What is no object is complained of when it is read.
    if let Some(fields) = request.as_object_mut() {
        let model = fields.entry("model").or_insert_with(|| json!({}));
        model.as_object_mut().map(|model| model.insert("model".to_owned(), json!(first.name)));
    }
    Ok(first)
}

/// The model of a name.
///
/// # Errors
/// As of [`named`].
pub(crate) fn of_name<'a>(field: &str, name: &Value, models: &'a [Served]) -> std::result::Result<&'a Served, Problem> {
    models.iter().find(|model| *name == *model.name).ok_or_else(|| {
        let names: Vec<&str> = models.iter().map(|model| &*model.name).collect();
        Problem::field(field, format!("{name}: expected {}", names.join(", ")))
    })
}

impl Served {
    /// What it is, without where it lies.
    pub(crate) fn to_json(&self) -> Value {
        let mut info = model_json(&self.info, self.source.as_deref());
        info["model"] = json!(self.name);
        info
    }

    /// Refuses what the engine would take for a file: all but `each`, `random`, `none` of a model that has it, and numbers and names of classes, in mixtures or not.
    pub(crate) fn check_classes(&self, field: &str, text: &str) -> std::result::Result<(), Problem> {
        let names = &self.info.class_names;
        let known = |item: &str| {
            let number = item.parse::<usize>().is_ok_and(|n| self.info.classes.is_none_or(|count| n < count));
            let none = item == "none" && self.info.null_class.is_some();
            number || none || names.iter().any(|name| name == item)
        };
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // "0.3*cat": a share before a class.
        let share = |part: &str| part.split_once('*').is_some_and(|(share, class)| plain(share.trim()) && known(class.trim()));
        let item = |item: &str| known(item) || item.split('+').map(str::trim).all(|part| known(part) || share(part));
        let fits = ["each", "random"].contains(&text) || names.iter().any(|name| name == text) || text.split(',').map(str::trim).all(item);
        // What the engine does not understand it would open: a file that is called as a class.
        if fits && !Path::new(text).is_file() {
            return Ok(());
        }
        Err(Problem::field(field, format!("{text:?}: expected each, random, or classes of the model {}", self.name)))
    }
}
