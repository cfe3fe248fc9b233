//! diffusers' `UNet2DModel`. Modules are named as in its state dict, so checkpoints load without a table of names.

mod blocks;
mod config;
mod embedding;
mod names;
mod presets;
mod resnet;

pub(crate) use config::diffusers_version;
pub use config::{SampleSize, UNetConfig};
pub use names::{
    Activation, ClassEmbedType, DownBlockType, MidBlockType, NetworkClass, ResampleType, TimeEmbeddingType, TimeScaleShift, UpBlockType,
};

use crate::error::{Error, Result};
use crate::executor::GraphModule;
use crate::graph::{Conv, Graph, Initial, Norm, Parameters, Scope};
use blocks::{DownBlock, MidBlock, UpBlock};
use embedding::Embedding;
use resnet::conv3x3;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The network: its definition and its weights. See [`UNetConfig`] for the networks it covers.
///
/// ```
/// use ddim_nn::{UNet, UNetConfig};
///
/// let unet = UNet::initialised(&UNetConfig::preset("tiny").unwrap(), 7)?;
/// let (name, shape, range) = unet.parameters().find(|(name, ..)| *name == "conv_in.weight").unwrap();
/// assert_eq!((name, shape), ("conv_in.weight", &[32, 3, 3, 3][..])); // PyTorch's [out, in, k, k]
/// assert_eq!(unet.values()[range].len(), 32 * 3 * 3 * 3);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Clone)]
pub struct UNet {
    config: UNetConfig,
    modules: Arc<Modules>,
    parameters: Arc<Parameters>,
    /// Of all parameters, in the order of their declaration.
    values: Vec<f32>,
}

impl std::fmt::Debug for UNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UNet").field("config", &self.config).field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// The modules, in the order in which they declare their parameters.
#[derive(Debug)]
struct Modules {
    conv_in: Conv,
    embedding: Embedding,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: Norm,
    conv_out: Conv,
}

impl Modules {
    fn new(scope: &mut Scope<'_>, config: &UNetConfig) -> Self {
        let channels = &config.block_out_channels;
        let blocks = 0..channels.len();
        Self {
            conv_in: scope.conv("conv_in", conv3x3([channels[0], config.in_channels]), Initial::Uniform),
            embedding: Embedding::new(scope, config),
            down_blocks: blocks.clone().map(|i| DownBlock::new(&mut scope.under("down_blocks").under(i), config, i)).collect(),
            mid_block: config.mid_block_type.is_some().then(|| MidBlock::new(&mut scope.under("mid_block"), config)),
            up_blocks: blocks.map(|i| UpBlock::new(&mut scope.under("up_blocks").under(i), config, i)).collect(),
            conv_norm_out: scope.norm("conv_norm_out", channels[0], config.norm_num_groups, config.norm_eps),
            conv_out: scope.conv("conv_out", conv3x3([config.out_channels, channels[0]]), Initial::Zeros),
        }
    }
}

impl UNet {
    /// Creates a network with DDPM's initialisation, which is a function of the seed. Weights are uniform with variance 2/(fan in + fan
    /// out) and biases 0; the last layer of each residual branch (its second convolution, an attention's output) and of the network itself
    /// is also 0.
    ///
    /// # Errors
    /// As [`UNetConfig::check`].
    pub fn initialised(config: &UNetConfig, seed: u64) -> Result<Self> {
        let unet = Self::without_values(config)?;
        Ok(Self { values: unet.parameters.initial(seed), ..unet })
    }

    /// The definition alone: whoever asks fills in the values.
    pub(crate) fn without_values(config: &UNetConfig) -> Result<Self> {
        config.check()?;
        let mut parameters = Parameters::default();
        let modules = Arc::new(Modules::new(&mut Scope::new(&mut parameters), config));
        Ok(Self { config: config.clone(), modules, parameters: Arc::new(parameters), values: Vec::new() })
    }

    /// Returns the configuration that it was made from.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Returns the values of all parameters, one after the other; [`parameters`](Self::parameters) gives their places.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns each parameter's name in PyTorch's state dict, its shape, and the range of its values in [`values`](Self::values).
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&str, &[usize], Range<usize>)> {
        self.parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.range.clone()))
    }

    /// Returns the same network with other weights.
    ///
    /// # Errors
    /// Returns an error if their number differs.
    pub fn with_values(&self, values: Vec<f32>) -> Result<Self> {
        let expected = self.parameters.len();
        if values.len() != expected {
            return Err(Error::input(format!("{} weights: expected {expected}, as the network has", values.len())));
        }
        let Self { config, modules, parameters, .. } = self;
        Ok(Self { config: config.clone(), modules: modules.clone(), parameters: parameters.clone(), values })
    }

    /// Returns the same network with another table of classes.
    ///
    /// Embedding i of the table, of 4 times the first channel count, is this network's embedding of class `from[i]`, or zeros for a class
    /// that it has yet to learn. For a network without classes all are zeros, and its output is unchanged to the bit, whatever the label.
    ///
    /// ```
    /// use ddim_nn::{UNet, UNetConfig};
    ///
    /// let unet = UNet::initialised(&UNetConfig::preset("tiny").unwrap(), 0)?;
    /// let with_classes = unet.with_classes(&[None; 10])?;
    /// let (_, shape, range) = with_classes.parameters().find(|(name, ..)| *name == "class_embedding.weight").unwrap();
    /// assert_eq!(shape, [10, 128]);
    /// assert!(with_classes.values()[range].iter().all(|x| *x == 0.0));
    /// # Ok::<(), ddim_nn::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the network's class embeddings are not a table, if it does not have a class, or if there are no classes, or more
    /// than 2²⁴.
    pub fn with_classes(&self, from: &[Option<usize>]) -> Result<Self> {
        if self.config.class_embed_type.is_some() {
            return Err(Error::input("a network whose class embeddings are not a table: expected one with a table, or without classes"));
        }
        let known = self.config.num_class_embeds.unwrap_or(0);
        if let Some(class) = from.iter().flatten().find(|class| **class >= known) {
            return Err(Error::input(format!("class {class}: expected one of the network's {known}")));
        }
        let unet = Self::without_values(&UNetConfig { num_class_embeds: Some(from.len()), ..self.config.clone() })?;
        let ours: HashMap<&str, Range<usize>> = self.parameters().map(|(name, _, range)| (name, range)).collect();
        let mut values = vec![0.0; unet.parameters.len()];
        let table = unet.modules.embedding.class_table().map(|id| unet.parameters.get(id).range.clone());
        for (name, shape, range) in unet.parameters() {
            let Some(ours) = ours.get(name) else { continue };
            let ours = &self.values[ours.clone()];
            if Some(&range) != table.as_ref() {
                values[range].copy_from_slice(ours);
                continue;
            }
            for (row, from) in values[range].chunks_exact_mut(shape[1]).zip(from) {
                if let Some(class) = from {
                    row.copy_from_slice(&ours[class * shape[1]..][..shape[1]]);
                }
            }
        }
        unet.with_values(values)
    }

    /// Returns what an executor takes, for images of `size` [h, w].
    pub fn module(&self, size: [usize; 2]) -> GraphModule<'_> {
        GraphModule { graph: self.graph(size), parameters: self.parameters.clone(), values: &self.values }
    }

    pub(crate) fn definition(&self) -> &Arc<Parameters> {
        &self.parameters
    }

    /// The numbers of all parameters, to be changed.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// What it computes of images of `size` [h, w].
    pub(crate) fn graph(&self, [h, w]: [usize; 2]) -> Graph {
        let Modules { conv_in, embedding, down_blocks, mid_block, up_blocks, conv_norm_out, conv_out } = &*self.modules;
        let mut g = Graph::new([h, w, self.config.in_channels]);
        let rows = embedding.forward(&mut g);
        let rows = g.activate(self.config.act_fn.kernel(), rows);
        let mut x = crate::graph::INPUT;
        if self.config.center_input_sample {
            x = g.affine(x, 2.0, -1.0);
        }
        x = g.conv(conv_in, x);
        let mut skips = vec![x];
        for block in down_blocks {
            x = block.forward(&mut g, x, rows, &mut skips);
        }
        if let Some(block) = mid_block {
            x = block.forward(&mut g, x, rows);
        }
        for block in up_blocks {
            x = block.forward(&mut g, x, rows, &mut skips);
        }
        x = g.norm(conv_norm_out, Some(Activation::Silu.kernel()), x);
        x = g.conv(conv_out, x);
        if embedding.time_proj.is_fourier() {
            // diffusers divides by the noise level, which these networks take as their timestep.
            g.divide_by_timestep(x);
        }
        g
    }
}
