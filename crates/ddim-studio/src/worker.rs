//! The thread that runs jobs, one at a time: each has the whole device.

use crate::error::Problem;
use crate::jobs::{Job, Jobs, Task};
use crate::metrics::Metrics;
use crate::state::State;
use axum::http::StatusCode;
use ddim_engine::{Engine, Event};
use ddim_jobs::{EventEncoder, JobOutput, Place, ProblemKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Works on jobs until there will be no more.
pub(crate) fn work(jobs: &Jobs, engine: &Engine) {
    while let Some(job) = jobs.next() {
        // A defect of one job is not the end of the server.
        let ended = catch_unwind(AssertUnwindSafe(|| one(&job, engine, &jobs.metrics)));
        let broken = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the job panicked: please report it");
        let state = match ended {
            Ok(Ok(drawn)) => State::Done(drawn.into()),
            Ok(Err(problem)) if problem.kind == ProblemKind::Cancelled => State::Cancelled,
            Ok(Err(problem)) => State::Failed(problem.into()),
            Err(_) => State::Failed(broken()),
        };
        // Neither is one of what is done with its results.
        if catch_unwind(AssertUnwindSafe(|| jobs.finish(&job, state))).is_err() {
            jobs.finish(&job, State::Failed(broken()));
        }
    }
}

fn one(job: &Job, engine: &Engine, metrics: &Metrics) -> Result<JobOutput, ddim_jobs::Problem> {
    // Nobody else takes it.
    let Some(Task { mut work, files }) = job.take() else { return Err(std::io::Error::other("taken by somebody else").into()) };
    let folder = tempfile::tempdir()?;
    let place = Place::new(folder.path()).calling(&work.model().model, &job.record.model);
    let place = match (work.decoder(), job.record.request["to_model"].as_str()) {
        (Some(path), Some(name)) => place.calling(path, name),
        _ => place,
    };
    let mut encoder = EventEncoder::new(job.control.clone(), job.record.previews, place.clone());
    work.run(files, &place, engine, &job.control, &mut |event| {
        if let Event::Step { count, .. } = event {
            metrics.image_steps(count);
        }
        if let Some((name, data)) = encoder.encode(&event) {
            job.log.push(name, &data);
        }
    })
}
