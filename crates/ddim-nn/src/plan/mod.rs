//! A network compiled for our kernels: a list of fused steps over a few buffers.
//!
//! A group norm is fused into the convolution that reads it; the time embedding, the residual, its scale and ReLU into the convolution that
//! they follow; an enlargement into the reads of the next convolution; and concatenated values are written side by side from the start. For
//! sampling, buffers are reused; for training every value is kept, and [`Backward`] goes through the steps from last to first.

mod backward;
mod clock;
mod compile;
mod dropout;
mod features;
mod layout;
mod lower;
mod memory;
mod pixels;
mod profile;
mod run;
mod steps;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use backward::Backward;
#[cfg(feature = "tensors")]
pub(crate) use dropout::dropout_mask;
#[cfg(feature = "tensors")]
pub(crate) use features::write_features;
pub(crate) use memory::Arenas;
pub use profile::{Profile, Share};
pub(crate) use run::Inputs;
pub(crate) use steps::{Packed, Plan, Weights};
