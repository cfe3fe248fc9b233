//! OpenAI's API of images, and the document of all APIs.

use crate::client::{Answer, Server, server};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ddim_studio::ServedModel;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Longer than any test waits.
const LONG: &str = r#"{"count": 64, "steps": 1000}"#;

fn generate(server: &Server, body: &Value) -> Answer {
    server.ask("POST", "/v1/images/generations", &[JSON], &body.to_string())
}

/// What is wrong, after its shape was looked at.
fn error(answer: &Answer) -> Value {
    let json = answer.json();
    let fields: Vec<&str> = json["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["message", "type", "param", "code"]);
    assert_eq!(json["error"]["message"].as_str().unwrap().lines().count(), 1);
    assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    json["error"].clone()
}

/// A server with the built-in emoji, whose `sampling.json` lists classes and a guidance, a small model without classes, and one of four whose fifth row stands for
/// none. And where the last lies.
fn three() -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let unet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet");
    for file in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        let to = folder.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(unet.join("learned_classes").join(file), to).unwrap();
    }
    std::fs::write(folder.path().join("classes.json"), r#"["cat", "dog", "cow", "hen"]"#).unwrap();
    let plain = ServedModel { name: "plain".to_owned(), model: unet.join("ddpm") };
    let pets = ServedModel { name: "pets".to_owned(), model: folder.path().to_owned() };
    (server(|config| config.models.extend([plain, pets])), folder)
}

#[test]
fn images_are_those_of_a_job_with_the_same_settings() {
    let (server, _folder) = three();
    let answer =
        generate(&server, &json!({ "prompt": "", "n": 2, "seed": 7, "steps": 3, "eta": 0.5, "size": "32x32", "user": "somebody" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let drawn = answer.json();
    assert!(drawn["created"].as_u64().unwrap() > 1_700_000_000);
    let id = server.submit(r#"{"count": 2, "seed": 7, "steps": 3, "eta": 0.5}"#);
    assert_eq!(server.wait(id, &["done", "failed"]), "done");
    let images = drawn["data"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    for (n, image) in images.iter().enumerate() {
        let bytes = BASE64_STANDARD.decode(image["b64_json"].as_str().unwrap()).unwrap();
        assert!(bytes == server.get(&format!("/api/v1/jobs/{id}/images/{n}.png")).body, "image {n}");
    }
    // By address, of a class by its name: the same as by its number.
    let mut fetched = Vec::new();
    for prompt in ["hen", " HEN ", "3", "2"] {
        let body = json!({ "model": "pets", "prompt": prompt, "steps": 2, "guidance": 2, "solver": "dpmpp-2m", "response_format": "url" });
        let answer = generate(&server, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let url = answer.json()["data"][0]["url"].as_str().unwrap().to_owned();
        let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
        fetched.push(server.get(path).body);
    }
    assert!(fetched[0].starts_with(b"\x89PNG"));
    assert!(fetched[0] == fetched[1]);
    // Captions say how they were asked for, and it was by the same number.
    assert!(fetched[0] == fetched[2]);
    assert!(fetched[0] != fetched[3]);
    // No class, of a model whose training left one that stands for none; not of another.
    let none = |model: &str| {
        server.post(&format!(
            r#"{{"kind": "sample", "request": {{"count": 1, "steps": 1, "model": {{"model": "{model}", "classes": "none"}}}}}}"#
        ))
    };
    assert_eq!((none("pets").status, none("plain").status), (202, 400));
}

#[test]
fn what_has_no_meaning_is_refused_in_their_words() {
    let (server, _folder) = three();
    let with_classes = |field: &str, value: Value| json!({ "model": "pets", "prompt": "3", "steps": 1, field: value });
    for (body, status, param) in [
        (json!({ "prompt": "a cat in the rain" }), 400, "prompt"),
        (json!({ "model": "plain", "prompt": "cat" }), 400, "prompt"),
        (json!({ "model": "pets", "prompt": "a red hen" }), 400, "prompt"),
        (json!({ "model": "pets", "prompt": "each" }), 400, "prompt"),
        (json!({ "model": "pets", "prompt": "4" }), 400, "prompt"),
        (json!({ "model": "pets", "prompt": "-1" }), 400, "prompt"),
        (json!({ "model": "dall-e-3", "prompt": "" }), 404, "model"),
        (with_classes("n", json!(0)), 400, "n"),
        (with_classes("n", json!(11)), 400, "n"),
        (with_classes("n", json!("2")), 400, "n"),
        (with_classes("size", json!("1024x1024")), 400, "size"),
        (with_classes("size", json!("big")), 400, "size"),
        (with_classes("response_format", json!("jpeg")), 400, "response_format"),
        (with_classes("quality", json!("hd")), 400, "quality"),
        (with_classes("style", json!("natural")), 400, "style"),
        (with_classes("background", json!("transparent")), 400, "background"),
        (with_classes("stream", json!(true)), 400, "stream"),
        (with_classes("output_format", json!("webp")), 400, "output_format"),
        (with_classes("steps", json!(0)), 400, "steps"),
        (with_classes("steps", json!(100_000)), 400, "steps"),
        (with_classes("eta", json!("low")), 400, "eta"),
        (with_classes("solver", json!("euler")), 400, "solver"),
        (with_classes("negative_prompt", json!("blurry")), 400, "negative_prompt"),
        // Found out by the job.
        (json!({ "model": "plain", "steps": 1, "guidance": 3 }), 400, "guidance"),
        (json!({ "steps": 1, "eta": 2 }), 400, "eta"),
    ] {
        let answer = generate(&server, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let error = error(&answer);
        assert_eq!((&error["param"], &error["type"]), (&json!(param), &json!("invalid_request_error")), "{body}");
    }
    let missing = generate(&server, &json!({ "model": "pets", "prompt": "fox" }));
    assert!(error(&missing)["message"].as_str().unwrap().contains("(cat, dog, cow, hen) or a number, 0 to 3"), "{}", missing.text());
    for (field, value) in
        [("quality", "auto"), ("style", "vivid"), ("background", "auto"), ("moderation", "auto"), ("output_format", "png")]
    {
        assert_eq!(generate(&server, &with_classes(field, json!(value))).status, 200, "{field}");
    }
    // Without a prompt, of whatever classes `sample` draws.
    assert_eq!(generate(&server, &json!({ "model": "pets", "steps": 1 })).status, 200);
    for body in ["", "[]", "null", "{", r#"{"n": 1} x"#, &"[".repeat(1000)] {
        let answer = server.ask("POST", "/v1/images/generations", &[JSON], body);
        assert_eq!(answer.status, 400, "{body:.20}");
        error(&answer);
    }
}

#[test]
fn all_errors_have_their_shape() {
    let server = server(|config| (config.token, config.limits.body) = (Some("0123456789abcdef".to_owned()), 1000));
    let token = ("Authorization", "Bearer 0123456789abcdef");
    let wrong = [
        ("GET", "/v1/models", vec![], 401),
        ("GET", "/v1/models", vec![token, ("Origin", "http://evil.example")], 403),
        ("POST", "/v1/images/generations", vec![token], 415),
        ("GET", "/v1/images/generations", vec![token], 405),
        ("GET", "/v1/nothing", vec![token], 404),
        ("GET", "/v1/models/nothing", vec![token], 404),
        ("GET", "/v1/models/%FF", vec![token], 400),
    ];
    for (method, path, headers, status) in wrong {
        let answer = server.ask(method, path, &headers, if method == "POST" { "{}" } else { "" });
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        error(&answer);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
    }
    let large = server.ask("POST", "/v1/images/generations", &[token, JSON], &" ".repeat(2000));
    assert_eq!(large.status, 413);
    error(&large);
    // Elsewhere they are what they were.
    assert!(server.get("/api/v1/models").json()["error"].is_string());
    assert!(server.ask("GET", "/v1x", &[token], "").json()["error"].is_string());
}

#[test]
fn models_are_listed() {
    let (server, _folder) = three();
    let list = server.get("/v1/models").json();
    assert_eq!(list["object"], "list");
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["emoji", "plain", "pets"]);
    assert_eq!(server.get("/v1/models/pets").json(), list["data"][2]);
    let missing = server.get("/v1/models/a/b");
    assert_eq!((missing.status, &error(&missing)["code"]), (404, &json!("model_not_found")));
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let server = server(|config| config.limits.queue = 1);
    let running = server.submit(LONG);
    server.wait(running, &["running"]);
    server.submit(LONG);
    let refused = generate(&server, &json!({ "steps": 1 }));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(error(&refused)["code"], "rate_limit_exceeded");
    assert!(refused.head.contains("retry-after: 1\r\n"), "{}", refused.head);
}

#[test]
fn whoever_leaves_cancels() {
    let server = server(|_| {});
    let body = json!({ "n": 10, "steps": 1000 }).to_string();
    let leave = |id: u64, state: &str| {
        let mut stream = server.connect();
        let host = server.address;
        let head = format!("Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        write!(stream, "POST /v1/images/generations HTTP/1.1\r\n{head}\r\n\r\n{body}").unwrap();
        let began = Instant::now();
        while server.get(&format!("/api/v1/jobs/{id}")).status == 404 {
            assert!(began.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        server.wait(id, &[state]);
        stream
    };
    // One that is worked on, and one that waits.
    let streams = [leave(1, "running"), leave(2, "queued")];
    drop(streams);
    for id in [1, 2] {
        assert_eq!(server.wait(id, &["cancelled", "done", "failed"]), "cancelled", "job {id}");
    }
}

#[test]
fn a_stop_is_told() {
    let mut server = server(|_| {});
    let address = server.address;
    let mut stream = server.connect();
    let body = json!({ "n": 10, "steps": 1000 }).to_string();
    let head = format!("Host: {address}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    write!(stream, "POST /v1/images/generations HTTP/1.0\r\n{head}\r\n\r\n{body}").unwrap();
    let began = Instant::now();
    while server.get("/api/v1/jobs/1").status == 404 {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    server.stop();
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(error(&answer)["type"], "server_error");
}

#[test]
fn sizes_are_width_by_height() {
    let (server, folder) = three();
    // All models are square: one that is not.
    let config = folder.path().join("unet/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"sample_size\": 8", "\"sample_size\": [8, 16]")).unwrap();
    drop(server);
    let wide = ServedModel { name: "wide".to_owned(), model: folder.path().to_owned() };
    let server = self::server(|config| config.models = vec![wide]);
    let ask = |size: &str| generate(&server, &json!({ "prompt": "cat", "steps": 1, "size": size }));
    assert_eq!(ask("16x8").status, 200, "{}", ask("16x8").text());
    assert_eq!(ask("auto").status, 200);
    let refused = ask("8x16");
    assert_eq!(refused.status, 400);
    assert!(error(&refused)["message"].as_str().unwrap().contains("expected auto or 16x8"), "{}", refused.text());
}

#[test]
fn the_document_is_served() {
    let server = server(|_| {});
    let answer = server.get("/api/v1/openapi.json");
    assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    let document = answer.json();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    // What is asked as the document says is not refused for its address.
    for (path, operations) in document["paths"].as_object().unwrap() {
        let asked = path.replace("{id}", "0").replace("{name}", "0.png").replace("{file}", "0.png");
        for method in operations.as_object().unwrap().keys() {
            let answer = server.ask(&method.to_ascii_uppercase(), &asked, &[JSON], if method == "post" { "{" } else { "" });
            assert_ne!(answer.status, 405, "{method} {path}");
            let said = &document["paths"][path][method]["responses"];
            let to_come = answer.status == 404 && said.get("404").is_none();
            assert!(to_come || said.get(answer.status.to_string()).is_some(), "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn answers_are_as_the_document_says() {
    let (server, _folder) = three();
    let document = server.get("/api/v1/openapi.json").json();
    let check = |schema: &str, answer: &Answer| {
        let mut root = document.clone();
        root["$ref"] = json!(format!("#/components/schemas/{schema}"));
        let json = answer.json();
        let validator = jsonschema::validator_for(&root).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(wrong, [""; 0], "{schema}: {json}");
        json
    };
    let post = |path: &str, body: Value| server.ask("POST", path, &[JSON], &body.to_string());
    let picture = {
        let drawn = generate(&server, &json!({ "steps": 1 })).json();
        format!("data:image/png;base64,{}", drawn["data"][0]["b64_json"].as_str().unwrap())
    };
    let requests = [
        (
            "sample",
            "SampleReport",
            json!({ "count": 2, "steps": 2, "eta": "hat", "trajectory": "power:1.5", "model": { "model": "pets", "classes": "cat+dog" } }),
        ),
        ("consistency", "ConsistencyReport", json!({ "count": 1, "steps": [1, 2] })),
        ("interpolate", "InterpolateReport", json!({ "frames": 2, "steps": 1 })),
        ("encode", "EncodeReport", json!({ "input": picture, "steps": 1 })),
        ("reconstruct", "ReconstructReport", json!({ "input": picture, "steps": [1] })),
        ("edit", "EditReport", json!({ "input": picture, "steps": 2, "inversion": "anderson" })),
    ];
    for (kind, report, request) in requests {
        let job = json!({ "kind": kind, "request": request });
        let mut root = document.clone();
        root["$ref"] = json!("#/components/schemas/JobRequest");
        assert!(jsonschema::is_valid(&root, &job), "{job:.200}");
        let id = check("Job", &post("/api/v1/jobs", job))["id"].as_u64().unwrap();
        assert_eq!(server.wait(id, &["done", "failed"]), "done", "{kind}");
        let done = check("Job", &server.get(&format!("/api/v1/jobs/{id}")));
        let mut root = document.clone();
        root["$ref"] = json!(format!("#/components/schemas/{report}"));
        let wrong: Vec<String> =
            jsonschema::validator_for(&root).unwrap().iter_errors(&done["report"]).map(|error| error.to_string()).collect();
        assert_eq!(wrong, [""; 0], "{}", done["report"]);
        // Nothing is told that the document keeps to itself.
        let fields = document["components"]["schemas"][report]["properties"].as_object().unwrap();
        let more: Vec<&String> =
            done["report"].as_object().unwrap().keys().filter(|field| *field != "command" && !fields.contains_key(*field)).collect();
        assert_eq!(more, [""; 0], "{report}");
    }
    let names = &document["components"]["schemas"]["Event"]["properties"]["event"]["enum"];
    let told: Vec<String> = server.events(2, None).map(|event| event.name).collect();
    assert!(told.len() > 3 && told.iter().all(|name| names.as_array().unwrap().contains(&json!(name))), "{told:?}");
    check("Jobs", &server.get("/api/v1/jobs"));
    check("Health", &server.get("/healthz"));
    check("Models", &server.get("/api/v1/models"));
    let sources = |models: &Value| models["models"].as_array().unwrap().iter().map(|model| model["source"].clone()).collect::<Vec<_>>();
    assert_eq!(sources(&server.get("/api/v1/models").json()), [json!("emoji"), Value::Null, Value::Null]);
    check("PlanReport", &post("/api/v1/plan", json!({ "steps": 3, "eta": 1 })));
    check("Runs", &server.get("/api/v1/runs"));
    check("Problem", &server.get("/api/v1/jobs/0"));
    check("Problem", &post("/api/v1/jobs", json!({ "kind": "sample", "request": { "steps": 0 } })));
    check("OpenAiModels", &server.get("/v1/models"));
    check("OpenAiModel", &server.get("/v1/models/pets"));
    check("OpenAiProblem", &server.get("/v1/models/nothing"));
    check("Images", &generate(&server, &json!({ "steps": 1, "response_format": "url" })));
}
