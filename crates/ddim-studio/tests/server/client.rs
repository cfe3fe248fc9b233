//! A server in a thread, and requests as text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ddim_engine::Engine;
use ddim_studio::{Config, Studio};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A server with one model, on a free port.
pub(crate) fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), engine: Engine::new("cpu", Some(1)).unwrap(), ..Config::default() };
    config.models.truncate(1);
    change(&mut config);
    let studio = Studio::bind(config).unwrap();
    let (address, (stop, stopped)) = (studio.address(), oneshot::channel());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(studio.run(async { drop(stopped.await) })).unwrap();
    });
    Server { address, stop: Some(stop), thread: Some(thread) }
}

impl Server {
    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads to the end.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // It may answer, and close, before all is sent.
        let _ = stream.write_all(request);
        Answer::read(stream)
    }

    /// A request with more headers; HTTP/1.0 because its answers come in one piece.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let has_host = headers.iter().any(|(name, _)| *name == "Host");
        let mut text = format!("{method} {path} HTTP/1.0\r\n");
        if !has_host {
            text += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        if !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(format!("{text}\r\n{body}").as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn post(&self, body: &str) -> Answer {
        self.ask("POST", "/api/v1/jobs", &[("Content-Type", "application/json")], body)
    }

    /// Submits a job; its number.
    pub(crate) fn submit(&self, request: &str) -> u64 {
        let answer = self.post(&format!(r#"{{"kind": "sample", "request": {request}}}"#));
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_u64().unwrap()
    }

    pub(crate) fn state(&self, id: u64) -> String {
        self.get(&format!("/api/v1/jobs/{id}")).json()["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a job is in one of these states.
    pub(crate) fn wait(&self, id: u64, states: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let state = self.state(id);
            if states.contains(&&*state) {
                return state;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "job {id} stays {state}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn events(&self, id: u64, last: Option<&str>) -> Events {
        let mut stream = self.connect();
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        write!(stream, "GET /api/v1/jobs/{id}/events HTTP/1.0\r\nHost: {}\r\n{last}\r\n", self.address).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "a head");
        }
        Events(lines)
    }
}

/// Bytes as they are sent within a request.
pub(crate) fn data_url(bytes: &[u8]) -> String {
    format!("data:application/octet-stream;base64,{}", BASE64_STANDARD.encode(bytes))
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Status 0 where nothing came.
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.split_off(end) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text()))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// None for `gap`.
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of events, to its end.
pub(crate) struct Events(BufReader<TcpStream>);

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", value)) => id = Some(value.parse().unwrap()),
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                _ if !name.is_empty() => return Some(Event { id, name, data }),
                _ => {}
            }
        }
    }
}
