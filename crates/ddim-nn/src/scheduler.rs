//! `scheduler/scheduler_config.json`: the settings behind the defaults of sampling.

use crate::error::{Error, Result};
use crate::unet::diffusers_version;
use ddim::{BetaSchedule, Clip, NoiseSchedule, Prediction, Trajectory};
use ddim_weights::{from_json, from_value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The configuration of diffusers' `DDIMScheduler`.
///
/// A configuration of any other class is read as diffusers' `DDIMScheduler.from_config` reads it: keys that `DDIMScheduler` has are taken,
/// with its own defaults for those that are missing.
///
/// ```
/// use ddim_nn::SchedulerConfig;
///
/// let scheduler = SchedulerConfig::from_json(r#"{ "num_train_timesteps": 1000, "beta_schedule": "scaled_linear" }"#, "scheduler_config.json".as_ref())?;
/// assert_eq!(scheduler.schedule().levels(), 1000);
/// assert_eq!(scheduler.trajectory(4)?.timesteps().collect::<Vec<_>>(), [750, 500, 250, 0]);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SchedulerConfig {
    #[serde(rename = "_class_name", default)]
    pub class_name: SchedulerClass,
    #[serde(rename = "_diffusers_version", default = "diffusers_version")]
    pub diffusers_version: String,
    #[serde(default = "beta_end")]
    pub beta_end: f64,
    #[serde(default = "linear", with = "by_name")]
    pub beta_schedule: BetaSchedule,
    #[serde(default = "beta_start")]
    pub beta_start: f64,
    #[serde(default = "yes")]
    pub clip_sample: bool,
    #[serde(default = "unit")]
    pub clip_sample_range: f64,
    #[serde(default = "ratio")]
    pub dynamic_thresholding_ratio: f64,
    #[serde(default = "thousand")]
    pub num_train_timesteps: usize,
    #[serde(default = "epsilon", with = "by_name")]
    pub prediction_type: Prediction,
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    #[serde(default = "unit")]
    pub sample_max_value: f64,
    #[serde(default = "yes")]
    pub set_alpha_to_one: bool,
    #[serde(default)]
    pub steps_offset: usize,
    #[serde(default)]
    pub thresholding: bool,
    #[serde(default)]
    pub timestep_spacing: TimestepSpacing,
    #[serde(default)]
    pub trained_betas: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance_type: Option<LearnedVariance>,
}

/// The class under which a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SchedulerClass {
    /// The paper's scheduler.
    #[default]
    #[serde(rename = "DDIMScheduler")]
    Ddim,
    /// The scheduler of a network that also predicts variances, which diffusers' `DDIMScheduler` does not take.
    #[serde(rename = "DDPMScheduler")]
    Ddpm,
}

/// How diffusers spaces the timesteps of a trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestepSpacing {
    /// i (T // S) + `steps_offset`.
    #[default]
    Leading,
    /// round(T, T - T/S, ...) - 1.
    Trailing,
    /// round(linspace(0, T - 1, S)).
    Linspace,
}

impl TimestepSpacing {
    /// Returns the name used in `scheduler_config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leading => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
        }
    }
}

/// How a network that predicts variances beside ε expresses them.
///
/// The deterministic process and the σ of the paper do not use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearnedVariance {
    /// The logarithm of the variance.
    Learned,
    /// Its position between its bounds.
    LearnedRange,
}

/// The paper's: T = 1000, linear betas from 1e-4 to 0.02, epsilon predicted.
impl Default for SchedulerConfig {
    fn default() -> Self {
        Self::from_json(r#"{"_class_name": "DDIMScheduler"}"#, Path::new("the default scheduler")).expect("it is valid")
    }
}

fn beta_start() -> f64 {
    1e-4
}
fn beta_end() -> f64 {
    0.02
}
fn linear() -> BetaSchedule {
    BetaSchedule::Linear
}
fn yes() -> bool {
    true
}
fn unit() -> f64 {
    1.0
}
fn ratio() -> f64 {
    0.995
}
fn thousand() -> usize {
    1000
}
fn epsilon() -> Prediction {
    Prediction::Epsilon
}

/// Types of `ddim` under the names that diffusers and the authors write.
mod by_name {
    use ddim::{BetaSchedule, Prediction};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::str::FromStr;

    pub(super) trait Named {
        fn named(&self) -> &'static str;
    }
    impl Named for BetaSchedule {
        fn named(&self) -> &'static str {
            self.name()
        }
    }
    impl Named for Prediction {
        fn named(&self) -> &'static str {
            self.name()
        }
    }

    pub(super) fn serialize<T: Named, S: Serializer>(value: &T, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(value.named())
    }

    pub(super) fn deserialize<'de, T: FromStr<Err = ddim::Error>, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

const MOST_TIMESTEPS: usize = 1 << 20;

/// Classes of diffusers (also with `Flax` before) whose noise is that of a schedule of betas, and their network told of timesteps. Of any
/// other class the keys must say so.
const OF_BETAS: [&str; 22] = [
    "DDIMScheduler",
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
];

const FLOW: &str = "flow matching, which has no betas";
const SIGMAS: &str = "a network conditioned on sigmas, not on the timesteps of betas";

/// What begins the names of classes whose process is another, and why.
const OF_OTHER_PROCESSES: [(&str, &str); 13] = [
    ("Flow", FLOW),
    ("SCM", FLOW),
    ("EDM", SIGMAS),
    ("CosineDPMSolver", SIGMAS),
    ("KarrasVe", SIGMAS),
    ("ScoreSdeVe", SIGMAS),
    ("CMStochasticIterative", SIGMAS),
    ("Consistency", SIGMAS),
    ("ScoreSdeVp", "a process in continuous time"),
    ("IPNDM", "a process without betas"),
    ("DDPMWuerstchen", "a process in continuous time"),
    ("CogVideoX", "betas shifted by a signal-to-noise ratio"),
    ("VQDiffusion", "a process over tokens"),
];

impl SchedulerConfig {
    /// Reads and checks a `scheduler_config.json` of any class; `path` is for messages.
    ///
    /// # Errors
    /// Returns an error, naming the key, if the text is not JSON, a key is missing or of another type, a value is not supported, or the
    /// process of the class is not that of a schedule of betas.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        Self::read(text, path).map(|(config, _)| config)
    }

    /// The same, and the class that the file names.
    pub(crate) fn read(text: &str, path: &Path) -> Result<(Self, String)> {
        let mut keys: Map<String, Value> = from_json(text, path)?;
        let wrong = |message: String| Error::config(path, message);
        // What its writer did not set was its own class's default: DDIMScheduler has others.
        let unset = keys.remove("_use_default_values");
        for key in unset.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            keys.remove(key);
        }
        let class = match keys.remove("_class_name") {
            Some(Value::String(class)) => class,
            None | Some(Value::Null) => String::new(),
            Some(other) => return Err(wrong(format!("_class_name is {other}: expected the name of a scheduler"))),
        };
        check_process(&class, &keys).map_err(wrong)?;
        match keys.get("prediction_type").and_then(Value::as_str) {
            // Euler's old name for it.
            Some("original_sample") => drop(keys.insert("prediction_type".into(), "sample".into())),
            // Before there was a prediction_type.
            None if keys.get("predict_epsilon") == Some(&Value::Bool(false)) => {
                drop(keys.insert("prediction_type".into(), "sample".into()))
            }
            _ => {}
        }
        let learned = |kind: &Value| kind == "learned" || kind == "learned_range";
        keys.retain(|key, value| key != "variance_type" || learned(value));
        let config: Self = from_value(Value::Object(keys), path)?;
        config.check().map_err(wrong)?;
        let class_name = if config.variance_type.is_some() { SchedulerClass::Ddpm } else { SchedulerClass::Ddim };
        Ok((Self { class_name, ..config }, class))
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !(1..=MOST_TIMESTEPS).contains(&self.num_train_timesteps) {
            return Err(format!("num_train_timesteps is {}: expected 1 to {MOST_TIMESTEPS}", self.num_train_timesteps));
        }
        if let Some(betas) = self.trained_betas.as_ref().filter(|b| b.len() != self.num_train_timesteps) {
            return Err(format!("trained_betas has {} numbers: expected num_train_timesteps, {}", betas.len(), self.num_train_timesteps));
        }
        self.noise_schedule().map_err(|e| format!("beta_schedule, beta_start, beta_end: {e}"))?;
        self.clip().check().map_err(|e| format!("clip_sample_range, thresholding: {e}"))?;
        Ok(())
    }

    /// ᾱ before it is rescaled.
    fn own_schedule(&self) -> std::result::Result<NoiseSchedule, ddim::Error> {
        match &self.trained_betas {
            Some(betas) => NoiseSchedule::from_betas(betas),
            None => NoiseSchedule::new(self.beta_schedule, self.beta_start, self.beta_end, self.num_train_timesteps),
        }
    }

    fn noise_schedule(&self) -> std::result::Result<NoiseSchedule, ddim::Error> {
        let schedule = self.own_schedule()?;
        let schedule = if self.rescale_betas_zero_snr { schedule.rescale_zero_terminal_snr()? } else { schedule };
        Ok(schedule.with_set_alpha_to_one(self.set_alpha_to_one))
    }

    /// Returns ᾱ, with `rescale_betas_zero_snr` and `set_alpha_to_one` applied.
    ///
    /// # Panics
    /// Panics if a field was changed, after reading, to a value that [`from_json`](Self::from_json) rejects.
    pub fn schedule(&self) -> NoiseSchedule {
        self.noise_schedule().expect("checked when it was read")
    }

    /// Returns what the network predicts.
    pub fn prediction(&self) -> Prediction {
        self.prediction_type
    }

    /// Returns the trajectory of S steps specified by `timestep_spacing` and `steps_offset`.
    ///
    /// # Errors
    /// Returns an error if S is outside 1..=T.
    pub fn trajectory(&self, steps: usize) -> Result<Trajectory> {
        let total = self.num_train_timesteps;
        Ok(match self.timestep_spacing {
            TimestepSpacing::Trailing => Trajectory::trailing(total, steps)?,
            TimestepSpacing::Linspace => Trajectory::linspace(total, steps)?,
            TimestepSpacing::Leading => Trajectory::leading(total, steps, self.steps_offset)?,
        })
    }

    /// Returns how the predicted x_0 is clipped: thresholding takes precedence over `clip_sample`, as in diffusers.
    pub fn clip(&self) -> Clip {
        if self.thresholding {
            Clip::Dynamic { ratio: self.dynamic_thresholding_ratio, max: self.sample_max_value }
        } else if self.clip_sample {
            Clip::Range(self.clip_sample_range)
        } else {
            Clip::None
        }
    }

    /// The same in words that diffusers knows: betas that its `DDIMScheduler` has no name for are written out as `trained_betas`.
    pub(crate) fn for_diffusers(&self) -> Self {
        let beta_schedule = match self.beta_schedule {
            BetaSchedule::Quad => BetaSchedule::ScaledLinear,
            known => known,
        };
        let known = matches!(beta_schedule, BetaSchedule::Linear | BetaSchedule::ScaledLinear | BetaSchedule::SquaredCosCapV2);
        let betas = |schedule: NoiseSchedule| {
            (1..=schedule.levels()).map(|t| 1.0 - schedule.alpha_bar(t) / schedule.alpha_bar(t - 1)).collect::<Vec<_>>()
        };
        let trained_betas = match &self.trained_betas {
            None if !known => self.own_schedule().ok().map(betas),
            given => given.clone(),
        };
        Self { beta_schedule, trained_betas, ..self.clone() }
    }
}

/// Whether a class, with its keys, has the process that DDIM needs.
fn check_process(class: &str, keys: &Map<String, Value>) -> std::result::Result<(), String> {
    let plain = class.strip_prefix("Flax").unwrap_or(class);
    if let Some((_, process)) = OF_OTHER_PROCESSES.iter().find(|(prefix, _)| plain.starts_with(prefix)) {
        return Err(format!("_class_name is {class:?}, for {process}: expected a scheduler with betas, such as DDIMScheduler"));
    }
    let is = |key: &str, value: &str| keys.get(key).and_then(Value::as_str) == Some(value);
    if keys.get("use_flow_sigmas") == Some(&Value::Bool(true)) {
        return Err(format!("use_flow_sigmas is true, for {FLOW}: expected false"));
    }
    if is("prediction_type", "flow_prediction") {
        return Err(format!("prediction_type is \"flow_prediction\", for {FLOW}: expected epsilon, sample or v_prediction"));
    }
    if is("timestep_type", "continuous") {
        return Err(format!("timestep_type is \"continuous\", for {SIGMAS}: expected \"discrete\""));
    }
    let has = |key: &str| keys.get(key).is_some_and(|value| !value.is_null());
    let told = has("trained_betas") || has("beta_schedule") || (has("beta_start") && has("beta_end"));
    let known = OF_BETAS.contains(&plain) || (has("num_train_timesteps") && told);
    if !known {
        let found = if class.is_empty() { "_class_name is missing".to_owned() } else { format!("_class_name is {class:?}") };
        return Err(format!("{found}, and num_train_timesteps and beta_schedule are missing: expected a scheduler with betas"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<SchedulerConfig, String> {
        SchedulerConfig::from_json(text, Path::new("scheduler_config.json")).map_err(|e| e.to_string())
    }

    #[test]
    fn other_classes_as_ddims() {
        for class in OF_BETAS.iter().copied().chain(["FlaxDDPMScheduler"]) {
            let config = read(&format!(r#"{{"_class_name": "{class}", "beta_end": 0.01, "lambda_min_clipped": -Infinity}}"#)).unwrap();
            assert_eq!(config, SchedulerConfig { beta_end: 0.01, ..SchedulerConfig::default() }, "{class}");
        }
        // A class that nobody knows, or none: its keys say what it is.
        for class in [r#""_class_name": "MyScheduler", "#, ""] {
            let known = read(&format!(r#"{{{class}"num_train_timesteps": 50, "beta_schedule": "scaled_linear"}}"#)).unwrap();
            assert_eq!((known.num_train_timesteps, known.beta_schedule.name()), (50, "scaled_linear"));
            let error = read(&format!(r#"{{{class}"num_train_timesteps": 50}}"#)).unwrap_err();
            assert!(error.contains("_class_name is ") && error.contains("beta_schedule"), "{error}");
        }
        let unset = r#"{"_class_name": "PNDMScheduler", "set_alpha_to_one": false, "steps_offset": 1, "_use_default_values": ["set_alpha_to_one"]}"#;
        let config = read(unset).unwrap();
        assert!(config.set_alpha_to_one && config.steps_offset == 1);
        assert_eq!(
            read(r#"{"_class_name": "EulerDiscreteScheduler", "prediction_type": "original_sample"}"#).unwrap().prediction().name(),
            "sample"
        );
        assert_eq!(read(r#"{"_class_name": "DDPMScheduler", "predict_epsilon": false}"#).unwrap().prediction().name(), "sample");
    }

    #[test]
    fn what_has_no_betas() {
        for (keys, word) in [
            (r#""_class_name": "FlowMatchEulerDiscreteScheduler""#, "flow matching"),
            (r#""_class_name": "EDMEulerScheduler""#, "sigmas"),
            (r#""_class_name": "CMStochasticIterativeScheduler""#, "sigmas"),
            (r#""_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000, "beta_schedule": "linear""#, "sigmas"),
            (r#""_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": true"#, "use_flow_sigmas"),
            (r#""_class_name": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction""#, "flow_prediction"),
            (r#""_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous""#, "timestep_type"),
            (r#""_class_name": ["DDIMScheduler"]"#, "_class_name"),
            (r#""_class_name": "DDIMScheduler", "beta_end": Infinity"#, "beta_end: "),
            (r#""_class_name": "DDIMScheduler", "beta_start": NaN"#, "beta_start: "),
            (r#""_class_name": "DDIMScheduler", "beta_schedule": "exp""#, "beta_schedule: "),
            (r#""_class_name": "DDIMScheduler", "prediction_type": "score""#, "prediction_type: "),
            (r#""_class_name": "DDIMScheduler", "timestep_spacing": "karras""#, "timestep_spacing: "),
        ] {
            let error = read(&format!("{{{keys}}}")).unwrap_err();
            assert!(error.contains(word) && error.lines().count() == 1, "{word}: {error}");
        }
    }

    #[test]
    fn written_for_diffusers() {
        for schedule in ["linear", "scaled_linear", "squaredcos_cap_v2", "quad", "sigmoid", "jsd", "const"] {
            let config =
                read(&format!(r#"{{"_class_name": "DDPMScheduler", "beta_schedule": "{schedule}", "num_train_timesteps": 40}}"#)).unwrap();
            let written = config.for_diffusers();
            assert_eq!(written.trained_betas.is_some(), ["sigmoid", "jsd", "const"].contains(&schedule), "{schedule}");
            let again = read(&serde_json::to_string(&written).unwrap()).unwrap();
            for t in 0..=40 {
                assert!((again.schedule().alpha_bar(t) - config.schedule().alpha_bar(t)).abs() < 1e-14, "{schedule} at {t}");
            }
        }
        let learned = read(r#"{"_class_name": "DDPMScheduler", "variance_type": "learned_range"}"#).unwrap();
        let text = serde_json::to_string(&learned).unwrap();
        assert!(text.contains(r#""_class_name":"DDPMScheduler""#) && text.contains(r#""variance_type":"learned_range""#), "{text}");
        assert_eq!(read(&text).unwrap(), learned);
        let fixed = read(r#"{"_class_name": "DDPMScheduler", "variance_type": "fixed_small"}"#).unwrap();
        assert_eq!(fixed, SchedulerConfig::default());
    }
}
