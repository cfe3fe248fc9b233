//! The server's metrics, in a format for Prometheus.

use crate::state::State;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of jobs' times, in seconds.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    status: u16,
}

/// Counters of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    jobs: Family<Ended, Counter>,
    seconds: Histogram,
    image_steps: Counter,
    answers: Family<Answered, Counter>,
    store_errors: Counter,
    waiting: Gauge,
    remembered: Gauge,
    bytes: Gauge,
    /// What the store said last, where it could not be written.
    not_kept: Mutex<Option<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ddim");
        let (jobs, answers) = (Family::default(), Family::default());
        let (image_steps, store_errors) = (Counter::default(), Counter::default());
        let [waiting, remembered, bytes] = [(); 3].map(|()| Gauge::default());
        let seconds = Histogram::new(SECONDS);
        registry.register("jobs", "Jobs that are over, by how they ended", Family::clone(&jobs));
        registry.register_with_unit("job", "From the request to the end of a job", Unit::Seconds, seconds.clone());
        registry.register("image_steps", "Images times steps that were computed", Counter::clone(&image_steps));
        registry.register("answers", "Answers to requests, by their status", Family::clone(&answers));
        registry.register("store_errors", "Times that jobs could not be kept for the next start", Counter::clone(&store_errors));
        registry.register("jobs_waiting", "Jobs in the queue", Gauge::clone(&waiting));
        registry.register("jobs_remembered", "Jobs in memory, of any state", Gauge::clone(&remembered));
        registry.register_with_unit("results", "Memory of jobs and their results", Unit::Bytes, Gauge::clone(&bytes));
        Self { registry, jobs, seconds, image_steps, answers, store_errors, waiting, remembered, bytes, not_kept: Mutex::default() }
    }
}

impl Metrics {
    pub(crate) fn finished(&self, state: &State, took: Duration) {
        self.jobs.get_or_create(&Ended { state: state.name() }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn image_steps(&self, n: usize) {
        self.image_steps.inc_by(n as u64);
    }

    pub(crate) fn answered(&self, status: u16) {
        self.answers.get_or_create(&Answered { status }).inc();
    }

    pub(crate) fn store_error(&self, message: String) {
        self.store_errors.inc();
        *self.not_kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// What the store said last, where it could not be written.
    pub(crate) fn not_kept(&self) -> Option<String> {
        self.not_kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// In OpenMetrics' text format; the jobs that wait, those that are remembered, and their bytes are as they are now.
    pub(crate) fn text(&self, now: [usize; 3]) -> String {
        for (gauge, n) in [&self.waiting, &self.remembered, &self.bytes].into_iter().zip(now) {
            gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to memory");
        text
    }
}
