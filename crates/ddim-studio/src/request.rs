//! What a request asks for, as far as it can be said before it is worked on: a job of the engine that opens no file and is not too large.

use crate::config::Limits;
use crate::error::Problem;
use crate::models::{self, Served};
use crate::upload::{self, File};
use crate::work::{self, Upload, Work, within};
use axum::http::StatusCode;
use ddim_engine::BatchSize;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Previews of a job that does not say how many.
const PREVIEWS: usize = 16;

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
pub(crate) struct Asked {
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

impl Asked {
    /// Bytes of memory that it holds while it waits, about.
    pub(crate) fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }
}

/// Reads the body of a request for a job.
///
/// # Errors
/// What is wrong with it, in one line, with its field.
pub(crate) fn read(body: &[u8], models: &[Served], limits: &Limits) -> Result<Asked, Problem> {
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
pub(crate) fn asked(kind: &str, mut request: Value, previews: usize, models: &[Served], limits: &Limits) -> Result<Asked, Problem> {
    if !Work::KINDS.contains(&kind) {
        return Err(Problem::field("kind", format!("{kind:?}: expected {}", Work::KINDS.join(", "))));
    }
    let served = models::named(&mut request, models)?;
    let mut work: Work = parsed(json!({ "kind": kind, "request": request }))?;
    work.check_paths()?;
    if let Some(classes) = &work.model().classes {
        served.check_classes("classes", &classes.to_string_lossy())?;
    }
    if let Some(classes) = work.encoded_under() {
        served.check_classes("from_class", &classes.to_string_lossy())?;
    }
    let to_model = match work.decoder() {
        None => None,
        Some(name) => {
            let other = models::of_name("to_model", &json!(name.to_string_lossy()), models)?;
            name.clone_from(&other.path);
            Some(other.name.clone())
        }
    };
    let most_together = limits.images.max(64);
    if let BatchSize::Of(n) = work.model().batch_size {
        within("batch_size", n, most_together)?;
    }
    let count = work.bound(limits)?;
    let size = work.model().size.or(served.info.size);
    let pixels = size.map(|[h, w]| h.checked_mul(w).and_then(|pixels| pixels.checked_mul(count)).unwrap_or(usize::MAX));
    if let Some(([h, w], _)) = size.zip(pixels).filter(|(_, pixels)| *pixels > limits.pixels) {
        let field = if work.model().size.is_some() { "size" } else { "count" };
        return Err(Problem::field(field, format!("{count} images of {h}x{w}: expected {} pixels at most", limits.pixels)));
    }
    // As many numbers as that many images have, of f32.
    let numbers = size.map_or(limits.pixels, |[h, w]| h * w * limits.images) * served.info.channels * 4;
    let mut files = Vec::new();
    for (field, upload) in work.uploads() {
        let path = match upload {
            Upload::Needed(path) if path.as_os_str().is_empty() => {
                return Err(Problem::field(field, format!("missing: expected {}", upload::EXPECTED)));
            }
            Upload::Needed(path) | Upload::Optional(Some(path)) => path,
            Upload::Optional(None) => continue,
        };
        let file = upload::read(field, &path.to_string_lossy(), numbers)?;
        path.clone_from(&file.name);
        files.push(file);
    }
    work.model().model.clone_from(&served.path);
    let told = work::told(&work, &served.name, to_model.as_deref());
    Ok(Asked { work, files, model: served.name.clone(), told, previews })
}

/// JSON to its end as the type it should be.
///
/// # Errors
/// What is wrong with it, with the field.
pub(crate) fn whole<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    // What is no JSON is not taken for a wrong field.
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))?;
    parsed(&mut serde_json::Deserializer::from_slice(body))
}

/// JSON as the type it should be.
pub(crate) fn parsed<'de, T: Deserialize<'de>>(from: impl serde::Deserializer<'de, Error = serde_json::Error>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let path = path.strip_prefix("request.").unwrap_or(&path);
        // A path of "." is the whole; where it is the text that is no JSON, the position is in the message.
        if ["", ".", "request"].contains(&path) {
            Problem::new(StatusCode::BAD_REQUEST, error.inner().to_string())
        } else {
            Problem::field(path, error.inner())
        }
    })
}
