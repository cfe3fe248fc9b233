//! Validation of requests before they run: a request becomes a job of the engine that opens no file and is not too large.

use crate::bound::{bound, within};
use crate::config::Limits;
use crate::error::Problem;
use crate::models::{self, Served};
use axum::http::StatusCode;
use ddim_engine::BatchSize;
use ddim_jobs::{File, PREVIEWS, Work, parsed};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The body of a request for a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    kind: String,
    #[serde(default = "nothing")]
    request: Value,
    previews: Option<usize>,
}

fn nothing() -> Value {
    json!({})
}

/// A job as it was asked for.
#[derive(Debug)]
pub(crate) struct JobRequest {
    /// With models as the engine finds them; files to be read are named as they are in `files`.
    pub(crate) work: Work,
    pub(crate) files: Vec<File>,
    /// The model as requests know it.
    pub(crate) model: String,
    /// The request as it can be sent again, without files.
    pub(crate) told: Value,
    /// Frames of the first batch that are shown while it is drawn.
    pub(crate) previews: usize,
}

impl JobRequest {
    /// Bytes of memory that it holds while it waits, about.
    pub(crate) fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }
}

/// Reads the body of a request for a job.
///
/// # Errors
/// What is wrong with it, in one line, with its field.
pub(crate) fn read(body: &[u8], models: &[Served], limits: &Limits) -> Result<JobRequest, Problem> {
    let body: Body = whole(body)?;
    let previews = body.previews.unwrap_or(PREVIEWS);
    if previews > limits.steps {
        return Err(Problem::field("previews", format!("{previews}: expected 0 to {}", limits.steps)));
    }
    asked(&body.kind, body.request, previews, models, limits)
}

/// A job of a request whose kind is known.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn asked(kind: &str, mut request: Value, previews: usize, models: &[Served], limits: &Limits) -> Result<JobRequest, Problem> {
    let served = models::named(&mut request, models)?;
    let mut work = Work::parse(kind, request)?;
    let decoder = match work.decoder() {
        None => None,
        Some(name) => {
            let other = models::of_name("to_model", &json!(name.to_string_lossy()), models)?;
            name.clone_from(&other.path);
            Some(other)
        }
    };
    // The classes that are drawn are those of the model that draws.
    if let Some(classes) = &work.model().classes {
        decoder.unwrap_or(served).check_classes("classes", &classes.to_string_lossy())?;
    }
    if let Some(classes) = work.encoded_under() {
        served.check_classes("from_class", &classes.to_string_lossy())?;
    }
    let most_together = limits.images.max(64);
    if let BatchSize::Of(n) = work.model().batch_size {
        within("batch_size", n, most_together)?;
    }
    let count = bound(&mut work, limits)?;
    if let Some([h, w]) = work.model().size
        && served.info.size != Some([h, w])
        && h.checked_mul(w).is_none_or(|pixels| pixels > limits.pixels_together)
    {
        return Err(Problem::field("size", format!("{h}x{w}: expected {} pixels at most", limits.pixels_together)));
    }
    let size = work.model().size.or(served.info.size);
    let pixels = size.map(|[h, w]| h.checked_mul(w).and_then(|pixels| pixels.checked_mul(count)).unwrap_or(usize::MAX));
    if let Some(([h, w], _)) = size.zip(pixels).filter(|(_, pixels)| *pixels > limits.pixels) {
        let field = if work.model().size.is_some() { "size" } else { "count" };
        return Err(Problem::field(field, format!("{count} images of {h}x{w}: expected {} pixels at most", limits.pixels)));
    }
    if let Some([h, w]) = size {
        // No result depends on it.
        let most = (limits.pixels_together / (h * w).max(1)).max(1);
        let batch_size = &mut work.model().batch_size;
        match batch_size {
            BatchSize::Of(n) => *n = most.min(*n),
            // On a graphics processor it is tried.
            BatchSize::Auto if most < BatchSize::ON_PROCESSOR => *batch_size = BatchSize::Of(most),
            BatchSize::Auto => {}
        }
    }
    // Of an array all images are worked on, in the model's size.
    let images = size.map_or(limits.images, |[h, w]| limits.images.min(limits.pixels / (h * w).max(1)).max(1));
    let numbers = size.map_or(limits.pixels, |[h, w]| h * w * images).saturating_mul(served.info.channels);
    let files = work.take_files(images, numbers)?;
    work.model().model.clone_from(&served.path);
    let told = told(&work, &served.name, decoder.map(|model| &*model.name));
    let length = told.to_string().len();
    if length > Limits::SMALL_BODY {
        let found = format!("the request without its files: {length} bytes");
        return Err(Problem::new(StatusCode::BAD_REQUEST, format!("{found}: expected {} at most", Limits::SMALL_BODY)));
    }
    Ok(JobRequest { work, files, model: served.name.clone(), told, previews })
}

/// JSON to its end as the type it should be.
///
/// # Errors
/// What is wrong with it, with the field.
pub(crate) fn whole<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    // What is no JSON is not taken for a wrong field.
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))?;
    Ok(parsed(&mut serde_json::Deserializer::from_slice(body))?)
}

/// What a request is, as it can be sent again: without files, the model by the name that requests know.
fn told(work: &Work, model: &str, to_model: Option<&str>) -> Value {
    let mut request = serde_json::to_value(work).unwrap_or_default()["request"].take();
    let ours = ["files", "latents", "grid", "animate", "save_npy", "inception", "features", "no_labels", "input", "mask"];
    if let Some(fields) = request.as_object_mut() {
        ours.iter().for_each(|field| drop(fields.shift_remove(*field)));
        if let Some(to_model) = to_model {
            fields.insert("to_model".to_owned(), json!(to_model));
        }
        if let Some(fields) = fields.get_mut("model").and_then(Value::as_object_mut) {
            fields.shift_remove("scheduler");
            fields.insert("model".to_owned(), json!(model));
        }
    }
    request
}
