//! Pooling over windows of 3×3 pixels.

use super::conv::{padded, shifted};
use super::sums::wide;
use super::weights::tensor;
use burn::tensor::Tensor;
use ddim_kernels::{Pool, Pooling};

/// [n, h, w, c] -> [n, h', w', c], in f32.
pub(super) fn pool(pool: &Pool, x: Tensor<4>) -> Tensor<4> {
    let ([_, h, w, _], device) = (x.dims(), x.device());
    let out = pool.output([h, w]);
    // What pads is neither the largest nor counted.
    let fill = if pool.pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 };
    let windows = shifted([3, 3], pool.stride, out, padded(wide(x), [[pool.padding; 2]; 2], fill)).into_iter();
    match pool.pooling {
        Pooling::Max => windows.reduce(Tensor::max_pair).expect("nine"),
        Pooling::Average => {
            let inside =
                |at: usize, size: usize| (0..3).filter(|i| (pool.padding..size + pool.padding).contains(&(at * pool.stride + i))).count();
            let counts: Vec<f32> = (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (inside(y, h) * inside(x, w)) as f32)).collect();
            windows.reduce(|sum, x| sum + x).expect("nine") / tensor(&counts, [1, out[0], out[1], 1], &device)
        }
    }
}
