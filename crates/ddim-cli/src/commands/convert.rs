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

/// Rewrite a model as a diffusers pipeline folder with safetensors weights.
///
/// Reads what --model reads (also .bin pickles and the attention names of old versions) and writes what Python diffusers loads today. A file
/// of weights alone (safetensors or PyTorch's, whatever is wrapped around its state dict) is a checkpoint of the DDIM authors' code or of
/// their network, or diffusers' with its config.json; of averaged weights and those themselves the average is taken. Nothing in it is
/// executed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim convert ./old-pipeline ./new-pipeline
  ddim convert fashion ./fashion-f16 --dtype f16
  ddim convert model-790000.ckpt ./ddpm-cifar10       the authors' checkpoint, its averaged weights
  ddim convert unet.bin ./whole --config unet/config.json --scheduler scheduler_config.json")]
pub(crate) struct Flags {
    /// A built-in model, a folder or a model of the hub that --model takes, or a file of weights.
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// The folder to make.
    #[arg(value_name = "DST")]
    pub(crate) destination: PathBuf,
    /// Number format of the weights.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// The config.json of the network, for a file of diffusers' weights that has none beside it.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Option<PathBuf>,
    /// The size of the images, N or HxW, where an authors' checkpoint does not tell or a model's own is another.
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
