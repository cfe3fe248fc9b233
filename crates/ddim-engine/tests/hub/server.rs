//! A hub on this machine: the list of files, their metadata and contents, and whatever can go wrong with them.

use sha1::Digest;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What the hub has and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Names in the list that no file stands behind.
    pub(crate) listed: Vec<String>,
    pub(crate) requests: Vec<Request>,
    /// What every request must bring.
    pub(crate) token: Option<String>,
    /// Whether it ignores ranges.
    pub(crate) without_ranges: bool,
    /// How many bytes come of each of the next downloads of large files before the connection ends.
    pub(crate) cuts: Vec<usize>,
    /// After how many bytes a large file comes to a halt, until `release`.
    pub(crate) halt: Option<usize>,
    /// Whether one byte of large files is another.
    pub(crate) damage: bool,
    /// What the next requests are answered: a status and more headers.
    pub(crate) answers: Vec<(u16, String)>,
    /// Where large files are: the address of another hub.
    pub(crate) elsewhere: Option<String>,
    /// The ETags of files, instead of their checksums.
    pub(crate) etag: Option<fn(&str) -> String>,
    released: bool,
}

#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) address: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

pub(crate) fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

pub(crate) fn etag(file: &str, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    if is_large(file) {
        hex(&sha2::Sha256::digest(bytes))
    } else {
        hex(&sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
    }
}

impl Hub {
    pub(crate) fn start(files: &[(String, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = State { commit: COMMIT.to_owned(), files: files.iter().cloned().collect(), ..State::default() };
        let hub = Self { address, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let server = hub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                // A client that goes away is no matter.
                std::thread::spawn(move || server.answer(stream).ok());
            }
        });
        hub
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
    }

    /// Lets all halted downloads go on.
    pub(crate) fn release(&self) {
        self.set(|state| state.released = true);
        self.state.1.notify_all();
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.0.lock().unwrap().requests)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let request = Request { method, path, headers };
        let mut state = self.state.0.lock().unwrap();
        state.requests.push(request.clone());
        if !state.answers.is_empty() {
            let (status, more) = state.answers.remove(0);
            return write!(stream, "HTTP/1.1 {status} x\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n");
        }
        if state.token.as_ref().is_some_and(|token| request.headers.get("authorization") != Some(&format!("Bearer {token}"))) {
            return write!(stream, "HTTP/1.1 401 x\r\nx-error-code: RepoNotFound\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        let not_found = |stream: &mut TcpStream, code: &str| {
            write!(stream, "HTTP/1.1 404 x\r\nx-error-code: {code}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        };
        let commit = state.commit.clone();
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(rest) = path.strip_prefix("/api/models/org/") {
            let revision = rest.split_once("/revision/").map(|(_, revision)| revision.replace("%2F", "/"));
            return match revision.as_deref() {
                Some(revision) if ["main", "v1", "refs/pr/1", &commit].contains(&revision) => {
                    let names = state.files.keys().chain(&state.listed);
                    let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
                    let body = serde_json::json!({"id": "org/emoji", "sha": commit, "siblings": siblings}).to_string();
                    let length = body.len();
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                    )
                }
                _ => not_found(&mut stream, "RevisionNotFound"),
            };
        }
        let at_commit = path.split_once(&format!("/resolve/{commit}/")).map(|(_, file)| file);
        // The CDN's addresses have names of their own.
        let elsewhere = path.strip_prefix("/cdn/");
        let main = path.split_once("/resolve/main/").map(|(_, file)| file);
        let Some(file) = elsewhere.or(at_commit).or(main).filter(|file| state.files.contains_key(*file)) else {
            return not_found(&mut stream, "EntryNotFound");
        };
        let mut bytes = state.files[file].clone();
        let large = is_large(file);
        let etag = state.etag.map_or_else(|| etag(file, &bytes), |etag| etag(file));
        if large && state.damage {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let linked = format!("x-linked-etag: \"{etag}\"\r\nx-linked-size: {}\r\n", bytes.len());
        let mut head = format!("x-repo-commit: {commit}\r\nconnection: close\r\n");
        head += &match (large, elsewhere) {
            (true, None) => format!("etag: \"of-the-pointer\"\r\n{linked}"),
            (true, Some(_)) => "etag: \"of-the-cdn\"\r\n".to_owned(),
            _ => format!("etag: W/\"{etag}\"\r\n"),
        };
        if let (true, None, Some(other)) = (large, elsewhere, &state.elsewhere) {
            return write!(stream, "HTTP/1.1 302 x\r\n{head}location: {other}/cdn/{file}?signature=1\r\ncontent-length: 0\r\n\r\n");
        }
        let range = request.headers.get("range").filter(|_| !state.without_ranges);
        let from: usize = range.map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
        if from >= bytes.len() && from > 0 {
            return write!(stream, "HTTP/1.1 416 x\r\n{head}content-length: 0\r\n\r\n");
        }
        let (status, of) = match range {
            Some(_) => (206, format!("content-range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())),
            None => (200, String::new()),
        };
        let body = &bytes[from..];
        write!(stream, "HTTP/1.1 {status} x\r\n{head}{of}content-length: {}\r\n\r\n", body.len())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        if large && !state.cuts.is_empty() {
            let cut = state.cuts.remove(0).min(body.len());
            return stream.write_all(&body[..cut]);
        }
        let halt = state.halt.filter(|halt| large && *halt < body.len());
        let (first, rest) = body.split_at(halt.unwrap_or(0));
        stream.write_all(first)?;
        if halt.is_some() {
            let _released = self.state.1.wait_while(state, |state| !state.released).unwrap();
        } else {
            drop(state);
        }
        stream.write_all(rest)
    }
}
