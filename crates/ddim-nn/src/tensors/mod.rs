//! The graph over [burn](https://burn.dev)'s tensors, forward and back: what runs on graphics processors.
//!
//! Images are [n, h, w, c], rows of the timestep and class [n, 1, 1, c]. A convolution is one matrix product over the windows of its input, because
//! products are what every device does well; the way back is written here, so that what it keeps is the values of the graph and nothing else.

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
