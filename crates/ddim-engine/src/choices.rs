//! What requests have in common: the model, its classes, clipping, noise, and how images are prepared.

use crate::batches::BatchSize;
use crate::error::{Error, Result};
use ddim::{Clip, Sigma};
use ddim_data::{BadFiles, Fit, Preparation};
use ddim_train::quoted;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::{Path, PathBuf};

/// Which model to use, and how to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// A built-in model, a diffusers pipeline folder, a training run, or a model id on the hub.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub model: PathBuf,
    /// A `scheduler_config.json`, or a folder that contains one, to use instead of the model's own.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub scheduler: Option<PathBuf>,
    /// Use the weights themselves of a model that also has averaged weights.
    pub raw: bool,
    /// For a training run or one of its checkpoints: the rate of the average to use, one of its `ema.rates`. Defaults to the first.
    pub ema: Option<f64>,
    /// Image size, [height, width], if it is not the model's own.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub size: Option<[usize; 2]>,
    /// Classes of a conditional model: numbers, names or mixtures of them (`cat+dog`, `0.3*cat+0.7*dog`), separated by commas; `each`; `random`; `data`, the
    /// classes of the images that are read; `reference`, drawn as often as the reference has them; `none`, for a model trained with label dropout; or a text
    /// file with one entry per line.
    ///
    /// Defaults to the list in the model's `sampling.json`, else `each`, where images are drawn from a seed alone; in a sweep, to `reference` if it has the
    /// model's classes, else `each`; otherwise to `none`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub classes: Option<PathBuf>,
    /// Classifier-free guidance. In JSON, null means the default.
    #[serde(deserialize_with = "or_as_usual")]
    pub guidance: Guidance,
    /// Number of images in memory at once. On the CPU it does not affect results; on other devices, only the last bits.
    pub batch_size: BatchSize,
}

impl Default for Model {
    fn default() -> Self {
        let model = crate::models::DEFAULT.into();
        Self {
            model,
            scheduler: None,
            raw: false,
            ema: None,
            size: None,
            classes: None,
            guidance: Guidance::default(),
            batch_size: BatchSize::default(),
        }
    }
}

/// Guidance at all levels.
pub(crate) const EVERYWHERE: [f64; 2] = [0.0, 1.0];

/// Classifier-free guidance ([`ddim_nn::Guidance`]), for models trained with a null class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Guidance {
    /// The scale w in out(none) + w (out(class) - out(none)): 1 is the class alone and takes one evaluation where other scales take two. Defaults to the scale
    /// in the model's `sampling.json` where images are drawn from a seed alone, else to 1.
    pub scale: Option<f64>,
    /// Guide only at levels t within this range, as fractions t/T, both ends included. Defaults to the range in the model's `sampling.json` where images are
    /// drawn from a seed alone, else to all levels, [0, 1].
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub interval: Option<[f64; 2]>,
    /// From 0 to 1: how far each image's standard deviation is restored to what it is under the class alone.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub rescale: f64,
}

impl Guidance {
    /// w: 1 where none is said.
    pub(crate) fn scale(self) -> f64 {
        self.scale.unwrap_or(1.0)
    }

    /// The levels where it acts, as fractions of T.
    pub(crate) fn interval(self) -> [f64; 2] {
        self.interval.unwrap_or(EVERYWHERE)
    }

    /// What the model says where this says nothing. Without guidance there is nothing to limit.
    pub(crate) fn or(self, usual: Self) -> Self {
        let scale = self.scale.or(usual.scale.filter(|scale| *scale != 1.0));
        let guided = scale.is_some_and(|scale| scale != 1.0);
        Self { scale, interval: self.interval.or(usual.interval.filter(|_| guided)), ..self }
    }

    /// Where and how it acts, by the fields that say something else than usual.
    pub(crate) fn shape(self) -> impl Iterator<Item = (&'static str, String)> {
        let [from, to] = self.interval();
        let interval = ([from, to] != EVERYWHERE).then(|| ("guidance_interval", format!("{from},{to}")));
        let rescale = (self.rescale != 0.0).then(|| ("guidance_rescale", self.rescale.to_string()));
        interval.into_iter().chain(rescale)
    }

    /// With the class that stands for none, if there is one; `whose` model it is. None where it changes nothing.
    pub(crate) fn with_null(self, null: Option<usize>, whose: &str) -> Result<Option<ddim_nn::Guidance>> {
        let in_field = |field: &'static str| move |e: ddim_nn::Error| Error::field(field, &e).because(e);
        // Whoever says how to guide, and not how far, expects to be guided.
        if let (None, Some((field, value))) = (self.scale, self.shape().next()) {
            return Err(Error::field(field, format!("{value} without guidance: expected `guidance` as well")));
        }
        let scale = self.scale();
        let guidance = ddim_nn::Guidance::new(scale, null.unwrap_or(0)).map_err(in_field("guidance"))?;
        let guidance = guidance.with_interval(self.interval()).map_err(in_field("guidance_interval"))?;
        let guidance = guidance.with_rescale(self.rescale).map_err(in_field("guidance_rescale"))?;
        if scale != 1.0 && null.is_none() {
            let expected = "expected a model trained with label dropout (one more embedding row than classes)";
            return Err(Error::field("guidance", format!("{scale}: {whose} has no null class: {expected}")));
        }
        Ok((scale != 1.0).then_some(guidance))
    }

    /// As flags of the command line, after a space; empty where it changes nothing.
    pub(crate) fn flags(self) -> String {
        if self.scale() == 1.0 {
            return String::new();
        }
        format!(" --guidance {}{}", self.scale(), self.shape_flags())
    }

    /// Where and how, as flags of the command line, each after a space.
    pub(crate) fn shape_flags(self) -> String {
        self.shape().map(|(field, value)| format!(" --{} {value}", field.replace('_', "-"))).collect()
    }
}

/// What is null is as usual.
fn or_as_usual<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Model {
    /// What the loader of a model is told.
    pub(crate) fn choices(&self) -> ddim_nn::Choices {
        ddim_nn::Choices { scheduler: self.scheduler.clone(), raw: self.raw, ema: self.ema, ..ddim_nn::Choices::default() }
    }

    /// Files that are read, under the fields that name them: those of the model, and others.
    pub(crate) fn reading<'a>(&'a self, others: &[(&'static str, Option<&'a Path>)]) -> Vec<(&'static str, Option<&'a Path>)> {
        // What is no file names classes.
        let classes = self.classes.as_deref().filter(|path| path.is_file());
        [others, &[("classes", classes), ("scheduler", self.scheduler.as_deref())]].concat()
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

/// Beyond this a count is a typing error.
const MOST_IMAGES: usize = 10_000_000;

/// A count that can be worked with.
pub(crate) fn check_count(count: usize) -> Result<usize> {
    if (1..=MOST_IMAGES).contains(&count) {
        return Ok(count);
    }
    Err(Error::field("count", format!("{count}: expected 1 to {MOST_IMAGES}")))
}

/// Room for as many numbers for each of `count` images, before anything is drawn: the system ends a process that asks for more than there is.
pub(crate) fn check_room(count: usize, numbers: usize) -> Result<()> {
    let all = count.saturating_mul(numbers);
    Vec::<f32>::new().try_reserve_exact(all).map_err(|_| Error::field("count", format!("{count}: more than fits in memory")))
}

/// How the predicted x_0 is clipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Clipping {
    /// True clips to the model's `clip_sample_range`; false neither clips nor thresholds; by default the model's scheduler decides.
    pub clip: Option<bool>,
    /// Whether to recompute ε from the clipped x_0.
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

    /// As flags of the command line, each after a space; empty where nothing is said.
    pub(crate) fn flags(self) -> String {
        let clip = self.clip.map_or("", |clip| if clip { " --clip" } else { " --no-clip" });
        let rederive = if self.rederive_epsilon { " --rederive-epsilon" } else { "" };
        format!("{clip}{rederive}")
    }
}

/// How much noise sampling adds: η from 0 to 1, or the paper's σ̂, which is serialised as "hat".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Eta {
    /// η: 0 is DDIM, 1 is DDPM.
    Value(f64),
    /// The paper's σ̂, DDPM's larger variance.
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
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Value(eta) => serializer.serialize_f64(*eta),
            Self::Hat => serializer.serialize_str("hat"),
        }
    }
}

impl<'de> Deserialize<'de> for Eta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(n) => Ok(Self::Value(n.as_f64().ok_or_else(|| D::Error::custom("eta: expected a number"))?)),
            serde_json::Value::String(s) if s == "hat" => Ok(Self::Hat),
            other => Err(D::Error::custom(format!("eta {other}: expected a number from 0 to 1, or \"hat\""))),
        }
    }
}

/// How images are fitted to the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fitting {
    /// Resize to cover the size, then cut out the middle.
    Crop,
    /// Resize to fit inside, never enlarging, and pad with the background.
    Pad,
    /// Resize without keeping the aspect ratio.
    Stretch,
}

/// How input images are prepared for the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Preparing {
    /// How to fit images of other sizes. By default, input images must have the model's size, and images that FID compares are fitted as `crop`.
    pub fit: Option<Fitting>,
    /// Colour behind transparent pixels and around padded images, [red, green, blue]. Defaults to white where images are fitted.
    #[cfg_attr(feature = "openapi", schema(min_items = 3, max_items = 3))]
    pub background: Option<[u8; 3]>,
    /// Skip files that cannot be read, and report which.
    pub skip_bad_files: bool,
}

impl Preparing {
    /// The first `count` images of `input`, prepared so, as flags of the command line.
    pub(crate) fn flags_of(self, input: &Path, count: Option<usize>) -> String {
        let count = count.map_or(String::new(), |count| format!(" --count {count}"));
        format!("--input {}{count}{}", quoted(input), self.flags())
    }

    /// As flags of the command line, after a space; empty where nothing is said.
    pub(crate) fn flags(self) -> String {
        let fit = self.fit.map_or("", |fit| match fit {
            Fitting::Crop => " --fit crop",
            Fitting::Pad => " --fit pad",
            Fitting::Stretch => " --fit stretch",
        });
        let background = self.background.map_or(String::new(), |[r, g, b]| format!(" --background '#{r:02x}{g:02x}{b:02x}'"));
        let skip = if self.skip_bad_files { " --skip-bad-files" } else { "" };
        format!("{fit}{background}{skip}")
    }

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
