//! Residual blocks and attention.

use super::config::UNetConfig;
use super::names::{Activation, TimeScaleShift};
use crate::graph::{Conv, Graph, Id, Initial, Norm, Scope};
use ddim_kernels::Conv2d;

/// A 3×3 convolution that keeps the size.
pub(crate) fn conv3x3(channels: [usize; 2]) -> Conv2d {
    Conv2d { channels, kernel: [3, 3], stride: 1, padding: [[1, 1]; 2], enlarge: false }
}

/// What a residual block does to the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resample {
    Keep,
    Up,
    Down,
}

/// diffusers' `ResnetBlock2D`.
#[derive(Debug)]
pub(crate) struct ResnetBlock2D {
    norm1: Norm,
    conv1: Conv,
    time_emb_proj: Conv,
    norm2: Norm,
    conv2: Conv,
    conv_shortcut: Option<Conv>,
    dropout: f64,
    activation: Activation,
    resample: Resample,
    scale_shift: bool,
    output_scale_factor: f64,
}

impl ResnetBlock2D {
    /// Channels are [out, in].
    pub(crate) fn new(
        scope: &mut Scope<'_>,
        config: &UNetConfig,
        channels @ [channels_out, channels_in]: [usize; 2],
        resample: Resample,
        output_scale_factor: f64,
    ) -> Self {
        let scale_shift = config.resnet_time_scale_shift == TimeScaleShift::ScaleShift;
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        let projected = if scale_shift { 2 * channels_out } else { channels_out };
        Self {
            norm1: scope.norm("norm1", channels_in, groups, eps),
            conv1: scope.conv("conv1", conv3x3(channels), Initial::Uniform),
            time_emb_proj: scope.linear("time_emb_proj", [projected, config.time_embed_dim()], Initial::Uniform),
            norm2: scope.norm("norm2", channels_out, groups, eps),
            // What closes a residual branch begins as nothing (DDPM).
            conv2: scope.conv("conv2", conv3x3([channels_out; 2]), Initial::Zeros),
            conv_shortcut: (channels_in != channels_out)
                .then(|| scope.conv("conv_shortcut", Conv2d::pointwise(channels), Initial::Uniform)),
            dropout: config.dropout,
            activation: config.act_fn,
            resample,
            scale_shift,
            output_scale_factor,
        }
    }

    /// c_in channels -> c_out; `embedding` is that of timestep and class behind the activation.
    pub(crate) fn forward(&self, g: &mut Graph, x: Id, embedding: Id) -> Id {
        let mut h = g.norm(&self.norm1, Some(self.activation.kernel()), x);
        let mut x = x;
        match self.resample {
            Resample::Keep => {}
            Resample::Up => (x, h) = (g.enlarge(x), g.enlarge(h)),
            Resample::Down => (x, h) = (g.halve(x), g.halve(h)),
        }
        h = g.conv(&self.conv1, h);
        let rows = g.conv(&self.time_emb_proj, embedding);
        if self.scale_shift {
            h = g.norm(&self.norm2, None, h);
            h = g.scale_shift(h, rows);
            h = g.activate(self.activation.kernel(), h);
        } else {
            h = g.add_rows(h, rows);
            h = g.norm(&self.norm2, Some(self.activation.kernel()), h);
        }
        h = g.dropout(self.dropout, h);
        h = g.conv(&self.conv2, h);
        if let Some(shortcut) = &self.conv_shortcut {
            x = g.conv(shortcut, x);
        }
        h = g.add(x, h);
        rescale(g, h, self.output_scale_factor)
    }
}

/// x / factor, without an operation for the factor 1.
fn rescale(g: &mut Graph, x: Id, factor: f64) -> Id {
    if factor == 1.0 { x } else { g.affine(x, 1.0 / factor, 0.0) }
}

/// diffusers' `Attention` as the U-Net uses it: group norm, self-attention over the pixels, residual.
#[derive(Debug)]
pub(crate) struct Attention {
    group_norm: Option<Norm>,
    to_q: Conv,
    to_k: Conv,
    to_v: Conv,
    to_out: Conv,
    heads: usize,
    output_scale_factor: f64,
}

impl Attention {
    pub(crate) fn new(
        scope: &mut Scope<'_>,
        config: &UNetConfig,
        channels: usize,
        norm_groups: Option<usize>,
        output_scale_factor: f64,
    ) -> Self {
        let head_dim = config.attention_head_dim.unwrap_or(channels);
        let heads = channels / head_dim;
        let inner = heads * head_dim;
        Self {
            group_norm: norm_groups.map(|groups| scope.norm("group_norm", channels, groups, config.norm_eps)),
            to_q: scope.linear("to_q", [inner, channels], Initial::Uniform),
            to_k: scope.linear("to_k", [inner, channels], Initial::Uniform),
            to_v: scope.linear("to_v", [inner, channels], Initial::Uniform),
            // diffusers keeps a dropout of probability 0 behind it, so that the layer is `to_out.0`.
            to_out: scope.under("to_out").linear(0, [channels, inner], Initial::Zeros),
            heads,
            output_scale_factor,
        }
    }

    pub(crate) fn forward(&self, g: &mut Graph, x: Id) -> Id {
        let normed = match &self.group_norm {
            Some(norm) => g.norm(norm, None, x),
            None => x,
        };
        let projected = [&self.to_q, &self.to_k, &self.to_v].map(|layer| g.conv(layer, normed));
        let attended = g.attend(projected, self.heads);
        let out = g.conv(&self.to_out, attended);
        let out = g.add(out, x);
        rescale(g, out, self.output_scale_factor)
    }
}
