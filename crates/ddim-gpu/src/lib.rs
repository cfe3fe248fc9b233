//! diffusers' U-Net on a graphics processor, sampling and training, through [burn](https://burn.dev) and [wgpu](https://wgpu.rs): Vulkan, Metal and
//! DirectX 12.
//!
//! ```no_run
//! let gpu = ddim_gpu::Gpu::open("gpu")?;
//! let network = gpu.network(ddim_nn::Pipeline::load("ddpm-cifar10-32".as_ref())?)?;
//! // A `ddim::Denoiser` as any other.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything is f32, or where [`Gpu::with_precision`] says so values and the factors of products are f16. A device gives the same bytes from run to run: no kernel is chosen by the clock, and no sum is in an order of chance. Between
//! devices, and where a batch is another, results agree but for rounding.

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
