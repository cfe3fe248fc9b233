//! What requests have in common: the model, its classes, the trajectory, clipping, noise, and how images are prepared.

use crate::error::{Error, Result as Found};
use ddim::{Clip, NoiseSchedule, Sigma, Trajectory};
use ddim_data::{BadFiles, Fit, Preparation};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which model, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// A built-in model, a diffusers pipeline folder, a run of training, or an id of the hub.
    pub model: PathBuf,
    /// A `scheduler_config.json`, or a folder that has one, instead of the model's own.
    pub scheduler: Option<PathBuf>,
    /// Of a model that has averaged weights as well, the weights themselves.
    pub raw: bool,
    /// [height, width] where they are not the model's own.
    pub size: Option<[usize; 2]>,
    /// For a model with classes: numbers or names with commas between, `each`, `random`, or a text file with one per line.
    pub classes: Option<PathBuf>,
    /// Images in memory at once. Changes no result.
    pub batch_size: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self { model: crate::models::DEFAULT.into(), scheduler: None, raw: false, size: None, classes: None, batch_size: 64 }
    }
}

impl Model {
    /// What the loader of a model is told.
    pub(crate) fn choices(&self) -> ddim_nn::Choices {
        ddim_nn::Choices { scheduler: self.scheduler.clone(), raw: self.raw, ..ddim_nn::Choices::default() }
    }
}

/// How S timesteps are chosen from the T of training; serde has it as the text that [`Display`](std::fmt::Display) writes and [`FromStr`](std::str::FromStr) reads.
/// None of them in a request: as the model's `scheduler_config.json` says.
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
    /// [`ddim::Trajectory::power`] of this p, 1.5 where none is said.
    Power(f64),
    /// [`ddim::Trajectory::log_snr`].
    LogSnr,
    /// [`ddim::Trajectory::karras`] of this ρ, 7 where none is said.
    Karras(f64),
    /// What [`Tune`](crate::Tune) has found for this model, solver and S: in the model's own `tuned.json`, or in another file.
    Tuned(Option<PathBuf>),
}

impl Spacing {
    /// All that take nothing, and those that do with what is usual, in the order in which they are listed.
    const ALL: [Self; 10] = [
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

    /// Without its number or file.
    fn kind(&self) -> &'static str {
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
        tuned: impl FnOnce(Option<&Path>) -> Found<Trajectory>,
    ) -> Found<Trajectory> {
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

/// [`ddim::Solver`] by its name, for serde: `#[serde(with = "by_name")]`.
pub(crate) mod by_name {
    use ddim::Solver;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(solver: &Solver, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(solver.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Solver, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What is done to the predicted x_0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clipping {
    /// Clipped to the model's `clip_sample_range` (true), neither clipped nor thresholded (false), or as the model's scheduler says (none).
    pub clip: Option<bool>,
    /// Whether ε is derived again from the clipped x_0.
    pub rederive_epsilon: bool,
}

impl Clipping {
    pub(crate) fn of(self, scheduler: &ddim_nn::SchedulerConfig) -> Clip {
        match self.clip {
            Some(true) => Clip::Range(scheduler.clip_sample_range),
            Some(false) => Clip::None,
            None => scheduler.clip(),
        }
    }
}

/// How much noise sampling adds: η from 0 to 1, or the paper's σ̂, which serde calls "hat".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Eta {
    /// 0 is DDIM, 1 is DDPM.
    Value(f64),
    /// DDPM's larger variance.
    Hat,
}

impl From<Eta> for Sigma {
    fn from(eta: Eta) -> Self {
        match eta {
            Eta::Value(eta) => Self::Eta(eta),
            Eta::Hat => Self::Hat,
        }
    }
}

impl Serialize for Eta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(eta) => serializer.serialize_f64(*eta),
            Self::Hat => serializer.serialize_str("hat"),
        }
    }
}

impl<'de> Deserialize<'de> for Eta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(n) => Ok(Self::Value(n.as_f64().ok_or_else(|| D::Error::custom("eta: expected a number"))?)),
            serde_json::Value::String(s) if s == "hat" => Ok(Self::Hat),
            other => Err(D::Error::custom(format!("eta {other}: expected a number from 0 to 1, or \"hat\""))),
        }
    }
}

/// How images of other sizes become those of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fitting {
    /// Resized to cover, and the middle cut out.
    Crop,
    /// Resized to fit in, never enlarged, with background around.
    Pad,
    /// Resized, whatever their proportions.
    Stretch,
}

/// How images become those of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preparing {
    /// None: they must have the model's size, where that is asked for; else as `crop`.
    pub fit: Option<Fitting>,
    /// Behind transparent pixels and around padded images, [red, green, blue]. None: white, where images are fitted.
    pub background: Option<[u8; 3]>,
    /// Leave files out that cannot be read, and say which.
    pub skip_bad_files: bool,
}

impl Preparing {
    pub(crate) fn bad_files(self) -> BadFiles {
        if self.skip_bad_files { BadFiles::Skip } else { BadFiles::Stop }
    }

    /// Images of `size`: the middle is cut out where nothing else is said.
    pub(crate) fn for_size(self, size: [usize; 2]) -> Preparation {
        let fit = match self.fit {
            None | Some(Fitting::Crop) => Fit::Crop,
            Some(Fitting::Pad) => Fit::Pad,
            Some(Fitting::Stretch) => Fit::Stretch,
        };
        Preparation { size, fit, background: self.background.unwrap_or([255; 3]) }
    }
}
