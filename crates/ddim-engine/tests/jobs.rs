//! Jobs as a front end has them: two at a time, stopped at any step, watched, and asked of as plain data.

use ddim_engine::{
    Control, Convert, Encode, Engine, ErrorKind, Eta, Event, Fid, Info, Interpolate, Model, Nll, Precision, Request, Sample, SampleFiles,
    SampleReport, Solver, Sweep, Train,
};
use std::collections::BTreeMap;
use std::path::Path;

fn engine() -> Engine {
    Engine::new("cpu", Some(1)).unwrap()
}

fn drawing(model: &str, seed: u64, count: usize, steps: usize) -> Sample {
    let model = Model { model: model.into(), batch_size: 4.into(), ..Model::default() };
    Sample { model, seed, count: Some(count), steps, eta: Eta::Value(0.7), ..Sample::default() }
}

fn run<R: Request>(request: &R) -> ddim_engine::Result<R::Report> {
    engine().run(request, &Control::default(), &mut |_| {})
}

/// One is cancelled at any of its steps; the other does not notice, to the bit.
#[test]
fn two_jobs_do_not_know_of_each_other() {
    let (kept, other) = (drawing("fashion", 3, 6, 5), drawing("emoji", 8, 8, 6));
    let alone = run(&kept).unwrap().images;
    let whole = run(&other).unwrap().images;
    // Steps of both batches, in an order that looks random; 12 is to the end.
    for cancelled_at in [7, 1, 10, 4, 12] {
        let (first, second) = (engine().start(kept.clone()), engine().start(other.clone()));
        let (mut steps, mut after) = (0, 0);
        for event in second.events() {
            if matches!(event, Event::Step { .. }) {
                steps += 1;
                after += usize::from(second.control().is_cancelled());
                if steps == cancelled_at {
                    second.control().cancel();
                }
            }
        }
        // What was told before the word came, and an evaluation that was under way.
        assert!(after <= 2, "{after} steps after the end was asked for");
        match second.wait() {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
            Ok(report) => assert!(cancelled_at >= 11 && report.images == whole, "it had hardly a step left"),
        }
        assert!(first.wait().unwrap().images == alone, "cancelled at {cancelled_at}");
    }
}

/// An end that is asked for while the network is evaluated is noticed before it is evaluated again.
#[test]
fn cancelling_takes_less_than_an_evaluation() {
    let request = drawing("emoji", 0, 8, 50);
    for at in [1, 2, 9] {
        let control = Control::default();
        let (mut steps, asked) = (0, control.clone());
        let error = engine().run(&request, &control, &mut |event| {
            if matches!(event, Event::Step { .. }) {
                steps += 1;
                if steps == at {
                    asked.cancel();
                }
            }
        });
        assert_eq!((error.unwrap_err().kind(), steps), (ErrorKind::Cancelled, at));
    }
    // Nor does it begin.
    let control = Control::default();
    control.cancel();
    let mut told = 0;
    let result = engine().run(&request, &control, &mut |event| told += usize::from(matches!(event, Event::Step { .. })));
    assert_eq!((result.unwrap_err().kind(), told), (ErrorKind::Cancelled, 0));
}

#[test]
fn images_are_the_same_in_any_part_of_a_set() {
    let whole = run(&drawing("emoji", 5, 7, 3)).unwrap();
    let dim = 3 * 32 * 32;
    for (first, count) in [(0, 1), (6, 1), (2, 4)] {
        let part = run(&Sample { first: Some(first), ..drawing("emoji", 5, count, 3) }).unwrap();
        assert_eq!((part.first, part.count), (first, count));
        assert!(part.images == whole.images[first * dim..(first + count) * dim], "{first} {count}");
    }
    let error = run(&Sample { first: Some(usize::MAX), ..drawing("emoji", 5, 1, 3) }).unwrap_err();
    assert_eq!((error.kind(), error.to_string().starts_with("`first`")), (ErrorKind::Request, true));
}

#[test]
fn a_preview_is_shown_when_it_is_asked_for() {
    let (control, mut seen) = (Control::default(), Vec::new());
    let asked = control.clone();
    let tell = &mut |event| match event {
        Event::Step { step: 3, .. } => asked.preview(),
        Event::Preview { timestep, first, shape, x, x_0 } => seen.push((timestep, first, shape, x.len(), x_0.len())),
        _ => {}
    };
    engine().run(&drawing("emoji", 0, 2, 8), &control, tell).unwrap();
    assert_eq!(seen, [(625, 0, [3, 32, 32], 6144, 6144)], "the step that was told of has not been shown yet");
    // Asked for before the first step: it is of that.
    let control = Control::default();
    control.preview();
    let mut at = Vec::new();
    let tell = &mut |event| match event {
        Event::Preview { timestep, .. } => at.push(timestep),
        Event::Progress { done, total, eta_seconds, .. } => assert!(done <= total && eta_seconds.is_some()),
        _ => {}
    };
    engine().run(&drawing("emoji", 0, 2, 4), &control, tell).unwrap();
    assert_eq!(at, [750]);
}

/// Requests are plain data; what is no field of theirs is not passed over.
#[test]
fn requests_and_reports_are_json() {
    let request: Sample =
        serde_json::from_str(r#"{"model": {"model": "fashion"}, "count": 2, "steps": 2, "eta": "hat", "clip": {"clip": true}}"#).unwrap();
    assert_eq!((request.eta, request.clip.clip, request.seed), (Eta::Hat, Some(true), 0));
    let again: Sample = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
    assert_eq!(again, request);
    // Files and folders that are named and have no name.
    for (error, field) in [
        (run(&Sample { files: SampleFiles { out: Some("".into()), ..SampleFiles::default() }, ..request.clone() }).map(drop), "`out`"),
        (run(&Encode::default()).map(drop), "`input`"),
        (run(&Nll::default()).map(drop), "`data`"),
        (run(&Fid::default()).map(drop), "`a`"),
        (run(&Sweep::default()).map(drop), "`reference`"),
        (run(&Convert::default()).map(drop), "`destination`"),
        (run(&Train::default()).map(drop), "`out`"),
    ] {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Request, format!("{field}: empty: expected a path")));
    }
    for wrong in [r#"{"stpes": 3}"#, r#"{"model": {"name": "emoji"}}"#, r#"{"eta": "much"}"#, r#"{"steps": -1}"#] {
        assert!(serde_json::from_str::<Sample>(wrong).is_err(), "{wrong}");
    }
    let sweep: Sweep = serde_json::from_str(r#"{"solver": ["ddim", "unipc"], "trajectory": ["trailing"], "seed": [0, 4]}"#).unwrap();
    assert_eq!((&sweep.solver[..], &sweep.seed[..], sweep.trajectory.len()), (&[Solver::Ddim, Solver::UniPc][..], &[0, 4][..], 1));
    assert_eq!(serde_json::from_str::<Sweep>(&serde_json::to_string(&sweep).unwrap()).unwrap(), sweep);
    assert!(serde_json::from_str::<Sweep>(r#"{"solver": ["euler"]}"#).unwrap_err().to_string().contains("ipndm"));
    let report: SampleReport = run(&request).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["command"], &json["eta"], &json["count"], &json["files"]),
        (&"sample".into(), &"hat".into(), &2.into(), &serde_json::json!([]))
    );
    assert!(json.get("images").is_none() && report.images.len() == 2 * 32 * 32);
    let info = run(&Info::default()).unwrap();
    assert_eq!((info.channels, info.size), (3, Some([32, 32])));
}

#[test]
fn errors_name_the_field() {
    let field = |error: ddim_engine::Error| (error.kind(), error.to_string());
    for (request, begins) in [
        (Sample { steps: 0, ..Sample::default() }, "`steps`: 0 steps"),
        (Sample { eta: Eta::Value(2.0), ..Sample::default() }, "`eta`: eta 2"),
        (Sample { count: Some(0), ..Sample::default() }, "`count`: 0"),
        (Sample { timesteps: Some(vec![5, 5]), ..Sample::default() }, "`timesteps`: "),
        (Sample { model: Model { batch_size: 0.into(), ..Model::default() }, ..Sample::default() }, "`batch_size`: 0"),
        (Sample { model: Model { classes: Some("dog".into()), ..Model::default() }, ..Sample::default() }, "`classes`: "),
    ] {
        let (kind, text) = field(run(&request).unwrap_err());
        assert!(kind == ErrorKind::Request && text.starts_with(begins), "{text}");
    }
    let (kind, text) =
        field(run(&Sample { model: Model { model: "nothing".into(), ..Model::default() }, ..Sample::default() }).unwrap_err());
    assert!(kind == ErrorKind::Other && text.contains("emoji, fashion, cifar10") && text.contains("org/name"), "{text}");
    for (device, threads) in [("cpu", Some(0)), ("tpu", None), ("gpu", None)] {
        assert!(Engine::new(device, threads).is_err());
    }
    let (kind, text) = field(engine().with_precision(Precision::F16).unwrap_err());
    assert!(kind == ErrorKind::Request && text.starts_with("`precision` f16: the CPU computes in f32"), "{text}");
    assert!(engine().with_precision(Precision::F32).is_ok());
}

/// Without files in the request there are none.
#[test]
fn arrays_come_without_files() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = run(&drawing("emoji", 1, 2, 2)).unwrap();
    let input = folder.path().join("x.npy");
    let request =
        Sample { files: ddim_engine::SampleFiles { save_npy: Some(input.clone()), ..Default::default() }, ..drawing("emoji", 1, 2, 2) };
    assert!(run(&request).unwrap().images.is_empty(), "they are in the file");
    let encoded = run(&Encode { input: input.clone(), steps: 3, ..Encode::default() }).unwrap();
    assert_eq!((encoded.latents.len(), encoded.files.len()), (drawn.images.len(), 0));
    let walked = run(&Interpolate { frames: Some(3), steps: 2, ..Interpolate::default() }).unwrap();
    assert_eq!((walked.count, walked.images.len(), walked.files.len()), (3, 3 * 3072, 0));
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

/// Training that is cancelled saves, and is gone on with.
#[test]
fn training_is_a_job_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let data = pictures(folder.path());
    let settings = BTreeMap::from([
        ("steps".to_owned(), 6.into()),
        ("network.sample_size".to_owned(), 8.into()),
        ("data.fit".to_owned(), "crop".into()),
    ]);
    let request = Train { out: out.clone(), data: Some(data), preset: Some("tiny".into()), settings, ..Train::default() };
    let job = engine().start(request);
    for event in job.events() {
        if matches!(event, Event::Trained { step: 2, .. }) {
            job.control().cancel();
        }
    }
    let stopped = job.wait().unwrap();
    assert!(!stopped.finished && (2..6).contains(&stopped.step) && stopped.checkpoint.is_some(), "{stopped:?}");
    let finished = run(&Train { out, resume: true, ..Train::default() }).unwrap();
    assert!(finished.finished && finished.step == 6);
}

/// What goes wrong while a job ends is not taken for the end that was asked for.
#[test]
fn a_run_that_cannot_save_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let settings = BTreeMap::from([
        ("steps".to_owned(), 6.into()),
        ("network.sample_size".to_owned(), 8.into()),
        ("data.fit".to_owned(), "crop".into()),
    ]);
    let data = Some(pictures(folder.path()));
    let request = Train { out: out.clone(), data, preset: Some("tiny".into()), settings, ..Train::default() };
    let (control, checkpoints) = (Control::default(), out.join("checkpoints"));
    let asked = control.clone();
    let result = engine().run(&request, &control, &mut |event| {
        if matches!(event, Event::Trained { step: 2, .. }) {
            std::fs::remove_dir_all(&checkpoints).unwrap();
            std::fs::write(&checkpoints, "no folder").unwrap();
            asked.cancel();
        }
    });
    let error = result.unwrap_err();
    assert!(error.kind() != ErrorKind::Cancelled && error.to_string().contains("checkpoints"), "{error}");
}

/// A few pictures to train on.
fn pictures(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pictures");
    let request =
        Sample { files: ddim_engine::SampleFiles { out: Some(path.clone()), ..Default::default() }, ..drawing("emoji", 1, 20, 1) };
    run(&request).unwrap();
    path
}
