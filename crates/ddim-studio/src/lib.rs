//! The studio's server: jobs of [`ddim_engine`] over HTTP, with their events as they run.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /healthz`, `GET /metrics` | whether the server is up; its metrics, for Prometheus |
//! | `GET /api/v1/models` | the models that the server was started with, and what they are |
//! | `POST /api/v1/plan` | the steps that a [`Sample`](ddim_engine::Sample) would take, and their coefficients, immediately |
//! | `POST /api/v1/jobs` | `{"kind": "sample", "request": …, "previews": 16}` queues a request to the engine: 202. Kinds: sample, consistency, interpolate, encode, reconstruct, edit |
//! | `GET /api/v1/jobs`, `…/{id}` | all jobs; one job's state (queued, running, done, failed or cancelled), its report, and where its results are |
//! | `GET /api/v1/jobs/{id}/events` | a job's server-sent events up to its end, after `Last-Event-ID` if that is given |
//! | `DELETE /api/v1/jobs/{id}` | cancels a job, between two steps |
//! | `GET /api/v1/jobs/{id}/images/{n}.png`, `…/grid.png`, `…/result.npy` | what was drawn, byte for byte as the command line writes it |
//! | `GET /api/v1/runs`, `…/{name}`, `…/{name}/previews/{file}` | training runs: their metrics and previews |
//! | `GET /api/v1/openapi.json` | all of this as an OpenAPI document |
//! | `POST /v1/images/generations`, `GET /v1/models` | OpenAI's image API, where the prompt is the name of a class, or empty |
//!
//! Files that the engine would read (`input`, `mask`, `latents`) are sent in the same fields, as data URLs in base64. Errors are `{"error": "one line",
//! "field": "steps"}`, and under `/v1/` as OpenAI's API reports them.
//!
//! Events: `queued`, `began`, `step`, `progress`, `preview` (x_t and the predicted x_0 of some images of the first batch, side by side, as data URLs of PNGs),
//! `note`, `line`, `ended`, and finally `done`, `failed` or `cancelled` with the job as `GET` returns it; `gap` where events were forgotten.
//!
//! # Invariants
//! * No path in a request opens a file: models go by the names that the server was started with, and requests name no files.
//! * Requests that a page of another site could cause are refused: the Host must match exactly, the Origin must be this server's, and bodies must be JSON.
//! * Listening on addresses beyond this machine requires a token.
//! * Memory is bounded by [`Limits`], whatever clients do.
//! * A job that is reported as done is in the store, if there is one.

mod assets;
mod bound;
mod config;
mod error;
mod guard;
mod jobs;
mod log;
mod metrics;
mod models;
mod openai;
mod openapi;
mod request;
mod routes;
mod runs;
mod server;
mod state;
mod store;
mod stream;
mod worker;

pub use config::{Config, Limits, ServedModel};
pub use error::{Error, Result};
pub use server::Studio;
