//! What a network can predict, and the x_0 and ε that follow from it (Eq. 9).

use crate::error::{Error, ErrorKind};
use std::str::FromStr;

/// What a network predicts from x_t.
///
/// ```
/// use ddim::Prediction;
///
/// let (x_0, epsilon, alpha_bar) = (0.5, -1.0, 0.64);
/// let x_t = 0.8 * x_0 + 0.6 * epsilon;
/// for prediction in [Prediction::Epsilon, Prediction::Sample, Prediction::V] {
///     let output = prediction.target(x_0, epsilon, alpha_bar);
///     let found = prediction.x0_and_epsilon(output, x_t, alpha_bar);
///     assert!((found.0 - x_0).abs() < 1e-12 && (found.1 - epsilon).abs() < 1e-12);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise ε.
    Epsilon,
    /// The image x_0.
    Sample,
    /// v = √ᾱ ε - √(1-ᾱ) x_0 (arXiv 2202.00512).
    V,
}

impl Prediction {
    /// Returns the name used in `scheduler_config.json`: `epsilon`, `sample` or `v_prediction`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Sample => "sample",
            Self::V => "v_prediction",
        }
    }

    /// Returns (f_θ(x_t), ε_θ(x_t)) from the network's output at a level with `alpha_bar`: Eq. 9 and its two variants.
    ///
    /// ε is undefined for [`Prediction::Sample`] at ᾱ = 1, and x_0 for [`Prediction::Epsilon`] at ᾱ = 0: in both cases the result is not
    /// finite.
    pub fn x0_and_epsilon(self, output: f64, x_t: f64, alpha_bar: f64) -> (f64, f64) {
        let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        match self {
            Self::Epsilon => ((x_t - noise * output) / signal, output),
            Self::Sample => (output, (x_t - signal * output) / noise),
            Self::V => (signal * x_t - noise * output, signal * output + noise * x_t),
        }
    }

    /// Whether it determines x_0 at all of these levels, each with its ᾱ.
    pub(crate) fn check_at(self, points: impl IntoIterator<Item = (usize, f64)>) -> Result<(), Error> {
        match points.into_iter().find(|(_, alpha_bar)| *alpha_bar == 0.0 && self == Self::Epsilon) {
            Some((level, _)) => {
                let message = format!("epsilon prediction at timestep {}, where alpha_bar is 0, does not determine x_0", level - 1);
                Err(Error::new(ErrorKind::Prediction, message))
            }
            None => Ok(()),
        }
    }

    /// Returns what a perfect network outputs for this x_0 and ε.
    pub fn target(self, x_0: f64, epsilon: f64, alpha_bar: f64) -> f64 {
        match self {
            Self::Epsilon => epsilon,
            Self::Sample => x_0,
            Self::V => alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * x_0,
        }
    }
}

impl FromStr for Prediction {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        [Self::Epsilon, Self::Sample, Self::V]
            .into_iter()
            .find(|p| p.name() == s)
            .ok_or_else(|| Error::new(ErrorKind::Prediction, format!("prediction type {s:?}: expected epsilon, sample or v_prediction")))
    }
}
