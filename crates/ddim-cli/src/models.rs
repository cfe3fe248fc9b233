//! The models that are built in.

use crate::error::{Error, Result};
use ddim_nn::{Device, EmbeddedPipeline, Pipeline, cpu};
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

/// Loads a built-in model or a pipeline folder, to sample from.
pub(crate) fn load(model: &str) -> Result<Pipeline> {
    load_on(model, &cpu())
}

/// Loads the weights themselves, not their average, of a run or of a checkpoint of one.
pub(crate) fn load_raw(model: &str) -> Result<Pipeline> {
    let folder = Path::new(model);
    if !folder.is_dir() {
        return Err(Error::failure(format!(
            "--raw: {model} is no folder: expected a run, which has the weights themselves and their average"
        )));
    }
    Ok(ddim_train::raw_pipeline(folder, &cpu())?)
}

/// Loads a built-in model, a pipeline folder, or the last checkpoint of a run.
pub(crate) fn load_on(model: &str, device: &Device) -> Result<Pipeline> {
    if let Some(files) = BUILT_IN.iter().find(|m| m.name == model) {
        return Ok(Pipeline::embedded(files, device)?);
    }
    let folder = Path::new(model);
    if !folder.exists() {
        let names: Vec<_> = BUILT_IN.iter().map(|m| m.name).collect();
        return Err(Error::failure(format!(
            "{model}: no such folder, nor a built-in model: expected {}, a pipeline folder or a run",
            names.join(", ")
        )));
    }
    // A run of `ddim train` stands for its last checkpoint.
    match ddim_train::checkpoints(folder)?.last() {
        Some((_, checkpoint)) => Ok(Pipeline::load(checkpoint, device)?),
        None => Ok(Pipeline::load(folder, device)?),
    }
}
