//! The down, mid and up blocks.

use super::config::UNetConfig;
use super::names::{ResampleType, TimeScaleShift};
use super::ops::Ops;
use super::resnet::{Attention, Resample, ResnetBlock2D, conv3x3};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::Device;

/// A convolution inside diffusers' `Downsample2D` or `Upsample2D`.
#[derive(Module, Debug)]
pub(crate) struct Resampler {
    conv: Conv2d,
}

/// The last layer of a down block: halves the resolution.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one a block
pub(crate) enum Downsampler {
    Conv(Resampler),
    Resnet(ResnetBlock2D),
}

/// The last layer of an up block: doubles the resolution.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one a block
pub(crate) enum Upsampler {
    Conv(Resampler),
    Resnet(ResnetBlock2D),
}

/// Whether a block resamples with a residual block: those without attention never do.
fn resamples_with_resnet(attends: bool, kind: Option<ResampleType>) -> bool {
    attends && kind == Some(ResampleType::Resnet)
}

/// diffusers' `DownBlock2D` and `AttnDownBlock2D`.
#[derive(Module, Debug)]
pub(crate) struct DownBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Attention>,
    downsamplers: Vec<Downsampler>,
}

impl DownBlock {
    pub(crate) fn new(config: &UNetConfig, index: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (out, attends) = (channels[index], config.down_block_types[index].attends());
        let entry = channels[index.saturating_sub(1)];
        let resnet = |i| ResnetBlock2D::new(config, [if i == 0 { entry } else { out }, out], Resample::Keep, 1.0, device);
        let layers = config.layers_per_block;
        let downsampler = || {
            if resamples_with_resnet(attends, config.downsample_type) {
                return Downsampler::Resnet(ResnetBlock2D::new(config, [out, out], Resample::Down, 1.0, device));
            }
            // Padding 0 means one row and one column of zeros at the end, as in the authors' network.
            let padding =
                if config.downsample_padding == 0 { PaddingConfig2d::Explicit(0, 0, 1, 1) } else { PaddingConfig2d::Explicit(1, 1, 1, 1) };
            let conv = Conv2dConfig::new([out, out], [3, 3]).with_stride([2, 2]).with_padding(padding).init(device);
            Downsampler::Conv(Resampler { conv })
        };
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: attentions(config, attends, layers, out, device),
            downsamplers: (index + 1 < channels.len()).then(downsampler).into_iter().collect(),
        }
    }

    /// Pushes what the up path takes back onto `skips`.
    pub(crate) fn forward<O: Ops>(&self, ops: &mut O, mut x: O::Image, skips: &mut Vec<O::Image>) -> O::Image {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(ops, x);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(ops, x);
            }
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = match downsampler {
                Downsampler::Conv(resampler) => ops.conv2d(&resampler.conv, x),
                Downsampler::Resnet(resnet) => resnet.forward(ops, x),
            };
            skips.push(x.clone());
        }
        x
    }
}

fn attentions(config: &UNetConfig, attend: bool, layers: usize, channels: usize, device: &Device) -> Vec<Attention> {
    let count = if attend { layers } else { 0 };
    (0..count).map(|_| Attention::new(config, channels, Some(config.norm_num_groups), 1.0, device)).collect()
}

/// diffusers' `UNetMidBlock2D`.
#[derive(Module, Debug)]
pub(crate) struct MidBlock {
    attentions: Vec<Attention>,
    resnets: Vec<ResnetBlock2D>,
}

impl MidBlock {
    pub(crate) fn new(config: &UNetConfig, device: &Device) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let scale = config.mid_block_scale_factor;
        // Without a number of its own, the norm is left out where the residual blocks scale and shift.
        let default_groups = (config.resnet_time_scale_shift == TimeScaleShift::Default).then_some(config.norm_num_groups);
        let groups = config.attn_norm_num_groups.or(default_groups);
        let count = usize::from(config.add_attention);
        Self {
            attentions: (0..count).map(|_| Attention::new(config, channels, groups, scale, device)).collect(),
            resnets: (0..2).map(|_| ResnetBlock2D::new(config, [channels, channels], Resample::Keep, scale, device)).collect(),
        }
    }

    pub(crate) fn forward<O: Ops>(&self, ops: &mut O, x: O::Image) -> O::Image {
        let mut x = self.resnets[0].forward(ops, x);
        for attention in &self.attentions {
            x = attention.forward(ops, x);
        }
        self.resnets[1].forward(ops, x)
    }
}

/// diffusers' `UpBlock2D` and `AttnUpBlock2D`.
#[derive(Module, Debug)]
pub(crate) struct UpBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Attention>,
    upsamplers: Vec<Upsampler>,
}

impl UpBlock {
    pub(crate) fn new(config: &UNetConfig, index: usize, device: &Device) -> Self {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (out, attends) = (channels[index], config.up_block_types[index].attends());
        let previous = channels[index.saturating_sub(1)];
        let skip_of_last = channels[(index + 1).min(channels.len() - 1)];
        let layers = config.layers_per_block + 1;
        let resnet = |i| {
            let below = if i == 0 { previous } else { out };
            let skip = if i + 1 == layers { skip_of_last } else { out };
            ResnetBlock2D::new(config, [below + skip, out], Resample::Keep, 1.0, device)
        };
        let upsampler = || {
            if resamples_with_resnet(attends, config.upsample_type) {
                return Upsampler::Resnet(ResnetBlock2D::new(config, [out, out], Resample::Up, 1.0, device));
            }
            Upsampler::Conv(Resampler { conv: conv3x3(out, out, device) })
        };
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: attentions(config, attends, layers, out, device),
            upsamplers: (index + 1 < channels.len()).then(upsampler).into_iter().collect(),
        }
    }

    /// Pops what the down path left on `skips`.
    pub(crate) fn forward<O: Ops>(&self, ops: &mut O, mut x: O::Image, skips: &mut Vec<O::Image>) -> O::Image {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the down path pushed one skip for each of these");
            x = ops.concat(x, skip);
            x = resnet.forward(ops, x);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(ops, x);
            }
        }
        for upsampler in &self.upsamplers {
            x = match upsampler {
                Upsampler::Conv(resampler) => {
                    x = ops.enlarge(x);
                    ops.conv2d(&resampler.conv, x)
                }
                Upsampler::Resnet(resnet) => resnet.forward(ops, x),
            };
        }
        x
    }
}
