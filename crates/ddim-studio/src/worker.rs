//! The thread that works on jobs, one after the other: each has all of the device.

use crate::error::Problem;
use crate::jobs::{Job, Jobs, Task};
use crate::metrics::Metrics;
use crate::preview::sheet;
use crate::state::State;
use crate::work::{Drawn, End, Upload};
use axum::http::StatusCode;
use ddim_engine::{Engine, Event};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::MAIN_SEPARATOR;
use std::time::{Duration, Instant};

/// Progress is told no more often.
const EVERY: Duration = Duration::from_millis(100);

/// Works on jobs until there will be no more.
pub(crate) fn work(jobs: &Jobs, engine: &Engine) {
    while let Some(job) = jobs.next() {
        // A defect of one job is not the end of the server.
        let ended = catch_unwind(AssertUnwindSafe(|| one(&job, engine, &jobs.metrics)));
        let broken = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the job panicked: please report it");
        let state = match ended {
            Ok(Ok(drawn)) => State::Done(drawn.into()),
            Ok(Err(End::Cancelled)) => State::Cancelled,
            Ok(Err(End::Failed(problem))) => State::Failed(problem),
            Err(_) => State::Failed(broken()),
        };
        jobs.finish(&job, state);
    }
}

fn one(job: &Job, engine: &Engine, metrics: &Metrics) -> Result<Drawn, End> {
    // Nobody else takes it.
    let Some(Task { mut work, files }) = job.take() else { return Err(End::Cancelled) };
    let folder = tempfile::tempdir()?;
    files.iter().try_for_each(|file| std::fs::write(folder.path().join(&file.name), &file.bytes))?;
    drop(files);
    for (_, upload) in work.uploads() {
        if let Upload::Needed(path) | Upload::Optional(Some(path)) = upload {
            *path = folder.path().join(&*path);
        }
    }
    let model = (work.model().model.display().to_string(), job.record.model.clone());
    let ours = [(format!("{}{MAIN_SEPARATOR}", folder.path().display()), String::new()), model];
    let mut teller = Teller { job, metrics, ours: &ours, first: None, step: 0, told: None };
    let drawn = work.run(folder.path(), engine, &job.control, &mut |event| teller.tell(event));
    match drawn {
        Ok(drawn) => Ok(Drawn { report: without(drawn.report, &ours), ..drawn }),
        Err(End::Failed(problem)) => Err(End::Failed(Problem { message: replaced(&problem.message, &ours), ..problem })),
        Err(End::Cancelled) => Err(End::Cancelled),
    }
}

/// Where the server has its files, and what is said instead.
type Ours = [(String, String)];

fn replaced(text: &str, ours: &Ours) -> String {
    ours.iter().fold(text.to_owned(), |text, (path, name)| text.replace(path, name))
}

/// The same in all texts of a value.
fn without(value: Value, ours: &Ours) -> Value {
    match value {
        Value::String(text) => Value::String(replaced(&text, ours)),
        Value::Array(items) => items.into_iter().map(|item| without(item, ours)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, without(value, ours))).collect(),
        other => other,
    }
}

/// Hands the engine's events on to whoever listens.
struct Teller<'a> {
    job: &'a Job,
    metrics: &'a Metrics,
    ours: &'a Ours,
    /// The first image of a phase: batches that begin with another are not shown.
    first: Option<u64>,
    step: usize,
    told: Option<Instant>,
}

impl Teller<'_> {
    fn tell(&mut self, event: Event) {
        let name = match &event {
            Event::Note { .. } => "note",
            Event::Began { .. } => {
                self.first = None;
                "began"
            }
            Event::Progress { done, total, .. } => {
                if done < total && self.told.is_some_and(|told| told.elapsed() < EVERY) {
                    return;
                }
                self.told = Some(Instant::now());
                "progress"
            }
            Event::Step { step, steps, first, count, .. } => {
                self.step = *step;
                self.metrics.image_steps(*count);
                if *self.first.get_or_insert(*first) == *first && is_shown(*step, *steps, self.job.record.previews) {
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
        self.job.log.push(name, &without(data, self.ours));
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
