//! `ddim serve`: the binary as one starts it, asked over plain sockets; its ends, planned and not.

#![cfg(unix)]

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{ok, refused};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

struct Server {
    child: Child,
    /// As it printed it.
    url: String,
    _stdout: BufReader<ChildStdout>,
}

/// Starts a server on a free port, with a store of its own in the folder where none is named.
fn serve(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Server {
    let mut command = Command::cargo_bin("ddim").unwrap();
    command.env_remove("DDIM_TOKEN").env("XDG_STATE_HOME", folder.join("state")).envs(variables.iter().copied());
    if !args.contains(&"--listen") {
        command.args(["serve", "--listen", "127.0.0.1:0", "--threads", "1"]);
    } else {
        command.args(["serve", "--threads", "1"]);
    }
    let mut child = command.args(args).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).unwrap();
    if url.is_empty() {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("{said}");
    }
    Server { child, url: url.trim().to_owned(), _stdout: stdout }
}

impl Server {
    fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Status and body of a request.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()) };
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {}\r\n{headers}{length}\r\n{body}", self.host()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let status = String::from_utf8_lossy(&bytes[..end]).split(' ').nth(1).unwrap().parse().unwrap();
        (status, bytes.split_off(end))
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.ask("GET", path, "", "").1).unwrap()
    }

    fn submit(&self, request: &Value) -> u64 {
        let (status, body) = self.ask("POST", "/api/v1/jobs", "", &json!({ "kind": "sample", "request": request }).to_string());
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["id"].as_u64().unwrap()
    }

    fn wait(&self, id: u64, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let job = self.json(&format!("/api/v1/jobs/{id}"));
            if job["state"] == state {
                return job;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{job}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(mut self, signal: &str) -> (ExitStatus, String) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    assert!(said.starts_with("warning: jobs are not kept for the next start: ") && said.lines().count() == 1, "{said}");
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
}
