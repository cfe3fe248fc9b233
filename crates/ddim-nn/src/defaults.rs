//! What a model says about how its images look best.

use crate::error::{Error, Result, is_there, read_text};
use ddim_weights::from_json;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where it says so.
pub(crate) const SAMPLING: &str = "sampling.json";

/// What images are drawn with where nobody says otherwise: a model's `sampling.json`, as transformers' `generation_config.json`.
///
/// ```
/// use ddim_nn::SamplingDefaults;
///
/// let defaults = SamplingDefaults::read(r#"{"guidance": 1.5, "classes": "cat,dog"}"#, "sampling.json".as_ref())?;
/// assert_eq!((defaults.guidance, defaults.classes.as_deref()), (Some(1.5), Some("cat,dog")));
/// for wrong in [r#"{"guidance": -1}"#, r#"{"guidance": 1e300}"#, r#"{"classes": ["cat"]}"#, r#"{"classes": " "}"#, "[]"] {
///     assert!(SamplingDefaults::read(wrong, "sampling.json".as_ref()).is_err());
/// }
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// The scale of classifier-free guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Classes that images have in turn, with commas between: names, numbers, and mixtures as `cat+dog` and `0.3*cat+0.7*dog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<String>,
}

impl SamplingDefaults {
    /// What a folder's `sampling.json` says; nothing where there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read), and a file that cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(SAMPLING);
        if is_there(&path) { Self::read(&read_text(&path)?, &path) } else { Ok(Self::default()) }
    }

    /// Reads the text of `sampling.json`; `path` is for messages.
    ///
    /// # Errors
    /// Another kind of text, a scale that is no number from 0 on, or a list of no classes. They are not looked up: names are the model's.
    pub fn read(text: &str, path: &Path) -> Result<Self> {
        // A list would be read as a struct's fields in turn.
        from_json::<serde_json::Map<String, serde_json::Value>>(text, path)?;
        let defaults: Self = from_json(text, path)?;
        if defaults.classes.as_ref().is_some_and(|classes| classes.trim().is_empty()) {
            return Err(Error::config(path, "classes: nothing in it: expected classes with commas between"));
        }
        match defaults.guidance {
            // Images are computed in f32.
            Some(scale) if !(0.0..=f64::from(f32::MAX)).contains(&scale) => {
                Err(Error::config(path, format!("guidance is {scale}: expected a number, 0 or more")))
            }
            _ => Ok(defaults),
        }
    }
}
