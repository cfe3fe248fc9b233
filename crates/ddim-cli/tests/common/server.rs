//! `ddim serve` as a process, and plain requests to it.

use assert_cmd::cargo::CommandCargoExt;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    child: Child,
    /// As it printed it.
    pub(crate) url: String,
    _stdout: BufReader<ChildStdout>,
}

/// Starts a server on a free port, with a store of its own in the folder where none is named.
pub(crate) fn serve(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Server {
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
    pub(crate) fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Status and body of a request.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Vec<u8>) {
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

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.ask("GET", path, "", "").1).unwrap()
    }

    pub(crate) fn submit(&self, request: &Value) -> u64 {
        let (status, body) = self.ask("POST", "/api/v1/jobs", "", &json!({ "kind": "sample", "request": request }).to_string());
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["id"].as_u64().unwrap()
    }

    pub(crate) fn wait(&self, id: u64, state: &str) -> Value {
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

    pub(crate) fn end(mut self, signal: &str) -> (ExitStatus, String) {
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
