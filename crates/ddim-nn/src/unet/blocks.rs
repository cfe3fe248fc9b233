//! The down, mid and up blocks.

use super::config::UNetConfig;
use super::names::{ResampleType, TimeScaleShift};
use super::resnet::{Attention, Resample, ResnetBlock2D, conv3x3};
use crate::graph::{Conv, Graph, Id, Initial, Scope};
use ddim_kernels::Conv2d;

/// The last layer of a down or an up block: halves or doubles the resolution.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one a block
enum Resampler {
    /// A convolution inside diffusers' `Downsample2D` or `Upsample2D`.
    Conv(Conv),
    Resnet(ResnetBlock2D),
}

/// Whether a block resamples with a residual block: those without attention never do.
fn resamples_with_resnet(attends: bool, kind: Option<ResampleType>) -> bool {
    attends && kind == Some(ResampleType::Resnet)
}

/// diffusers' `DownBlock2D` and `AttnDownBlock2D`.
#[derive(Debug)]
pub(crate) struct DownBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Attention>,
    downsampler: Option<Resampler>,
}

impl DownBlock {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &UNetConfig, index: usize) -> Self {
        let channels = &config.block_out_channels;
        let (out, attends) = (channels[index], config.down_block_types[index].attends());
        let entry = channels[index.saturating_sub(1)];
        let layers = config.layers_per_block;
        let resnets = (0..layers)
            .map(|i| {
                let channels = [out, if i == 0 { entry } else { out }];
                ResnetBlock2D::new(&mut scope.under("resnets").under(i), config, channels, Resample::Keep, 1.0)
            })
            .collect();
        let attentions = attentions(scope, config, attends, layers, out);
        let downsampler = (index + 1 < channels.len()).then(|| {
            let scope = &mut scope.under("downsamplers.0");
            if resamples_with_resnet(attends, config.downsample_type) {
                return Resampler::Resnet(ResnetBlock2D::new(scope, config, [out; 2], Resample::Down, 1.0));
            }
            // Padding 0 means one row and one column of zeros at the end, as in the authors' network.
            let padding = if config.downsample_padding == 0 { [0, 1] } else { [1, 1] };
            let conv = Conv2d { stride: 2, padding: [padding; 2], ..conv3x3([out; 2]) };
            Resampler::Conv(scope.conv("conv", conv, Initial::Uniform))
        });
        Self { resnets, attentions, downsampler }
    }

    /// Pushes what the up path takes back onto `skips`.
    pub(crate) fn forward(&self, g: &mut Graph, mut x: Id, embedding: Id, skips: &mut Vec<Id>) -> Id {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(g, x, embedding);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(g, x);
            }
            skips.push(x);
        }
        if let Some(downsampler) = &self.downsampler {
            x = match downsampler {
                Resampler::Conv(conv) => g.conv(conv, x),
                Resampler::Resnet(resnet) => resnet.forward(g, x, embedding),
            };
            skips.push(x);
        }
        x
    }
}

fn attentions(scope: &mut Scope<'_>, config: &UNetConfig, attend: bool, layers: usize, channels: usize) -> Vec<Attention> {
    let count = if attend { layers } else { 0 };
    let groups = Some(config.norm_num_groups);
    (0..count).map(|i| Attention::new(&mut scope.under("attentions").under(i), config, channels, groups, 1.0)).collect()
}

/// diffusers' `UNetMidBlock2D`.
#[derive(Debug)]
pub(crate) struct MidBlock {
    attention: Option<Attention>,
    resnets: [ResnetBlock2D; 2],
}

impl MidBlock {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &UNetConfig) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let scale = config.mid_block_scale_factor;
        // Without a number of its own, the norm is left out where the residual blocks scale and shift.
        let default_groups = (config.resnet_time_scale_shift == TimeScaleShift::Default).then_some(config.norm_num_groups);
        let groups = config.attn_norm_num_groups.or(default_groups);
        let attention = config.add_attention.then(|| Attention::new(&mut scope.under("attentions.0"), config, channels, groups, scale));
        let resnets =
            [0, 1].map(|i| ResnetBlock2D::new(&mut scope.under("resnets").under(i), config, [channels; 2], Resample::Keep, scale));
        Self { attention, resnets }
    }

    pub(crate) fn forward(&self, g: &mut Graph, x: Id, embedding: Id) -> Id {
        let mut x = self.resnets[0].forward(g, x, embedding);
        if let Some(attention) = &self.attention {
            x = attention.forward(g, x);
        }
        self.resnets[1].forward(g, x, embedding)
    }
}

/// diffusers' `UpBlock2D` and `AttnUpBlock2D`.
#[derive(Debug)]
pub(crate) struct UpBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Attention>,
    upsampler: Option<Resampler>,
}

impl UpBlock {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &UNetConfig, index: usize) -> Self {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (out, attends) = (channels[index], config.up_block_types[index].attends());
        let previous = channels[index.saturating_sub(1)];
        let skip_of_last = channels[(index + 1).min(channels.len() - 1)];
        let layers = config.layers_per_block + 1;
        let resnets = (0..layers)
            .map(|i| {
                let below = if i == 0 { previous } else { out };
                let skip = if i + 1 == layers { skip_of_last } else { out };
                ResnetBlock2D::new(&mut scope.under("resnets").under(i), config, [out, below + skip], Resample::Keep, 1.0)
            })
            .collect();
        let attentions = attentions(scope, config, attends, layers, out);
        let upsampler = (index + 1 < channels.len()).then(|| {
            let scope = &mut scope.under("upsamplers.0");
            if resamples_with_resnet(attends, config.upsample_type) {
                return Resampler::Resnet(ResnetBlock2D::new(scope, config, [out; 2], Resample::Up, 1.0));
            }
            Resampler::Conv(scope.conv("conv", conv3x3([out; 2]), Initial::Uniform))
        });
        Self { resnets, attentions, upsampler }
    }

    /// Pops what the down path left on `skips`.
    pub(crate) fn forward(&self, g: &mut Graph, mut x: Id, embedding: Id, skips: &mut Vec<Id>) -> Id {
        for (i, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the down path pushed one skip for each of these");
            x = g.concat(vec![x, skip]);
            x = resnet.forward(g, x, embedding);
            if let Some(attention) = self.attentions.get(i) {
                x = attention.forward(g, x);
            }
        }
        match &self.upsampler {
            Some(Resampler::Conv(conv)) => {
                x = g.enlarge(x);
                g.conv(conv, x)
            }
            Some(Resampler::Resnet(resnet)) => resnet.forward(g, x, embedding),
            None => x,
        }
    }
}
