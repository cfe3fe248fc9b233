//! The graph on [burn](https://burn.dev)'s tensors, forward and backward: what runs on graphics processors.
//!
//! Images are [n, h, w, c], rows of the timestep and class [n, 1, 1, c]. A convolution is one matrix product over the windows of its input,
//! because every device is good at products. The backward pass is implemented here, so that it keeps only the values of the graph.

mod backward;
mod conv;
mod device;
mod dropout;
mod forward;
mod layers;
mod network;
mod pool;
mod sums;
mod weights;

pub use device::{Faults, TensorDevice};
pub use network::TensorNetwork;
