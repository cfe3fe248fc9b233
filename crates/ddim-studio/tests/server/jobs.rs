//! Jobs from their request to their results.

use crate::client::{Event, server};
use ddim_engine::{Control, Engine, Sample};
use std::time::{Duration, Instant};

const SMALL: &str = r#"{"count": 3, "steps": 4, "eta": 0.5, "seed": 7, "first": 2}"#;

/// Longer than any test waits.
const LONG: &str = r#"{"count": 64, "steps": 1000}"#;

#[test]
fn what_is_drawn_is_what_the_command_line_writes() {
    let server = server(|_| {});
    let id = server.submit(SMALL);
    assert_eq!(server.wait(id, &["done", "failed"]), "done");
    let job = server.get(&format!("/api/v1/jobs/{id}")).json();

    let folder = tempfile::tempdir().unwrap();
    let mut sample: Sample = serde_json::from_str(SMALL).unwrap();
    sample.files.out = Some(folder.path().join("out"));
    sample.files.save_npy = Some(folder.path().join("x.npy"));
    let report = Engine::default().run(&sample, &Control::default(), &mut |_| {}).unwrap();

    let urls: Vec<&str> = job["images"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert_eq!(urls.len(), 3);
    assert!(urls[0].ends_with("/images/2.png"), "{urls:?}");
    for (n, url) in (2..).zip(urls) {
        let answer = server.get(url);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-type: image/png\r\n"), "{}", answer.head);
        assert!(answer.body == std::fs::read(folder.path().join(format!("out/{n:05}.png"))).unwrap(), "image {n}");
    }
    assert!(server.get(job["array"].as_str().unwrap()).body == std::fs::read(folder.path().join("x.npy")).unwrap());
    assert_eq!(job["report"]["timesteps"], serde_json::json!(report.timesteps));
    assert!(job["report"].get("files").is_none(), "where results lie is nobody's business");
    for outside in ["1.png", "5.png", "2", "x.png", "..%2F2.png", "18446744073709551616.png"] {
        assert_eq!(server.get(&format!("/api/v1/jobs/{id}/images/{outside}")).status, 404, "{outside}");
    }
    // The request as it is told can be sent again.
    let again = server.submit(&job["request"].to_string());
    assert_eq!(server.wait(again, &["done", "failed"]), "done");
    assert!(server.get(&format!("/api/v1/jobs/{again}/images/2.png")).body == server.get(&format!("/api/v1/jobs/{id}/images/2.png")).body);
}

#[test]
fn events_tell_all_and_go_on_where_they_were_left() {
    let server = server(|_| {});
    let id = server.submit(SMALL);
    // Left in the middle, twice.
    let mut pieces: Vec<Event> = server.events(id, None).take(3).collect();
    for _ in 0..2 {
        let last = pieces.last().unwrap().id.unwrap().to_string();
        pieces.extend(server.events(id, Some(&last)).take(2));
    }
    let last = pieces.last().unwrap().id.unwrap().to_string();
    pieces.extend(server.events(id, Some(&last)));

    let all: Vec<Event> = server.events(id, None).collect();
    assert_eq!(pieces, all);
    assert_eq!(all.iter().map(|event| event.id.unwrap()).collect::<Vec<_>>(), (1..=all.len() as u64).collect::<Vec<_>>());
    let of = |name: &str| all.iter().filter(|event| event.name == name).collect::<Vec<_>>();
    assert_eq!(all[0].name, "queued");
    assert_eq!(all.last().unwrap().name, "done");
    assert_eq!(all.last().unwrap().data["state"], "done");
    assert_eq!(of("step").iter().map(|event| event.data["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let previews = of("preview");
    assert_eq!(previews.len(), 4);
    for preview in &previews {
        for what in ["x_t", "x_0"] {
            assert!(preview.data[what].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"), "{what}");
        }
    }
    assert_ne!(previews[0].data["x_t"], previews[0].data["x_0"]);
    assert!(of("progress").iter().any(|event| event.data["done"] == 12 && event.data["total"] == 12));
    // From beyond the end there is nothing, and an end.
    assert_eq!(server.events(id, Some("999")).count(), 0);
    assert_eq!(server.events(id, Some("no number")).count(), all.len());
}

#[test]
fn what_was_forgotten_is_said() {
    let server = server(|config| config.limits.events = 2000);
    let id = server.submit(r#"{"count": 1, "steps": 3}"#);
    server.wait(id, &["done"]);
    let events: Vec<Event> = server.events(id, None).collect();
    assert_eq!(events[0].name, "gap");
    assert_eq!(events[0].data["events"].as_u64().unwrap() + 1, events[1].id.unwrap());
    assert_eq!(events.last().unwrap().name, "done");
}

#[test]
fn cancelled_between_steps() {
    let server = server(|_| {});
    let id = server.submit(LONG);
    let mut events = server.events(id, None);
    assert!(events.any(|event| event.name == "step"));
    // What is worked on is waited for as what waits is.
    let others = [1, 2].map(|before| {
        let other = server.submit(LONG);
        let queued = server.events(other, None).next().unwrap();
        assert_eq!((&*queued.name, &queued.data["before"]), ("queued", &before.into()));
        other
    });
    for other in others {
        assert_eq!(server.ask("DELETE", &format!("/api/v1/jobs/{other}"), &[], "").status, 202);
    }
    assert_eq!(server.ask("DELETE", &format!("/api/v1/jobs/{id}"), &[], "").status, 202);
    let rest: Vec<Event> = events.collect();
    assert_eq!(rest.last().unwrap().name, "cancelled");
    assert_eq!(server.state(id), "cancelled");
    assert_eq!(server.get(&format!("/api/v1/jobs/{id}/result.npy")).status, 409);
    // The next has the device to itself.
    let next = server.submit(r#"{"count": 1, "steps": 1}"#);
    assert_eq!(server.wait(next, &["done", "failed"]), "done");
}

#[test]
fn the_queue_is_bounded() {
    let server = server(|config| config.limits.queue = 1);
    let running = server.submit(LONG);
    server.wait(running, &["running"]);
    let waiting = server.submit(LONG);
    let refused = server.post(r#"{"kind": "sample"}"#);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.json()["error"].as_str().unwrap().contains("1 jobs are waiting"));
    // One that waits is cancelled at once, and there is a place again.
    let cancelled = server.ask("DELETE", &format!("/api/v1/jobs/{waiting}"), &[], "").json();
    assert_eq!(cancelled["state"], "cancelled");
    server.submit(LONG);
}

#[test]
fn old_results_are_forgotten_first() {
    let server = server(|config| config.limits.jobs = 2);
    let ids: Vec<u64> = (0..3).map(|_| server.submit(r#"{"count": 1, "steps": 1}"#)).collect();
    server.wait(ids[2], &["done"]);
    let statuses: Vec<u16> = ids.iter().map(|id| server.get(&format!("/api/v1/jobs/{id}")).status).collect();
    assert_eq!(statuses, [404, 200, 200]);
}

#[test]
fn a_stop_ends_what_is_under_way() {
    let mut server = server(|_| {});
    let [running, waiting] = [server.submit(LONG), server.submit(LONG)];
    let mut streams = [running, waiting].map(|id| server.events(id, None));
    assert!(streams[0].any(|event| event.name == "step"));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    for stream in streams {
        assert_eq!(stream.last().unwrap().name, "cancelled");
    }
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn models_are_those_of_the_start() {
    let server = server(|_| {});
    let models = server.get("/api/v1/models").json();
    let models = models["models"].as_array().unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!((&models[0]["model"], &models[0]["channels"]), (&"emoji".into(), &3.into()));
    assert!(models[0].get("weights").is_none());
    assert_eq!(server.get("/healthz").json()["status"], "ok");
}
