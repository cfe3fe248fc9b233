//! How images are encoded.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How images are encoded. Serialised as text: `euler`, `fixed-point:K:TOLERANCE`, `anderson:K:TOLERANCE` or `bdia`, where both numbers may be left out.
///
/// ```
/// use ddim_engine::Inversion;
///
/// assert_eq!("fixed-point:3".parse(), Ok(Inversion::FixedPoint { iterations: 3, tolerance: Inversion::TOLERANCE }));
/// assert_eq!("anderson".parse(), Ok(Inversion::ANDERSON));
/// assert!("anderson:0".parse::<Inversion>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Inversion {
    /// Eq. 13, as in the paper.
    #[default]
    Euler,
    /// [`ddim::Inversion::FixedPoint`].
    FixedPoint {
        /// Maximum number of evaluations per step.
        iterations: usize,
        /// Tolerance at which the iteration stops.
        tolerance: f64,
    },
    /// [`ddim::Inversion::Anderson`].
    Anderson {
        /// Maximum number of evaluations per step.
        iterations: usize,
        /// Tolerance at which the iteration stops.
        tolerance: f64,
    },
    /// [`ddim::Bdia`]: a pair of states instead of a latent, which decodes bit for bit.
    Bdia,
}

impl Inversion {
    /// Default tolerance of the iterative inversions: the root mean square of what one more iteration would change, on values around 1.
    pub const TOLERANCE: f64 = 1e-4;
    /// Anderson acceleration with the default parameters.
    pub const ANDERSON: Self = Self::Anderson { iterations: 30, tolerance: Self::TOLERANCE };

    /// What an [`ddim::Encoder`] is told. None of `bdia`, which has none.
    pub(crate) fn of_encoder(self) -> Option<ddim::Inversion> {
        match self {
            Self::Euler => Some(ddim::Inversion::Euler),
            Self::FixedPoint { iterations, tolerance } => Some(ddim::Inversion::FixedPoint { iterations, tolerance }),
            Self::Anderson { iterations, tolerance } => Some(ddim::Inversion::Anderson { iterations, tolerance }),
            Self::Bdia => None,
        }
    }

    /// As a flag of the command line, after a space; empty for Eq. 13.
    pub(crate) fn flag(self) -> String {
        if self == Self::Euler { String::new() } else { format!(" --inversion {self}") }
    }
}

impl fmt::Display for Inversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Euler => f.write_str("euler"),
            Self::FixedPoint { iterations, tolerance } => write!(f, "fixed-point:{iterations}:{tolerance}"),
            Self::Anderson { iterations, tolerance } => write!(f, "anderson:{iterations}:{tolerance}"),
            Self::Bdia => f.write_str("bdia"),
        }
    }
}

impl FromStr for Inversion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let (iterations, tolerance, more) = (parts.next(), parts.next(), parts.next());
        let iterative = |usual: usize| {
            let iterations = iterations.map_or(Some(usual), |k| k.parse().ok().filter(|k| (1..=1000).contains(k)));
            let tolerance = tolerance.map_or(Some(Self::TOLERANCE), |t| t.parse().ok().filter(|t: &f64| *t >= 0.0 && t.is_finite()));
            let expected = "expected the iterations per step and, optionally, the tolerance, as in";
            iterations.zip(tolerance).filter(|_| more.is_none()).ok_or(format!("{text:?}: {expected} {kind}:{usual}:{}", Self::TOLERANCE))
        };
        match kind {
            "euler" if iterations.is_none() => Ok(Self::Euler),
            "bdia" if iterations.is_none() => Ok(Self::Bdia),
            "fixed-point" => iterative(10).map(|(iterations, tolerance)| Self::FixedPoint { iterations, tolerance }),
            "anderson" => iterative(30).map(|(iterations, tolerance)| Self::Anderson { iterations, tolerance }),
            _ => Err(format!("{text:?}: expected euler, fixed-point, fixed-point:K, anderson, anderson:K or bdia")),
        }
    }
}

impl Serialize for Inversion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Inversion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
