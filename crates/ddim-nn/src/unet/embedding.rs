//! Time and class embeddings.

use super::config::UNetConfig;
use super::names::{ClassEmbedType, TimeEmbeddingType};
use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

/// Timesteps (or class labels, under `class_embed_type: timestep`) to features: `time_proj`.
#[derive(Module, Debug)]
pub(crate) enum TimeProjection {
    Positional(Sinusoid),
    Fourier(Fourier),
    Learned(Embedding),
}

/// diffusers' `Timesteps`: sines and cosines of exp(-ln 1e4 · i/(half - freq_shift)) · t.
#[derive(Module, Debug)]
pub(crate) struct Sinusoid {
    dim: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
}

/// diffusers' `GaussianFourierProjection` with `log`: sines and cosines of 2π w ln t.
#[derive(Module, Debug)]
pub(crate) struct Fourier {
    weight: Param<Tensor<1>>,
}

impl TimeProjection {
    pub(crate) fn new(config: &UNetConfig, device: &Device) -> Self {
        let dim = config.block_out_channels[0];
        match config.time_embedding_type {
            TimeEmbeddingType::Fourier => {
                let weight = Tensor::random([dim], Distribution::Normal(0.0, 16.0), device);
                Self::Fourier(Fourier { weight: Param::from_tensor(weight) })
            }
            TimeEmbeddingType::Learned => {
                let rows = config.num_train_timesteps.expect("UNetConfig::check wants it of a learned embedding");
                Self::Learned(EmbeddingConfig::new(rows, dim).init(device))
            }
            TimeEmbeddingType::Positional => {
                Self::Positional(Sinusoid { dim, flip_sin_to_cos: config.flip_sin_to_cos, freq_shift: config.freq_shift })
            }
        }
    }

    /// The number of features it gives.
    pub(crate) fn width(config: &UNetConfig) -> usize {
        config.block_out_channels[0] * if config.time_embedding_type == TimeEmbeddingType::Fourier { 2 } else { 1 }
    }

    /// [n] -> [n, width].
    pub(crate) fn forward(&self, values: &[usize], device: &Device) -> Tensor<2> {
        match self {
            Self::Positional(sinusoid) => sinusoid.forward(values, device),
            Self::Fourier(fourier) => fourier.forward(values, device),
            Self::Learned(embedding) => look_up(embedding, values, device),
        }
    }
}

/// Rows of a table: [n] -> [n, d].
pub(crate) fn look_up(embedding: &Embedding, rows: &[usize], device: &Device) -> Tensor<2> {
    let indices: Vec<i64> = rows.iter().map(|&r| r as i64).collect();
    let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [1, rows.len()]), device);
    embedding.forward(indices).squeeze_dim(0)
}

// Both are computed on the host: arguments round as PyTorch's f32 does, because an angle of 1000 radians turns one rounding into 6e-5;
// the functions themselves are then evaluated in f64.
impl Sinusoid {
    fn forward(&self, values: &[usize], device: &Device) -> Tensor<2> {
        let half = self.dim / 2;
        let mut out = Vec::with_capacity(values.len() * self.dim);
        for &t in values {
            let angle = |i: usize| {
                let exponent = -(1e4f64.ln()) as f32 * i as f32 / (half as f64 - self.freq_shift) as f32;
                f64::from(t as f32 * f64::from(exponent).exp() as f32)
            };
            let sine = (0..half).map(|i| angle(i).sin() as f32);
            let cosine = (0..half).map(|i| angle(i).cos() as f32);
            if self.flip_sin_to_cos {
                out.extend(cosine.chain(sine))
            } else {
                out.extend(sine.chain(cosine))
            }
            if self.dim % 2 == 1 {
                out.push(0.0);
            }
        }
        Tensor::from_data(TensorData::new(out, [values.len(), self.dim]), device)
    }
}

impl Fourier {
    fn forward(&self, values: &[usize], device: &Device) -> Tensor<2> {
        let weight: Vec<f32> = self.weight.val().into_data().try_to_vec().expect("weights are f32");
        let mut out = Vec::with_capacity(values.len() * weight.len() * 2);
        for &t in values {
            let angle = |w: &f32| f64::from((t as f64).ln() as f32 * w * 2.0 * std::f32::consts::PI);
            out.extend(weight.iter().map(|w| angle(w).sin() as f32).chain(weight.iter().map(|w| angle(w).cos() as f32)));
        }
        Tensor::from_data(TensorData::new(out, [values.len(), weight.len() * 2]), device)
    }
}

/// diffusers' `TimestepEmbedding`: two linear layers with SiLU between, whatever `act_fn`.
#[derive(Module, Debug)]
pub(crate) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    pub(crate) fn new(width: usize, dim: usize, device: &Device) -> Self {
        Self { linear_1: LinearConfig::new(width, dim).init(device), linear_2: LinearConfig::new(dim, dim).init(device) }
    }

    /// [n, width] -> [n, dim].
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(silu(self.linear_1.forward(x)))
    }
}

/// diffusers' `class_embedding`.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // one a network
pub(crate) enum ClassEmbedding {
    Table(Embedding),
    Timestep(TimestepEmbedding),
    Identity(burn::nn::Identity),
}

impl ClassEmbedding {
    pub(crate) fn new(config: &UNetConfig, device: &Device) -> Option<Self> {
        let dim = config.time_embed_dim();
        match (config.class_embed_type, config.num_class_embeds) {
            (Some(ClassEmbedType::Timestep), _) => Some(Self::Timestep(TimestepEmbedding::new(TimeProjection::width(config), dim, device))),
            (Some(ClassEmbedType::Identity), _) => Some(Self::Identity(burn::nn::Identity::new())),
            (None, Some(n)) => Some(Self::Table(EmbeddingConfig::new(n, dim).init(device))),
            (None, None) => None,
        }
    }
}
