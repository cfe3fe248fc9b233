//! Residual blocks and attention.

use super::config::UNetConfig;
use super::names::{Activation, TimeScaleShift};
use super::ops::Ops;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;

/// A 3×3 convolution that keeps the size.
pub(crate) fn conv3x3(channels_in: usize, channels_out: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([channels_in, channels_out], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
}

pub(crate) fn group_norm(channels: usize, groups: usize, eps: f64, device: &Device) -> GroupNorm {
    GroupNormConfig::new(groups, channels).with_epsilon(eps).init(device)
}

/// What a residual block does to the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resample {
    Keep,
    Up,
    Down,
}

/// diffusers' `ResnetBlock2D`.
#[derive(Module, Debug)]
pub(crate) struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    dropout: Dropout,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    resample: Resample,
    scale_shift: bool,
    output_scale_factor: f64,
}

impl ResnetBlock2D {
    pub(crate) fn new(
        config: &UNetConfig,
        [channels_in, channels_out]: [usize; 2],
        resample: Resample,
        output_scale_factor: f64,
        device: &Device,
    ) -> Self {
        let scale_shift = config.resnet_time_scale_shift == TimeScaleShift::ScaleShift;
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        let projected = if scale_shift { 2 * channels_out } else { channels_out };
        Self {
            norm1: group_norm(channels_in, groups, eps, device),
            conv1: conv3x3(channels_in, channels_out, device),
            time_emb_proj: LinearConfig::new(config.time_embed_dim(), projected).init(device),
            norm2: group_norm(channels_out, groups, eps, device),
            dropout: DropoutConfig::new(config.dropout).init(),
            conv2: conv3x3(channels_out, channels_out, device),
            conv_shortcut: (channels_in != channels_out).then(|| Conv2dConfig::new([channels_in, channels_out], [1, 1]).init(device)),
            activation: config.act_fn,
            resample,
            scale_shift,
            output_scale_factor,
        }
    }

    /// c_in channels -> c_out.
    pub(crate) fn forward<O: Ops>(&self, ops: &mut O, x: O::Image) -> O::Image {
        let mut h = ops.norm(&self.norm1, Some(self.activation), x.clone());
        let mut x = x;
        match self.resample {
            Resample::Keep => {}
            Resample::Up => (x, h) = (ops.enlarge(x), ops.enlarge(h)),
            Resample::Down => (x, h) = (ops.halve(x), ops.halve(h)),
        }
        h = ops.conv2d(&self.conv1, h);
        let embedding = ops.project_embedding(&self.time_emb_proj, self.activation);
        if self.scale_shift {
            h = ops.norm(&self.norm2, None, h);
            h = ops.scale_shift(h, embedding);
            h = ops.activate(self.activation, h);
        } else {
            h = ops.add_rows(h, embedding);
            h = ops.norm(&self.norm2, Some(self.activation), h);
        }
        h = ops.dropout(&self.dropout, h);
        h = ops.conv2d(&self.conv2, h);
        if let Some(shortcut) = &self.conv_shortcut {
            x = ops.conv2d(shortcut, x);
        }
        h = ops.add(x, h);
        rescale(ops, h, self.output_scale_factor)
    }
}

/// x / factor, without an operation for the factor 1.
fn rescale<O: Ops>(ops: &mut O, x: O::Image, factor: f64) -> O::Image {
    if factor == 1.0 { x } else { ops.affine(x, 1.0 / factor, 0.0) }
}

/// diffusers' `Attention` as the U-Net uses it: group norm, self-attention over the pixels, residual.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    /// diffusers keeps a dropout of probability 0 behind it, so that the layer is `to_out.0`.
    to_out: Vec<Linear>,
    heads: usize,
    output_scale_factor: f64,
}

impl Attention {
    pub(crate) fn new(config: &UNetConfig, channels: usize, norm_groups: Option<usize>, output_scale_factor: f64, device: &Device) -> Self {
        let head_dim = config.attention_head_dim.unwrap_or(channels);
        let heads = channels / head_dim;
        let inner = heads * head_dim;
        let linear = |a, b| LinearConfig::new(a, b).init(device);
        Self {
            group_norm: norm_groups.map(|g| group_norm(channels, g, config.norm_eps, device)),
            to_q: linear(channels, inner),
            to_k: linear(channels, inner),
            to_v: linear(channels, inner),
            to_out: vec![linear(inner, channels)],
            heads,
            output_scale_factor,
        }
    }

    pub(crate) fn forward<O: Ops>(&self, ops: &mut O, x: O::Image) -> O::Image {
        let normed = match &self.group_norm {
            Some(norm) => ops.norm(norm, None, x.clone()),
            None => x.clone(),
        };
        let out = ops.attention([&self.to_q, &self.to_k, &self.to_v, &self.to_out[0]], self.heads, normed);
        let out = ops.add(out, x);
        rescale(ops, out, self.output_scale_factor)
    }
}
