//! Convolutions as matrix products: the windows of the input, one row per output pixel, times the weights.

use super::sums::{channel_sums, groups, wide};
use burn::tensor::{Tensor, s};
use ddim_kernels::Conv2d;

/// Numbers of windows that lie in memory at once.
const MOST_WINDOWS: usize = 24 << 20;

/// Weights [out, in, k, k], flat, as a matrix [k · k · in, out].
pub(super) fn matrix(conv: &Conv2d, weight: Tensor<1>) -> Tensor<2> {
    let ([outs, ins], [rows, columns]) = (conv.channels, conv.kernel);
    if [rows, columns] == [1, 1] {
        return weight.reshape([outs, ins]).transpose();
    }
    weight.reshape([outs, ins, rows, columns]).permute([2, 3, 1, 0]).reshape([rows * columns * ins, outs])
}

/// [n, h, w, in] -> [n, h', w', out].
pub(super) fn forward(conv: &Conv2d, x: Tensor<4>, matrix: &Tensor<2>, bias: Tensor<1>) -> Tensor<4> {
    let [outs, _] = conv.channels;
    product(conv, x, matrix) + bias.reshape([1, 1, 1, outs])
}

/// The gradients of the input, where it is asked for, of the weights, flat, and of the bias; those two are f32.
pub(super) fn backward(conv: &Conv2d, x: Tensor<4>, weight: Tensor<1>, dy: Tensor<4>, input: bool) -> (Option<Tensor<4>>, [Tensor<1>; 2]) {
    let ([outs, ins], [rows, columns]) = (conv.channels, conv.kernel);
    let dx = input.then(|| input_gradient(conv, x.dims(), weight, dy.clone()));
    let [n, h, w, _] = dy.dims();
    let mut sum: Option<Tensor<3>> = None;
    for range in parts(conv, n, h * w) {
        let of = |images: &Tensor<4>| images.clone().narrow(0, range.start, range.len());
        let groups = groups(range.len());
        let pixels = range.len() * h * w / groups;
        let windows = windows(conv, of(&x)).reshape([groups, pixels, rows * columns * ins]);
        let found = wide(windows.swap_dims(1, 2).matmul(of(&dy).reshape([groups, pixels, outs]))).sum_dim(0);
        sum = Some(match sum {
            None => found,
            Some(sum) => sum + found,
        });
    }
    let weight: Tensor<4> = sum.expect("at least one image").reshape([rows, columns, ins, outs]).permute([3, 2, 0, 1]);
    (dx, [weight.reshape([outs * ins * rows * columns]), channel_sums(dy)])
}

/// Which images' windows lie in memory together.
fn parts(conv: &Conv2d, n: usize, pixels: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let each = pixels * conv.kernel[0] * conv.kernel[1] * conv.channels[1];
    let together = (MOST_WINDOWS / each).clamp(1, n);
    (0..n).step_by(together).map(move |first| first..n.min(first + together))
}

fn product(conv: &Conv2d, x: Tensor<4>, matrix: &Tensor<2>) -> Tensor<4> {
    let [n, h, w, _] = x.dims();
    let [out_h, out_w] = conv.output([h, w]);
    let [_, outs] = matrix.dims();
    let mut found: Vec<Tensor<4>> = parts(conv, n, out_h * out_w)
        .map(|range| {
            let windows = windows(conv, x.clone().narrow(0, range.start, range.len()));
            let [_, _, _, depth] = windows.dims();
            let y = windows.reshape([range.len() * out_h * out_w, depth]).matmul(matrix.clone());
            y.reshape([range.len(), out_h, out_w, outs])
        })
        .collect();
    // Of one it would be a copy.
    if found.len() == 1 { found.remove(0) } else { Tensor::cat(found, 0) }
}

/// What the kernel sees from each pixel of the output: [n, h', w', k · k · in].
fn windows(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let ([rows, columns], stride) = (conv.kernel, conv.stride);
    if [rows, columns] == [1, 1] && stride == 1 && conv.padding == [[0; 2]; 2] {
        return x;
    }
    let [_, h, w, _] = x.dims();
    let [out_h, out_w] = conv.output([h, w]);
    Tensor::cat(shifted([rows, columns], stride, [out_h, out_w], padded(x, conv.padding, 0.0)), 3)
}

/// For each place of a window, what it sees there from each pixel of the output, in rows.
pub(super) fn shifted([rows, columns]: [usize; 2], stride: usize, [out_h, out_w]: [usize; 2], x: Tensor<4>) -> Vec<Tensor<4>> {
    let (last_h, last_w) = (stride * (out_h - 1) + 1, stride * (out_w - 1) + 1);
    let shifted = |i: usize| {
        let (row, column) = ((i / columns) as isize, (i % columns) as isize);
        x.clone().slice(s![.., row..row + last_h as isize;stride as isize, column..column + last_w as isize;stride as isize, ..])
    };
    (0..rows * columns).map(shifted).collect()
}

/// With `value` around.
pub(super) fn padded(x: Tensor<4>, padding: [[usize; 2]; 2], value: f32) -> Tensor<4> {
    padding.into_iter().zip([1, 2]).filter(|(sides, _)| *sides != [0, 0]).fold(x, |x, ([before, after], axis)| {
        let edge = |count: usize| {
            let mut shape = x.dims();
            shape[axis] = count;
            (count > 0).then(|| Tensor::full(shape, value, (&x.device(), x.dtype())))
        };
        let parts: Vec<Tensor<4>> = [edge(before), Some(x.clone()), edge(after)].into_iter().flatten().collect();
        Tensor::cat(parts, axis)
    })
}

/// A convolution of `dy`, its pixels `stride` apart, with the kernel turned around.
fn input_gradient(conv: &Conv2d, [n, h, w, _]: [usize; 4], weight: Tensor<1>, dy: Tensor<4>) -> Tensor<4> {
    let ([outs, ins], [rows, columns], stride) = (conv.channels, conv.kernel, conv.stride);
    let [_, out_h, out_w, _] = dy.dims();
    let turned: Tensor<4> = weight.reshape([outs, ins, rows, columns]).flip([2, 3]).permute([2, 3, 0, 1]);
    let matrix = turned.reshape([rows * columns * outs, ins]);
    let apart = if stride == 1 {
        dy
    } else {
        let between = |dy: Tensor<6>, axis: usize| {
            let mut shape = dy.dims();
            shape[axis] = stride - 1;
            Tensor::cat(vec![dy.clone(), Tensor::zeros(shape, (&dy.device(), dy.dtype()))], axis)
        };
        let dy = between(dy.reshape([n, out_h, 1, out_w, 1, outs]), 2);
        between(dy, 4).reshape([n, stride * out_h, stride * out_w, outs])
    };
    // Zeros behind the last pixel, or what no input reaches.
    let behind = [(h, 0, out_h), (w, 1, out_w)].map(|(size, axis, out)| (size + conv.padding[axis][0]) as isize - (stride * out) as isize);
    let keep = [0, 1].map(|axis| apart.dims()[1 + axis] - behind[axis].min(0).unsigned_abs());
    let apart = apart.narrow(1, 0, keep[0]).narrow(2, 0, keep[1]);
    let before = [rows - 1 - conv.padding[0][0], columns - 1 - conv.padding[1][0]];
    let padding = [0, 1].map(|axis| [before[axis], behind[axis].max(0) as usize]);
    product(&Conv2d { channels: [ins, outs], stride: 1, padding, ..*conv }, apart, &matrix)
}
