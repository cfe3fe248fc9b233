//! How a step of the ODE upwards is solved.

use crate::error::{Error, ErrorKind};

/// How an [`Encoder`](crate::Encoder) finds x_t from x_s, s < t.
///
/// The sampler will step down by ε_θ(x_t, t), which is not known before x_t is: the step upwards is an implicit equation. Eq. 13 takes ε_θ(x_s, t) for it,
/// and its error is what a reconstruction (Table 2) measures. To reproduce the paper that is right; to edit, interpolate or translate an image one wants the
/// latent that the sampler turns into this image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Inversion {
    /// Eq. 13 as in the paper: ε_θ(x_s, t), one evaluation a step.
    #[default]
    Euler,
    /// The implicit equation by iteration: y ← √ᾱ_t f + √(1-ᾱ_t) ε_θ(y, t), where f = (x_s - √(1-ᾱ_s) ε_θ(y, t))/√ᾱ_s, from y = x_s on (AIDI, arXiv 2309.04907;
    /// ReNoise, arXiv 2403.14602, without its averages). The first iterate is Eq. 13's; each more multiplies what is missing by about the length of the step
    /// times how fast ε_θ changes with x, so that short steps take few.
    FixedPoint {
        /// Evaluations a step at most, from 1, which is Eq. 13.
        iterations: usize,
        /// An image whose last iteration changed it by no more, as a root mean square over its elements, is left where it is: 0 or more.
        tolerance: f64,
    },
}

impl Inversion {
    /// Whether the parameters can be used.
    ///
    /// # Errors
    /// [`ErrorKind::Inversion`]: no iterations, or a tolerance that is negative or not a number.
    pub fn check(&self) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Inversion, message));
        match *self {
            Self::FixedPoint { iterations: 0, .. } => {
                error("0 iterations of an inversion: expected 1, which is Eq. 13, or more".to_owned())
            }
            Self::FixedPoint { tolerance, .. } if tolerance.is_nan() || tolerance < 0.0 => {
                error(format!("tolerance {tolerance} of an inversion: expected 0 or more"))
            }
            _ => Ok(()),
        }
    }

    /// Iterations at most, and the change at which they end.
    pub(crate) fn limits(self) -> (usize, f64) {
        match self {
            Self::Euler => (1, 0.0),
            Self::FixedPoint { iterations, tolerance } => (iterations, tolerance),
        }
    }
}
