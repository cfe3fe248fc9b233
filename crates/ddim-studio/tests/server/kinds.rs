//! Every kind of job: what comes of it is what the engine, and so the command line, makes of the same request.

use crate::client::{Server, data_url, server};
use ddim_engine::{Consistency, Control, Edit, Encode, Engine, Interpolate, Reconstruct, Request, npy_bytes};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;

/// Works on a job to its end, which must be good; what is told of it.
fn done(server: &Server, kind: &str, request: &Value) -> Value {
    let answer = server.post(&json!({ "kind": kind, "request": request }).to_string());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_u64().unwrap();
    server.wait(id, &["done", "failed"]);
    let job = server.get(&format!("/api/v1/jobs/{id}")).json();
    assert_eq!(job["state"], "done", "{job}");
    job
}

/// The same by the engine, with files in a folder.
fn by_engine<R: Request + DeserializeOwned>(request: &Value, files: &[(&str, &Path)]) -> R::Report {
    let mut request = request.clone();
    for (field, path) in files {
        request.as_object_mut().unwrap().insert((*field).to_owned(), json!(path));
    }
    let request: R = serde_json::from_value(request).unwrap();
    Engine::default().run(&request, &Control::default(), &mut |_| {}).unwrap()
}

fn bytes(server: &Server, url: &Value) -> Vec<u8> {
    let answer = server.get(url.as_str().unwrap_or_else(|| panic!("{url}: no address")));
    assert_eq!(answer.status, 200, "{url}");
    answer.body
}

/// A picture that a model drew.
fn picture(server: &Server) -> (tempfile::TempDir, String) {
    let drawn = done(server, "sample", &json!({ "count": 1, "steps": 3 }));
    let png = bytes(server, &drawn["images"][0]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("input.png"), &png).unwrap();
    (folder, data_url(&png))
}

#[test]
fn consistency_and_interpolation() {
    let server = server(|_| {});
    let folder = tempfile::tempdir().unwrap();
    let grid = folder.path().join("grid.png");

    let request = json!({ "count": 2, "steps": [2, 3], "seed": 5 });
    let job = done(&server, "consistency", &request);
    let report = by_engine::<Consistency>(&request, &[("grid", &grid)]);
    assert!(bytes(&server, &job["grid"]) == std::fs::read(&grid).unwrap());
    assert_eq!(job["report"]["rms_from_last"][0]["rms"], report.rms_from_last[0].rms);
    assert_eq!((job["images"].as_array().unwrap().len(), &job["array"]), (4, &Value::Null));

    let request = json!({ "seeds": [1, 2, 3, 4], "rows": 2, "cols": 3, "steps": 2 });
    let job = done(&server, "interpolate", &request);
    let report = by_engine::<Interpolate>(&request, &[("grid", &grid)]);
    assert!(bytes(&server, &job["grid"]) == std::fs::read(&grid).unwrap());
    assert!(bytes(&server, &job["array"]) == npy_bytes(&report.images, report.shape));
    assert_eq!(job["images"].as_array().unwrap().len(), 6);
}

#[test]
fn uploads_are_encoded_and_decoded_again() {
    let server = server(|_| {});
    let (folder, url) = picture(&server);
    let input = folder.path().join("input.png");

    let request = json!({ "steps": 3 });
    let job = done(&server, "encode", &json!({ "steps": 3, "input": url }));
    let report = by_engine::<Encode>(&request, &[("input", &input)]);
    let latents = bytes(&server, &job["array"]);
    assert!(latents == npy_bytes(&report.latents, report.shape));
    assert_eq!(job["report"]["inputs"], json!(["input.png"]), "where the server has it is nobody's business");
    assert!(job["request"].get("input").is_none(), "what was sent is not sent back");

    // The latent is an input again, and decodes to what was encoded but for Euler's error.
    let decoded = done(&server, "sample", &json!({ "steps": 3, "latents": data_url(&latents) }));
    assert_eq!(decoded["report"]["count"], 1);

    let request = json!({ "steps": [2, 3] });
    let job = done(&server, "reconstruct", &json!({ "steps": [2, 3], "input": url }));
    let report = by_engine::<Reconstruct>(&request, &[("input", &input)]);
    assert_eq!(job["report"]["mse"][1]["mse"], report.mse[1].mse);
    assert_eq!(job["images"].as_array().unwrap().len(), 1 + 2 * 2);
}

#[test]
fn edits_under_a_mask() {
    let server = server(|_| {});
    let (folder, url) = picture(&server);
    let input = folder.path().join("input.png");
    let request = json!({ "steps": 3, "strength": 0.6, "variations": 2, "seed": 3 });
    let mut sent = request.clone();
    (sent["input"], sent["mask"]) = (json!(url), json!(url));
    let job = done(&server, "edit", &sent);
    let report = by_engine::<Edit>(&request, &[("input", &input), ("mask", &input)]);
    assert!(bytes(&server, &job["array"]) == npy_bytes(&report.edits, report.shape));
    assert_eq!(job["images"].as_array().unwrap().len(), 1 + 2);
    // The same bytes wherever the server had its files.
    let again = done(&server, "edit", &sent);
    for n in 0..3 {
        assert!(bytes(&server, &job["images"][n]) == bytes(&server, &again["images"][n]), "{n}");
    }
    assert!(bytes(&server, &job["grid"]) == bytes(&server, &again["grid"]));
}

#[test]
fn what_is_wrong_with_an_upload_names_its_field_and_no_path() {
    let server = server(|_| {});
    let (folder, url) = picture(&server);
    let post = |kind: &str, request: Value| server.post(&json!({ "kind": kind, "request": request }).to_string());
    for (kind, request, field) in [
        ("encode", json!({}), "input"),
        ("encode", json!({ "input": "/etc/passwd" }), "input"),
        ("encode", json!({ "input": data_url(b"PK\x03\x04") }), "input"),
        ("encode", json!({ "input": url, "save_npy": "/tmp/x.npy" }), "save_npy"),
        ("edit", json!({ "input": url, "mask": "mask.png" }), "mask"),
        ("edit", json!({ "input": url, "to_model": "/etc" }), "to_model"),
        ("edit", json!({ "input": url, "from_class": "/etc/passwd" }), "from_class"),
        ("edit", json!({ "input": url, "files": { "out": "/tmp/x" } }), "files"),
        ("edit", json!({ "input": url, "variations": 100_000 }), "variations"),
        ("edit", json!({ "input": url, "mask": url, "repaint": { "times": 1000, "jump": 1 } }), "repaint"),
        ("reconstruct", json!({ "input": url, "steps": vec![1000; 300] }), "steps"),
        ("consistency", json!({ "features": true }), "features"),
        ("consistency", json!({ "count": 200, "steps": [1, 2, 3] }), "count"),
        ("interpolate", json!({ "seeds": [1, 2, 3, 4], "rows": 100, "cols": 100 }), "rows"),
        ("interpolate", json!({ "latents": "/etc/passwd" }), "latents"),
        ("interpolate", json!({ "seeds": [1, 2, 3, 4], "rows": u64::MAX / 2 + 1, "cols": 2 }), "rows"),
        ("interpolate", json!({ "seeds": [1, 2], "frames": 300 }), "frames"),
        // Images that are small as they come are not when they are worked on.
        ("encode", json!({ "input": data_url(&npy_bytes(&[0.0; 3 * 300], [3, 1, 1])) }), "input"),
        ("encode", json!({ "input": data_url(&npy_bytes(&[0.0; 3 * 30], [3, 1, 1])), "model": { "size": [512, 512] } }), "input"),
        (
            "interpolate",
            json!({ "latents": data_url(&npy_bytes(&[0.0; 6], [3, 1, 1])), "frames": 250, "model": { "size": [256, 256] } }),
            "size",
        ),
        ("sample", json!({ "count": 1, "model": { "size": [1024, 1024] } }), "size"),
    ] {
        let answer = post(kind, request);
        assert_eq!((answer.status, answer.json()["field"].as_str()), (400, Some(field)), "{kind} {field}: {}", answer.text());
    }
    // A picture that is cut off is known when it is read.
    let png = std::fs::read(folder.path().join("input.png")).unwrap();
    let id = post("encode", json!({ "input": data_url(&png[..png.len() - 40]) })).json()["id"].as_u64().unwrap();
    server.wait(id, &["failed"]);
    let error = server.get(&format!("/api/v1/jobs/{id}")).json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("input.png: "), "{error}");
}

#[test]
fn requests_are_short_without_their_files() {
    let server = server(|_| {});
    let post = |request: Value| server.post(&json!({ "kind": "interpolate", "request": request }).to_string());
    let many: Vec<u64> = (0..100_000).collect();
    let answer = post(json!({ "seeds": many, "rows": 1, "cols": 1 }));
    assert_eq!(answer.status, 400, "{}", answer.text());
    // A few too many are told by the engine, before it makes a latent of each.
    let id = post(json!({ "seeds": [1, 2, 3], "rows": 1, "cols": 1 })).json()["id"].as_u64().unwrap();
    server.wait(id, &["failed"]);
    assert_eq!(server.get(&format!("/api/v1/jobs/{id}")).json()["field"], "seeds");
    // Large images come in smaller batches, and are the same.
    let sizes = [json!(1), json!(64), json!("auto")].map(|batch| {
        let job = done(&server, "sample", &json!({ "count": 2, "steps": 1, "model": { "size": [128, 128], "batch_size": batch } }));
        bytes(&server, &job["array"])
    });
    assert!(sizes[0] == sizes[1] && sizes[0] == sizes[2]);
}

#[test]
fn a_plan_has_the_coefficients_of_each_step() {
    let server = server(|_| {});
    let plan = |body: &str| server.ask("POST", "/api/v1/plan", &[("Content-Type", "application/json")], body);
    let found = plan(r#"{"steps": 5, "eta": 1.0, "count": 4}"#).json();
    assert_eq!((found["alpha_bar"].as_array().unwrap().len(), found["model"].as_str()), (1000, Some("emoji")));
    let drawn = done(&server, "sample", &json!({ "steps": 5, "eta": 1.0, "count": 1 }));
    assert_eq!(found["timesteps"], drawn["report"]["timesteps"]);
    for step in found["steps"].as_array().unwrap() {
        let of = |name: &str| step[name].as_f64().unwrap();
        assert!((of("direction").powi(2) + of("sigma").powi(2) - (1.0 - of("alpha_bar_next"))).abs() < 1e-12, "{step}");
    }
    for (body, field) in [
        (r#"{"steps": 0}"#, "steps"),
        (r#"{"trajectory": "tuned:/etc/passwd"}"#, "trajectory"),
        (r#"{"model": {"model": "/etc"}}"#, "model"),
        (r#"{"model": {"scheduler": "/etc"}}"#, "scheduler"),
        (r#"{"colour": 3}"#, "colour"),
    ] {
        let answer = plan(body);
        assert_eq!((answer.status, answer.json()["field"].as_str()), (400, Some(field)), "{body}: {}", answer.text());
    }
}
