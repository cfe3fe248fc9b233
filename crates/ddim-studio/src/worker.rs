//! The thread that works on jobs, one after the other: each has all of the device.

use crate::error::Problem;
use crate::jobs::{Job, Jobs, Results, State};
use crate::preview::sheet;
use axum::body::Bytes;
use axum::http::StatusCode;
use ddim_engine::{Engine, ErrorKind, Event};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Progress is told no more often.
const EVERY: Duration = Duration::from_millis(100);

/// Works on jobs until there will be no more.
pub(crate) fn work(jobs: &Jobs, engine: &Engine) {
    while let Some(job) = jobs.next() {
        // A defect of one job is not the end of the server.
        let state = catch_unwind(AssertUnwindSafe(|| one(&job, engine)));
        let broken = |_| State::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the job panicked: please report it"));
        jobs.finish(&job, state.unwrap_or_else(broken));
    }
}

fn one(job: &Job, engine: &Engine) -> State {
    let io = |error: std::io::Error| State::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("results: {error}")));
    // The engine writes what the command line would: the same bytes.
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return io(error),
    };
    let (images, array) = (folder.path().join("images"), folder.path().join("result.npy"));
    let mut sample = job.asked.sample.clone();
    (sample.files.out, sample.files.save_npy) = (Some(images.clone()), Some(array.clone()));
    let mut teller = Teller { job, first: sample.first.unwrap_or(0) as u64, step: 0, told: None };
    let report = match engine.run(&sample, &job.control, &mut |event| teller.tell(event)) {
        Ok(report) => report,
        Err(error) if error.kind() == ErrorKind::Cancelled => return State::Cancelled,
        Err(error) => return State::Failed(Problem::of(&error)),
    };
    let read = || -> std::io::Result<Results> {
        let file = |path: &Path| std::fs::read(path).map(Bytes::from);
        let images = (report.first..report.first + report.count).map(|n| file(&images.join(format!("{n:05}.png"))));
        let images = images.collect::<std::io::Result<_>>()?;
        let mut json = serde_json::to_value(&report).unwrap_or_default();
        json["model"] = json!(job.asked.model);
        json.as_object_mut().and_then(|fields| fields.shift_remove("files"));
        Ok(Results { report: json, first: report.first, images, array: file(&array)? })
    };
    read().map_or_else(io, |results| State::Done(results.into()))
}

/// Hands the engine's events on to whoever listens.
struct Teller<'a> {
    job: &'a Job,
    /// The first image: batches that begin with another are not shown.
    first: u64,
    step: usize,
    told: Option<Instant>,
}

impl Teller<'_> {
    fn tell(&mut self, event: Event) {
        let name = match &event {
            Event::Note { .. } => "note",
            Event::Began { .. } => "began",
            Event::Progress { done, total, .. } => {
                if done < total && self.told.is_some_and(|told| told.elapsed() < EVERY) {
                    return;
                }
                self.told = Some(Instant::now());
                "progress"
            }
            Event::Step { step, steps, first, .. } => {
                self.step = *step;
                if *first == self.first && is_shown(*step, *steps, self.job.asked.previews) {
                    // It comes after this very step.
                    self.job.control.preview();
                }
                "step"
            }
            Event::Preview { timestep, first, shape, x, x_0 } => {
                let [x_t, x_0] =
                    [x, x_0].map(|batch| sheet(batch, *shape).map_or(Value::Null, |png| json!(format!("data:image/png;base64,{png}"))));
                let data = json!({ "step": self.step, "timestep": timestep, "first": first, "shape": shape, "x_t": x_t, "x_0": x_0 });
                return self.job.log.push("preview", &data);
            }
            Event::Line { .. } => "line",
            Event::Ended { .. } => "ended",
            // Of training, which is no job here.
            _ => return,
        };
        let mut data = serde_json::to_value(&event).unwrap_or_default();
        data.as_object_mut().and_then(|fields| fields.shift_remove("event"));
        self.job.log.push(name, &data);
    }
}

/// Whether step `step` of 1..=`steps` is one of so many that are shown, spread evenly; the last is.
fn is_shown(step: usize, steps: usize, shown: usize) -> bool {
    step * shown / steps != (step - 1) * shown / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_spread_and_the_last_is_one() {
        let shown = |steps, previews| (1..=steps).filter(|step| is_shown(*step, steps, previews)).collect::<Vec<_>>();
        assert_eq!(shown(10, 3), [4, 7, 10]);
        assert_eq!(shown(3, 16), [1, 2, 3]);
        assert_eq!(shown(5, 1), [5]);
        assert_eq!(shown(5, 0), [0; 0]);
    }
}
