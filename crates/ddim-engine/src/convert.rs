//! Conversion of models to diffusers pipeline folders.

use crate::choices::Model;
use crate::error::{Error, Result};
use crate::job::{Request, Within};
use crate::models;
use crate::output::check_paths;
use crate::tuned::{self, TunedFor};
use ddim_nn::{Choices, Pipeline};
use ddim_weights::WeightsDtype;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Rewrites a model, or a file of weights, as a diffusers pipeline folder with safetensors weights. Tuned trajectories of the model are copied, unless rounding
/// changes its weights or another scheduler is chosen.
///
/// ```
/// use ddim_engine::{Control, Convert, Dtype, Engine};
///
/// # let folder = tempfile::tempdir()?;
/// let destination = folder.path().join("emoji");
/// let request = Convert { destination: destination.clone(), dtype: Dtype::F16, ..Convert::default() }; // of the built-in model
/// let converted = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert!(destination.join("model_index.json").exists());
/// assert!(converted.parameters > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Convert {
    /// The model or file of weights; its classes are ignored.
    pub model: Model,
    /// The folder to create.
    pub destination: PathBuf,
    /// Number format of the weights.
    pub dtype: Dtype,
    /// The `config.json` of the network, for a file of diffusers weights without one beside it.
    pub config: Option<PathBuf>,
}

/// Number formats of weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit IEEE float.
    #[default]
    F32,
    /// 16-bit IEEE float.
    F16,
    /// bfloat16: 16 bits with the exponent range of 32.
    Bf16,
}

/// The result of a [`Convert`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "command", rename = "convert")]
pub struct ConvertReport {
    /// The model, as named in the request.
    pub source: String,
    /// The file that the weights were read from.
    pub weights: String,
    /// Number of parameters of the network.
    pub parameters: usize,
    /// Number format of the weights.
    pub dtype: Dtype,
    /// What was assumed or chosen, one line each.
    pub notes: Vec<String>,
    /// The folder that was written.
    pub files: Vec<String>,
}

impl Request for Convert {
    type Report = ConvertReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<ConvertReport> {
        check_paths(&[("config", self.config.as_deref())], &[("destination", Some(&self.destination))], &[])?;
        let source = &self.model.model;
        // The shapes of a lone file may need it to tell the network.
        let size = self.model.size.filter(|_| source.is_file());
        let choices = Choices { config: self.config.clone(), size, ..self.model.choices() };
        let pipeline = if source.is_file() {
            Pipeline::load_file(source, &choices).map_err(models::in_field(&choices))?
        } else if self.config.is_some() {
            return Err(Error::field("config", "a folder has its own config.json: expected a file of weights as the source"));
        } else {
            models::read(source, &choices, watch)?
        };
        let pipeline = match self.model.size {
            Some(size) => pipeline.with_size(size).map_err(|e| Error::field("size", e))?,
            None => pipeline,
        };
        watch.check()?;
        let dtype = match self.dtype {
            Dtype::F32 => WeightsDtype::F32,
            Dtype::F16 => WeightsDtype::F16,
            Dtype::Bf16 => WeightsDtype::Bf16,
        };
        let tuned_for = || TunedFor::of(ddim_nn::checksum(&pipeline.unet, dtype), &pipeline.scheduler.schedule());
        let (more, mismatch) = match tuned::own_text(source)? {
            None => (Vec::new(), None),
            Some(text) => match tuned::mismatch(&text, &tuned_for()) {
                None => (vec![(tuned::NAME, text.into_bytes())], None),
                found => (Vec::new(), found),
            },
        };
        pipeline.save_with(&self.destination, dtype, &more)?;
        let (weights, parameters) = (pipeline.weights_file.display().to_string(), pipeline.parameters());
        let mut notes = pipeline.notes;
        if let Some(what) = mismatch {
            notes.push(format!("{} is not copied: it {what}", tuned::NAME));
        }
        notes.iter().for_each(|note| watch.note(note));
        Ok(ConvertReport {
            source: source.display().to_string(),
            weights,
            parameters,
            dtype: self.dtype,
            notes,
            files: vec![self.destination.display().to_string()],
        })
    }
}
