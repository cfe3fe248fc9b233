//! diffusers' U-Net on GPUs, for sampling and training, through [burn](https://burn.dev) and [wgpu](https://wgpu.rs): Vulkan, Metal and DirectX 12.
//!
//! Everything is computed in f32; with `Gpu::with_precision`, values and the factors of products may be f16. A device gives the same bytes on every run: no
//! kernel is chosen by timing, and no sum is taken in a random order. Between devices, and between different batches, results agree up to rounding.
//!
//! Without the feature `webgpu`, this crate is empty.

#![cfg(feature = "webgpu")]

mod devices;
mod error;
mod executor;
mod scale;
mod training;

pub use burn::tensor::wgpu::wgpu;
pub use devices::{Described, Gpu, Kind, devices};
pub use error::{Error, Result};
pub use training::Training;
