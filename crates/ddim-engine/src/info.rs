//! What a model is.

use crate::choices::Model;
use crate::error::Result;
use crate::job::{Request, Within};
use crate::models;
use ddim::Clip;
use ddim_nn::{SampleSize, SchedulerConfig, UNetConfig};
use serde::{Deserialize, Serialize};

/// What a model is: network, size, schedule, and the defaults that follow.
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
    /// Which model; its size and classes are not looked at.
    pub model: Model,
}

/// A model as its files have it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "info")]
pub struct InfoReport {
    /// The model as it was named.
    pub model: String,
    /// The file of its weights.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub weights: String,
    /// Of a checkpoint of `ddim train`, the rates of its averages, which the field ema of a model names. The first is what is used where it names
    /// none. Empty of all else.
    pub ema_rates: Vec<f32>,
    /// Numbers of the network.
    pub parameters: usize,
    /// How many classes it has, where that is known.
    pub classes: Option<usize>,
    /// The class that stands for none, by which it can be guided.
    pub null_class: Option<usize>,
    /// The scale of guidance that it is drawn with where nobody says otherwise, as its `sampling.json` says.
    pub guidance: Option<f64>,
    /// The classes that images of a seed have in turn where nobody says otherwise, as its `sampling.json` says. Null: each of them.
    pub drawn_classes: Option<String>,
    /// What they are called, as far as that is known.
    pub class_names: Vec<String>,
    /// Images of each that it was trained on, where that is known.
    pub class_counts: Vec<usize>,
    /// What was assumed or chosen, a line each.
    pub notes: Vec<String>,
    /// The class of scheduler that its folder names.
    pub scheduler_class: String,
    /// Whether half of the network's outputs are variances, which are left out.
    pub predicts_variances: bool,
    /// Of an image.
    pub channels: usize,
    /// [height, width]. None: any.
    #[cfg_attr(feature = "openapi", schema(min_items = 2, max_items = 2))]
    pub size: Option<[usize; 2]>,
    /// T.
    pub timesteps: usize,
    /// ᾱ_T.
    pub alpha_bar_last: f64,
    /// epsilon, sample or v_prediction.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub prediction_type: &'static str,
    /// What is done to the predicted x_0, in words.
    pub clip: String,
    /// The network's configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub unet: UNetConfig,
    /// The scheduler's.
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
