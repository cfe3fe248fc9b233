//! The routes of the server, and their handlers.

use crate::config::Limits;
use crate::error::Problem;
use crate::guard::{Guard, guard};
use crate::jobs::{Job, Jobs};
use crate::models::Served;
use crate::state::State as JobState;
use crate::{assets, openai, openapi, request, runs, stream};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ddim_engine::{Control, Engine};
use ddim_jobs::JobOutput;
use http_body_util::LengthLimitError;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What answers are made of.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) models: Vec<Served>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) runs: Vec<PathBuf>,
    /// For what is answered without a job.
    pub(crate) engine: Engine,
    /// Places for large bodies.
    pub(crate) large: Arc<Semaphore>,
    pub(crate) limits: Limits,
}

type Answer = Result<Response, Problem>;

/// All that can be asked, by those who may.
pub(crate) fn router(room: Arc<AppState>, who: Guard) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/api/v1/models", get(models))
        .route("/api/v1/plan", post(plan))
        .route("/api/v1/jobs", get(jobs).post(submit))
        .route("/api/v1/jobs/{id}", get(job).delete(cancel))
        .route("/api/v1/jobs/{id}/events", get(events))
        .route("/api/v1/jobs/{id}/result.npy", get(array))
        .route("/api/v1/jobs/{id}/grid.png", get(grid))
        .route("/api/v1/jobs/{id}/images/{name}", get(image))
        .route("/api/v1/runs", get(all_runs))
        .route("/api/v1/runs/{name}", get(run))
        .route("/api/v1/runs/{name}/previews/{file}", get(preview))
        .route("/api/v1/openapi.json", get(described))
        .route("/v1/images/generations", post(generations))
        .route("/v1/models", get(openai_models))
        .route("/v1/models/{*id}", get(openai_model))
        .fallback(async |request: Request| Problem::not_found(request.uri().path()))
        .method_not_allowed_fallback(async |request: Request| {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} {}: not allowed", request.method(), request.uri().path()))
        })
        .layer(from_fn_with_state(Arc::new(who), guard))
        .layer(from_fn_with_state(Arc::clone(&room), count))
        // Around all, so that what the guard refuses is told in its words too.
        .layer(from_fn(openai::errors))
        .with_state(room)
}

/// Counts answers.
async fn count(State(room): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    room.jobs.metrics.answered(response.status().as_u16());
    response
}

/// What reads files, computes, or waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let broken = |_| Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer panicked: please report it"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}

fn json_of(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn healthz(State(room): State<Arc<AppState>>) -> Response {
    let [waiting, remembered, _] = room.jobs.counts();
    // What is wrong with the store is no reason to be restarted: it would lose what is in memory.
    let not_kept = room.jobs.metrics.not_kept();
    json_of(StatusCode::OK, &json!({ "status": "ok", "waiting": waiting, "jobs": remembered, "not_kept": not_kept }))
}

async fn metrics(State(room): State<Arc<AppState>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], room.jobs.metrics.text(room.jobs.counts())).into_response()
}

async fn models(State(room): State<Arc<AppState>>) -> Response {
    json_of(StatusCode::OK, &json!({ "models": room.models.iter().map(Served::to_json).collect::<Vec<_>>() }))
}

async fn plan(State(room): State<Arc<AppState>>, request: Request) -> Answer {
    let body = body(request.into_body(), &room).await?;
    let plan = blocking(move || {
        let Arrived { bytes, _place } = body;
        let asked = request::asked("sample", request::whole(&bytes)?, 0, &room.models, &room.limits)?;
        let plan = asked.work.plan().expect("it is a sample's");
        let report = room.engine.run(&plan, &Control::default(), &mut |_| {}).map_err(ddim_jobs::Problem::from)?;
        let mut json = serde_json::to_value(&report).unwrap_or_default();
        json["model"] = json!(asked.model);
        Ok(json)
    });
    Ok(json_of(StatusCode::OK, &plan.await?))
}

async fn described() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document()).into_response()
}

async fn openai_models(State(room): State<Arc<AppState>>) -> Response {
    json_of(StatusCode::OK, &openai::models(&room.models))
}

async fn openai_model(State(room): State<Arc<AppState>>, Path(id): Path<String>) -> Answer {
    Ok(json_of(StatusCode::OK, &openai::model(&room.models, &id)?))
}

async fn generations(State(room): State<Arc<AppState>>, headers: HeaderMap, request: Request) -> Answer {
    let body = body(request.into_body(), &room).await?;
    let job = blocking(move || {
        let Arrived { bytes, _place } = body;
        openai::submit(&bytes, &room.models, &room.jobs, &room.limits)
    });
    let job = job.await?;
    // The guard has seen that it is there, and one of ours.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Ok(json_of(StatusCode::OK, &job.images(host).await?))
}

async fn submit(State(room): State<Arc<AppState>>, request: Request) -> Answer {
    let body = body(request.into_body(), &room).await?;
    let submitted = blocking(move || {
        let Arrived { bytes, _place } = body;
        room.jobs.submit(request::read(&bytes, &room.models, &room.limits)?)
    });
    let job = submitted.await?;
    let mut response = json_of(StatusCode::ACCEPTED, &job.to_json());
    if let Ok(location) = format!("/api/v1/jobs/{}", job.id).parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn jobs(State(room): State<Arc<AppState>>) -> Response {
    let brief = |job: Arc<Job>| json!({ "id": job.id, "kind": job.record.kind, "model": job.record.model, "state": job.state().name() });
    json_of(StatusCode::OK, &json!({ "jobs": room.jobs.all().into_iter().map(brief).collect::<Vec<_>>() }))
}

async fn all_runs(State(room): State<Arc<AppState>>) -> Answer {
    Ok(json_of(StatusCode::OK, &blocking(move || Ok(runs::list(&room.runs))).await?))
}

async fn run(State(room): State<Arc<AppState>>, Path(name): Path<String>) -> Answer {
    Ok(json_of(StatusCode::OK, &blocking(move || runs::one(&room.runs, &name)).await?))
}

async fn preview(State(room): State<Arc<AppState>>, Path((name, file)): Path<(String, String)>) -> Answer {
    let bytes = blocking(move || runs::preview(&room.runs, &name, &file)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}

/// A body that has come.
struct Arrived {
    bytes: Bytes,
    /// Of a large one, its place. Whoever parses it takes both: bodies wait for a thread that does, and leave their place when they are jobs.
    _place: Option<OwnedSemaphorePermit>,
}

/// A body that is small enough and comes fast enough.
async fn body(body: Body, room: &AppState) -> Result<Arrived, Problem> {
    let limits = &room.limits;
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body: expected {} bytes at most", limits.body));
    // What is said to come needs not be waited for.
    if least(&body) > limits.body as u64 {
        return Err(too_large());
    }
    // Of the large ones, and of those that do not say, so many at once are memory enough.
    let is_small = hyper::body::Body::size_hint(&body).upper().is_some_and(|bytes| bytes <= Limits::SMALL_BODY as u64);
    let place = if is_small { Ok(None) } else { Arc::clone(&room.large).try_acquire_owned().map(Some) };
    let Ok(_place) = place else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many large bodies at once: expected fewer, try again later"));
    };
    match tokio::time::timeout(limits.request, axum::body::to_bytes(body, limits.body)).await {
        Ok(Ok(bytes)) => Ok(Arrived { bytes, _place }),
        Ok(Err(error)) if std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>()) => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}"))),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body: expected within {} s", limits.request.as_secs_f64()))),
    }
}

/// The bytes that a body has at least.
fn least(body: &Body) -> u64 {
    hyper::body::Body::size_hint(body).lower()
}

fn find(room: &AppState, id: &str) -> Result<Arc<Job>, Problem> {
    let job = id.parse().ok().and_then(|id| room.jobs.get(id));
    job.ok_or_else(|| Problem::not_found(format!("job {id}")))
}

async fn job(State(room): State<Arc<AppState>>, Path(id): Path<String>) -> Answer {
    Ok(json_of(StatusCode::OK, &find(&room, &id)?.to_json()))
}

async fn cancel(State(room): State<Arc<AppState>>, Path(id): Path<String>) -> Answer {
    let job = find(&room, &id)?;
    let asked = Arc::clone(&job);
    // It waits for the store.
    blocking(move || Ok(room.jobs.cancel(asked.id))).await?;
    Ok(json_of(StatusCode::ACCEPTED, &job.to_json()))
}

async fn events(State(room): State<Arc<AppState>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    Ok(stream::events(Arc::clone(&find(&room, &id)?.log), &headers))
}

/// What came of a job.
fn results(job: &Job) -> Result<Arc<JobOutput>, Problem> {
    match job.state() {
        JobState::Done(drawn) => Ok(drawn),
        state => Err(Problem::new(StatusCode::CONFLICT, format!("job {} is {}: expected one that is done", job.id, state.name()))),
    }
}

async fn array(State(room): State<Arc<AppState>>, Path(id): Path<String>) -> Answer {
    let bytes = results(&*find(&room, &id)?)?.array.clone();
    let bytes = bytes.ok_or_else(|| Problem::not_found(format!("an array of job {id}")))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], Bytes::from_owner(bytes)).into_response())
}

async fn grid(State(room): State<Arc<AppState>>, Path(id): Path<String>) -> Answer {
    let bytes = results(&*find(&room, &id)?)?.grid.clone();
    let bytes = bytes.ok_or_else(|| Problem::not_found(format!("a grid of job {id}")))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], Bytes::from_owner(bytes)).into_response())
}

async fn image(State(room): State<Arc<AppState>>, Path((id, name)): Path<(String, String)>) -> Answer {
    let drawn = results(&*find(&room, &id)?)?;
    let number = name.strip_suffix(".png").and_then(|number| number.parse::<usize>().ok());
    let at = number.and_then(|number| number.checked_sub(drawn.first));
    let bytes = at.and_then(|at| drawn.images.get(at)).ok_or_else(|| Problem::not_found(format!("image {name} of job {id}")))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], Bytes::from_owner(Arc::clone(bytes))).into_response())
}
