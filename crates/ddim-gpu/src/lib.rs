//! diffusers' U-Net on a graphics processor, sampling and training, through [burn](https://burn.dev) and [wgpu](https://wgpu.rs): Vulkan, Metal and
//! DirectX 12.
//!
//! Everything is f32; where `Gpu::with_precision` says so, values and the factors of products are f16. A device gives the same bytes from run to run: no
//! kernel is chosen by the clock, and no sum is in an order of chance. Between devices, and where a batch is another, results agree but for rounding.
//!
//! Without the feature `webgpu` there is nothing here.

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
