//! CIFAR-10, 32×32 in colour: a small diffusion model that is built into `ddim`, as the files of a diffusers pipeline folder.
//!
//! The weights are licensed under MIT or Apache 2.0, as this crate; they were trained on CIFAR-10 (Krizhevsky, 2009), whose author states no licence.
//! Its card, with the recipe and what to expect, is the README.md beside this file.
//!
//! `ddim_nn::EmbeddedPipeline` takes these; on disk they are what diffusers loads.

/// What it is called.
pub const NAME: &str = "cifar10";
/// `unet/config.json`: the network.
pub const CONFIG: &str = include_str!("unet/config.json");
/// `scheduler/scheduler_config.json`: the noise schedule, and what the network predicts.
pub const SCHEDULER: &str = include_str!("scheduler/scheduler_config.json");
/// `unet/diffusion_pytorch_model.safetensors`: the weights, f16.
pub const SAFETENSORS: &[u8] = include_bytes!("unet/diffusion_pytorch_model.safetensors");
/// `classes.json`: what its classes are called, and how many images each was trained on.
pub const CLASSES: &str = include_str!("classes.json");
/// `sampling.json`: how its images look best.
pub const SAMPLING: &str = include_str!("sampling.json");
