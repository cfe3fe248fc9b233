//! CPU kernels of a diffusion U-Net on plain `f32` slices in NCHW order: convolution, group norm, attention. Forward only.
//!
//! One product serves them all (gemm.rs): an output tile in registers, rows of the second operand read at any offset, so that a
//! convolution is a product over shifted rows of its padded input and nothing is unrolled in memory. Written once over [`pulp`]'s SIMD
//! types; the widest of AVX-512, AVX2+FMA, NEON and scalar code that the processor has is chosen at run time;
//! the environment variable `DDIM_SIMD` forces `scalar` or `avx2`.
//!
//! Every output element is one sum in a fixed order: results have the same bits for any thread count and any batch.

mod attention;
mod conv;
mod gemm;
mod norm;
mod scratch;
mod simd;

pub use attention::attention;
pub use conv::{Conv2d, PreparedConv2d, PreparedPointwise};
pub use norm::{GroupNorm, group_norm};
