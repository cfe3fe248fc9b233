//! What a network is trained on: images with their noise, and the targets.

use ddim::Prediction;
use ddim_nn::{Condition, Examples};

/// What [`Examples`] points to.
pub(super) struct Drawn {
    pub(super) shape: [usize; 4],
    pub(super) x: Vec<f32>,
    pub(super) target: Vec<f32>,
    pub(super) timesteps: Vec<usize>,
    pub(super) weights: Vec<f32>,
    pub(super) condition: Condition,
    pub(super) dropout: Vec<u64>,
}

impl Drawn {
    pub(super) fn examples(&self) -> Examples<'_> {
        let Self { shape, x, target, timesteps, weights, condition, dropout } = self;
        Examples { shape: *shape, x, target, timesteps, weights, condition, dropout }
    }
}

/// An image to x_t and its noise to what a network of this kind should say.
pub(super) fn noisy(x: &mut [f32], noise: &mut [f32], alpha_bar: f64, prediction: Prediction) {
    let (signal, deviation) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
    for (x, noise) in x.iter_mut().zip(noise) {
        let (x_0, epsilon) = (f64::from(*x), f64::from(*noise));
        *x = (signal * x_0 + deviation * epsilon) as f32;
        *noise = prediction.target(x_0, epsilon, alpha_bar) as f32;
    }
}
