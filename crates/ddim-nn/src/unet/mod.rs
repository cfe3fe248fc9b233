//! diffusers' `UNet2DModel`. Fields are named as its state dict is, so that checkpoints load without a table of names.

mod blocks;
mod config;
mod embedding;
mod names;
mod native;
mod ops;
mod plan;
mod presets;
mod resnet;
mod trace;

pub(crate) use config::diffusers_version;
pub use config::{SampleSize, UNetConfig};
pub use names::{
    Activation, ClassEmbedType, DownBlockType, MidBlockType, NetworkClass, ResampleType, TimeEmbeddingType, TimeScaleShift, UpBlockType,
};

use crate::error::Result;
use blocks::{DownBlock, MidBlock, UpBlock};
use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use embedding::{ClassEmbedding, TimeProjection, TimestepEmbedding, look_up};
use native::{Draws, Native, is_native};
use ops::{Eager, Ops};
pub(crate) use plan::{Arena, Inputs, Plan};
pub use plan::{Profile, Share};
use resnet::{conv3x3, group_norm};

/// The class condition of a batch.
#[derive(Debug, Clone, Default)]
pub enum Condition {
    /// None: for networks without class embedding.
    #[default]
    None,
    /// One label an image, for a table (`num_class_embeds`) or `class_embed_type: timestep`.
    Labels(Vec<usize>),
    /// One embedding an image, [n, time_embed_dim] flat, for `class_embed_type: identity`.
    Embeddings(Vec<f32>),
}

impl Condition {
    /// Whether images `i` and `j` of `n` have the same condition.
    pub(crate) fn alike(&self, i: usize, j: usize, n: usize) -> bool {
        match self {
            Self::None => true,
            Self::Labels(labels) => labels[i] == labels[j],
            Self::Embeddings(e) => {
                let width = e.len() / n;
                e[i * width..(i + 1) * width] == e[j * width..(j + 1) * width]
            }
        }
    }

    /// The condition of image `i` of `n`.
    pub(crate) fn of(&self, i: usize, n: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Labels(labels) => Self::Labels(vec![labels[i]]),
            Self::Embeddings(e) => Self::Embeddings(e[i * e.len() / n..(i + 1) * e.len() / n].to_vec()),
        }
    }
}

/// The network. See [`UNetConfig`] for what it can be.
#[derive(Module, Debug)]
pub struct UNet {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    center_input_sample: bool,
    /// What it was made of.
    #[module(skip)]
    config: UNetConfig,
}

impl UNet {
    /// A network with burn's default initialisation.
    ///
    /// # Errors
    /// As [`UNetConfig::check`].
    pub fn new(config: &UNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let channels = &config.block_out_channels;
        let blocks = channels.len();
        Ok(Self {
            conv_in: conv3x3(config.in_channels, channels[0], device),
            time_proj: TimeProjection::new(config, device),
            time_embedding: TimestepEmbedding::new(TimeProjection::width(config), config.time_embed_dim(), device),
            class_embedding: ClassEmbedding::new(config, device),
            down_blocks: (0..blocks).map(|i| DownBlock::new(config, i, device)).collect(),
            mid_block: config.mid_block_type.is_some().then(|| MidBlock::new(config, device)),
            up_blocks: (0..blocks).map(|i| UpBlock::new(config, i, device)).collect(),
            conv_norm_out: group_norm(channels[0], config.norm_num_groups, config.norm_eps, device),
            conv_out: conv3x3(channels[0], config.out_channels, device),
            center_input_sample: config.center_input_sample,
            config: config.clone(),
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Images [n, c_in, h, w] -> [n, c_out, h, w], at `timesteps` (code indices 0..T-1) and under `condition`: n of each, one an image,
    /// or one of each for all images.
    ///
    /// # Panics
    /// On shapes, labels or timesteps that the configuration does not allow; [`Network`](crate::Network) checks them first.
    pub fn forward(&self, x: Tensor<4>, timesteps: &[usize], condition: &Condition) -> Tensor<4> {
        self.forward_with(x, timesteps, condition, &[])
    }

    /// [`forward`](Self::forward), with dropout under seeds, one an image, where some are given and the device is the processor (on others
    /// burn decides).
    pub(crate) fn forward_with(&self, x: Tensor<4>, timesteps: &[usize], condition: &Condition, dropout: &[u64]) -> Tensor<4> {
        let device = x.device();
        let embedding = self.embedding(timesteps, condition, &device);
        let levels: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
        let timesteps = Tensor::from_floats(levels.as_slice(), &device);
        let mut eager = Eager { embedding, timesteps };
        if !is_native(&device) {
            return self.images(&mut eager, x);
        }
        let dropout = (!dropout.is_empty()).then(|| Draws { seeds: dropout.to_vec(), layers: 0 });
        self.images(&mut Native { eager, dropout }, x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
    }

    /// Of timesteps and classes, one an image: [n, d].
    pub(crate) fn embedding(&self, timesteps: &[usize], condition: &Condition, device: &Device) -> Tensor<2> {
        let n = timesteps.len();
        let embedding = self.time_embedding.forward(self.time_proj.forward(timesteps, device));
        let Some(class_embedding) = &self.class_embedding else { return embedding };
        embedding
            + match (class_embedding, condition) {
                (ClassEmbedding::Table(table), Condition::Labels(labels)) => look_up(table, labels, device),
                (ClassEmbedding::Timestep(layers), Condition::Labels(labels)) => layers.forward(self.time_proj.forward(labels, device)),
                (ClassEmbedding::Identity(_), Condition::Embeddings(e)) => {
                    Tensor::from_data(TensorData::new(e.clone(), [n, e.len() / n]), device)
                }
                (embedding, condition) => panic!("{embedding} does not take {condition:?}"),
            }
    }

    /// What happens to the images, in any implementation of the operations.
    fn images<O: Ops>(&self, ops: &mut O, x: O::Image) -> O::Image {
        let x = if self.center_input_sample { ops.affine(x, 2.0, -1.0) } else { x };
        let mut x = ops.conv2d(&self.conv_in, x);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(ops, x, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(ops, x);
        }
        for block in &self.up_blocks {
            x = block.forward(ops, x, &mut skips);
        }
        x = ops.norm(&self.conv_norm_out, Some(Activation::Silu), x);
        x = ops.conv2d(&self.conv_out, x);
        if let TimeProjection::Fourier(_) = self.time_proj {
            // diffusers divides by the noise level, which these networks take as their timestep.
            x = ops.divide_by_timestep(x);
        }
        x
    }

    /// The network for images of `size` [h, w], planned for the kernels.
    pub(crate) fn plan(&self, size: [usize; 2]) -> Plan {
        let mut tracer = trace::Tracer::new([size[0], size[1], self.conv_in.weight.dims()[1]]);
        let out = self.images(&mut tracer, trace::INPUT);
        Plan::new(tracer, out)
    }
}
