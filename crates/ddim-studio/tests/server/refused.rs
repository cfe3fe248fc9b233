//! What is refused: by whom it is asked, how it is written, what it asks for.

use crate::client::server;
use ddim_studio::{Config, Error, Studio};

#[test]
fn other_sites_and_hosts() {
    let server = server(|_| {});
    let post = |headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        server.ask("POST", "/api/v1/jobs", &headers, r#"{"kind": "sample", "request": {"count": 1, "steps": 1}}"#).status
    };
    let own = format!("http://{}", server.address);
    assert_eq!(post(&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]), 202);
    assert_eq!(post(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&[("Origin", "null")]), 403);
    assert_eq!(post(&[("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(post(&[("Host", "evil.example")]), 403);
    assert_eq!(post(&[("Host", &format!("evil.example:{}", server.address.port()))]), 403);
    assert_eq!(server.raw(b"GET /healthz HTTP/1.0\r\n\r\n").status, 403);
    let absolute = format!("GET http://evil.example/healthz HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    assert_eq!(server.raw(absolute.as_bytes()).status, 403);
}

#[test]
fn bodies_that_are_no_json_or_too_large() {
    let server = server(|_| {});
    let body = r#"{"kind": "sample"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(server.ask("POST", "/api/v1/jobs", &[("Content-Type", kind)], body).status, 415, "{kind}");
    }
    assert_eq!(server.post(&format!("{body}{}", " ".repeat(10 << 20))).status, 413);
    // Without a length, in pieces.
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        server.address
    );
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16)).repeat(130);
    assert_eq!(server.raw(format!("{head}Connection: close\r\n\r\n{chunk}0\r\n\r\n").as_bytes()).status, 413);
    for wrong in ["", "{", "[]", "null", "\u{0}", r#"{"kind": "sample"} x"#, &"[".repeat(1000)] {
        let answer = server.post(wrong);
        assert_eq!(answer.status, 400, "{wrong:.20}: {}", answer.text());
        assert_eq!(answer.json()["error"].as_str().unwrap().lines().count(), 1);
    }
    assert_eq!(server.raw(b"\x16\x03\x01\x02\x00 not http\r\n\r\n").status, 400);
    assert!([400, 431].contains(&server.ask("GET", "/healthz", &[("X", &"x".repeat(1 << 20))], "").status));
}

#[test]
fn wrong_requests_name_their_field() {
    let server = server(|_| {});
    for (request, field) in [
        (r#"{"count": 0}"#, "count"),
        (r#"{"count": 1000000}"#, "count"),
        (r#"{"count": "many"}"#, "count"),
        (r#"{"steps": 0}"#, "steps"),
        (r#"{"steps": 100000}"#, "steps"),
        (r#"{"eta": []}"#, "eta"),
        (r#"{"model": {"size": [100000, 100000]}}"#, "size"),
        (r#"{"model": {"size": [18446744073709551615, 2]}}"#, "size"),
        (r#"{"model": {"batch_size": 100000}}"#, "batch_size"),
        (r#"{"solver": "none"}"#, "solver"),
        (r#"{"colour": 1}"#, "colour"),
        // Nothing of a request opens a file.
        (r#"{"latents": "/etc/passwd"}"#, "latents"),
        (r#"{"files": {"out": "/tmp/x"}}"#, "files"),
        (r#"{"trajectory": "tuned:/etc/passwd"}"#, "trajectory"),
        (r#"{"model": {"scheduler": "/etc"}}"#, "scheduler"),
        (r#"{"model": {"classes": "/etc/passwd"}}"#, "classes"),
        (r#"{"model": {"classes": "Cargo.toml"}}"#, "classes"),
        (r#"{"model": {"model": "/etc"}}"#, "model"),
        (r#"{"model": {"model": "org/name"}}"#, "model"),
        (r#"{"model": {"model": "./emoji"}}"#, "model"),
    ] {
        let answer = server.post(&format!(r#"{{"kind": "sample", "request": {request}}}"#));
        assert_eq!(answer.status, 400, "{request}");
        assert_eq!(answer.json()["field"], field, "{request}: {}", answer.text());
    }
    let other = server.post(r#"{"kind": "train"}"#);
    assert_eq!((other.status, &other.json()["field"]), (400, &"kind".into()));
    // What the engine alone knows.
    let id = server.submit(r#"{"count": 1, "timesteps": [5000]}"#);
    server.wait(id, &["failed"]);
    let job = server.get(&format!("/api/v1/jobs/{id}")).json();
    assert_eq!(job["field"], "timesteps", "{job}");
}

#[test]
fn what_is_not_there() {
    let server = server(|_| {});
    for path in [
        "/index",
        "/assets/x.js",
        "/assets/../Cargo.toml",
        "/api/v1/jobs/1",
        "/api/v1/jobs/-1",
        "/api/v1/jobs/x/events",
        "/api/v1/jobs/../models",
        "/etc/passwd",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(server.ask("PUT", "/api/v1/models", &[("Content-Type", "application/json")], "").status, 405);
    for path in ["/healthz", "/nowhere"] {
        let head = server.get(path).head;
        for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "cache-control: no-store"] {
            assert!(head.contains(header), "{path}: {head}");
        }
    }
}

#[test]
fn addresses_beyond_this_machine_want_a_token() {
    let bind = |token: Option<&str>| {
        Studio::bind(Config { listen: ([0, 0, 0, 0], 0).into(), token: token.map(str::to_owned), ..Config::default() })
    };
    for token in [None, Some("short"), Some("with spaces in it, and long")] {
        assert!(matches!(bind(token), Err(Error::Config(_))), "{token:?}");
    }
    assert!(bind(Some("0123456789abcdef")).is_ok());
    let server = server(|config| config.token = Some("0123456789abcdef".to_owned()));
    assert_eq!(server.get("/api/v1/models").status, 401);
    assert_eq!(server.ask("GET", "/api/v1/models", &[("Authorization", "Bearer 0123456789abcdef")], "").status, 200);
    assert_eq!(server.get("/healthz").status, 200);
}
