//! What can be asked, and by which address.

use crate::config::Limits;
use crate::error::Problem;
use crate::guard::{Guard, guard};
use crate::jobs::{Job, Jobs, Results, State as JobState};
use crate::models::Served;
use crate::{openai, openapi, request, stream};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// What answers are made of.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) models: Vec<Served>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) limits: Limits,
}

type Answer = Result<Response, Problem>;

/// All that can be asked, by those who may.
pub(crate) fn router(room: Arc<Room>, who: Guard) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/api/v1/models", get(models))
        .route("/api/v1/jobs", post(submit))
        .route("/api/v1/jobs/{id}", get(job).delete(cancel))
        .route("/api/v1/jobs/{id}/events", get(events))
        .route("/api/v1/jobs/{id}/result.npy", get(array))
        .route("/api/v1/jobs/{id}/images/{name}", get(image))
        .route("/api/v1/openapi.json", get(described))
        .route("/v1/images/generations", post(generations))
        .route("/v1/models", get(openai_models))
        .route("/v1/models/{*id}", get(openai_model))
        .fallback(async |request: Request| Problem::not_found(request.uri().path()))
        .method_not_allowed_fallback(async |request: Request| {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} {}: not possible", request.method(), request.uri().path()))
        })
        .layer(from_fn_with_state(Arc::new(who), guard))
        // Around all, so that what the guard refuses is told in its words too.
        .layer(from_fn(openai::errors))
        .with_state(room)
}

fn json_of(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn healthz(State(room): State<Arc<Room>>) -> Response {
    let [waiting, remembered] = room.jobs.counts();
    json_of(StatusCode::OK, &json!({ "status": "ok", "waiting": waiting, "jobs": remembered }))
}

async fn models(State(room): State<Arc<Room>>) -> Response {
    json_of(StatusCode::OK, &json!({ "models": room.models.iter().map(Served::to_json).collect::<Vec<_>>() }))
}

async fn described() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document()).into_response()
}

async fn openai_models(State(room): State<Arc<Room>>) -> Response {
    json_of(StatusCode::OK, &openai::models(&room.models))
}

async fn openai_model(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Answer {
    Ok(json_of(StatusCode::OK, &openai::model(&room.models, &id)?))
}

async fn generations(State(room): State<Arc<Room>>, headers: HeaderMap, request: Request) -> Answer {
    let body = body(request.into_body(), &room.limits).await?;
    // The guard has seen that it is there, and one of ours.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Ok(json_of(StatusCode::OK, &openai::generations(&body, host, &room.models, &room.jobs, &room.limits).await?))
}

async fn submit(State(room): State<Arc<Room>>, request: Request) -> Answer {
    let body = body(request.into_body(), &room.limits).await?;
    let job = room.jobs.submit(request::read(&body, &room.models, &room.limits)?)?;
    let mut response = json_of(StatusCode::ACCEPTED, &job.to_json());
    if let Ok(location) = format!("/api/v1/jobs/{}", job.id).parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A body that is small enough and comes fast enough.
async fn body(body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body: expected {} bytes at most", limits.body));
    // What is said to come needs not be waited for.
    if http_body(&body) > limits.body as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.request, axum::body::to_bytes(body, limits.body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("length limit")) => {
            Err(too_large())
        }
        Ok(Err(error)) => Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}"))),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body: expected within {} s", limits.request.as_secs_f64()))),
    }
}

/// The bytes that a body has at least.
fn http_body(body: &Body) -> u64 {
    hyper::body::Body::size_hint(body).lower()
}

fn find(room: &Room, id: &str) -> Result<Arc<Job>, Problem> {
    let job = id.parse().ok().and_then(|id| room.jobs.get(id));
    job.ok_or_else(|| Problem::not_found(format!("job {id}")))
}

async fn job(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Answer {
    Ok(json_of(StatusCode::OK, &find(&room, &id)?.to_json()))
}

async fn cancel(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Answer {
    let job = find(&room, &id)?;
    room.jobs.cancel(job.id);
    Ok(json_of(StatusCode::ACCEPTED, &job.to_json()))
}

async fn events(State(room): State<Arc<Room>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    Ok(stream::events(find(&room, &id)?, &headers))
}

/// What came of a job.
fn results(job: &Job) -> Result<Arc<Results>, Problem> {
    match job.state() {
        JobState::Done(results) => Ok(results),
        state => Err(Problem::new(StatusCode::CONFLICT, format!("job {} is {}: expected one that is done", job.id, state.name()))),
    }
}

async fn array(State(room): State<Arc<Room>>, Path(id): Path<String>) -> Answer {
    let bytes = results(&*find(&room, &id)?)?.array.clone();
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

async fn image(State(room): State<Arc<Room>>, Path((id, name)): Path<(String, String)>) -> Answer {
    let results = results(&*find(&room, &id)?)?;
    let number = name.strip_suffix(".png").and_then(|number| number.parse::<usize>().ok());
    let at = number.and_then(|number| number.checked_sub(results.first));
    let bytes = at.and_then(|at| results.images.get(at)).ok_or_else(|| Problem::not_found(format!("image {name} of job {id}")))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes.clone()).into_response())
}
