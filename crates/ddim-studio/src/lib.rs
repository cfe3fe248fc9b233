//! The studio's server: jobs of [`ddim_engine`] over HTTP, followed as they are worked on.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /healthz`, `GET /metrics` | whether it is there; what it counts, for Prometheus |
//! | `GET /api/v1/models` | the models that it was started with, and what they are |
//! | `POST /api/v1/plan` | the steps that a [`Sample`](ddim_engine::Sample) would take, and their coefficients: at once |
//! | `POST /api/v1/jobs` | `{"kind": "sample", "request": …, "previews": 16}` queues a request of the engine: 202. Kinds: sample, consistency, interpolate, encode, reconstruct, edit |
//! | `GET /api/v1/jobs`, `…/{id}` | all jobs; one's state (queued, running, done, failed or cancelled), its report, and where its results are |
//! | `GET /api/v1/jobs/{id}/events` | server-sent events to its end, after `Last-Event-ID` if that is given |
//! | `DELETE /api/v1/jobs/{id}` | cancels it, between two steps |
//! | `GET /api/v1/jobs/{id}/images/{n}.png`, `…/grid.png`, `…/result.npy` | what was drawn, byte for byte as the command line writes it |
//! | `GET /api/v1/runs`, `…/{name}`, `…/{name}/previews/{file}` | runs of training: their metrics and previews |
//! | `GET /api/v1/openapi.json` | all of this as an OpenAPI document |
//! | `POST /v1/images/generations`, `GET /v1/models` | OpenAI's API of images, where the prompt is the name of a class, or empty |
//!
//! Files that the engine would read (`input`, `mask`, `latents`) are data URLs in base64 in the same fields. What is wrong is said as
//! `{"error": "one line", "field": "steps"}`, under `/v1/` as OpenAI says it.
//!
//! Events: `queued`, `began`, `step`, `progress`, `preview` (x_t and the predicted x_0 of some images of the first batch, side by side, as data URLs of PNGs), `note`, `line`,
//! `ended`, and at last `done`, `failed` or `cancelled` with the job as `GET` has it; `gap` where some were forgotten.
//!
//! # Invariants
//! * No path of a request opens a file: models go by the names that the server was started with, and requests name no files.
//! * Requests that a page of another site can cause are refused: the exact Host, this server's own Origin, JSON bodies alone.
//! * Addresses beyond this machine need a token.
//! * Memory is bounded by [`Limits`], whatever clients do.
//! * A job that is told to be done is in the store, if there is one.

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
