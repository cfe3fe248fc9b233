//! OpenAI's image API, as far as it maps onto models that read no text: a prompt is the name of a class, and what has no meaning here is refused.
//!
//! Errors are [`Problem`]s here too; [`errors`] reports them as OpenAI's clients expect.

use crate::config::Limits;
use crate::error::Problem;
use crate::jobs::{Job, Jobs};
use crate::models::Served;
use crate::request;
use crate::state::State;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ddim_engine::Eta;
use ddim_jobs::parsed;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::ToSchema;

/// Images of a request, as OpenAI has it.
const MOST: usize = 10;

/// Names of classes that a message lists.
const LISTED: usize = 32;

/// A request for images. Fields marked as extensions are not part of OpenAI's API.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImagesRequest)]
pub(crate) struct Images {
    /// The name or number of a class, for models with classes; empty or absent for others. Other text is refused.
    prompt: Option<String>,
    /// Name of a model on this server. Defaults to the first.
    model: Option<String>,
    /// Number of images. Defaults to 1.
    #[schema(minimum = 1, maximum = 10)]
    n: Option<usize>,
    /// `auto` or the size of the model's images, width before height: `32x32`.
    size: Option<String>,
    /// Defaults to `b64_json`.
    response_format: Option<Format>,
    /// Identifies the end user; ignored.
    #[expect(dead_code, reason = "accepted, and not looked at")]
    user: Option<String>,
    /// Extension: seed of the latents and the noise. Defaults to 0, so that the same request draws the same images.
    seed: Option<u64>,
    /// Extension: S, the number of steps. Defaults to 50.
    #[schema(minimum = 1)]
    steps: Option<usize>,
    /// Extension: noise added while sampling. Defaults to 0.
    eta: Option<Eta>,
    /// Extension: guidance scale, how far predictions go beyond those without a class. Defaults to the scale in the model's `sampling.json`, or to 1, which is
    /// the class alone.
    guidance: Option<f64>,
    /// Extension: how a step uses earlier predictions of the network. Defaults to `ddim`.
    solver: Option<String>,
}

/// How images are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImagesFormat)]
pub(crate) enum Format {
    /// PNG files in base64.
    B64Json,
    /// URLs on this server, valid as long as the job is remembered; they require the token too.
    Url,
}

/// What OpenAI's API has besides, and the values that say nothing: others are refused.
pub(crate) fn fixed() -> [(&'static str, Vec<Value>); 8] {
    [
        ("quality", vec![json!("auto"), json!("standard")]),
        ("style", vec![json!("vivid")]),
        ("background", vec![json!("auto")]),
        ("moderation", vec![json!("auto")]),
        ("output_format", vec![json!("png")]),
        ("output_compression", vec![json!(100)]),
        ("partial_images", vec![json!(0)]),
        ("stream", vec![json!(false)]),
    ]
}

/// The models, the default first.
pub(crate) fn models(models: &[Served]) -> Value {
    json!({ "object": "list", "data": models.iter().map(described).collect::<Vec<_>>() })
}

/// # Errors
/// 404 for a model that is not there.
pub(crate) fn model(models: &[Served], id: &str) -> Result<Value, Problem> {
    find(models, id).map(described)
}

fn described(served: &Served) -> Value {
    // When it was made nobody knows.
    json!({ "id": served.name, "object": "model", "created": 0, "owned_by": "ddim" })
}

fn find<'a>(models: &'a [Served], id: &str) -> Result<&'a Served, Problem> {
    models.iter().find(|served| served.name == id).ok_or_else(|| {
        let names: Vec<&str> = models.iter().map(|served| &*served.name).collect();
        let mut problem = Problem::field("model", format!("{id:?}: not found: expected {}", names.join(", ")));
        problem.status = StatusCode::NOT_FOUND;
        problem
    })
}

/// A job of images that somebody waits for: it is cancelled where they are gone before its end.
pub(crate) struct PendingImages {
    jobs: Arc<Jobs>,
    job: Arc<Job>,
    format: Format,
    over: bool,
}

/// Queues what a body asks for, as a job among others. Blocks.
///
/// # Errors
/// What is wrong with the body; 429 where the queue is full.
pub(crate) fn submit(body: &[u8], models: &[Served], jobs: &Arc<Jobs>, limits: &Limits) -> Result<PendingImages, Problem> {
    let images = read(body)?;
    let format = images.response_format.unwrap_or(Format::B64Json);
    let asked = request::asked("sample", asked(&images, models)?, 0, models, limits);
    let job = asked.and_then(|asked| jobs.submit(asked)).map_err(renamed)?;
    Ok(PendingImages { jobs: Arc::clone(jobs), job, format, over: false })
}

impl PendingImages {
    /// Waits for the images; `host` is how the client calls this server.
    ///
    /// # Errors
    /// What became of the job instead.
    pub(crate) async fn images(mut self, host: &str) -> Result<Value, Problem> {
        // The sender is the job's: it is there as long as this is.
        let _ = self.job.log.listen().wait_for(|(_, ended)| *ended).await;
        self.over = true;
        let drawn = match self.job.state() {
            State::Done(drawn) => drawn,
            State::Failed(problem) => return Err(renamed(problem)),
            _ => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "cancelled, or the server is about to stop")),
        };
        let at = format!("http://{host}/api/v1/jobs/{}/images", self.job.id);
        let one = |(n, png): (usize, &Arc<[u8]>)| match self.format {
            Format::B64Json => json!({ "b64_json": BASE64_STANDARD.encode(png) }),
            Format::Url => json!({ "url": format!("{at}/{n}.png") }),
        };
        let data: Vec<Value> = (drawn.first..).zip(&drawn.images).map(one).collect();
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(json!({ "created": created, "data": data }))
    }
}

impl Drop for PendingImages {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (jobs, id) = (Arc::clone(&self.jobs), self.job.id);
        // It waits for the store, where connections are not served.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || jobs.cancel(id))),
            Err(_) => drop(jobs.cancel(id)),
        }
    }
}

/// A body without the fields that say nothing.
fn read(body: &[u8]) -> Result<Images, Problem> {
    let invalid = |error: serde_json::Error| Problem::new(StatusCode::BAD_REQUEST, error.to_string());
    let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(invalid)?;
    for (field, values) in fixed() {
        match fields.shift_remove(field) {
            None | Some(Value::Null) => {}
            Some(value) if values.contains(&value) => {}
            Some(value) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                return Err(Problem::field(field, format!("{value}: not supported here: expected {}", values.join(" or "))));
            }
        }
    }
    Ok(parsed(Value::Object(fields))?)
}

/// The same as a request for a job.
fn asked(images: &Images, models: &[Served]) -> Result<Value, Problem> {
    let served = images.model.as_deref().map_or(Ok(&models[0]), |id| find(models, id))?;
    let n = images.n.unwrap_or(1);
    if !(1..=MOST).contains(&n) {
        return Err(Problem::field("n", format!("{n}: expected 1 to {MOST}")));
    }
    let mut request = json!({ "model": { "model": served.name }, "count": n });
    // Without a prompt it is drawn as `ddim sample` draws it.
    let prompt = images.prompt.as_deref().unwrap_or_default().trim();
    if !prompt.is_empty() {
        request["model"]["classes"] = json!(class(prompt, served)?);
    }
    if let Some(size) = size(images.size.as_deref().unwrap_or("auto"), served)? {
        request["model"]["size"] = json!(size);
    }
    if let Some(guidance) = images.guidance {
        request["model"]["guidance"] = json!({ "scale": guidance });
    }
    let more = [
        ("seed", images.seed.map(Value::from)),
        ("steps", images.steps.map(Value::from)),
        ("eta", images.eta.map(|eta| json!(eta))),
        ("solver", images.solver.as_deref().map(Value::from)),
    ];
    for (field, value) in more.into_iter().filter_map(|(field, value)| Some((field, value?))) {
        request[field] = value;
    }
    Ok(request)
}

/// The number of the class that a prompt names.
fn class(prompt: &str, served: &Served) -> Result<String, Problem> {
    let (name, info) = (&served.name, &served.info);
    let names = &info.class_names;
    let refused =
        |expected: String| Err(Problem::field("prompt", format!("{prompt:?}: the model {name} does not read text: expected {expected}")));
    let Some(rows) = info.classes else {
        return refused("no prompt, since it has no classes".to_owned());
    };
    // Without the class that stands for none.
    let count = if names.is_empty() { info.null_class.unwrap_or(rows) } else { names.len() };
    // As written, or else in whatever case where that is one alone.
    let mut alike = (0..names.len()).filter(|i| names[*i].eq_ignore_ascii_case(prompt));
    let alike = alike.next().filter(|_| alike.next().is_none());
    let number = || prompt.parse::<usize>().ok().filter(|number| *number < count);
    if let Some(found) = names.iter().position(|name| name == prompt).or(alike).or_else(number) {
        return Ok(found.to_string());
    }
    let last = count.saturating_sub(1);
    refused(match names.len() {
        0 => format!("the number of a class, 0 to {last}"),
        1..=LISTED => format!("one of its classes ({}) or a number, 0 to {last}", names.join(", ")),
        _ => format!("one of its classes ({}, ...) or a number, 0 to {last}", names[..LISTED].join(", ")),
    })
}

/// [height, width] where the model has none of its own.
fn size(text: &str, served: &Served) -> Result<Option<[usize; 2]>, Problem> {
    if text == "auto" {
        return Ok(None);
    }
    let sides = text.split_once('x').and_then(|(w, h)| Some([h.parse().ok()?, w.parse().ok()?]));
    match (sides, served.info.size) {
        (Some(sides), Some(own)) if sides == own => Ok(None),
        (Some(sides), None) => Ok(Some(sides)),
        (_, Some([h, w])) => Err(Problem::field("size", format!("{text:?}: expected auto or {w}x{h}, that of the model {}", served.name))),
        (None, None) => Err(Problem::field("size", format!("{text:?}: expected width and height, as in 32x32"))),
    }
}

/// With the field's name in a request for images.
fn renamed(mut problem: Problem) -> Problem {
    let field = match problem.field.as_deref() {
        Some("count") => "n",
        Some("classes") => "prompt",
        Some(field) if field.starts_with("model.guidance") => "guidance",
        _ => return problem,
    };
    if let Some(old) = problem.field.replace(field.to_owned()) {
        problem.message = problem.message.replacen(&format!("`{old}`"), &format!("`{field}`"), 1);
    }
    problem
}

/// Tells what is wrong with requests under `/v1/`, whoever finds it, as OpenAI does.
pub(crate) async fn errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/v1" || path.starts_with("/v1/");
    let mut response = next.run(request).await;
    let status = response.status();
    if !ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = response.extensions_mut().remove::<Arc<Problem>>();
    let problem = problem.unwrap_or_else(|| Arc::new(Problem::new(status, status.canonical_reason().unwrap_or("refused"))));
    *response.body_mut() = Body::from(told(&problem).to_string());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn told(problem: &Problem) -> Value {
    let (kind, code) = match problem.status {
        StatusCode::TOO_MANY_REQUESTS => ("rate_limit_error", Some("rate_limit_exceeded")),
        StatusCode::UNAUTHORIZED => ("invalid_request_error", Some("invalid_api_key")),
        StatusCode::NOT_FOUND if problem.field.as_deref() == Some("model") => ("invalid_request_error", Some("model_not_found")),
        status if status.is_server_error() => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({ "error": { "message": problem.message, "type": kind, "param": problem.field, "code": code } })
}
