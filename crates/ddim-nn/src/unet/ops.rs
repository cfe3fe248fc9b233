//! The operations that a U-Net is made of. The modules say what is computed, once; whoever implements [`Ops`] says how: [`Eager`] runs
//! burn's operations as they come, [`Tracer`](super::trace::Tracer) writes them down for the planned executor.

use super::names::Activation;
use burn::nn::conv::Conv2d;
use burn::nn::{Dropout, GroupNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, mish, relu, silu};
use burn::tensor::module::{self, avg_pool2d, interpolate};
use burn::tensor::ops::{AttentionModuleOptions, AvgPoolOptions, InterpolateMode, InterpolateOptions};

/// Operations on a batch of images and on a batch of rows (embeddings), one an image.
pub(crate) trait Ops {
    /// n images of some height, width and channels.
    type Image: Clone;
    /// n rows of numbers.
    type Rows;

    fn conv2d(&mut self, conv: &Conv2d, x: Self::Image) -> Self::Image;
    /// A group norm and, where one is given, the activation behind it.
    fn norm(&mut self, norm: &GroupNorm, activation: Option<Activation>, x: Self::Image) -> Self::Image;
    fn activate(&mut self, activation: Activation, x: Self::Image) -> Self::Image;
    /// Self-attention over pixels, with the projections to queries, keys and values and from their result.
    fn attention(&mut self, layers: [&Linear; 4], heads: usize, x: Self::Image) -> Self::Image;
    /// Twice the height and width, each pixel four times.
    fn enlarge(&mut self, x: Self::Image) -> Self::Image;
    /// Half the height and width, by means.
    fn halve(&mut self, x: Self::Image) -> Self::Image;
    fn add(&mut self, x: Self::Image, y: Self::Image) -> Self::Image;
    /// The channels of `x`, then those of `y`.
    fn concat(&mut self, x: Self::Image, y: Self::Image) -> Self::Image;
    /// factor · x + summand.
    fn affine(&mut self, x: Self::Image, factor: f64, summand: f64) -> Self::Image;
    fn dropout(&mut self, dropout: &Dropout, x: Self::Image) -> Self::Image;
    /// A linear layer of the activated embedding of each image.
    fn project_embedding(&mut self, linear: &Linear, activation: Activation) -> Self::Rows;
    /// Adds a row to all pixels of its image.
    fn add_rows(&mut self, x: Self::Image, rows: Self::Rows) -> Self::Image;
    /// Rows [scale, shift]: x · (1 + scale) + shift.
    fn scale_shift(&mut self, x: Self::Image, rows: Self::Rows) -> Self::Image;
    /// Divides each image by its timestep.
    fn divide_by_timestep(&mut self, x: Self::Image) -> Self::Image;
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

/// burn's own operations on tensors [n, c, h, w], on any device and under autodiff.
pub(crate) struct Eager {
    /// [n, d], or [1, d] for all images.
    pub(crate) embedding: Tensor<2>,
    /// \[n\] or \[1\].
    pub(crate) timesteps: Tensor<1>,
}

impl Ops for Eager {
    type Image = Tensor<4>;
    type Rows = Tensor<2>;

    fn conv2d(&mut self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        conv.forward(x)
    }

    fn norm(&mut self, norm: &GroupNorm, activation: Option<Activation>, x: Tensor<4>) -> Tensor<4> {
        let x = norm.forward(x);
        match activation {
            Some(activation) => activation.apply(x),
            None => x,
        }
    }

    fn activate(&mut self, activation: Activation, x: Tensor<4>) -> Tensor<4> {
        activation.apply(x)
    }

    fn attention(&mut self, [to_q, to_k, to_v, to_out]: [&Linear; 4], heads: usize, x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let pixels = h * w;
        let x: Tensor<3> = x.reshape([n, c, pixels]).swap_dims(1, 2);
        // [n, pixels, inner] -> [n, heads, pixels, head_dim]
        let project = |linear: &Linear| -> Tensor<4> {
            linear.forward(x.clone()).reshape([n as i64, pixels as i64, heads as i64, -1]).swap_dims(1, 2)
        };
        let (q, k, v) = (project(to_q), project(to_k), project(to_v));
        let attended = module::attention(q, k, v, None, None, AttentionModuleOptions::default());
        let attended: Tensor<3> = attended.swap_dims(1, 2).reshape([n as i64, pixels as i64, -1]);
        to_out.forward(attended).swap_dims(1, 2).reshape([n, c, h, w])
    }

    fn enlarge(&mut self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
    }

    fn halve(&mut self, x: Tensor<4>) -> Tensor<4> {
        avg_pool2d(x, AvgPoolOptions::new([2, 2]))
    }

    fn add(&mut self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        x + y
    }

    fn concat(&mut self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        Tensor::cat(vec![x, y], 1)
    }

    fn affine(&mut self, x: Tensor<4>, factor: f64, summand: f64) -> Tensor<4> {
        x * factor + summand
    }

    fn dropout(&mut self, dropout: &Dropout, x: Tensor<4>) -> Tensor<4> {
        dropout.forward(x)
    }

    fn project_embedding(&mut self, linear: &Linear, activation: Activation) -> Tensor<2> {
        linear.forward(activation.apply(self.embedding.clone()))
    }

    fn add_rows(&mut self, x: Tensor<4>, rows: Tensor<2>) -> Tensor<4> {
        x + over_pixels(rows)
    }

    fn scale_shift(&mut self, x: Tensor<4>, rows: Tensor<2>) -> Tensor<4> {
        let mut parts = over_pixels(rows).chunk(2, 1).into_iter();
        let (scale, shift) = (parts.next().expect("two chunks"), parts.next().expect("two chunks"));
        x * (scale + 1.0) + shift
    }

    fn divide_by_timestep(&mut self, x: Tensor<4>) -> Tensor<4> {
        x / self.timesteps.clone().reshape([-1, 1, 1, 1])
    }
}

/// [n, c] -> [n, c, 1, 1].
fn over_pixels(rows: Tensor<2>) -> Tensor<4> {
    rows.unsqueeze_dim::<3>(2).unsqueeze_dim(3)
}
