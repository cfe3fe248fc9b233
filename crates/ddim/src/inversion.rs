//! How an upward step of the ODE is solved.

use crate::error::{Error, ErrorKind};

/// How an [`Encoder`](crate::Encoder) finds x_t from x_s, s < t.
///
/// The sampler will step down by ε_θ(x_t, t), which is unknown until x_t is: the upward step is an implicit equation. Eq. 13 uses ε_θ(x_s,
/// t) instead, and the resulting error is what a reconstruction (Table 2) measures. That is right for reproducing the paper; for editing,
/// interpolating or translating an image, one wants the latent that the sampler turns into exactly this image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Inversion {
    /// Eq. 13 as in the paper: ε_θ(x_s, t), one evaluation per step.
    #[default]
    Euler,
    /// Fixed-point iteration on the implicit equation: y ← √ᾱ_t f + √(1-ᾱ_t) ε_θ(y, t), where f = (x_s - √(1-ᾱ_s) ε_θ(y, t))/√ᾱ_s, starting
    /// from y = x_s (arXiv 2309.04907, 2403.14602). The first iterate is Eq. 13; each further one multiplies the remaining error by about
    /// the length of the step times the rate at which ε_θ changes with x, so short steps need few. If that factor exceeds 1, with few steps
    /// and distant modes, an image does not converge, and [`Encoding::changes`](crate::Encoding::changes) reports it.
    FixedPoint {
        /// Maximum number of evaluations per step, at least 1, which is Eq. 13.
        iterations: usize,
        /// An image is done once an iteration would change it by no more than this, as a root mean square over its elements: 0 or more.
        tolerance: f64,
    },
    /// The same equation with Anderson acceleration over the last two iterates, for each image separately (AIDI, arXiv 2309.04907): it
    /// picks the point on the line through both at which the residuals are smallest. It takes fewer iterations, and often converges where
    /// the plain iteration does not.
    Anderson {
        /// Maximum number of evaluations per step, at least 1, which is Eq. 13.
        iterations: usize,
        /// As in [`FixedPoint`](Self::FixedPoint).
        tolerance: f64,
    },
}

impl Inversion {
    /// Checks that the parameters are valid.
    ///
    /// # Errors
    /// [`ErrorKind::Inversion`] for zero iterations, or a tolerance that is negative or not a number.
    pub fn check(&self) -> Result<(), Error> {
        let error = |message| Err(Error::new(ErrorKind::Inversion, message));
        match *self {
            Self::FixedPoint { iterations: 0, .. } | Self::Anderson { iterations: 0, .. } => {
                error("0 iterations of an inversion: expected 1, which is Eq. 13, or more".to_owned())
            }
            Self::FixedPoint { tolerance, .. } | Self::Anderson { tolerance, .. } if tolerance.is_nan() || tolerance < 0.0 => {
                error(format!("tolerance {tolerance} of an inversion: expected 0 or more"))
            }
            _ => Ok(()),
        }
    }

    /// Iterations at most, and the change at which they end.
    pub(crate) fn limits(self) -> (usize, f64) {
        match self {
            Self::Euler => (1, 0.0),
            Self::FixedPoint { iterations, tolerance } | Self::Anderson { iterations, tolerance } => (iterations, tolerance),
        }
    }
}

/// One iteration that led elsewhere: where to, and how far.
#[derive(Debug, Clone)]
pub(crate) struct Iterate {
    pub(crate) to: Vec<f64>,
    pub(crate) residual: Vec<f64>,
}

impl Iterate {
    /// The root mean square of the residual.
    pub(crate) fn change(&self) -> f64 {
        (self.residual.iter().map(|r| r * r).sum::<f64>() / self.residual.len() as f64).sqrt()
    }

    /// Moves on along the line through where this and the one before led, to where the residual would vanish if it were linear, and at most twice as far
    /// as they lie apart.
    pub(crate) fn accelerated(&self, before: &Self) -> Vec<f64> {
        let (mut product, mut square) = (0.0, 0.0);
        for (r, earlier) in self.residual.iter().zip(&before.residual) {
            product += r * (r - earlier);
            square += (r - earlier).powi(2);
        }
        let part = if square > 0.0 { (product / square).clamp(-2.0, 2.0) } else { 0.0 };
        self.to.iter().zip(&before.to).map(|(to, earlier)| to - part * (to - earlier)).collect()
    }
}
