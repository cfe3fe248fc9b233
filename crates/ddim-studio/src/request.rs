//! What a request asks for, as far as it can be said before it is worked on: a job of the engine that opens no file and is not too large.

use crate::config::Limits;
use crate::error::Problem;
use crate::models::Served;
use ddim_engine::{BatchSize, Sample, SampleFiles, Spacing};
use serde::Deserialize;
use serde_json::{Value, json};

/// Previews of a job that does not say how many.
const PREVIEWS: usize = 16;

/// Images of a job that does not say how many: as [`Sample`] has it.
const COUNT: usize = 64;

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
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// With the model as the engine finds it, and without files.
    pub(crate) sample: Sample,
    /// The model as requests know it.
    pub(crate) model: String,
    /// Frames of the first batch that are shown while it is drawn.
    pub(crate) previews: usize,
}

impl Asked {
    /// The request as it can be sent again.
    pub(crate) fn to_json(&self) -> Value {
        let mut request = serde_json::to_value(&self.sample).unwrap_or_default();
        request["model"]["model"] = json!(self.model);
        for field in ["files", "latents"] {
            request.as_object_mut().and_then(|fields| fields.shift_remove(field));
        }
        request["model"].as_object_mut().and_then(|fields| fields.shift_remove("scheduler"));
        request
    }
}

/// Reads the body of a request for a job.
///
/// # Errors
/// What is wrong with it, in one line, with its field.
pub(crate) fn read(body: &[u8], models: &[Served], limits: &Limits) -> Result<Asked, Problem> {
    let mut body: Body = parsed(&mut serde_json::Deserializer::from_slice(body))?;
    if body.kind != "sample" {
        return Err(Problem::field("kind", format!("{:?}: expected \"sample\"", body.kind)));
    }
    let previews = body.previews.unwrap_or(PREVIEWS);
    if previews > limits.steps {
        return Err(Problem::field("previews", format!("{previews}: expected 0 to {}", limits.steps)));
    }
    let served = named(&mut body.request, models)?;
    let mut sample: Sample = parsed(body.request)?;
    opens_nothing(&sample)?;
    if let Some(classes) = &sample.model.classes {
        served.check_classes(&classes.to_string_lossy())?;
    }
    let count = *sample.count.get_or_insert(COUNT.min(limits.images));
    within("count", count, limits.images)?;
    match &sample.timesteps {
        Some(timesteps) => within("timesteps", timesteps.len(), limits.steps)?,
        None => within("steps", sample.steps, limits.steps)?,
    }
    match sample.model.batch_size {
        BatchSize::Of(n) if n > limits.images.max(COUNT) => within("batch_size", n, limits.images.max(COUNT))?,
        _ => {}
    }
    let size = sample.model.size;
    if let Some([h, w]) = size.or(served.info.size) {
        let pixels = h.checked_mul(w).and_then(|pixels| pixels.checked_mul(count));
        if pixels.is_none_or(|pixels| pixels > limits.pixels) {
            let field = if size.is_some() { "size" } else { "count" };
            return Err(Problem::field(field, format!("{count} images of {h}x{w}: expected {} pixels at most", limits.pixels)));
        }
    }
    sample.model.model.clone_from(&served.path);
    Ok(Asked { sample, model: served.name.clone(), previews })
}

/// JSON as the type it should be.
fn parsed<'de, T: Deserialize<'de>>(from: impl serde::Deserializer<'de, Error = serde_json::Error>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        // A path of "." is the whole; where it is the text that is no JSON, the position is in the message.
        if path == "." {
            Problem::new(axum::http::StatusCode::BAD_REQUEST, error.inner().to_string())
        } else {
            Problem::field(&path, error.inner())
        }
    })
}

/// The model that a request names, or the first of all, which is then written into the request.
fn named<'a>(request: &mut Value, models: &'a [Served]) -> Result<&'a Served, Problem> {
    let first = &models[0];
    let name = request.get("model").and_then(|model| model.get("model"));
    match name {
        None => {
            // What is no object is complained of when it is read.
            if let Some(fields) = request.as_object_mut() {
                let model = fields.entry("model").or_insert_with(nothing);
                model.as_object_mut().map(|model| model.insert("model".to_owned(), json!(first.name)));
            }
            Ok(first)
        }
        Some(name) => models.iter().find(|model| *name == *model.name).ok_or_else(|| {
            let names: Vec<&str> = models.iter().map(|model| &*model.name).collect();
            Problem::field("model", format!("{name}: expected {}", names.join(", ")))
        }),
    }
}

/// No path of a request is followed.
fn opens_nothing(sample: &Sample) -> Result<(), Problem> {
    let paths = [
        ("latents", sample.latents.is_some()),
        ("scheduler", sample.model.scheduler.is_some()),
        ("files", sample.files != SampleFiles::default()),
        ("trajectory", matches!(sample.trajectory, Some(Spacing::Tuned(Some(_))))),
    ];
    match paths.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(Problem::field(field, "a path: a request names no files here, expected none")),
        None => Ok(()),
    }
}

fn within(field: &str, n: usize, most: usize) -> Result<(), Problem> {
    if (1..=most).contains(&n) { Ok(()) } else { Err(Problem::field(field, format!("{n}: expected 1 to {most}"))) }
}
