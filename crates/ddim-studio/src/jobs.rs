//! Jobs: those that wait, the one that is worked on, those that are over.

use crate::config::Limits;
use crate::error::Problem;
use crate::log::Log;
use crate::request::Asked;
use axum::body::Bytes;
use axum::http::StatusCode;
use ddim_engine::Control;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) asked: Asked,
    pub(crate) control: Control,
    pub(crate) log: Log,
    state: Mutex<State>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Queued,
    Running,
    Done(Arc<Results>),
    Failed(Problem),
    Cancelled,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Results {
    /// The engine's report.
    pub(crate) report: Value,
    /// The number of the first image.
    pub(crate) first: usize,
    /// Each image as `ddim sample --out` writes it.
    pub(crate) images: Vec<Bytes>,
    /// The batch [n, c, h, w] as `ddim sample --save-npy` writes it.
    pub(crate) array: Bytes,
}

impl State {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl Job {
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Bytes of memory that it holds, about.
    fn bytes(&self) -> usize {
        let results = match self.state() {
            State::Done(results) => results.array.len() + results.images.iter().map(Bytes::len).sum::<usize>(),
            _ => 0,
        };
        results + self.log.bytes()
    }

    /// What is said of it.
    pub(crate) fn to_json(&self) -> Value {
        let state = self.state();
        let at = format!("/api/v1/jobs/{}", self.id);
        let mut json = json!({
            "id": self.id, "kind": "sample", "state": state.name(), "request": self.asked.to_json(), "previews": self.asked.previews,
            "events": format!("{at}/events"),
        });
        match state {
            State::Failed(problem) => {
                json["error"] = json!(problem.message);
                json["field"] = json!(problem.field);
            }
            State::Done(results) => {
                let numbers = results.first..results.first + results.images.len();
                json["report"] = results.report.clone();
                json["images"] = numbers.map(|n| json!(format!("{at}/images/{n}.png"))).collect();
                json["array"] = json!(format!("{at}/result.npy"));
            }
            _ => {}
        }
        json
    }
}

/// All jobs of a server, which are worked on one after the other.
#[derive(Debug)]
pub(crate) struct Jobs {
    inner: Mutex<Inner>,
    /// A job has come, or there will be no more.
    wake: Condvar,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    all: BTreeMap<u64, Arc<Job>>,
    waiting: VecDeque<Arc<Job>>,
    closed: bool,
}

impl Jobs {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { inner: Mutex::default(), wake: Condvar::new(), limits }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// 429 where the queue is full, 503 where the server is about to stop.
    pub(crate) fn submit(&self, asked: Asked) -> Result<Arc<Job>, Problem> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to stop"));
        }
        if inner.waiting.len() >= self.limits.queue {
            let most = self.limits.queue;
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("{most} jobs wait already: expected fewer, try again later")));
        }
        inner.last += 1;
        let (control, log) = (Control::default(), Log::new(self.limits.events));
        let job = Arc::new(Job { id: inner.last, asked, control, log, state: Mutex::new(State::Queued) });
        job.log.push("queued", &json!({ "before": inner.waiting.len() }));
        inner.all.insert(job.id, Arc::clone(&job));
        inner.waiting.push_back(Arc::clone(&job));
        self.wake.notify_one();
        Ok(job)
    }

    /// Waits for the next job; none where there will be no more.
    pub(crate) fn next(&self) -> Option<Arc<Job>> {
        let mut inner = self.inner();
        loop {
            if inner.closed {
                return None;
            }
            if let Some(job) = inner.waiting.pop_front() {
                job.set(State::Running);
                return Some(job);
            }
            inner = self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Job>> {
        self.inner().all.get(&id).cloned()
    }

    /// Jobs that wait, and those that are remembered.
    pub(crate) fn counts(&self) -> [usize; 2] {
        let inner = self.inner();
        [inner.waiting.len(), inner.all.len()]
    }

    /// A job is over.
    pub(crate) fn finish(&self, job: &Job, state: State) {
        let mut inner = self.inner();
        end(job, state);
        let mut bytes: usize = inner.all.values().map(|job| job.bytes()).sum();
        while inner.all.len() > self.limits.jobs || bytes > self.limits.results {
            // Not the one that somebody waits for just now.
            let Some(oldest) = inner.all.values().find(|other| other.id != job.id && other.state().is_over()) else { break };
            bytes -= oldest.bytes();
            let id = oldest.id;
            inner.all.remove(&id);
        }
    }

    /// Ends a job that waits, and asks one that is worked on to end.
    pub(crate) fn cancel(&self, id: u64) -> Option<Arc<Job>> {
        let mut inner = self.inner();
        let job = inner.all.get(&id).cloned()?;
        job.control.cancel();
        if let Some(at) = inner.waiting.iter().position(|waiting| waiting.id == id) {
            inner.waiting.remove(at);
            drop(inner);
            self.finish(&job, State::Cancelled);
        }
        Some(job)
    }

    /// Ends all jobs; there will be no more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.all.values().for_each(|job| job.control.cancel());
        inner.waiting.drain(..).for_each(|job| end(&job, State::Cancelled));
        self.wake.notify_all();
    }
}

fn end(job: &Job, state: State) {
    let name = state.name();
    job.set(state);
    job.log.push(name, &job.to_json());
    job.log.end();
}
