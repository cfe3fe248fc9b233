//! Description of a model.

use crate::choices::Model;
use crate::error::Result;
use crate::job::{Request, Within};
use crate::models;
use ddim::Clip;
use ddim_nn::{SampleSize, SchedulerConfig, UNetConfig};
use serde::{Deserialize, Serialize};

/// Describes a model: its network, size, schedule, and the defaults that follow from them.
///
/// ```
/// use ddim_engine::{Control, Engine, Info};
///
/// let request: Info = serde_json::from_str(r#"{ "model": { "model": "fashion" } }"#)?;
/// let info = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((info.channels, info.timesteps, info.prediction_type), (1, 1000, "epsilon"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Info {
    /// The model; its size and classes are ignored.
    pub model: Model,
}

/// What a model's files say about it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "info")]
pub struct InfoReport {
    /// The model, as named in the request.
    pub model: String,
    /// The file that the weights were read from.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub weights: String,
    /// For a checkpoint of `ddim train`, the rates of its averages, of which a model's `ema` names one; the first is the default. Otherwise empty.
    pub ema_rates: Vec<f32>,
    /// Number of parameters of the network.
    pub parameters: usize,
    /// Number of classes, where known.
    pub classes: Option<usize>,
    /// The null class, which classifier-free guidance needs.
    pub null_class: Option<usize>,
    /// Default guidance scale for drawing images, from the model's `sampling.json`.
    pub guidance: Option<f64>,
    /// Default range of levels to guide, as fractions of T, from the model's `sampling.json`. None: all levels.
    pub guidance_interval: Option<[f64; 2]>,
    /// Default classes for drawing images, in turn, from the model's `sampling.json`. None: each class in turn.
    pub drawn_classes: Option<String>,
    /// Names of the classes, as far as they are known.
    pub class_names: Vec<String>,
    /// Number of training images of each class, where known.
    pub class_counts: Vec<usize>,
    /// What was assumed or chosen, one line each.
    pub notes: Vec<String>,
    /// The scheduler class that the model's folder names.
    pub scheduler_class: String,
    /// Whether half of the network's output channels are variances, which are ignored.
    pub predicts_variances: bool,
    /// Number of channels of an image.
    pub channels: usize,
    /// Size of an image, [height, width]. None: any size.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub size: Option<[usize; 2]>,
    /// T, the number of training timesteps.
    pub timesteps: usize,
    /// ᾱ_T.
    pub alpha_bar_last: f64,
    /// The prediction type: epsilon, sample or v_prediction.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub prediction_type: &'static str,
    /// How the predicted x_0 is clipped, in words.
    pub clip: String,
    /// The network's configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub unet: UNetConfig,
    /// The scheduler's configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub scheduler: SchedulerConfig,
}

impl Request for Info {
    type Report = InfoReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<InfoReport> {
        let pipeline = models::read(&self.model.model, &self.model.choices(), watch)?;
        let schedule = pipeline.scheduler.schedule();
        let top = schedule.levels();
        let clip = match pipeline.scheduler.clip() {
            Clip::None => "none".to_owned(),
            Clip::Range(r) => format!("predicted x_0 to [-{r}, {r}]"),
            Clip::Dynamic { ratio, max } => format!("dynamic thresholding, quantile {ratio}, at most {max}"),
        };
        Ok(InfoReport {
            model: self.model.model.display().to_string(),
            weights: pipeline.weights_file.display().to_string(),
            ema_rates: pipeline.ema_rates()?,
            parameters: pipeline.parameters(),
            classes: pipeline.classes_count(),
            null_class: pipeline.null_class(),
            guidance: pipeline.usual_guidance(),
            guidance_interval: pipeline.usual_guidance_interval(),
            drawn_classes: pipeline.usual_classes().map(str::to_owned),
            predicts_variances: pipeline.config.predicts_variances(),
            channels: pipeline.config.in_channels,
            size: pipeline.config.sample_size.map(SampleSize::dims),
            timesteps: top,
            alpha_bar_last: schedule.alpha_bar(top),
            prediction_type: pipeline.scheduler.prediction().name(),
            clip,
            class_names: pipeline.classes,
            class_counts: pipeline.class_counts,
            notes: pipeline.notes,
            scheduler_class: pipeline.scheduler_class,
            unet: pipeline.config,
            scheduler: pipeline.scheduler,
        })
    }
}
