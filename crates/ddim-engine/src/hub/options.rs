//! Where the hub and its cache are, as configured in the environment for all of the hub's clients.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

const ENDPOINT: &str = "https://huggingface.co";

/// Options of [`fetch`](super::fetch).
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The folder of the hub's cache.
    pub cache: PathBuf,
    /// The hub's address.
    pub endpoint: String,
    /// Access token for private and gated models; it is sent only to the endpoint's own host.
    pub token: Option<String>,
    /// Use only what is in the cache, without network access.
    pub offline: bool,
    /// Make snapshots links to files that all revisions share. Where links cannot be made, files are moved or copied.
    pub symlinks: bool,
    /// If the model also has averaged weights, fetch the weights themselves too, as `ddim_nn::Choices::raw` reads them.
    pub raw: bool,
    /// For a training run, fetch its state too, as `ddim_nn::Choices::ema` reads it.
    pub state: bool,
    /// How long a server may be silent: while connecting, before it answers, and between any two pieces of its answer.
    pub timeout: Duration,
    /// How many times a request is attempted before its failure is an error. A download that makes progress starts counting anew.
    pub attempts: u32,
    /// The delay before the second attempt; it doubles with each further one.
    pub pause: Duration,
}

impl Options {
    /// Options for the public hub, without a token, with the cache in `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            endpoint: ENDPOINT.to_owned(),
            token: None,
            offline: false,
            symlinks: true,
            raw: false,
            state: false,
            timeout: Duration::from_secs(10),
            attempts: 5,
            pause: Duration::from_millis(500),
        }
    }

    /// Reads the options from the environment variables that Python's `huggingface_hub` uses.
    ///
    /// The cache is `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `huggingface/hub` in `$XDG_CACHE_HOME` or `~/.cache`. The endpoint is `$HF_ENDPOINT`. The token
    /// is `$HF_TOKEN`, else it is read from the file `$HF_TOKEN_PATH` or `$HF_HOME/token`, unless `$HF_HUB_DISABLE_IMPLICIT_TOKEN` is set. `$HF_HUB_OFFLINE`,
    /// `$HF_HUB_DISABLE_SYMLINKS` and `$HF_HUB_DOWNLOAD_TIMEOUT` (in seconds) are read too.
    ///
    /// # Errors
    /// If there is no place for a cache, the token file cannot be read, or the timeout is not a number.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(&|name| std::env::var_os(name), std::env::home_dir())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let is_true = |name: &str| text(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()));
        let path = |name: &str| {
            let path = PathBuf::from(set(name)?);
            // As Python does: not every variable comes from a shell.
            match (path.strip_prefix("~"), &home) {
                (Ok(rest), Some(home)) => Some(home.join(rest)),
                _ => Some(path),
            }
        };
        let caches = || path("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let hub_home = path("HF_HOME").or_else(|| caches().map(|folder| folder.join("huggingface")));
        let cache =
            path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| hub_home.as_ref().map(|home| home.join("hub")));
        let Some(cache) = cache else {
            return Err(Error::request("no folder for the hub's cache: expected HF_HOME or HOME to be set"));
        };
        let mut options = Self::new(cache);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            options.endpoint = endpoint;
        }
        options.offline = is_true("HF_HUB_OFFLINE");
        options.symlinks = !is_true("HF_HUB_DISABLE_SYMLINKS");
        if let Some(seconds) = text("HF_HUB_DOWNLOAD_TIMEOUT") {
            options.timeout = match seconds.trim().parse() {
                Ok(seconds @ 1..) => Duration::from_secs(seconds),
                _ => {
                    return Err(Error::request(format!("HF_HUB_DOWNLOAD_TIMEOUT is {seconds:?}: expected a number of seconds, 1 or more")));
                }
            };
        }
        if !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            options.token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
                Some(token) => Some(token),
                None => match path("HF_TOKEN_PATH").or_else(|| hub_home.map(|home| home.join("token"))) {
                    Some(file) => match std::fs::read_to_string(&file) {
                        Ok(token) => Some(token),
                        Err(e) if e.kind() == ErrorKind::NotFound => None,
                        Err(e) => return Err(Error::io(&file, e)),
                    },
                    None => None,
                },
            };
        }
        options.token = options.token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(options)
    }
}

/// Omits the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, endpoint, token, offline, symlinks, raw, state, timeout, attempts, pause } = self;
        f.debug_struct("Options")
            .field("cache", cache)
            .field("endpoint", endpoint)
            .field("token", &token.as_ref().map(|_| "***"))
            .field("offline", offline)
            .field("symlinks", symlinks)
            .field("raw", raw)
            .field("state", state)
            .field("timeout", timeout)
            .field("attempts", attempts)
            .field("pause", pause)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn options(variables: &[(&str, &str)]) -> Result<Options> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Options::from_variables(&get, Some(PathBuf::from("/nowhere/me")))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[], "/nowhere/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "")], "/nowhere/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")], "/h/hub"),
            (&[("HF_HOME", "~/h")], "/nowhere/me/h/hub"),
            (&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/c")], "/c"),
        ];
        for (variables, expected) in cases {
            assert_eq!(options(variables).unwrap().cache, Path::new(expected), "{variables:?}");
        }
        assert!(Options::from_variables(&|_| None, None).is_err());
    }

    #[test]
    fn tokens_come_from_the_environment_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| options(variables).unwrap().token;
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[("HF_TOKEN_PATH", file.to_str().unwrap())]).as_deref(), Some("hf_file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " hf_variable ")]).as_deref(), Some("hf_variable"));
        assert_eq!(token(&[("HF_TOKEN", "hf_variable"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[("HF_TOKEN", " ")]), None);
        let debugged = format!("{:?}", options(&[("HF_TOKEN", "hf_secret")]).unwrap());
        assert!(debugged.contains("***") && !debugged.contains("hf_secret"));
    }

    #[test]
    fn flags_and_seconds() {
        assert!(!options(&[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        assert!(options(&[("HF_HUB_OFFLINE", "true")]).unwrap().offline);
        assert!(!options(&[("HF_HUB_DISABLE_SYMLINKS", "1")]).unwrap().symlinks);
        assert_eq!(options(&[("HF_HUB_DOWNLOAD_TIMEOUT", "30")]).unwrap().timeout, Duration::from_secs(30));
        let error = options(&[("HF_HUB_DOWNLOAD_TIMEOUT", "soon")]).unwrap_err();
        assert!(error.to_string().contains("HF_HUB_DOWNLOAD_TIMEOUT"));
    }
}
