//! A model's recommendation for how its images look best.

use crate::error::{Error, Result, is_there, read_text};
use ddim_weights::from_json;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where it says so.
pub(crate) const SAMPLING: &str = "sampling.json";

/// The defaults for drawing images when nothing else is specified: a model's `sampling.json`, like transformers' `generation_config.json`.
///
/// ```
/// use ddim_nn::SamplingDefaults;
///
/// let defaults = SamplingDefaults::read(r#"{"guidance": 1.5, "classes": "cat,dog"}"#, "sampling.json".as_ref())?;
/// assert_eq!((defaults.guidance, defaults.classes.as_deref()), (Some(1.5), Some("cat,dog")));
/// for wrong in [r#"{"guidance": -1}"#, r#"{"guidance": 1e300}"#, r#"{"guidance_interval": [0.5, 0.1]}"#, r#"{"classes": ["cat"]}"#, r#"{"classes": " "}"#, "[]"] {
///     assert!(SamplingDefaults::read(wrong, "sampling.json".as_ref()).is_err());
/// }
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// The scale of classifier-free guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// The levels that are guided, as fractions of T, both ends included. Without it, all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<[f64; 2]>,
    /// The classes that images are given in turn, separated by commas: names, numbers, and mixtures such as `cat+dog` and
    /// `0.3*cat+0.7*dog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<String>,
}

impl SamplingDefaults {
    /// Reads a folder's `sampling.json`. Without such a file, nothing is set.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if the file cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(SAMPLING);
        if is_there(&path) { Self::read(&read_text(&path)?, &path) } else { Ok(Self::default()) }
    }

    /// Parses the text of `sampling.json`; `path` is for messages.
    ///
    /// # Errors
    /// Returns an error if the text is of another kind, the scale is not a number of at least 0, the interval is none within [0, 1], or the
    /// list has no classes. Classes are not looked up here: their names are the model's.
    pub fn read(text: &str, path: &Path) -> Result<Self> {
        // A list would be read as a struct's fields in turn.
        from_json::<serde_json::Map<String, serde_json::Value>>(text, path)?;
        let defaults: Self = from_json(text, path)?;
        if defaults.classes.as_ref().is_some_and(|classes| classes.trim().is_empty()) {
            return Err(Error::config(path, "classes: nothing in it: expected classes with commas between"));
        }
        // Images are computed in f32.
        if let Some(scale) = defaults.guidance.filter(|scale| !(0.0..=f64::from(f32::MAX)).contains(scale)) {
            return Err(Error::config(path, format!("guidance is {scale}: expected a number, 0 or more")));
        }
        if let Some([from, to]) = defaults.guidance_interval.filter(|interval| !is_interval(*interval)) {
            let expected = "expected two numbers from 0 to 1, the smaller one first";
            return Err(Error::config(path, format!("guidance_interval is [{from}, {to}]: {expected}")));
        }
        Ok(defaults)
    }
}

/// Whether levels, as fractions of T, are an interval within [0, 1].
pub(crate) fn is_interval([from, to]: [f64; 2]) -> bool {
    0.0 <= from && from < to && to <= 1.0
}
