//! Requests to the hub, and what its responses mean.

use super::cache::MOMENT;
use super::choose::is_inside;
use super::id::{HubId, is_commit};
use super::options::Options;
use super::progress::{Observer, Progress, tell};
use crate::error::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::{Duration, Instant};
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body};

/// Redirects that one request may take.
const REDIRECTS: usize = 10;
/// The most bytes of a list of files.
const LONGEST_LIST: u64 = 64 << 20;
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What stays as it is in one component of an address.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may succeed later, and after the time that the server asks for.
    Passing(Error, Option<Duration>),
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

type Attempt<T> = std::result::Result<T, Trouble>;

/// The files of a model at a revision.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
}

/// What is known of a file before it comes.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Its name in the cache: the SHA-256 of a large file's contents, the git object's name of another.
    pub(super) etag: String,
    /// Bytes, where the server says them.
    pub(super) size: Option<u64>,
}

/// How a request goes on after failures.
pub(super) struct Patience<'o> {
    options: &'o Options,
    attempts: u32,
    wait: Duration,
}

impl<'o> Patience<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        Self { options, attempts: options.attempts, wait: options.pause }
    }

    /// Something came: it goes on as at the beginning.
    pub(super) fn renew(&mut self) {
        *self = Self::new(self.options);
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The trouble, where it lasts or was the last; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub(super) fn pause(&mut self, trouble: Trouble, file: &str, observe: &mut Observer<'_>) -> Result<()> {
        let (error, asked) = match trouble {
            Trouble::Passing(error, asked) => (error, asked),
            Trouble::Lasting(error) => return Err(error),
        };
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 {
            return Err(error);
        }
        let wait = self.wait.max(asked.unwrap_or_default().min(LONGEST_WAIT));
        self.wait *= 2;
        let problem = error.to_string();
        let end = Instant::now() + wait;
        loop {
            tell(observe, Progress::Retrying { file, problem: &problem })?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(MOMENT));
        }
    }
}

/// The hub, and one model there.
pub(super) struct Client<'o> {
    agent: Agent,
    id: &'o HubId,
    endpoint: &'o str,
    /// Where the token may go.
    origin: Origin,
    token: Option<String>,
}

impl<'o> Client<'o> {
    /// # Errors
    /// An endpoint that is no address, or a token that is no text for a header.
    pub(super) fn new(id: &'o HubId, options: &'o Options) -> Result<Self> {
        let endpoint = options.endpoint.trim_end_matches('/');
        let origin = endpoint.parse().ok().as_ref().and_then(Origin::of);
        let origin =
            origin.ok_or_else(|| Error::request(format!("the hub's endpoint is {endpoint:?}: expected an address, https://HOST")))?;
        if options.token.as_ref().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Error::request("the hub's token has spaces or other invalid characters: expected a token in HF_TOKEN"));
        }
        let time = Some(options.timeout);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here: the first answers say what the file is, and a token goes to the hub alone.
            .max_redirects(0)
            .user_agent(concat!("ddim/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(time)
            .timeout_connect(time)
            .timeout_send_request(time)
            .timeout_recv_response(time)
            .timeout_per_read(time)
            .build()
            .new_agent();
        let token = options.token.as_ref().map(|token| format!("Bearer {token}"));
        Ok(Self { agent, id, endpoint, origin, token })
    }

    /// The files of the model at its revision.
    pub(super) fn list(&self) -> Attempt<Listing> {
        #[derive(serde::Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(serde::Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let revision = utf8_percent_encode(self.id.revision(), COMPONENT);
        let url = format!("{}/api/models/{}/revision/{revision}", self.endpoint, self.id.repository());
        let mut response = self.send(false, &url, None)?;
        let bytes = response.body_mut().with_config().limit(LONGEST_LIST).read_to_vec().map_err(|e| passing(&url, e))?;
        let Answer { sha, siblings } = serde_json::from_slice(&bytes).map_err(|e| {
            Error::hub(format!("{url}: {e}: expected the hub's list of a model's files (is HF_ENDPOINT a hub?)")).because(e)
        })?;
        if !is_commit(&sha) {
            return Err(Error::hub(format!("{url}: the commit is {sha:?}: expected 40 digits of a git commit")).into());
        }
        let files: Vec<String> = siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        match files.iter().find(|file| !is_inside(file)) {
            Some(bad) => Err(Error::hub(format!("{url}: a file is {bad:?}: expected paths inside the repository")).into()),
            None => Ok(Listing { commit: sha, files }),
        }
    }

    /// The address of a file.
    pub(super) fn url(&self, commit: &str, file: &str) -> String {
        let path: Vec<String> = file.split('/').map(|part| utf8_percent_encode(part, COMPONENT).to_string()).collect();
        format!("{}/{}/resolve/{commit}/{}", self.endpoint, self.id.repository(), path.join("/"))
    }

    /// What is known of a file before it comes: from the hub itself, not from where it sends for the contents.
    pub(super) fn metadata(&self, commit: &str, file: &str) -> Attempt<Metadata> {
        let url = self.url(commit, file);
        let response = self.send(true, &url, None)?;
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = text("x-linked-etag").or_else(|| text("etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !(1..=128).contains(&etag.len()) || !etag.bytes().all(plain) || etag.starts_with('.') || etag.ends_with('.') {
            return Err(Error::hub(format!("{url}: its ETag is {etag:?}: expected the file's checksum")).into());
        }
        let length = if response.status().is_redirection() { None } else { text("content-length") };
        let size = text("x-linked-size").or(length).and_then(|size| size.parse().ok());
        Ok(Metadata { etag: etag.to_owned(), size })
    }

    /// A file's contents from a byte on, if the server does so: its status says whether it does.
    pub(super) fn open(&self, url: &str, from: u64) -> Attempt<Response<Body>> {
        self.send(false, url, (from > 0).then_some(from))
    }

    /// Sends a request, and follows where the answer leads: all of the way for contents, for a `head` as far as it stays on one host.
    fn send(&self, head: bool, url: &str, from: Option<u64>) -> Attempt<Response<Body>> {
        let mut at: Uri = url.parse().map_err(|e| Error::hub(format!("{url}: {e}: expected an address")).because(e))?;
        for _ in 0..=REDIRECTS {
            let origin = Origin::of(&at);
            let mut request = if head { self.agent.head(&at) } else { self.agent.get(&at) };
            // The size and the checksum are those of the file, not of what it is packed into.
            request = request.header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| origin.as_ref() == Some(&self.origin)) {
                request = request.header(header::AUTHORIZATION, token);
            }
            if let Some(from) = from {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let response = request.call().map_err(|e| passing(url, e))?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            match location.filter(|_| status.is_redirection()) {
                Some(location) => {
                    let next = join(&at, location)
                        .ok_or_else(|| Error::hub(format!("{url}: redirects to {location:?}: expected an address, http or https")))?;
                    if head && Origin::of(&next) != origin {
                        return Ok(response);
                    }
                    at = next;
                }
                None if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && from.is_some()) => return Ok(response),
                None => return Err(self.refused(url, &response)),
            }
        }
        Err(Error::hub(format!("{url}: more than {REDIRECTS} redirects: expected a file")).into())
    }

    /// What an answer means that is no success.
    fn refused(&self, url: &str, response: &Response<Body>) -> Trouble {
        let (id, endpoint) = (self.id, self.endpoint);
        let status = response.status();
        let code = status.as_u16();
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let reason = text("x-error-code").unwrap_or_default();
        let message = match (code, reason) {
            (408 | 429 | 500..=599, _) => {
                let asked = text("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
                let error = Error::hub(format!("{url}: the server answered {status}: expected the file (try again later)"));
                return Trouble::Passing(error, asked);
            }
            (_, "RevisionNotFound") => {
                format!("{id}: no such revision at {endpoint} ({code}): expected a branch, a tag or a commit of {}", id.repository())
            }
            (403, _) | (_, "GatedRepo") if self.token.is_none() => {
                format!(
                    "{id}: private or gated ({code}): expected HF_TOKEN to be set, and access granted at {endpoint}/{}",
                    id.repository()
                )
            }
            (403, _) | (_, "GatedRepo") => {
                format!("{id}: HF_TOKEN gives no access ({code}): expected access granted at {endpoint}/{}", id.repository())
            }
            // The hub does not tell strangers what is private.
            (401, _) if self.token.is_none() => format!(
                "{id}: no such model at {endpoint}, or a private one ({code}): expected a folder, a built-in name or a hub id, or HF_TOKEN to be set"
            ),
            (401, _) => {
                format!("{id}: {endpoint} rejects the token ({code}): expected the HF_TOKEN of an account with access")
            }
            (404, _) if url.contains("/api/models/") => {
                format!("{id}: no such model at {endpoint} ({code}): expected a folder, a built-in name or a hub id")
            }
            _ => format!("{url}: the server answered {status}: expected the file"),
        };
        Trouble::Lasting(Error::hub(message))
    }
}

/// What a failure of the connection means.
pub(super) fn passing(url: &str, error: ureq::Error) -> Trouble {
    let passes = matches!(
        error,
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_)
    );
    let what = match &error {
        ureq::Error::Timeout(_) => "the server stopped responding".to_owned(),
        other => other.to_string(),
    };
    let error = Error::hub(format!("{url}: {what}: expected a connection")).because(error);
    if passes { Trouble::Passing(error, None) } else { Trouble::Lasting(error) }
}

/// A scheme, a host and a port: whom a connection is with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        Some(Self { scheme, host, port: uri.port_u16().unwrap_or(usual) })
    }
}

/// Where a redirect leads.
fn join(at: &Uri, location: &str) -> Option<Uri> {
    let scheme = at.scheme_str()?;
    let authority = at.authority()?;
    let text = match location {
        absolute if absolute.contains("://") && !absolute.starts_with(['/', '?']) => absolute.to_owned(),
        relative if relative.starts_with("//") => format!("{scheme}:{relative}"),
        relative if relative.starts_with('/') => format!("{scheme}://{authority}{relative}"),
        relative if relative.starts_with('?') => format!("{scheme}://{authority}{}{relative}", at.path()),
        relative => {
            let folder = at.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{relative}")
        }
    };
    text.parse().ok().filter(|uri| Origin::of(uri).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let at: Uri = "https://hub.example:8443/a/b?x=1".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.example/c?sig=1", Some("https://cdn.example/c?sig=1")),
            ("//cdn.example/c", Some("https://cdn.example/c")),
            ("/c/d?e=http://f", Some("https://hub.example:8443/c/d?e=http://f")),
            ("c", Some("https://hub.example:8443/a/c")),
            ("?y=2", Some("https://hub.example:8443/a/b?y=2")),
            ("file:///etc/passwd", None),
            ("ftp://a/b", None),
        ] {
            assert_eq!(join(&at, location).map(|uri| uri.to_string()).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn whom_a_token_is_for() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap());
        assert_eq!(origin("https://Hub.example/a"), origin("https://hub.example:443/b"));
        for other in ["http://hub.example", "https://hub.example:8443", "https://cdn.hub.example", "https://hub.example.org"] {
            assert_ne!(origin("https://hub.example"), origin(other), "{other}");
        }
    }
}
