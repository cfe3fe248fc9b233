//! The U-Net of diffusers' `UNet2DModel` in [burn](https://burn.dev), diffusers' pipeline folders, and a [`ddim::Denoiser`] over them.
//!
//! ```no_run
//! use ddim_nn::{Network, Pipeline, cpu};
//!
//! let pipeline = Pipeline::load("ddpm-cifar10-32".as_ref(), &cpu())?;
//! let trajectory = pipeline.scheduler.trajectory(50)?;
//! let sampler = ddim::Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &ddim::Sigma::Eta(0.0))?;
//! let network = Network::new(pipeline, &cpu())?;
//! let [c, h, w] = network.shape();
//! let mut x = vec![0f32; 16 * c * h * w];
//! ddim::noise::fill_batch(&mut x, c * h * w, 0, 0, ddim::noise::LATENT);
//! ddim::sample(&sampler, &network, &mut x, 0, 0, |_| {})?;
//! # Ok::<(), ddim_nn::Error>(())
//! ```

mod authors;
#[cfg(test)]
#[path = "../../ddim-weights/src/damage.rs"]
mod damage;
mod error;
#[cfg(test)]
mod hostile;
mod inception;
mod network;
mod pipeline;
mod scheduler;
mod training;
mod unet;
mod weights;

pub use burn::tensor::Device;
pub use ddim_kernels::vectors;
pub use error::{Error, ErrorKind, Result};
pub use inception::Inception;
pub use network::Network;
pub use pipeline::{Choices, EmbeddedPipeline, Pipeline, cpu};
pub use scheduler::{LearnedVariance, SchedulerClass, SchedulerConfig, TimestepSpacing};
pub use training::{Adam, Ema, Examples, Gradients, parameters, squared_error, training_cpu, with_parameters};
pub use unet::{
    Activation, ClassEmbedType, Condition, DownBlockType, MidBlockType, NetworkClass, Profile, ResampleType, SampleSize, Share,
    TimeEmbeddingType, TimeScaleShift, UNet, UNetConfig, UpBlockType,
};
pub use weights::checksum;
