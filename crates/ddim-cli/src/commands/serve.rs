//! `ddim serve`

use crate::error::{Error, Result};
use crate::flags::Machine;
use crate::front::{engine, report};
use crate::progress::Progress;
use crate::signals;
use clap::Args;
use ddim_engine::{Control, DEFAULT_MODEL, Event, NoteKind, built_in};
use ddim_studio::{Config, ServedModel, Studio};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// The token, where the environment has one.
const TOKEN: &str = "DDIM_TOKEN";

/// Serve the studio, a page for drawing and editing images in the browser, and an API for programs.
///
/// In the studio you can draw, compare, interpolate, encode and edit images, and watch every step as it is taken.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim serve --open                             the built-in models, at http://127.0.0.1:8080
  ddim serve --model ./my-run --runs ./         a training run next to its curves
  ddim serve --listen 0.0.0.0:8080 --host gpu-box:8080
                                                from other machines, with the token that is printed

The API is described at /api/v1/openapi.json. What clients may send is limited, and no path in a request opens a file.")]
pub(crate) struct Flags {
    /// Address and port to listen on; port 0 picks any free port.
    ///
    /// Listening beyond this machine requires a token: the value of the environment variable DDIM_TOKEN or, if that is unset, a random one
    /// that is printed.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_address, help_heading = "Server")]
    pub(crate) listen: SocketAddr,
    /// Open the page in the browser.
    #[arg(long, help_heading = "Server")]
    pub(crate) open: bool,
    /// Model to serve, as for any other verb; may be repeated [default: all built-in models].
    ///
    /// Use NAME=DIR to serve it under another name.
    #[arg(long = "model", value_name = "[NAME=]NAME|DIR|ORG/NAME", help_heading = "Everywhere")]
    pub(crate) models: Vec<PathBuf>,
    /// Run of `ddim train`, or a folder of runs, to follow live; may be repeated.
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub(crate) runs: Vec<PathBuf>,
    /// Name by which browsers reach the server, besides its address; may be repeated.
    ///
    /// Include the port unless it is 80.
    #[arg(long = "host", value_name = "NAME[:PORT]", help_heading = "Server")]
    pub(crate) hosts: Vec<String>,
    /// Keep jobs and their results in this file for the next start [default: ddim/studio.redb in $XDG_STATE_HOME or ~/.local/state].
    #[arg(long, value_name = "FILE", conflicts_with = "no_store", help_heading = "Server")]
    pub(crate) store: Option<PathBuf>,
    /// Do not keep jobs for the next start.
    #[arg(long, help_heading = "Server")]
    pub(crate) no_store: bool,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// What is said when it listens.
#[derive(Serialize)]
#[serde(tag = "command", rename = "serve")]
struct Listening {
    url: String,
    models: Vec<String>,
    store: Option<String>,
}

fn parse_address(text: &str) -> std::result::Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| format!("{error}: expected an address and a port, such as 127.0.0.1:8080"))?;
    let all: Vec<SocketAddr> = found.collect();
    // Of a name with several, the usual one.
    all.iter().find(|address| address.is_ipv4()).or(all.first()).copied().ok_or_else(|| "no address for this name".to_owned())
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let token = token(flags.listen.ip())?;
    let (store, is_ours) = match (&flags.store, flags.no_store) {
        (Some(file), _) => (Some(file.clone()), false),
        (None, true) => (None, false),
        (None, false) => {
            let file = default_store();
            if file.is_none() {
                warn("jobs will not survive a restart: no folder for them in $XDG_STATE_HOME or ~/.local/state (--store FILE)".to_owned());
            }
            (file, true)
        }
    };
    let config = Config {
        listen: flags.listen,
        models: served(&flags.models)?,
        engine: engine(&flags.machine)?,
        token: token.clone(),
        hosts: flags.hosts.clone(),
        store,
        runs: flags.runs.clone(),
        ..Config::default()
    };
    let models = config.models.iter().map(|model| model.name.clone()).collect();
    let (studio, store) = bind(config, is_ours)?;
    let control = Control::default();
    let asked = signals::watch(control.clone()).map_err(|e| Error::failure(format!("signals cannot be handled: {e}")))?;
    // It has answers to end, and jobs to write down.
    asked.wait();
    let query = token.as_ref().map_or(String::new(), |token| format!("?token={}", utf8_percent_encode(token, NON_ALPHANUMERIC)));
    let url = format!("http://{}/{query}", shown(studio.address()));
    let human = format!("{url}\n");
    report(&flags.machine.output, &Listening { url: url.clone(), models, store: store.map(|file| file.display().to_string()) }, &human)?;
    // It is there until the server ends: a browser takes its time.
    let _link = if flags.open { open_page(&url, token.is_some()) } else { None };
    studio.serve(&control.flag()).map_err(failed)?;
    asked.get().map_or(Ok(()), |signal| Err(Error::Interrupted(signal)))
}

/// Opens the page. A link with a token goes by a file that nobody else reads: arguments are seen by all users of a machine.
fn open_page(url: &str, is_secret: bool) -> Option<tempfile::NamedTempFile> {
    let file = is_secret.then(|| {
        let mut file = tempfile::Builder::new().prefix("ddim-").suffix(".html").tempfile()?;
        write!(file, "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=\"0; url={url}\"><title>ddim</title>")?;
        file.flush().map(|()| file)
    });
    let opened = match file.transpose() {
        Ok(file) => {
            let target = file.as_ref().map_or_else(|| url.into(), |file| file.path().as_os_str().to_owned());
            open::that_detached(target).map(|()| file)
        }
        Err(error) => Err(error),
    };
    opened.unwrap_or_else(|error| {
        warn(format!("cannot open a browser: {error}"));
        None
    })
}

/// Binds; where the usual file for jobs cannot be used, it goes without, and says so.
fn bind(config: Config, is_ours: bool) -> Result<(Studio, Option<PathBuf>)> {
    let without = Config { store: None, ..config.clone() };
    let file = config.store.clone();
    match Studio::bind(config) {
        Err(error @ ddim_studio::Error::Store { .. }) if is_ours => {
            warn(format!("jobs will not survive a restart: {error} (--store FILE)"));
            Ok((Studio::bind(without).map_err(failed)?, None))
        }
        bound => Ok((bound.map_err(failed)?, file)),
    }
}

fn warn(text: String) {
    Progress::new(false).show(&Event::Note { kind: NoteKind::Warning, text });
}

fn failed(error: ddim_studio::Error) -> Error {
    match error {
        ddim_studio::Error::Engine(error) => error.into(),
        ddim_studio::Error::Config(message) => Error::Usage(crate::error::in_flags(&message)),
        other => Error::Failure(crate::error::in_flags(&other.to_string())),
    }
}

/// The models by the names that requests know.
fn served(models: &[PathBuf]) -> Result<Vec<ServedModel>> {
    let one = |given: &PathBuf| {
        let named = given.to_str().filter(|_| !given.exists()).and_then(|text| text.split_once('='));
        let (name, model) = match named {
            Some((name, model)) => (name.to_owned(), PathBuf::from(model)),
            None => (name_of(given), given.clone()),
        };
        if name.is_empty() {
            return Err(Error::Usage(format!("--model {}: expected a name before =, or a folder that has a name", given.display())));
        }
        Ok(ServedModel { name, model })
    };
    if models.is_empty() {
        // The usual one first: that is drawn where a request names none.
        let rest = built_in().filter(|name| *name != DEFAULT_MODEL);
        return Ok([DEFAULT_MODEL].into_iter().chain(rest).map(|name| ServedModel { name: name.to_owned(), model: name.into() }).collect());
    }
    models.iter().map(one).collect()
}

/// What a model is called that nobody gave a name: as its folder, or whole, where it is none.
fn name_of(model: &Path) -> String {
    let folder = model.canonicalize().ok();
    let name = folder.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| model.display().to_string())
}

/// What clients must say, where others can reach this machine or the environment says so.
fn token(listen: IpAddr) -> Result<Option<String>> {
    match std::env::var_os(TOKEN) {
        Some(token) if !token.is_empty() => match token.into_string() {
            Ok(token) if ddim_studio::Config::is_token(&token) => Ok(Some(token)),
            _ => Err(Error::Usage(format!("{TOKEN}: expected {} or more visible ASCII characters", ddim_studio::Config::SHORTEST_TOKEN))),
        },
        _ if listen.is_loopback() => Ok(None),
        _ => {
            let mut bytes = [0u8; 16];
            getrandom::fill(&mut bytes).map_err(|error| Error::failure(format!("no random numbers for a token: {error}")))?;
            Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
    }
}

/// The usual file for jobs, in a folder that is there now. None where there is no place for it.
fn default_store() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME").or_else(|| folder("USERPROFILE"))?.join(".local/state")))?;
    let ours = state.join("ddim");
    std::fs::create_dir_all(&ours).ok()?;
    Some(ours.join("studio.redb"))
}

/// An address that a browser on this machine can open.
fn shown(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
