//! Access control: requests that a page of another site could cause are refused; and, if the server has a token, all requests without it.

use crate::config::Config;
use crate::error::Problem;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Whether this is asked without a token: whether the server is there, and its page, into which the token is put.
fn is_open(path: &str) -> bool {
    path == "/healthz" || path == "/" || path.starts_with("/assets/")
}

/// What the page may load: what comes from here, and pictures that it holds itself.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; \
                    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What goes with every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, PAGE),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Guard {
    /// In lower case, each as the header Host has it.
    hosts: Vec<String>,
    /// The port, of a server that listens at all of the machine's addresses: it is reached by any of them.
    any_address: Option<u16>,
    token: Option<String>,
}

impl Guard {
    /// For a server that listens at `at`.
    pub(crate) fn new(config: &Config, at: SocketAddr) -> Self {
        let mut hosts: Vec<String> = config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let mut names = vec![at.ip().to_string()];
        if at.is_ipv6() {
            names = vec![format!("[{}]", at.ip())];
        }
        if at.ip().is_loopback() || at.ip().is_unspecified() {
            names.push("localhost".to_owned());
        }
        for name in names {
            hosts.push(format!("{name}:{}", at.port()));
            if at.port() == 80 {
                hosts.push(name);
            }
        }
        Self { hosts, any_address: at.ip().is_unspecified().then(|| at.port()), token: config.token.clone() }
    }

    /// Whether this, in lower case, is what the server is called. An address is never another site's name for it.
    fn knows(&self, host: &str) -> bool {
        let alone = || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let is_address = |port| host.parse::<SocketAddr>().map_or_else(|_| port == 80 && alone(), |address| address.port() == port);
        self.hosts.iter().any(|known| known == host) || self.any_address.is_some_and(is_address)
    }

    /// # Errors
    /// 403 of another host or site, 401 without the token, 415 for a body that is no JSON.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let (headers, path) = (request.headers(), request.uri().path());
        let forbidden = |message: String| Err(Problem::new(StatusCode::FORBIDDEN, message));
        let host = one(headers, header::HOST)?.map(str::to_ascii_lowercase);
        let expected = || self.hosts.join(", ");
        match &host {
            Some(host) if self.knows(host) => {}
            Some(host) => return forbidden(format!("Host {host}: expected {}", expected())),
            None => return forbidden(format!("Host: missing: expected {}", expected())),
        }
        if let Some(authority) = request.uri().authority().map(|authority| authority.as_str().to_ascii_lowercase())
            && host.as_ref() != Some(&authority)
        {
            return forbidden(format!("{authority}: expected the same as Host"));
        }
        if let Some(origin) = one(headers, header::ORIGIN)? {
            let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if !from.is_some_and(|from| self.knows(&from.to_ascii_lowercase())) {
                return forbidden(format!("Origin {origin}: expected this server's own pages"));
            }
        }
        if let Some(site) = one(headers, HeaderName::from_static("sec-fetch-site"))?
            && !["same-origin", "none"].contains(&site)
            && !is_visit(request)
        {
            return forbidden(format!("Sec-Fetch-Site {site}: expected this server's own pages"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| !is_open(path)) {
            let given = one(headers, header::AUTHORIZATION)?.and_then(|value| value.strip_prefix("Bearer "));
            if !given.is_some_and(|given| same(given, token)) {
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "Authorization: expected Bearer and the token of the server"));
            }
        }
        if [Method::POST, Method::PUT, Method::PATCH].contains(request.method()) {
            let kind = one(headers, header::CONTENT_TYPE)?.unwrap_or_default();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/json") {
                let found = if kind.is_empty() { "missing" } else { kind };
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Content-Type: {found}: expected application/json")));
            }
        }
        Ok(())
    }
}

/// Somebody followed a link to the page: nothing is told to the site that had it.
fn is_visit(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|found| found == value);
    request.method() == Method::GET
        && request.uri().path() == "/"
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// A header that comes once at most, as text.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(&name).iter();
    let wrong = |found: &str| Problem::new(StatusCode::BAD_REQUEST, format!("{name}: {found}: expected one value in ASCII"));
    match (all.next().map(HeaderValue::to_str), all.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        (Some(Err(_)), _) => Err(wrong("bytes that are not text")),
        (Some(_), Some(_)) => Err(wrong("several")),
    }
}

/// Compares in a time that does not say where the first difference is.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Lets requests through that may be asked, and adds what goes with every answer.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        // What is not to be kept at all unless an answer says otherwise.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn asked(method: Method, path: &str, headers: &[(&str, &str)], token: Option<&str>) -> u16 {
        let config = Config { hosts: vec!["Studio.example".to_owned()], token: token.map(str::to_owned), ..Config::default() };
        let guard = Guard::new(&config, "127.0.0.1:8080".parse().unwrap());
        let mut request = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(Body::empty()).unwrap()).map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn other_hosts_and_sites_are_refused() {
        let get = |headers: &[(&str, &str)]| asked(Method::GET, "/api/v1/models", headers, None);
        let host = ("host", "127.0.0.1:8080");
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "studio.example"] {
            assert_eq!(get(&[("host", host)]), 200, "{host}");
        }
        for host in ["127.0.0.1", "localhost:80", "evil.example:8080", "127.0.0.1:8080.evil.example", "studio.example:8080", ""] {
            assert_eq!(get(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(get(&[]), 403);
        assert_eq!(get(&[host, host]), 400);
        for (origin, status) in [
            ("http://127.0.0.1:8080", 200),
            ("http://localhost:8080", 200),
            ("https://studio.example", 200),
            ("null", 403),
            ("http://127.0.0.1:8081", 403),
            ("http://evil.example", 403),
            ("file://", 403),
        ] {
            assert_eq!(get(&[host, ("origin", origin)]), status, "{origin}");
        }
        for (site, status) in [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)] {
            assert_eq!(get(&[host, ("sec-fetch-site", site)]), status, "{site}");
        }
    }

    #[test]
    fn all_addresses_are_known_by_any_of_them() {
        let guard = Guard::new(&Config::default(), "0.0.0.0:8080".parse().unwrap());
        for host in ["192.168.1.7:8080", "[fe80::1]:8080", "localhost:8080", "0.0.0.0:8080"] {
            assert!(guard.knows(host), "{host}");
        }
        let usual = Guard::new(&Config::default(), "0.0.0.0:80".parse().unwrap());
        for host in ["192.168.1.7", "192.168.1.7:80", "127.0.0.1", "[::1]", "localhost"] {
            assert!(usual.knows(host), "{host}");
        }
        assert!(!usual.knows("evil.example") && !usual.knows("192.168.1.7:8080"));
        for host in ["192.168.1.7:80", "192.168.1.7", "evil.example:8080", "127.0.0.1.evil.example:8080"] {
            assert!(!guard.knows(host), "{host}");
        }
    }

    #[test]
    fn links_lead_to_the_page_alone() {
        let mut headers = vec![("host", "localhost:8080"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        headers.push(("sec-fetch-dest", "document"));
        assert_eq!(asked(Method::GET, "/", &headers, None), 200);
        assert_eq!(asked(Method::GET, "/api/v1/models", &headers, None), 403);
        assert_eq!(asked(Method::POST, "/", &headers, None), 403);
        headers[3] = ("sec-fetch-dest", "iframe");
        assert_eq!(asked(Method::GET, "/", &headers, None), 403);
    }

    #[test]
    fn bodies_are_json() {
        let host = ("host", "localhost:8080");
        let post = |kind: &str| asked(Method::POST, "/api/v1/jobs", &[host, ("content-type", kind)], None);
        assert_eq!(post("application/json"), 200);
        assert_eq!(post("Application/JSON; charset=utf-8"), 200);
        for kind in ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert_eq!(post(kind), 415, "{kind}");
        }
        assert_eq!(asked(Method::POST, "/api/v1/jobs", &[host], None), 415);
    }

    #[test]
    fn the_token_opens_all_but_the_page() {
        let token = Some("0123456789abcdef");
        let get = |path: &str, given: &str| asked(Method::GET, path, &[("host", "localhost:8080"), ("authorization", given)], token);
        assert_eq!(get("/api/v1/models", "Bearer 0123456789abcdef"), 200);
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "0123456789abcdef", "Bearer 0123456789abcdef0", "Basic 0123456789abcdef"] {
            assert_eq!(get("/api/v1/models", wrong), 401, "{wrong}");
        }
        for open in ["/healthz", "/", "/assets/main.js"] {
            assert_eq!(get(open, ""), 200, "{open}");
        }
        for closed in ["/metrics", "/assets", "/api/v1/jobs"] {
            assert_eq!(get(closed, ""), 401, "{closed}");
        }
    }
}
