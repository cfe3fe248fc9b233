//! The spacing of timesteps that a request asks for.

use crate::error::Error;
use ddim::{NoiseSchedule, Trajectory};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How S timesteps are chosen from the T of training. Serialised as the text that [`Display`](std::fmt::Display) writes and [`FromStr`](std::str::FromStr)
/// reads.
///
/// A request without a spacing uses the one in the model's `scheduler_config.json`.
///
/// ```
/// use ddim_engine::Spacing;
///
/// assert_eq!("power:1.5".parse(), Ok(Spacing::Power(1.5)));
/// assert_eq!(("karras".parse(), Spacing::Karras(7.0).to_string()), (Ok(Spacing::Karras(7.0)), "karras:7".to_owned()));
/// assert_eq!("tuned:here/tuned.json".parse(), Ok(Spacing::Tuned(Some("here/tuned.json".into()))));
/// assert!("power:-1".parse::<Spacing>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Spacing {
    /// [`ddim::Trajectory::uniform`].
    Uniform,
    /// [`ddim::Trajectory::quadratic`].
    Quadratic,
    /// [`ddim::Trajectory::quadratic_full`].
    QuadraticFull,
    /// [`ddim::Trajectory::leading`].
    Leading,
    /// [`ddim::Trajectory::trailing`].
    Trailing,
    /// [`ddim::Trajectory::linspace`].
    Linspace,
    /// [`ddim::Trajectory::power`] with this p; 1.5 by default.
    Power(f64),
    /// [`ddim::Trajectory::log_snr`].
    LogSnr,
    /// [`ddim::Trajectory::karras`] with this ρ; 7 by default.
    Karras(f64),
    /// What [`Tune`](crate::Tune) has found for this model, solver and S, in the model's own `tuned.json` or in another file.
    Tuned(Option<PathBuf>),
}

impl Spacing {
    /// All spacings, in the order in which they are listed; those with a parameter have its default.
    pub const ALL: [Self; 10] = [
        Self::Uniform,
        Self::Quadratic,
        Self::QuadraticFull,
        Self::Leading,
        Self::Trailing,
        Self::Linspace,
        Self::Power(1.5),
        Self::LogSnr,
        Self::Karras(7.0),
        Self::Tuned(None),
    ];

    /// The name without its number or file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Quadratic => "quadratic",
            Self::QuadraticFull => "quadratic-full",
            Self::Leading => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
            Self::Power(_) => "power",
            Self::LogSnr => "log-snr",
            Self::Karras(_) => "karras",
            Self::Tuned(_) => "tuned",
        }
    }

    /// The S timesteps of a model; `tuned` gives those of its own, or of a file.
    ///
    /// # Errors
    /// S outside 1..=T; what `tuned` says.
    pub(crate) fn trajectory(
        &self,
        schedule: &NoiseSchedule,
        offset: usize,
        steps: usize,
        tuned: impl FnOnce(Option<&Path>) -> crate::error::Result<Trajectory>,
    ) -> crate::error::Result<Trajectory> {
        let total = schedule.levels();
        let made = match self {
            Self::Uniform => Trajectory::uniform(total, steps),
            Self::Quadratic => Trajectory::quadratic(total, steps),
            Self::QuadraticFull => Trajectory::quadratic_full(total, steps),
            Self::Leading => Trajectory::leading(total, steps, offset),
            Self::Trailing => Trajectory::trailing(total, steps),
            Self::Linspace => Trajectory::linspace(total, steps),
            Self::Power(p) => Trajectory::power(total, steps, *p),
            Self::LogSnr => Trajectory::log_snr(schedule, steps),
            Self::Karras(rho) => Trajectory::karras(schedule, steps, *rho),
            Self::Tuned(file) => return tuned(file.as_deref()),
        };
        made.map_err(|e| Error::field("steps", &e).because(e))
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Power(number) | Self::Karras(number) => write!(f, ":{number}"),
            Self::Tuned(Some(file)) => write!(f, ":{}", file.display()),
            _ => Ok(()),
        }
    }
}

impl FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once(':').map_or((text, None), |(kind, number)| (kind, Some(number)));
        let known = Self::ALL.into_iter().find(|known| known.kind() == kind);
        let Some(known) = known else {
            let all: Vec<&str> = Self::ALL.iter().map(|known| known.kind()).collect();
            return Err(format!("{text:?}: expected one of {}", all.join(", ")));
        };
        let Some(number) = number else { return Ok(known) };
        if let Self::Tuned(_) = known {
            let file = Some(number).filter(|file| !file.is_empty()).ok_or_else(|| format!("{text:?}: expected a file after {kind}"));
            return Ok(Self::Tuned(Some(file?.into())));
        }
        let parsed = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        match (known, parsed) {
            (Self::Power(_), Some(p)) => Ok(Self::Power(p)),
            (Self::Karras(_), Some(rho)) => Ok(Self::Karras(rho)),
            (Self::Power(_) | Self::Karras(_), None) => Err(format!("{text:?}: expected a positive number after {kind}")),
            _ => Err(format!("{text:?}: expected {kind} alone, which takes no number")),
        }
    }
}

impl Serialize for Spacing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spacing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
