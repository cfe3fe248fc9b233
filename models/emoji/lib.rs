//! The files of the model `emoji`, which is built into `ddim`: a pipeline folder of diffusers' as bytes. README.md is its card: data, licence, recipe.

/// What it is called.
pub const NAME: &str = "emoji";
/// `unet/config.json`.
pub const CONFIG: &str = include_str!("unet/config.json");
/// `scheduler/scheduler_config.json`.
pub const SCHEDULER: &str = include_str!("scheduler/scheduler_config.json");
/// `unet/diffusion_pytorch_model.safetensors`, f16.
pub const SAFETENSORS: &[u8] = include_bytes!("unet/diffusion_pytorch_model.safetensors");
