//! Dropout with the same masks as on the processor: they are drawn there, and copied to the device as bits.

use crate::plan::dropout_mask;
use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

/// `x`, or its gradient, times the mask of a layer; itself where no seeds are given.
pub(super) fn drop(x: Tensor<4>, seeds: &[u64], layer: u64, kept: f64) -> Tensor<4> {
    if seeds.is_empty() {
        return x;
    }
    let dims @ [n, h, w, c] = x.dims();
    assert_eq!(n, seeds.len(), "a seed an image");
    let mask = dropout_mask(seeds, layer, kept, h * w * c);
    let words: Vec<i32> = mask.par_chunks(32).map(|bits| bits.iter().rev().fold(0, |word, m| word << 1 | i32::from(*m > 0.0))).collect();
    let count = words.len();
    let words = Tensor::<1, Int>::from_data(TensorData::new(words, [count]), &x.device()).reshape([count, 1]);
    let places = Tensor::<1, Int>::from_data(TensorData::new((0..32).collect::<Vec<i32>>(), [32]), &x.device()).reshape([1, 32]);
    // Numbers of `RUN` are whole words, so that only the last of all may have places to spare.
    let bits = words.expand([count, 32]).bitwise_right_shift(places.expand([count, 32])).bitwise_and_scalar(1);
    let mask: Tensor<1> = bits.reshape([32 * count]).narrow(0, 0, n * h * w * c).float();
    let dtype = x.dtype();
    x * (mask * (1.0 / kept)).reshape(dims).cast(dtype)
}
