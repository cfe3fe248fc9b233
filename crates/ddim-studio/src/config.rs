//! What a server is started with.

use crate::error::{Error, Result};
use ddim_engine::Engine;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The models that requests can name, the first where they name none.
    pub models: Vec<ServedModel>,
    /// What works on jobs.
    pub engine: Engine,
    /// What `Authorization: Bearer` must say. Needed where `listen` is not of this machine alone.
    pub token: Option<String>,
    /// Names under which the server is reached besides those of `listen`, as the header `Host` has them: `studio.example:8080`.
    pub hosts: Vec<String>,
    /// A file in which jobs and their results are kept for the next start; none: they are gone with the server.
    pub store: Option<PathBuf>,
    /// Folders of `ddim train`, or folders that hold such, to be looked at.
    pub runs: Vec<PathBuf>,
    /// What is too much.
    pub limits: Limits,
}

/// A model under the name by which requests know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// The name in requests.
    pub name: String,
    /// As [`Model::model`](ddim_engine::Model) has it: a built-in model, a folder, a run, an id of the hub.
    pub model: PathBuf,
}

/// What is too much for one server, one job, one client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Images of a job.
    pub images: usize,
    /// Evaluations per image.
    pub steps: usize,
    /// Pixels of a job's images together.
    pub pixels: usize,
    /// Pixels of the images that are in memory at once, by which batches are made smaller; and of one image, where it is not the model's own size. Networks hold some
    /// hundreds of numbers for each.
    pub pixels_together: usize,
    /// Jobs that wait.
    pub queue: usize,
    /// Bytes of the files that came with them.
    pub queued_bytes: usize,
    /// Bodies of more than [`SMALL_BODY`](Self::SMALL_BODY) that are read at once.
    pub large_bodies: usize,
    /// Jobs that are remembered with their results; the oldest finished ones are forgotten first.
    pub jobs: usize,
    /// Bytes of results in memory; the oldest finished jobs are forgotten first.
    pub results: usize,
    /// Bytes of one job's events; the oldest are forgotten first.
    pub events: usize,
    /// Connections at once.
    pub connections: usize,
    /// For a request to arrive, its head and its body each.
    pub request: Duration,
    /// For a client to take some of what is sent.
    pub stall: Duration,
    /// For what is being answered, when the server is asked to stop.
    pub shutdown: Duration,
}

impl Limits {
    /// Bytes of a body that anybody may send at any time.
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
    /// On this machine alone, with the models that are built in.
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
    /// A token has at least so many characters: it is all that stands between a network and the machine's processors.
    pub const SHORTEST_TOKEN: usize = 16;

    /// Whether a text can be a token: long enough, and of what a header can have.
    pub fn is_token(text: &str) -> bool {
        text.len() >= Self::SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// # Errors
    /// No models, two of one name, runs that are not there, an address beyond this machine without a token, a short token.
    pub(crate) fn check(&self) -> Result<()> {
        if self.models.is_empty() {
            return Err(Error::config("`model`: none: expected one at least"));
        }
        for (i, model) in self.models.iter().enumerate() {
            if self.models[..i].iter().any(|other| other.name == model.name) {
                return Err(Error::config(format!("`model`: two are called {}: expected another name for each", model.name)));
            }
        }
        if let Some(host) = self.hosts.iter().find(|host| host.is_empty() || host.contains(['/', '@', '?', '#']) || !host.is_ascii()) {
            return Err(Error::config(format!(
                "`host` {host:?}: expected a name with its port where that is not 80, as studio.example:8080"
            )));
        }
        if let Some(folder) = self.runs.iter().find(|folder| !folder.is_dir()) {
            return Err(Error::Runs(folder.display().to_string()));
        }
        match &self.token {
            None if !self.listen.ip().is_loopback() => {
                let expected = "expected a token, without which anybody there could use this machine";
                Err(Error::config(format!("`listen` {}: reached from other machines: {expected}", self.listen)))
            }
            Some(token) if !Self::is_token(token) => {
                let expected = format!("expected {} or more visible ASCII characters", Self::SHORTEST_TOKEN);
                Err(Error::config(format!("`token`: {} characters: {expected}", token.chars().count())))
            }
            _ => Ok(()),
        }
    }
}
