//! What outlives a server: jobs in its file; what is looked at besides: runs, metrics.

use crate::client::server;
use ddim_studio::{Config, Error, Studio};
use std::fs;

#[test]
fn jobs_and_results_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.redb");
    let keep = |config: &mut Config| config.store = Some(file.clone());
    let mut first = server(keep);
    let id = first.submit(r#"{"count": 2, "steps": 2}"#);
    first.wait(id, &["done"]);
    let wrong = first.submit(r#"{"count": 1, "timesteps": [5000]}"#);
    first.wait(wrong, &["failed"]);
    let at = format!("/api/v1/jobs/{id}");
    let before = [first.get(&at), first.get(&format!("{at}/images/1.png")), first.get(&format!("{at}/result.npy"))];
    let error = first.get(&format!("/api/v1/jobs/{wrong}")).json()["error"].clone();
    // Two servers do not write to one file.
    let busy = Studio::bind(Config { listen: ([127, 0, 0, 1], 0).into(), store: Some(file.clone()), ..Config::default() });
    assert!(matches!(busy, Err(Error::Store { .. })), "{busy:?}");
    first.stop();

    let second = server(keep);
    let after = [second.get(&at), second.get(&format!("{at}/images/1.png")), second.get(&format!("{at}/result.npy"))];
    for (before, after) in before.iter().zip(&after) {
        assert!(before.body == after.body, "{}", after.text());
    }
    assert_eq!(second.get(&format!("/api/v1/jobs/{wrong}")).json()["error"], error);
    // Its events are those that are left: the last.
    let events: Vec<_> = second.events(id, None).collect();
    assert_eq!((events.len(), &*events[0].name), (1, "done"));
    // Also for whoever heard the first of them from the server before, and listens on.
    let rest: Vec<_> = second.events(id, Some("5")).collect();
    assert_eq!(rest.last().unwrap().name, "done");
    assert_eq!(second.events(id, Some(&rest.last().unwrap().id.unwrap().to_string())).count(), 0);
    // Numbers go on.
    assert!(second.submit(r#"{"count": 1, "steps": 1}"#) > wrong);
}

#[test]
fn what_was_not_over_says_so_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.redb");
    let crashed = server(|config| config.store = Some(file.clone()));
    let done = crashed.submit(r#"{"count": 1, "steps": 1}"#);
    crashed.wait(done, &["done"]);
    let running = crashed.submit(r#"{"count": 64, "steps": 1000}"#);
    crashed.wait(running, &["running"]);
    let waiting = crashed.submit(r#"{"count": 1, "steps": 1}"#);
    // As it lies on the disk if the process is killed now.
    let copy = folder.path().join("copy.redb");
    fs::copy(&file, &copy).unwrap();

    let again = server(|config| config.store = Some(copy.clone()));
    assert_eq!(again.state(done), "done");
    for id in [running, waiting] {
        let job = again.get(&format!("/api/v1/jobs/{id}")).json();
        assert_eq!(job["state"], "failed");
        assert!(job["error"].as_str().unwrap().contains("the server ended before the job did"), "{job}");
    }
}

#[test]
fn what_is_forgotten_leaves_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.redb");
    let keep = |config: &mut Config| (config.store, config.limits.jobs) = (Some(file.clone()), 2);
    let mut first = server(keep);
    let ids: Vec<u64> = (0..4).map(|_| first.submit(r#"{"count": 1, "steps": 1}"#)).collect();
    first.wait(ids[3], &["done"]);
    first.stop();
    let second = server(|config| config.store = Some(file.clone()));
    let statuses: Vec<u16> = ids.iter().map(|id| second.get(&format!("/api/v1/jobs/{id}")).status).collect();
    assert_eq!(statuses, [404, 404, 200, 200]);
}

#[test]
fn files_of_another_kind_are_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.redb");
    fs::write(&file, "a letter to somebody").unwrap();
    let bound = Studio::bind(Config { listen: ([127, 0, 0, 1], 0).into(), store: Some(file.clone()), ..Config::default() });
    let error = bound.unwrap_err().to_string();
    assert!(error.contains("jobs.redb") && error.lines().count() == 1, "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a letter to somebody");
}

#[test]
fn runs_are_looked_at_and_nothing_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("my run");
    fs::create_dir_all(run.join("previews")).unwrap();
    fs::write(run.join("config.toml"), "seed = 0\nsteps = 300\n[data]\nsteps = 1\n").unwrap();
    fs::write(run.join("metrics.jsonl"), "{\"step\":50,\"loss\":0.5}\n{\"step\":100,\"loss\":0.25}\n{\"step\":150,\"lo").unwrap();
    fs::write(run.join("previews/step-00000100.png"), "a picture").unwrap();
    fs::write(folder.path().join("secret.png"), "nobody's business").unwrap();
    let server = server(|config| config.runs = vec![folder.path().to_owned()]);
    assert_eq!(server.get("/api/v1/runs").json(), serde_json::json!({ "runs": [{ "name": "my run", "step": 100, "steps": 300 }] }));
    let one = server.get("/api/v1/runs/my%20run").json();
    assert_eq!((one["metrics"].as_array().unwrap().len(), &one["metrics"][1]["loss"]), (2, &0.25.into()));
    assert_eq!(one["previews"], serde_json::json!(["/api/v1/runs/my%20run/previews/step-00000100.png"]));
    assert_eq!(server.get(one["previews"][0].as_str().unwrap()).body, b"a picture");
    for outside in ["my%20run/previews/..%2F..%2Fsecret.png", "my%20run/previews/..%2Fconfig.toml", "..", "%2Fetc"] {
        assert_eq!(server.get(&format!("/api/v1/runs/{outside}")).status, 404, "{outside}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("secret.png"), run.join("previews/link.png")).unwrap();
        assert_eq!(server.get("/api/v1/runs/my%20run/previews/link.png").status, 404);
    }
}

#[test]
fn metrics_count() {
    let server = server(|_| {});
    let id = server.submit(r#"{"count": 3, "steps": 4}"#);
    server.wait(id, &["done"]);
    assert_eq!(server.get("/nowhere").status, 404);
    let answer = server.get("/metrics");
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
    let text = answer.text();
    for line in
        ["ddim_jobs_total{state=\"done\"} 1", "ddim_image_steps_total 12", "ddim_answers_total{status=\"404\"} 1", "ddim_jobs_waiting 0"]
    {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
