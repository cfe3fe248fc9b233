//! The models that are built in.

use crate::error::{Error, Result};
use ddim_nn::{Choices, EmbeddedPipeline, Pipeline};
use std::io::Write;
use std::path::Path;

/// What `--model` is when it is not given.
pub(crate) const DEFAULT: &str = "emoji";

macro_rules! built_in {
    ($name:literal) => {
        EmbeddedPipeline {
            name: $name,
            config: include_str!(concat!("../../../models/", $name, "/unet/config.json")),
            scheduler: include_str!(concat!("../../../models/", $name, "/scheduler/scheduler_config.json")),
            safetensors: include_bytes!(concat!("../../../models/", $name, "/unet/diffusion_pytorch_model.safetensors")),
        }
    };
}

const BUILT_IN: [EmbeddedPipeline; 2] = [built_in!("emoji"), built_in!("fashion")];

/// Loads a model to sample from, and says on standard error what was assumed or chosen.
pub(crate) fn load(model: &Path, choices: &Choices) -> Result<Pipeline> {
    let pipeline = read(model, choices)?;
    say(&pipeline);
    Ok(pipeline)
}

/// Says what was assumed or chosen, a line each.
pub(crate) fn say(pipeline: &Pipeline) {
    for note in &pipeline.notes {
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
}

/// Reads a built-in model, a folder of diffusers', or the last checkpoint of a run.
pub(crate) fn read(model: &Path, choices: &Choices) -> Result<Pipeline> {
    if let Some(files) = BUILT_IN.iter().find(|m| Path::new(m.name) == model) {
        let mut pipeline = Pipeline::embedded_with(files, choices)?;
        if is_model(model) {
            pipeline.notes.push(format!("{0}: the model that is built in; the folder {0} is --model ./{0}", files.name));
        }
        return Ok(pipeline);
    }
    if !model.exists() {
        let names: Vec<_> = BUILT_IN.iter().map(|m| m.name).collect();
        return Err(Error::failure(format!(
            "{}: no such folder, nor a built-in model: expected {}, a pipeline folder or a run",
            model.display(),
            names.join(", ")
        )));
    }
    let weights = |end: &&str| model.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
    if model.is_file() && ["safetensors", "ckpt", "pt", "pth", "bin"].iter().any(weights) {
        return Err(Error::file(model, "a file: expected a diffusers pipeline folder, which ddim convert makes of a file of weights"));
    }
    // A run of `ddim train` stands for its last checkpoint.
    match ddim_train::checkpoints(model)?.last() {
        Some((_, checkpoint)) => Ok(Pipeline::load_with(checkpoint, choices)?),
        None if model.join(RUN).is_file() && !is_pipeline(model) => {
            Err(Error::file(model, "a run without a checkpoint yet: expected one that has reached its first"))
        }
        None => Ok(Pipeline::load_with(model, choices)?),
    }
}

/// What makes a folder that of a run.
const RUN: &str = "config.toml";

fn is_pipeline(folder: &Path) -> bool {
    ["model_index.json", "unet", "unet_ema", "config.json"].iter().any(|name| folder.join(name).exists())
}

/// Whether a folder is meant as a model, as far as can be seen from its names: a folder of pictures may have any name.
fn is_model(folder: &Path) -> bool {
    is_pipeline(folder) || folder.join(RUN).is_file()
}
