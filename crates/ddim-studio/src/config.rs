//! Configuration of the server.

use crate::error::{Error, Result};
use ddim_engine::Engine;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen at; port 0 selects any free port.
    pub listen: SocketAddr,
    /// The models that requests can name; the first is the default.
    pub models: Vec<ServedModel>,
    /// The engine that runs the jobs.
    pub engine: Engine,
    /// The token that `Authorization: Bearer` must carry. Required unless `listen` is a loopback address.
    pub token: Option<String>,
    /// Names under which the server is reached besides `listen`, as they appear in the `Host` header: `studio.example:8080`.
    pub hosts: Vec<String>,
    /// A file that keeps jobs and their results for the next start; if `None`, they are lost when the server stops.
    pub store: Option<PathBuf>,
    /// Folders of `ddim train` runs, or folders that contain such, to show.
    pub runs: Vec<PathBuf>,
    /// Limits on what clients may use.
    pub limits: Limits,
}

/// A model, and the name by which requests know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// The name in requests.
    pub name: String,
    /// The model, in the form of [`Model::model`](ddim_engine::Model): a built-in model, a folder, a training run, or a model id on the hub.
    pub model: PathBuf,
}

/// Limits per server, job and client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request body. Default: 8 MiB.
    pub body: usize,
    /// Images per job. Default: 256.
    pub images: usize,
    /// Steps per image. Default: 1000.
    pub steps: usize,
    /// Pixels of all the images of a job together. Default: 2^22.
    pub pixels: usize,
    /// Pixels of the images that are in memory at once, which limits batch sizes; also of a single image, if its size is not the model's own. Networks hold
    /// some hundreds of numbers per pixel. Default: 2^18.
    pub pixels_together: usize,
    /// Queued jobs. Default: 32.
    pub queue: usize,
    /// Bytes of the files that were sent with queued jobs. Default: 64 MiB.
    pub queued_bytes: usize,
    /// Bodies larger than [`SMALL_BODY`](Self::SMALL_BODY) that are read at once. Default: 8.
    pub large_bodies: usize,
    /// Jobs that are remembered with their results; the oldest finished ones are forgotten first. Default: 256.
    pub jobs: usize,
    /// Bytes of results in memory; the oldest finished jobs are forgotten first. Default: 256 MiB.
    pub results: usize,
    /// Bytes of one job's events; the oldest are forgotten first. Default: 8 MiB.
    pub events: usize,
    /// Simultaneous connections. Default: 256.
    pub connections: usize,
    /// Time for a request to arrive, separately for its head and its body. Default: 10 s.
    pub request: Duration,
    /// Time for a client to accept more of what is being sent. Default: 30 s.
    pub stall: Duration,
    /// Time for responses in progress when the server is asked to stop. Default: 10 s.
    pub shutdown: Duration,
}

impl Limits {
    /// Bytes of a body that is always accepted, however many are being read.
    pub const SMALL_BODY: usize = 64 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            images: 256,
            steps: 1000,
            pixels: 1 << 22,
            pixels_together: 1 << 18,
            queue: 32,
            queued_bytes: 64 << 20,
            large_bodies: 8,
            jobs: 256,
            results: 256 << 20,
            events: 8 << 20,
            connections: 256,
            request: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            shutdown: Duration::from_secs(10),
        }
    }
}

impl Default for Config {
    /// Listens on this machine only, with the built-in models.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            models: ddim_engine::built_in().map(|name| ServedModel { name: name.to_owned(), model: name.into() }).collect(),
            engine: Engine::default(),
            token: None,
            hosts: Vec::new(),
            store: None,
            runs: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Minimum number of characters of a token: it is all that stands between a network and the machine's processors.
    pub const SHORTEST_TOKEN: usize = 16;

    /// Whether a text can be a token: long enough, and of visible ASCII characters only.
    pub fn is_token(text: &str) -> bool {
        text.len() >= Self::SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// # Errors
    /// No models, two of one name, runs that are not there, an address beyond this machine without a token, a short token.
    pub(crate) fn check(&self) -> Result<()> {
        if self.models.is_empty() {
            return Err(Error::config("`model`: none: expected at least one"));
        }
        for (i, model) in self.models.iter().enumerate() {
            if self.models[..i].iter().any(|other| other.name == model.name) {
                return Err(Error::config(format!("`model`: two are named {}: expected different names", model.name)));
            }
        }
        if let Some(host) = self.hosts.iter().find(|host| host.is_empty() || host.contains(['/', '@', '?', '#']) || !host.is_ascii()) {
            return Err(Error::config(format!(
                "`host` {host:?}: expected a name, with its port unless that is 80, such as studio.example:8080"
            )));
        }
        if let Some(folder) = self.runs.iter().find(|folder| !folder.is_dir()) {
            return Err(Error::Runs(folder.display().to_string()));
        }
        match &self.token {
            None if !self.listen.ip().is_loopback() => {
                let expected = "expected a token, or anybody there could use this machine";
                Err(Error::config(format!("`listen` {}: reachable from other machines: {expected}", self.listen)))
            }
            Some(token) if !Self::is_token(token) => {
                let expected = format!("expected {} or more visible ASCII characters", Self::SHORTEST_TOKEN);
                Err(Error::config(format!("`token`: {} characters: {expected}", token.chars().count())))
            }
            _ => Ok(()),
        }
    }
}
