//! `ddim convert`

use crate::error::Result;
use crate::flags::{ModelArgs, Output, parse_size};
use crate::front::{lines, report, work_on};
use clap::{Args, ValueEnum};
use ddim_engine as engine;
use std::path::PathBuf;

/// Number formats of weights.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
}

/// Convert a model to a diffusers pipeline folder with safetensors weights.
///
/// Reads anything that --model takes, including .bin pickles and the attention names of old diffusers versions, and writes what Python
/// diffusers loads today.
///
/// SRC may also be a file of weights (safetensors or PyTorch, whatever is wrapped around the state dict): a checkpoint of the DDIM authors'
/// code or of their network, or diffusers weights with their config.json. If it has both averaged (EMA) and raw weights, the averaged ones
/// are used unless --raw is given. Nothing in the file is executed.
///
/// A model's tuned timesteps (tuned.json) are copied, unless --dtype changes its weights or --scheduler its schedule.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim convert ./old-pipeline ./new-pipeline
  ddim convert fashion ./fashion-f16 --dtype f16
  ddim convert model-790000.ckpt ./ddpm-cifar10  the authors' checkpoint, averaged weights
  ddim convert unet.bin ./whole --config unet/config.json --scheduler scheduler_config.json")]
pub(crate) struct Flags {
    /// Model to convert: anything that --model takes (a built-in name, a folder, a model on the Hub), or a file of weights.
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// Folder to create.
    #[arg(value_name = "DST")]
    pub(crate) destination: PathBuf,
    /// Number format of the weights.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// The network's config.json, for a file of diffusers weights without one next to it.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Option<PathBuf>,
    /// Image size (N or HxW), to replace the model's own or if an authors' checkpoint does not determine it.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size)]
    pub(crate) size: Option<[usize; 2]>,
    #[command(flatten)]
    pub(crate) output: Output,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let (dtype, name) = match flags.dtype {
        Dtype::F32 => (engine::Dtype::F32, "f32"),
        Dtype::F16 => (engine::Dtype::F16, "f16"),
        Dtype::Bf16 => (engine::Dtype::Bf16, "bf16"),
    };
    let request = engine::Convert {
        model: engine::Model { size: flags.size, ..flags.choices.model(&flags.source) },
        destination: flags.destination.clone(),
        dtype,
        config: flags.config.clone(),
    };
    let written = work_on(&engine::Engine::default(), &request, &flags.output)?;
    report(&flags.output, &written, &format!("{} parameters as {name}\n{}", written.parameters, lines(&written.files)))
}
