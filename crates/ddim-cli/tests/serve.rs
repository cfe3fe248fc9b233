//! `ddim serve`: the binary as one starts it, asked over plain sockets; its ends, planned and not.

#![cfg(unix)]

mod common;

use common::server::serve;
use common::{ok, refused};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;

#[test]
fn what_it_draws_is_what_sample_draws() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &[], &[]);
    let id = server.submit(&json!({ "count": 3, "steps": 4, "eta": 0.5, "seed": 7 }));
    let job = server.wait(id, "done");
    ok(
        folder.path(),
        &[
            "sample",
            "--count",
            "3",
            "--steps",
            "4",
            "--eta",
            "0.5",
            "--seed",
            "7",
            "--out",
            "out",
            "--save-npy",
            "x.npy",
            "--grid",
            "grid.png",
        ],
    );
    for n in 0..3 {
        let bytes = server.ask("GET", job["images"][n].as_str().unwrap(), "", "").1;
        assert!(bytes == fs::read(folder.path().join(format!("out/{n:05}.png"))).unwrap(), "{n}");
    }
    for (name, file) in [("array", "x.npy"), ("grid", "grid.png")] {
        let bytes = server.ask("GET", job[name].as_str().unwrap(), "", "").1;
        assert!(bytes == fs::read(folder.path().join(file)).unwrap(), "{name}");
    }
    let (status, page) = server.ask("GET", "/", "", "");
    assert_eq!((status, String::from_utf8_lossy(&page).contains("<title>")), (200, true));
    let (status, said) = server.end("-TERM");
    assert_eq!((status.code(), &*said), (Some(143), ""));
}

#[test]
fn finished_jobs_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &[], &[]);
    let done: Vec<u64> = (0..3).map(|seed| server.submit(&json!({ "count": 1, "steps": 2, "seed": seed }))).collect();
    let images: Vec<Vec<u8>> =
        done.iter().map(|id| server.ask("GET", server.wait(*id, "done")["images"][0].as_str().unwrap(), "", "").1).collect();
    let running = server.submit(&json!({ "count": 64, "steps": 1000 }));
    server.wait(running, "running");
    let waiting = server.submit(&json!({ "count": 1 }));
    server.end("-KILL");

    let again = serve(folder.path(), &[], &[]);
    for (id, image) in done.iter().zip(images) {
        let job = again.json(&format!("/api/v1/jobs/{id}"));
        assert_eq!(job["state"], "done");
        assert!(again.ask("GET", job["images"][0].as_str().unwrap(), "", "").1 == image);
    }
    for id in [running, waiting] {
        let job = again.json(&format!("/api/v1/jobs/{id}"));
        assert_eq!(
            (&job["state"], job["error"].as_str().unwrap()),
            (&"failed".into(), "the server ended before the job did: send it again")
        );
    }
}

#[test]
fn a_second_server_goes_without_the_usual_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = serve(folder.path(), &[], &[]);
    let second = serve(folder.path(), &[], &[]);
    assert_eq!(second.json("/healthz")["status"], "ok");
    let (_, said) = second.end("-INT");
    assert!(said.starts_with("warning: jobs will not survive a restart: ") && said.lines().count() == 1, "{said}");
    drop(first);
    // Where none is wanted there is none.
    let other = tempfile::tempdir().unwrap();
    drop(serve(other.path(), &["--no-store"], &[]));
    assert!(common::listing(other.path()).is_empty());
}

#[test]
fn beyond_this_machine_it_wants_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &["--listen", "0.0.0.0:0", "--no-store"], &[]);
    let token = server.url.split_once("/?token=").expect("a token").1.to_owned();
    assert!(token.len() == 32 && server.host().starts_with("localhost:"), "{}", server.url);
    assert_eq!(server.ask("GET", "/api/v1/models", "", "").0, 401);
    assert_eq!(server.ask("GET", "/api/v1/models", &format!("Authorization: Bearer {token}\r\n"), "").0, 200);
    assert_eq!(server.ask("GET", "/", "", "").0, 200);
    // What has a meaning in a link is written by its bytes.
    let odd = serve(folder.path(), &["--no-store"], &[("DDIM_TOKEN", "ab+cd/ef==&x#yz0123")]);
    assert!(odd.url.ends_with("/?token=ab%2Bcd%2Fef%3D%3D%26x%23yz0123"), "{}", odd.url);
    let own = serve(folder.path(), &["--no-store"], &[("DDIM_TOKEN", "0123456789abcdef")]);
    assert!(own.url.ends_with("/?token=0123456789abcdef"), "{}", own.url);
    assert_eq!(own.ask("GET", "/api/v1/models", "", "").0, 401);
}

#[test]
fn models_have_the_names_that_they_are_given() {
    let folder = common::with_model("attn_norm_groups");
    let server = serve(folder.path(), &["--model", "emoji", "--model", "model", "--model", "other=model", "--json", "--no-store"], &[]);
    let said: Value = serde_json::from_str(&server.url).unwrap();
    assert_eq!((&said["models"], &said["store"]), (&json!(["emoji", "model", "other"]), &Value::Null));
    assert_eq!(said["command"], "serve");
}

#[test]
fn what_is_wrong_is_said_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("a.txt"), "a letter").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refused(here, &["serve", "--no-store", "--listen", &taken], 1, &["--listen", &taken]);
    refused(here, &["serve", "--no-store", "--listen", "somewhere"], 2, &["--listen", "somewhere"]);
    refused(here, &["serve", "--no-store", "--listen", "127.0.0.1:0", "--model", "nothing"], 1, &["nothing"]);
    refused(here, &["serve", "--no-store", "--listen", "127.0.0.1:0", "--model", "emoji", "--model", "emoji"], 2, &["--model", "emoji"]);
    refused(here, &["serve", "--no-store", "--listen", "127.0.0.1:0", "--device", "abacus"], 2, &["--device", "abacus"]);
    refused(here, &["serve", "--listen", "127.0.0.1:0", "--store", "a.txt"], 1, &["a.txt"]);
    refused(here, &["serve", "--listen", "127.0.0.1:0", "--store", "no/such/folder.redb"], 1, &["no/such/folder.redb"]);
    refused(here, &["serve", "--listen", "127.0.0.1:0", "--runs", "nothing"], 1, &["--runs", "nothing"]);
    #[cfg(unix)]
    for token in [&b"a b&c"[..], b"sixteen characters\xff"] {
        use std::os::unix::ffi::OsStrExt;
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("ddim"));
        command
            .current_dir(here)
            .args(["serve", "--no-store", "--listen", "127.0.0.1:0"])
            .env("DDIM_TOKEN", std::ffi::OsStr::from_bytes(token));
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.starts_with("error: DDIM_TOKEN: expected 16 or more visible ASCII"), "{error}");
    }
}
