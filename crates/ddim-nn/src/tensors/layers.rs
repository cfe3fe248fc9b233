//! Group norm, activations and attention, with their gradients.

use super::sums::{channel_sums, wide};
use crate::graph::{Attend, Norm};
use burn::tensor::activation::{gelu, mish, relu, sigmoid, silu, softmax};
use burn::tensor::{DType, Tensor};
use ddim_kernels::Activation;

/// A group norm's input without its weight and bias: mean 0 and variance 1 over each group, and what it was divided by. All of it is f32, whatever the
/// input is: squares of f16 overflow above 256.
pub(super) struct Normal {
    /// [n, h · w, groups, channels of a group].
    x: Tensor<4>,
    /// [n, 1, groups, 1].
    deviation: Tensor<4>,
    dims: [usize; 4],
}

impl Normal {
    pub(super) fn of(norm: &Norm, x: Tensor<4>) -> Self {
        let dims @ [n, h, w, c] = x.dims();
        let x: Tensor<4> = wide(x).reshape([n, h * w, norm.groups, c / norm.groups]);
        let centered = x.clone() - group_means(x);
        let deviation = (group_means(centered.clone().square()) + f64::from(norm.eps)).sqrt();
        Self { x: centered / deviation.clone(), deviation, dims }
    }

    fn scaled(&self, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        let [_, _, groups, each] = self.x.dims();
        let [weight, bias] = [weight, bias].map(|row| row.reshape([1, 1, groups, each]));
        self.x.clone() * weight + bias
    }

    pub(super) fn affine(&self, weight: Tensor<1>, bias: Tensor<1>, with_silu: bool) -> Tensor<4> {
        let y = self.scaled(weight, bias).reshape(self.dims);
        if with_silu { silu(y) } else { y }
    }

    /// The gradients of the norm's input, its weight and its bias, in f32.
    pub(super) fn backward(&self, weight: Tensor<1>, bias: Tensor<1>, with_silu: bool, dy: Tensor<4>) -> (Tensor<4>, [Tensor<1>; 2]) {
        let split @ [_, _, groups, each] = self.x.dims();
        let mut dy: Tensor<4> = wide(dy).reshape(split);
        if with_silu {
            dy = slope(Activation::Silu, self.scaled(weight.clone(), bias)) * dy;
        }
        let found = [dy.clone() * self.x.clone(), dy.clone()].map(|of: Tensor<4>| channel_sums(of.reshape(self.dims)));
        let dx = dy * weight.reshape([1, 1, groups, each]);
        let along = self.x.clone() * group_means(dx.clone() * self.x.clone());
        let dx = (dx.clone() - group_means(dx) - along) / self.deviation.clone();
        (dx.reshape(self.dims), found)
    }
}

/// [n, pixels, groups, channels] -> [n, 1, groups, 1].
fn group_means(x: Tensor<4>) -> Tensor<4> {
    x.mean_dim(3).mean_dim(1)
}

/// In f32.
pub(super) fn activate(activation: Activation, x: Tensor<4>) -> Tensor<4> {
    let x = wide(x);
    match activation {
        Activation::Silu => silu(x),
        Activation::Mish => mish(x),
        Activation::Gelu => gelu(x),
        Activation::Relu => relu(x),
    }
}

/// The derivative, in f32.
pub(super) fn slope(activation: Activation, x: Tensor<4>) -> Tensor<4> {
    let x = wide(x);
    match activation {
        Activation::Silu => {
            let share = sigmoid(x.clone());
            share.clone() * ((1.0 - share) * x + 1.0)
        }
        Activation::Mish => {
            // x tanh(ln(1 + e^x)), whose inner function has the sigmoid for its slope.
            let inner = burn::tensor::activation::softplus(x.clone(), 1.0).tanh();
            inner.clone() + x.clone() * (1.0 - inner.square()) * sigmoid(x)
        }
        Activation::Gelu => {
            let below = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
            let density = (x.clone().square() * -0.5).exp() * (2.0 * std::f64::consts::PI).sqrt().recip();
            below + x * density
        }
        Activation::Relu => x.greater_elem(0.0).float(),
    }
}

/// [n, h, w, c] -> [n, heads, pixels, channels of a head].
fn heads(attend: &Attend, x: Tensor<4>) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w, attend.heads, c / attend.heads]).swap_dims(1, 2)
}

fn joined(x: Tensor<4>, dims: [usize; 4]) -> Tensor<4> {
    x.swap_dims(1, 2).reshape(dims)
}

/// In f32.
fn shares(attend: &Attend, q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
    let (k, scale) = (k.swap_dims(2, 3), f64::from(attend.scale));
    let scores = match q.dtype() {
        DType::F32 => q.matmul(k) * scale,
        // Before the product, which would overflow.
        _ => wide((q * scale).matmul(k)),
    };
    softmax(scores, 3)
}

/// softmax(scale · q kᵀ) v.
pub(super) fn attend(attend: &Attend, of: [Tensor<4>; 3]) -> Tensor<4> {
    let dims = of[2].dims();
    let [q, k, v] = of.map(|x| heads(attend, x));
    let shares = shares(attend, q, k).cast(v.dtype());
    joined(shares.matmul(v), dims)
}

/// The gradients of queries, keys and values. The shares are computed again: they are more numbers than anything else in the network.
pub(super) fn attend_backward(attend: &Attend, of: [Tensor<4>; 3], dy: Tensor<4>) -> [Tensor<4>; 3] {
    let (dims, dtype) = (dy.dims(), dy.dtype());
    let [q, k, v] = of;
    let [q, k, v, dy] = [q, k, v, dy].map(|x| heads(attend, x));
    let shares = shares(attend, q.clone(), k.clone());
    let dv = shares.clone().cast(dtype).swap_dims(2, 3).matmul(dy.clone());
    let dshares = wide(dy.matmul(v.swap_dims(2, 3)));
    let along = (dshares.clone() * shares.clone()).sum_dim(3);
    let dscores = (shares * (dshares - along) * f64::from(attend.scale)).cast(dtype);
    let dq = dscores.clone().matmul(k);
    let dk = dscores.swap_dims(2, 3).matmul(q);
    [dq, dk, dv].map(|d| joined(d, dims))
}

/// Of each two by two pixels, in f32.
pub(super) fn sum_of_four(x: Tensor<4>) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    let y: Tensor<6> = wide(x).reshape([n, h / 2, 2, w / 2, 2, c]).sum_dim(2).sum_dim(4);
    y.reshape([n, h / 2, w / 2, c])
}

/// The first and the second half of the channels.
pub(super) fn halves(x: Tensor<4>) -> [Tensor<4>; 2] {
    let half = x.dims()[3] / 2;
    [0, half].map(|first| x.clone().narrow(3, first, half))
}
