//! The U-Net of diffusers' `UNet2DModel` as a graph of operations over our kernels, diffusers' pipeline folders, and a [`ddim::Denoiser`] over them.
//!
//! ```no_run
//! use ddim_nn::{Network, Pipeline};
//!
//! let pipeline = Pipeline::load("ddpm-cifar10-32".as_ref())?;
//! let trajectory = pipeline.scheduler.trajectory(50)?;
//! let sampler = ddim::Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &ddim::Sigma::Eta(0.0))?;
//! let network = Network::new(pipeline)?;
//! let batch = ddim::noise::Batch { seed: 0, first: 0 };
//! let x = ddim::Sampling::new(&sampler, &network, batch.latents(ddim::Denoiser::dim(&network), 16), batch)?.finish()?;
//! assert_eq!(x.len(), 16 * network.shape().iter().product::<usize>());
//! # Ok::<(), ddim_nn::Error>(())
//! ```
//!
//! Without a file system, as on wasm, [`Pipeline::embedded`] takes files that are in memory.

mod authors;
#[cfg(feature = "burn")]
mod burn_executor;
mod classes;
mod condition;
#[cfg(test)]
#[path = "../../ddim-weights/src/damage.rs"]
mod damage;
mod defaults;
mod device;
mod error;
mod executor;
mod folder;
mod graph;
mod guidance;
#[cfg(test)]
mod hostile;
mod inception;
mod network;
mod pipeline;
mod plan;
mod precision;
mod scheduler;
#[cfg(feature = "tensors")]
mod tensors;
mod training;
mod unet;
mod weights;

#[cfg(feature = "burn")]
pub use burn_executor::BurnNetwork;
pub use classes::classes_in;
pub use condition::Condition;
pub use ddim_kernels::{check_vectors, vectors};
pub use defaults::SamplingDefaults;
pub use device::{Device, Learner};
pub use error::{Error, ErrorKind, Result};
pub use executor::{Executor, GraphModule};
pub use guidance::{Guidance, Guided};
pub use inception::Inception;
pub use network::Network;
pub use pipeline::{Choices, EmbeddedPipeline, Pipeline};
pub use plan::{Profile, Share};
pub use precision::Precision;
pub use scheduler::{LearnedVariance, SchedulerClass, SchedulerConfig, TimestepSpacing};
#[cfg(feature = "tensors")]
pub use tensors::{Faults, TensorDevice, TensorNetwork};
pub use training::{Adam, Ema, Examples, TrainingPlan, clipping};
pub use unet::{
    Activation, ClassEmbedType, DownBlockType, MidBlockType, NetworkClass, ResampleType, SampleSize, TimeEmbeddingType, TimeScaleShift,
    UNet, UNetConfig, UpBlockType,
};
pub use weights::{checksum, from_training_state};
