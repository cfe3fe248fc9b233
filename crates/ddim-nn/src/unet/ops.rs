//! The operations that carry the network's cost: ours where the tensors are on the processor and no gradient is asked for, else burn's.

use super::config::Activation;
use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear, PaddingConfig2d};
use burn::tensor::activation::{gelu, mish, relu, silu};
use burn::tensor::module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData};
use ddim_kernels as kernels;
use rayon::prelude::*;

/// Whether our kernels take tensors of this device.
fn ours(device: &Device) -> bool {
    !device.is_autodiff() && *device == Device::flex()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("the network is f32")
}

fn weights<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    values(param.val())
}

impl Activation {
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => silu(x),
            Self::Mish => mish(x),
            Self::Gelu => gelu(x),
            Self::Relu => relu(x),
        }
    }
}

/// A convolution: [n, c_in, h, w] -> [n, c_out, h', w'].
pub(crate) fn conv2d(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    if !ours(&device) {
        return conv.forward(x);
    }
    let [n, channels_in, h, w] = x.dims();
    let padding = match conv.padding {
        PaddingConfig2d::Explicit(top, _, bottom, _) => [top, bottom],
        _ => [0, 0],
    };
    let (weight, bias) = (weights(&conv.weight), conv.bias.as_ref().map(weights));
    let plan = kernels::Conv2d {
        weight: &weight,
        bias: bias.as_deref(),
        channels: [conv.weight.dims()[0], channels_in],
        kernel: conv.kernel_size[0],
        stride: conv.stride[0],
        padding,
    };
    let shape = [n, plan.channels[0], plan.output(h), plan.output(w)];
    let x = values(x);
    let mut out = vec![0.0; shape.iter().product()];
    let images = out.par_chunks_exact_mut(shape[1..].iter().product());
    let prepared = kernels::PreparedConv2d::new(plan);
    x.par_chunks_exact(channels_in * h * w).zip(images).for_each(|(x, out)| prepared.run(x, [h, w], out));
    Tensor::from_data(TensorData::new(out, shape), &device)
}

/// A group norm and, where one is given, the activation behind it.
pub(crate) fn norm_activate(norm: &GroupNorm, activation: Option<Activation>, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    if !ours(&device) {
        let x = norm.forward(x);
        return match activation {
            Some(activation) => activation.apply(x),
            None => x,
        };
    }
    let shape = x.dims();
    let affine = |param: &Option<Param<Tensor<1>>>| weights(param.as_ref().expect("our norms are affine"));
    let (weight, bias) = (affine(&norm.gamma), affine(&norm.beta));
    let fused = activation == Some(Activation::Silu);
    let plan = kernels::GroupNorm { weight: &weight, bias: &bias, groups: norm.num_groups, eps: norm.epsilon as f32, silu: fused };
    let mut x = values(x);
    let pixels = shape[2] * shape[3];
    x.par_chunks_exact_mut(shape[1] * pixels).for_each(|x| kernels::group_norm(&plan, x, pixels));
    let x = Tensor::from_data(TensorData::new(x, shape), &device);
    match activation {
        Some(activation) if !fused => activation.apply(x),
        _ => x,
    }
}

/// Self-attention over pixels, projections included: [n, c, h, w] -> [n, c, h, w].
pub(crate) fn attention([to_q, to_k, to_v, to_out]: [&Linear; 4], heads: usize, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    let [n, c, h, w] = x.dims();
    let pixels = h * w;
    if !ours(&device) {
        let x: Tensor<3> = x.reshape([n, c, pixels]).swap_dims(1, 2);
        // [n, pixels, inner] -> [n, heads, pixels, head_dim]
        let project = |linear: &Linear| -> Tensor<4> {
            linear.forward(x.clone()).reshape([n as i64, pixels as i64, heads as i64, -1]).swap_dims(1, 2)
        };
        let (q, k, v) = (project(to_q), project(to_k), project(to_v));
        let attended = module::attention(q, k, v, None, None, AttentionModuleOptions::default());
        let attended: Tensor<3> = attended.swap_dims(1, 2).reshape([n as i64, pixels as i64, -1]);
        return to_out.forward(attended).swap_dims(1, 2).reshape([n, c, h, w]);
    }
    let layers = [to_q, to_k, to_v, to_out].map(|l| (weights(&l.weight), l.bias.as_ref().map(weights), l.weight.dims()));
    let [q, k, v, back] = [0, 1, 2, 3].map(|i| {
        let (weight, bias, [channels_in, channels_out]) = &layers[i];
        kernels::PreparedPointwise::new(weight, bias.as_deref(), [*channels_out, *channels_in])
    });
    let x = values(x);
    let mut out = vec![0.0; x.len()];
    x.par_chunks_exact(c * pixels).zip(out.par_chunks_exact_mut(c * pixels)).for_each(|(x, out)| {
        let attended = kernels::attention(&q.run(x, pixels), &k.run(x, pixels), &v.run(x, pixels), heads, pixels);
        out.copy_from_slice(&back.run(&attended, pixels));
    });
    Tensor::from_data(TensorData::new(out, [n, c, h, w]), &device)
}
