//! Calls and what comes of them, as JSON and bytes.

use ddim_engine::{Control, Engine, Event, Info, Model, built_in, memory};
use ddim_jobs::{EventEncoder, PREVIEWS, Place, Problem, ProblemKind, Work, model_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Where the files of a job lie in memory.
const FILES: &str = "job";

/// What a call gives while it is worked on and at its end, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// An event, JSON: `["step", {…}]`.
    Event,
    /// A picture of the result, a PNG file.
    Image,
    /// The array of the result, a `.npy` file.
    Array,
    /// The answer, JSON: the last that is given.
    Answer,
}

#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
enum Call {
    Models {},
    Plan {
        #[serde(default = "nothing")]
        request: Value,
    },
    Job {
        kind: String,
        #[serde(default = "nothing")]
        request: Value,
        previews: Option<usize>,
    },
}

fn nothing() -> Value {
    json!({})
}

/// Answers a call, JSON as the crate's page has it. `give` is given all that comes of it; `stopped` is asked between two steps whether to stop.
///
/// ```
/// use ddim_web::{Given, answer};
///
/// let mut given = Vec::new();
/// answer(br#"{"call":"plan","request":{"steps":4}}"#, &mut |what, bytes| given.push((what, bytes.to_vec())), &|| false);
/// let (what, plan) = given.pop().unwrap();
/// assert_eq!(what, Given::Answer);
/// let plan: serde_json::Value = serde_json::from_slice(&plan)?;
/// assert_eq!(plan["steps"].as_array().unwrap().len(), 4);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn answer(call: &[u8], give: &mut (dyn FnMut(Given, &[u8]) + Send), stopped: &(dyn Fn() -> bool + Sync)) {
    let answer = serde_json::from_slice(call)
        .map_err(|error| Problem::request(format!("the call: {error}")))
        .and_then(|call| match call {
            Call::Models {} => models(),
            Call::Plan { request } => plan(request),
            Call::Job { kind, request, previews } => job(&kind, request, previews.unwrap_or(PREVIEWS), give, stopped),
        })
        .unwrap_or_else(|problem| wrong(&problem));
    give(Given::Answer, answer.to_string().as_bytes());
}

fn engine() -> Result<Engine, Problem> {
    Ok(Engine::new("cpu", None)?)
}

/// The models whose weights are there, without where they lie.
fn models() -> Result<Value, Problem> {
    let engine = engine()?;
    let one = |name: &str| {
        let request = Info { model: Model { model: name.into(), ..Model::default() } };
        let info = engine.run(&request, &Control::default(), &mut |_| {}).ok()?;
        Some(model_json(&info, Some(name)))
    };
    Ok(json!({ "models": built_in().filter_map(one).collect::<Vec<_>>() }))
}

/// The steps that a request for samples would take; what else it says is not looked at.
fn plan(request: Value) -> Result<Value, Problem> {
    let mut work = Work::parse("sample", request)?;
    check_model(work.model())?;
    let plan = work.plan().expect("it is a sample's");
    let report = engine()?.run(&plan, &Control::default(), &mut |_| {})?;
    Ok(serde_json::to_value(&report).unwrap_or_default())
}

fn job(
    kind: &str,
    request: Value,
    previews: usize,
    give: &mut (dyn FnMut(Given, &[u8]) + Send),
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Value, Problem> {
    let mut work = Work::parse(kind, request)?;
    check_model(work.model())?;
    let files = work.take_files(usize::MAX, usize::MAX)?;
    // Elsewhere than in a browser, for tests, files lie in a folder.
    let folder = if memory::ONLY { None } else { Some(tempfile::tempdir()?) };
    let place = Place::new(folder.as_ref().map_or(PathBuf::from(FILES), |folder| folder.path().to_owned()));
    let control = Control::default();
    let mut encoder = EventEncoder::new(control.clone(), previews, place.clone());
    let drawn = work.run(files, &place, &engine()?, &control, &mut |event| {
        if matches!(event, Event::Step { .. } | Event::Began { .. }) && stopped() {
            control.cancel();
        }
        if let Some((name, data)) = encoder.encode(&event) {
            give(Given::Event, json!([name, data]).to_string().as_bytes());
        }
    });
    memory::remove(FILES.as_ref());
    let drawn = drawn?;
    drawn.images.iter().for_each(|png| give(Given::Image, png));
    drawn.array.iter().for_each(|npy| give(Given::Array, npy));
    Ok(json!({ "report": drawn.report }))
}

/// There are no models but those that are built in.
fn check_model(model: &Model) -> Result<(), Problem> {
    if built_in().any(|name| model.model.as_os_str() == name) {
        return Ok(());
    }
    let names = built_in().collect::<Vec<_>>().join(", ");
    Err(Problem::field("model", format!("{}: expected {names}", model.model.display())))
}

fn wrong(problem: &Problem) -> Value {
    let mut json = json!({ "error": problem.message, "field": problem.field });
    if problem.kind == ProblemKind::Cancelled {
        json["cancelled"] = json!(true);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(call: Value) -> Value {
        let mut last = Vec::new();
        answer(call.to_string().as_bytes(), &mut |_, bytes| last = bytes.to_vec(), &|| false);
        serde_json::from_slice(&last).unwrap()
    }

    #[test]
    fn models_are_those_that_are_built_in() {
        let models = said(json!({ "call": "models" }));
        let names: Vec<&str> = models["models"].as_array().unwrap().iter().filter_map(|model| model["model"].as_str()).collect();
        assert_eq!(names, built_in().collect::<Vec<_>>());
        assert!(models["models"][0].get("weights").is_none());
    }

    #[test]
    fn what_is_wrong_says_the_field() {
        let job = |kind: &str, request: Value| said(json!({ "call": "job", "kind": kind, "request": request }));
        for (kind, request, field) in [
            ("train", json!({}), json!("kind")),
            ("sample", json!({ "steps": 0 }), json!("steps")),
            ("sample", json!({ "stepps": 1 }), json!("stepps")),
            ("sample", json!({ "files": { "grid": "a.png" } }), json!("files")),
            ("sample", json!({ "model": { "model": "../emoji" } }), json!("model")),
            ("sample", json!({ "latents": "/etc/passwd" }), json!("latents")),
            ("encode", json!({}), json!("input")),
            ("encode", json!({ "trajectory": "tuned:/etc/passwd" }), json!("trajectory")),
            ("edit", json!({ "model": { "scheduler": "/etc/passwd" } }), json!("scheduler")),
            ("consistency", json!({ "features": true }), json!("features")),
        ] {
            let answer = job(kind, request.clone());
            assert_eq!(answer["field"], field, "{request}: {answer}");
            assert!(answer["error"].as_str().is_some_and(|line| !line.contains('\n')), "{answer}");
        }
        assert!(said(json!({ "call": "nothing" }))["error"].is_string());
        assert_eq!(said(json!({ "call": "plan", "request": { "steps": 2000 } }))["field"], "steps");
    }

    #[test]
    fn a_job_tells_and_stops_when_it_is_asked_to() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let steps = AtomicUsize::new(0);
        let (mut names, mut last) = (Vec::new(), Vec::new());
        let call = json!({ "call": "job", "kind": "consistency", "request": { "count": 1, "steps": [50] }, "previews": 50 });
        answer(
            call.to_string().as_bytes(),
            &mut |what, bytes| match what {
                Given::Event => names.push(serde_json::from_slice::<Value>(bytes).unwrap()[0].as_str().unwrap().to_owned()),
                _ => last = bytes.to_vec(),
            },
            &|| steps.fetch_add(1, Ordering::SeqCst) == 3,
        );
        let answer: Value = serde_json::from_slice(&last).unwrap();
        assert_eq!(answer["cancelled"], true, "{answer}");
        assert_eq!(names.iter().filter(|name| *name == "step").count(), 3, "{names:?}");
        assert_eq!(names.iter().filter(|name| *name == "preview").count(), 3, "{names:?}");
    }
}
