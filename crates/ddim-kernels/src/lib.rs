//! CPU kernels of a diffusion U-Net, and of the Inception network that evaluates it, on plain `f32` slices: convolution, linear layer, group norm, attention,
//! pooling.
//!
//! Images are [n, h, w, c] in memory ([`Images`]): a vector register holds channels, every pixel is contiguous, and an odd width or height costs nothing. One
//! register tile (gemm.rs) computes all products; a convolution is 36 of them over transformed tiles (winograd/) or one over shifted pixels (direct.rs). A
//! group norm before a convolution is applied as the convolution reads its input ([`Normal`]); operations after it, as it writes its output ([`Finish`]).
//!
//! The kernels are written once over [`pulp`]'s SIMD types. The widest of AVX-512, AVX2+FMA, NEON and scalar code that the processor supports is chosen at run
//! time; the environment variable `DDIM_SIMD` forces `scalar` or `avx2`. On wasm32, simd128 is used if the target feature is enabled.
//!
//! Every output element is one sum in a fixed order: results have the same bits for any number of threads and any batch.

mod activation;
mod adam;
mod attention;
mod conv;
mod conv_gradient;
mod direct;
mod gemm;
mod geometry;
mod images;
mod norm;
mod order;
mod pool;
mod scratch;
mod simd;
mod transpose;
mod winograd;
mod winograd_line;

pub use activation::Activation;
pub use adam::{Adam, approach, sum_of_squares};
pub use attention::Attention;
pub use conv::PackedConv2d;
pub use conv_gradient::sum_of_pixels;
pub use geometry::Conv2d;
pub use images::{Finish, Images, Normal, normalised};
pub use norm::GroupNorm;
pub use pool::{Pool, Pooling, mean_of_pixels};
pub use simd::{check_vectors, vectors};
