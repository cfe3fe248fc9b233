//! Time and class embeddings.

use super::config::UNetConfig;
use super::names::{Activation, ClassEmbedType, TimeEmbeddingType};
use crate::graph::{Conv, Features, Graph, Id, Index, Initial, ParameterId, Scope};

/// Timesteps (or class labels, under `class_embed_type: timestep`) to features: `time_proj`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeProjection {
    features: Features,
    width: usize,
}

impl TimeProjection {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &UNetConfig) -> Self {
        let dim = config.block_out_channels[0];
        let mut scope = scope.under("time_proj");
        let features = match config.time_embedding_type {
            TimeEmbeddingType::Fourier => Features::Fourier(scope.declare_fixed("weight", &[dim], Initial::Normal(16.0))),
            TimeEmbeddingType::Learned => {
                let rows = config.num_train_timesteps.expect("UNetConfig::check wants it of a learned embedding");
                Features::Table(scope.declare("weight", &[rows, dim], Initial::Normal(1.0)))
            }
            TimeEmbeddingType::Positional => Features::Sinusoid { flip_sin_to_cos: config.flip_sin_to_cos, freq_shift: config.freq_shift },
        };
        Self { features, width: if config.time_embedding_type == TimeEmbeddingType::Fourier { 2 * dim } else { dim } }
    }

    /// The features of each image's `index`.
    fn forward(&self, g: &mut Graph, index: Index) -> Id {
        g.features(self.features, index, self.width)
    }

    /// Whether it is a Fourier projection, which takes noise levels for timesteps.
    pub(crate) fn is_fourier(&self) -> bool {
        matches!(self.features, Features::Fourier(_))
    }
}

/// diffusers' `TimestepEmbedding`: two linear layers with SiLU between, whatever `act_fn`.
#[derive(Debug)]
pub(crate) struct TimestepEmbedding {
    linear_1: Conv,
    linear_2: Conv,
}

impl TimestepEmbedding {
    pub(crate) fn new(scope: &mut Scope<'_>, width: usize, dim: usize) -> Self {
        Self {
            linear_1: scope.linear("linear_1", [dim, width], Initial::Uniform),
            linear_2: scope.linear("linear_2", [dim, dim], Initial::Uniform),
        }
    }

    fn forward(&self, g: &mut Graph, x: Id) -> Id {
        let x = g.conv(&self.linear_1, x);
        let x = g.activate(Activation::Silu.kernel(), x);
        g.conv(&self.linear_2, x)
    }
}

/// diffusers' `class_embedding`.
#[derive(Debug)]
enum ClassEmbedding {
    Table(ParameterId),
    Timestep(TimestepEmbedding),
    Identity,
}

/// What timesteps and classes become, one row an image.
#[derive(Debug)]
pub(crate) struct Embedding {
    pub(crate) time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    dim: usize,
}

impl Embedding {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &UNetConfig) -> Self {
        let dim = config.time_embed_dim();
        let time_proj = TimeProjection::new(scope, config);
        let time_embedding = TimestepEmbedding::new(&mut scope.under("time_embedding"), time_proj.width, dim);
        let scope = &mut scope.under("class_embedding");
        let class_embedding = match (config.class_embed_type, config.num_class_embeds) {
            (Some(ClassEmbedType::Timestep), _) => Some(ClassEmbedding::Timestep(TimestepEmbedding::new(scope, time_proj.width, dim))),
            (Some(ClassEmbedType::Identity), _) => Some(ClassEmbedding::Identity),
            (None, Some(rows)) => Some(ClassEmbedding::Table(scope.declare("weight", &[rows, dim], Initial::Normal(1.0)))),
            (None, None) => None,
        };
        Self { time_proj, time_embedding, class_embedding, dim }
    }

    /// The table of classes, [classes, width], where there is one.
    pub(super) fn class_table(&self) -> Option<ParameterId> {
        match self.class_embedding {
            Some(ClassEmbedding::Table(table)) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn forward(&self, g: &mut Graph) -> Id {
        let features = self.time_proj.forward(g, Index::Timestep);
        let time = self.time_embedding.forward(g, features);
        let class = match &self.class_embedding {
            None => return time,
            Some(ClassEmbedding::Table(table)) => g.features(Features::Table(*table), Index::Label, self.dim),
            Some(ClassEmbedding::Timestep(layers)) => {
                let features = self.time_proj.forward(g, Index::Label);
                layers.forward(g, features)
            }
            Some(ClassEmbedding::Identity) => g.embedding(self.dim),
        };
        g.add(time, class)
    }
}
