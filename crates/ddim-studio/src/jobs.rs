//! Jobs: queued, running, and finished.

use crate::config::Limits;
use crate::error::Problem;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::request::JobRequest;
use crate::state::State;
use crate::store::{Record, Store};
use axum::http::StatusCode;
use ddim_engine::Control;
use ddim_jobs::{File, Work};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The number of the first event of jobs of an earlier server: beyond all that it gave.
const RESTORED: u64 = (1 << 32) + 1;

/// A job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) record: Record,
    pub(crate) control: Control,
    pub(crate) log: Arc<Log>,
    /// When it was asked for.
    pub(crate) came: Instant,
    /// Bytes of its request.
    told: usize,
    state: Mutex<State>,
    task: Mutex<Option<Task>>,
}

/// What a job is worked on from; it is given away once.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) files: Vec<File>,
}

impl Job {
    fn new(id: u64, record: Record, log: Log) -> Self {
        let (control, log, came) = (Control::default(), Arc::new(log), Instant::now());
        let told = record.request.to_string().len();
        Self { id, record, control, log, came, told, state: Mutex::new(State::Queued), task: Mutex::default() }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is worked on from, for the one who does.
    pub(crate) fn take(&self) -> Option<Task> {
        self.task().take()
    }

    /// Bytes of memory that it holds, about.
    fn bytes(&self) -> usize {
        let drawn = if let State::Done(drawn) = self.state() { drawn.bytes() } else { 0 };
        let files = self.task().as_ref().map_or(0, |task| task.files.iter().map(|file| file.bytes.len()).sum());
        drawn + files + self.told + self.log.bytes()
    }

    /// What is said of it.
    pub(crate) fn to_json(&self) -> Value {
        let state = self.state();
        let at = format!("/api/v1/jobs/{}", self.id);
        let Record { kind, request, previews, .. } = &self.record;
        let mut json = json!({
            "id": self.id, "kind": kind, "state": state.name(), "request": request, "previews": previews, "events": format!("{at}/events"),
        });
        match state {
            State::Failed(problem) => {
                json["error"] = json!(problem.message);
                json["field"] = json!(problem.field);
            }
            State::Done(drawn) => {
                let numbers = drawn.first..drawn.first + drawn.images.len();
                json["report"] = drawn.report.clone();
                json["images"] = numbers.map(|n| json!(format!("{at}/images/{n}.png"))).collect();
                json["array"] = json!(drawn.array.as_ref().map(|_| format!("{at}/result.npy")));
                json["grid"] = json!(drawn.grid.as_ref().map(|_| format!("{at}/grid.png")));
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
    /// Where jobs are kept for the next start, if they are.
    store: Option<Store>,
    pub(crate) metrics: Metrics,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    all: BTreeMap<u64, Arc<Job>>,
    waiting: VecDeque<Arc<Job>>,
    closed: bool,
}

impl Jobs {
    /// With the jobs of earlier servers, those that were not over as failed.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(crate) fn new(limits: Limits, store: Option<Store>) -> crate::error::Result<Self> {
        let mut inner = Inner::default();
        for (id, record, drawn) in store.iter().map(Store::read).collect::<crate::error::Result<Vec<_>>>()?.into_iter().flatten() {
            let state = record.state(drawn);
            // Of its events the last is left: whoever heard some of them hears that one.
            let job = Job::new(id, record, Log::new(RESTORED, limits.events));
            inner.last = inner.last.max(id);
            end(&job, state);
            inner.all.insert(id, Arc::new(job));
        }
        let jobs = Self { inner: Mutex::new(inner), wake: Condvar::new(), limits, store, metrics: Metrics::default() };
        // The limits may be lower than they were.
        let gone = jobs.forget(&mut jobs.inner(), None);
        jobs.keep(|store| store.remove(&gone));
        Ok(jobs)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to the store, if there is one. What cannot be kept is counted: it is no reason to lose what is in memory.
    fn keep(&self, write: impl FnOnce(&Store) -> crate::error::Result<()>) {
        if let Some(Err(error)) = self.store.as_ref().map(write) {
            // Anybody may ask for it: where the file lies is left out.
            self.metrics.store_error(error.without_path());
        }
    }

    /// Queues a job. Blocks until it is in the store.
    ///
    /// # Errors
    /// 429 where the queue is full, 503 where the server is about to stop.
    pub(crate) fn submit(&self, asked: JobRequest) -> Result<Arc<Job>, Problem> {
        let bytes = asked.bytes();
        let mut inner = self.inner();
        self.check(&inner, bytes)?;
        inner.last += 1;
        let id = inner.last;
        drop(inner);
        let record = Record::new(&asked);
        self.keep(|store| store.put(id, &record));
        let job = Arc::new(Job::new(id, record, Log::new(1, self.limits.events)));
        *job.task() = Some(Task { work: asked.work, files: asked.files });

        let mut inner = self.inner();
        // Others have come in between.
        if let Err(problem) = self.check(&inner, bytes) {
            drop(inner);
            self.keep(|store| store.remove(&[id]));
            return Err(problem);
        }
        // One that is called off ends with its step.
        let runs = |job: &&Arc<Job>| matches!(job.state(), State::Running) && !job.control.is_cancelled();
        let running = inner.all.values().filter(runs).count();
        job.log.push("queued", &json!({ "before": running + inner.waiting.len() }));
        inner.all.insert(job.id, Arc::clone(&job));
        inner.waiting.push_back(Arc::clone(&job));
        self.wake.notify_one();
        Ok(job)
    }

    /// Whether there is a place for another job, whose files take so many bytes.
    fn check(&self, inner: &Inner, bytes: usize) -> Result<(), Problem> {
        if inner.closed {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to stop"));
        }
        let most = self.limits.queue;
        if inner.waiting.len() >= most {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{most} jobs are waiting already: expected fewer, try again later"),
            ));
        }
        let waiting: usize = inner.waiting.iter().map(|job| job.bytes()).sum();
        if bytes + waiting > self.limits.queued_bytes {
            let found = format!("{waiting} bytes of files are waiting already");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("{found}: expected fewer, try again later")));
        }
        Ok(())
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

    /// All that are remembered, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.inner().all.values().rev().cloned().collect()
    }

    /// Jobs that wait, those that are remembered, and their bytes.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let inner = self.inner();
        [inner.waiting.len(), inner.all.len(), inner.all.values().map(|job| job.bytes()).sum()]
    }

    /// A job is over. Whoever is told so finds it in the store.
    pub(crate) fn finish(&self, job: &Job, state: State) {
        self.metrics.finished(&state, job.came.elapsed());
        self.keep(|store| store.finish(job.id, &job.record.ended(&state), &state));
        let mut inner = self.inner();
        end(job, state);
        let gone = self.forget(&mut inner, Some(job.id));
        drop(inner);
        if !gone.is_empty() {
            self.keep(|store| store.remove(&gone));
        }
    }

    /// Forgets jobs that are over until those left are within the limits: the cancelled first, then the oldest; not `but`, which somebody waits for just now.
    fn forget(&self, inner: &mut Inner, but: Option<u64>) -> Vec<u64> {
        let (mut gone, mut bytes) = (Vec::new(), inner.all.values().map(|job| job.bytes()).sum::<usize>());
        while inner.all.len() > self.limits.jobs || bytes > self.limits.results {
            let over = |job: &&Arc<Job>| Some(job.id) != but && job.state().is_over();
            let is_cancelled = |job: &&Arc<Job>| matches!(job.state(), State::Cancelled);
            let oldest = inner.all.values().filter(over).find(is_cancelled).or_else(|| inner.all.values().find(over));
            let Some((id, held)) = oldest.map(|job| (job.id, job.bytes())) else { break };
            bytes -= held;
            inner.all.remove(&id);
            gone.push(id);
        }
        gone
    }

    /// Ends a job that waits, and asks one that is worked on to end.
    pub(crate) fn cancel(&self, id: u64) -> Option<Arc<Job>> {
        let mut inner = self.inner();
        let job = inner.all.get(&id).cloned()?;
        job.control.cancel();
        if let Some(at) = inner.waiting.iter().position(|waiting| waiting.id == id) {
            inner.waiting.remove(at);
            drop(inner);
            drop(job.take());
            self.finish(&job, State::Cancelled);
        }
        Some(job)
    }

    /// Ends all jobs; there will be no more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.all.values().for_each(|job| job.control.cancel());
        let waiting: Vec<_> = inner.waiting.drain(..).collect();
        self.wake.notify_all();
        drop(inner);
        waiting.iter().for_each(|job| self.finish(job, State::Cancelled));
    }
}

fn end(job: &Job, state: State) {
    let name = state.name();
    job.set(state);
    job.log.push(name, &job.to_json());
    job.log.end();
}
