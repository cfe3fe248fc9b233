//! Models by name: built in, in folders, or on the hub.

use crate::error::{Error, Result};
#[cfg(not(target_family = "wasm"))]
use crate::hub;
use crate::job::Watch;
use ddim_nn::{Choices, EmbeddedPipeline, Pipeline};
#[cfg(not(target_family = "wasm"))]
use std::ops::ControlFlow;
use std::path::Path;

/// The model that is used when a request names none.
pub const DEFAULT: &str = "emoji";

macro_rules! built_in {
    ($model:ident) => {
        EmbeddedPipeline {
            name: $model::NAME,
            config: $model::CONFIG,
            scheduler: $model::SCHEDULER,
            // In a browser weights are files of their own: `weights_in_memory`.
            safetensors: if ddim_weights::memory::ONLY { &[] } else { $model::SAFETENSORS },
            classes: $model::CLASSES,
            sampling: $model::SAMPLING,
        }
    };
}

/// What `Tune` has found for them, a file each.
const TUNED: [(&str, &str); 2] = [(ddim_model_emoji::NAME, ddim_model_emoji::TUNED), (ddim_model_fashion::NAME, ddim_model_fashion::TUNED)];

static BUILT_IN: [EmbeddedPipeline; 3] = [built_in!(ddim_model_emoji), built_in!(ddim_model_fashion), built_in!(ddim_model_cifar10)];

/// Names of the built-in models.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|model| model.name)
}

/// Whether a model is built in: a folder of the same name is another.
pub(crate) fn is_built_in(model: &Path) -> bool {
    built_in().any(|name| Path::new(name) == model)
}

/// The trajectories that were tuned for a built-in model.
pub(crate) fn built_in_tuned(model: &Path) -> Option<&'static str> {
    TUNED.iter().find(|(name, _)| Path::new(name) == model).map(|(_, text)| *text)
}

/// What is wrong with the choice of weights, of the field that chose.
pub(crate) fn in_field(choices: &Choices) -> impl Fn(ddim_nn::Error) -> Error + Copy + use<> {
    let field = if choices.ema.is_some() { "ema" } else { "raw" };
    move |e| if e.kind() == ddim_nn::ErrorKind::Choice { Error::field(field, &e).because(e) } else { e.into() }
}

/// Loads a model, and tells what was assumed or chosen.
pub(crate) fn load(model: &Path, choices: &Choices, watch: &Watch<'_>) -> Result<Pipeline> {
    let pipeline = read(model, choices, watch)?;
    // Of two models the same may have to be said.
    let of = model.display();
    pipeline.notes.iter().for_each(|note| watch.note(format!("{of}: {note}")));
    Ok(pipeline)
}

/// Reads a built-in model, a folder of diffusers', the last checkpoint of a run, or what the hub has under an id.
#[cfg_attr(target_family = "wasm", expect(unused_variables, reason = "downloads are told of, and there are none"))]
pub(crate) fn read(model: &Path, choices: &Choices, watch: &Watch<'_>) -> Result<Pipeline> {
    if let Some(files) = BUILT_IN.iter().find(|m| Path::new(m.name) == model) {
        if ddim_weights::memory::ONLY {
            let safetensors = &*weights_in_memory(files.name)?;
            return Pipeline::embedded_with(&EmbeddedPipeline { safetensors, ..*files }, choices).map_err(in_field(choices));
        }
        let mut pipeline = Pipeline::embedded_with(files, choices).map_err(in_field(choices))?;
        if is_model(model) {
            pipeline.notes.push(format!("{0}: using the built-in model; for the folder {0} give `model` ./{0}", files.name));
        }
        return Ok(pipeline);
    }
    if !model.exists() {
        #[cfg(not(target_family = "wasm"))]
        if let Some(id) = model.to_str().filter(|text| hub::is_hub_id(text)) {
            return from_hub(id, choices, watch);
        }
        let names = built_in().collect::<Vec<_>>().join(", ");
        let expected = format!("expected {names}, a pipeline folder, a run, or a hub id (org/name)");
        return Err(Error::failure(format!("{}: no such folder or built-in model: {expected}", model.display())));
    }
    let weights = |end: &&str| model.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
    if model.is_file() && ["safetensors", "ckpt", "pt", "pth", "bin"].iter().any(weights) {
        return Err(Error::file(model, "a file: expected a diffusers pipeline folder (ddim convert makes one from a file of weights)"));
    }
    // A run of `ddim train` stands for its last checkpoint.
    match ddim_train::checkpoints(model)?.last() {
        Some((_, checkpoint)) => Pipeline::load_with(checkpoint, choices).map_err(in_field(choices)),
        None if model.join(RUN).is_file() && !is_pipeline(model) => {
            Err(Error::file(model, "a run without a checkpoint: expected one that has reached its first"))
        }
        None => Pipeline::load_with(model, choices).map_err(in_field(choices)),
    }
}

/// The weights of a built-in model, where they are not in the binary: `NAME/unet/diffusion_pytorch_model.safetensors` in memory.
fn weights_in_memory(name: &str) -> Result<std::sync::Arc<[u8]>> {
    let path = Path::new(name).join("unet/diffusion_pytorch_model.safetensors");
    ddim_weights::memory::get(&path).ok_or_else(|| Error::file(&path, "not loaded: expected the weights of the model"))
}

/// A model of the hub, from its cache or downloaded into it.
#[cfg(not(target_family = "wasm"))]
fn from_hub(id: &str, choices: &Choices, watch: &Watch<'_>) -> Result<Pipeline> {
    let mut options = hub::Options::from_env()?;
    (options.raw, options.state) = (choices.raw, choices.ema.is_some());
    let (mut known, mut said) = (None::<(u64, u64)>, String::new());
    let fetched = hub::fetch(&id.parse()?, &options, &mut |progress| {
        match progress {
            hub::Progress::Bytes { come, total: Some(total), .. } => {
                // The total grows as files are found, and falls where a server starts again.
                let before = known.filter(|(before, of)| *of == total && *before <= come).map_or_else(
                    || {
                        watch.begin("downloading the model", "bytes", total as usize);
                        0
                    },
                    |(before, _)| before,
                );
                watch.advance((come - before) as usize);
                known = Some((come, total));
            }
            hub::Progress::Waiting { file } => say_once(watch, &mut said, format!("another process is downloading {file}: waiting for it")),
            hub::Progress::Retrying { file, problem } => say_once(watch, &mut said, format!("{file}: {problem}: retrying")),
            _ => {}
        }
        if watch.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if known.is_some() {
        watch.end();
    }
    let mut pipeline = Pipeline::load_with(&fetched.folder, choices).map_err(in_field(choices))?;
    pipeline.notes.splice(0..0, fetched.notes);
    Ok(pipeline)
}

/// A line that is told again and again.
#[cfg(not(target_family = "wasm"))]
fn say_once(watch: &Watch<'_>, said: &mut String, line: String) {
    if *said != line {
        watch.note(&*line);
        *said = line;
    }
}

/// What makes a folder that of a run.
pub(crate) const RUN: &str = "config.toml";

fn is_pipeline(folder: &Path) -> bool {
    ["model_index.json", "unet", "unet_ema", "config.json"].iter().any(|name| folder.join(name).exists())
}

/// Whether a folder is meant as a model, as far as can be seen from its names: a folder of pictures may have any name.
fn is_model(folder: &Path) -> bool {
    is_pipeline(folder) || folder.join(RUN).is_file()
}
