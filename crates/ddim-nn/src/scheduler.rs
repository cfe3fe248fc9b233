//! `scheduler/scheduler_config.json`: what decides the defaults of sampling.

use crate::error::{Error, Result, from_json};
use crate::unet::diffusers_version;
use ddim::{BetaSchedule, Clip, NoiseSchedule, Prediction, Trajectory};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The configuration of diffusers' `DDIMScheduler`; that of a `DDPMScheduler` is read as one, as diffusers does. Defaults are diffusers'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SchedulerConfig {
    #[serde(rename = "_class_name")]
    pub class_name: String,
    #[serde(rename = "_diffusers_version", default = "diffusers_version")]
    pub diffusers_version: String,
    #[serde(default = "beta_end")]
    pub beta_end: f64,
    #[serde(default = "linear")]
    pub beta_schedule: String,
    #[serde(default = "beta_start")]
    pub beta_start: f64,
    #[serde(default = "yes")]
    pub clip_sample: bool,
    #[serde(default = "unit")]
    pub clip_sample_range: f64,
    #[serde(default = "ratio")]
    pub dynamic_thresholding_ratio: f64,
    pub num_train_timesteps: usize,
    #[serde(default = "epsilon")]
    pub prediction_type: String,
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
    #[serde(default = "leading")]
    pub timestep_spacing: String,
    #[serde(default)]
    pub trained_betas: Option<Vec<f64>>,
}

/// The paper's: T = 1000, linear betas from 1e-4 to 0.02, epsilon predicted.
impl Default for SchedulerConfig {
    fn default() -> Self {
        let text = r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 1000}"#;
        Self::from_json(text, Path::new("the default scheduler")).expect("it is valid")
    }
}

fn beta_start() -> f64 {
    1e-4
}
fn beta_end() -> f64 {
    0.02
}
fn linear() -> String {
    "linear".into()
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
fn epsilon() -> String {
    "epsilon".into()
}
fn leading() -> String {
    "leading".into()
}

const MOST_TIMESTEPS: usize = 1 << 20;

impl SchedulerConfig {
    /// Reads and checks a `scheduler_config.json`; `path` is for messages.
    ///
    /// # Errors
    /// Not JSON, a key that is missing or of another type, a scheduler of another class, a value that is not supported: the message
    /// names the key.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let config: Self = from_json(text, path)?;
        config.check().map_err(|message| Error::config(path, message))?;
        Ok(Self { class_name: "DDIMScheduler".into(), ..config })
    }

    fn check(&self) -> std::result::Result<(), String> {
        if !["DDIMScheduler", "DDPMScheduler"].contains(&self.class_name.as_str()) {
            return Err(format!("_class_name is {:?}: expected DDIMScheduler or DDPMScheduler", self.class_name));
        }
        if !(1..=MOST_TIMESTEPS).contains(&self.num_train_timesteps) {
            return Err(format!("num_train_timesteps is {}: expected 1 to {MOST_TIMESTEPS}", self.num_train_timesteps));
        }
        if !["leading", "trailing", "linspace"].contains(&self.timestep_spacing.as_str()) {
            return Err(format!("timestep_spacing is {:?}: expected leading, trailing or linspace", self.timestep_spacing));
        }
        if let Some(betas) = self.trained_betas.as_ref().filter(|b| b.len() != self.num_train_timesteps) {
            return Err(format!("trained_betas has {} numbers: expected num_train_timesteps, {}", betas.len(), self.num_train_timesteps));
        }
        self.prediction_type.parse::<Prediction>().map_err(|e| format!("prediction_type: {e}"))?;
        self.noise_schedule().map_err(|e| format!("beta_schedule, beta_start, beta_end: {e}"))?;
        self.clip().check().map_err(|e| format!("clip_sample_range, thresholding: {e}"))?;
        Ok(())
    }

    fn noise_schedule(&self) -> std::result::Result<NoiseSchedule, ddim::Error> {
        let schedule = match &self.trained_betas {
            Some(betas) => NoiseSchedule::from_betas(betas)?,
            None => {
                let kind: BetaSchedule = self.beta_schedule.parse()?;
                NoiseSchedule::new(kind, self.beta_start, self.beta_end, self.num_train_timesteps)?
            }
        };
        let schedule = if self.rescale_betas_zero_snr { schedule.rescale_zero_terminal_snr()? } else { schedule };
        Ok(schedule.with_set_alpha_to_one(self.set_alpha_to_one))
    }

    /// ᾱ, with `rescale_betas_zero_snr` and `set_alpha_to_one` applied.
    pub fn schedule(&self) -> NoiseSchedule {
        self.noise_schedule().expect("checked when it was read")
    }

    /// What the network predicts.
    pub fn prediction(&self) -> Prediction {
        self.prediction_type.parse().expect("checked when it was read")
    }

    /// The trajectory of S steps that `timestep_spacing` and `steps_offset` ask for.
    ///
    /// # Errors
    /// S outside 1..=T.
    pub fn trajectory(&self, steps: usize) -> Result<Trajectory> {
        let total = self.num_train_timesteps;
        Ok(match self.timestep_spacing.as_str() {
            "trailing" => Trajectory::trailing(total, steps)?,
            "linspace" => Trajectory::linspace(total, steps)?,
            _ => Trajectory::leading(total, steps, self.steps_offset)?,
        })
    }

    /// What is done to the predicted x_0: thresholding comes before `clip_sample`, as in diffusers.
    pub fn clip(&self) -> Clip {
        if self.thresholding {
            Clip::Dynamic { ratio: self.dynamic_thresholding_ratio, max: self.sample_max_value }
        } else if self.clip_sample {
            Clip::Range(self.clip_sample_range)
        } else {
            Clip::None
        }
    }
}
