//! Long sums, computed in parts and in f32.

use burn::tensor::{FloatDType, Tensor};

/// Parts that are summed by themselves, so that a long sum keeps its digits and has work for many at once.
const PARTS: usize = 16;

/// As sums are, and what could overflow or lose its digits.
pub(super) fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::F32)
}

/// Over images and pixels, in f32.
pub(super) fn channel_sums(dy: Tensor<4>) -> Tensor<1> {
    let [n, h, w, c] = dy.dims();
    let groups = groups(n);
    let sums: Tensor<3> = wide(dy).reshape([groups * h, n / groups * w, c]).sum_dim(1);
    sums.sum_dim(0).reshape([c])
}

/// Over the pixels of each image, in f32: [n, 1, 1, c].
pub(super) fn pixel_sums(dy: Tensor<4>) -> Tensor<4> {
    wide(dy).sum_dim(2).sum_dim(1)
}

/// How many parts the sum over `n` images has.
pub(super) fn groups(n: usize) -> usize {
    (1..=PARTS).rev().find(|groups| n.is_multiple_of(*groups)).unwrap_or(1)
}
