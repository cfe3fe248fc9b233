//! Chromium through its driver, a window for each test.

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The slowest thing that a page does here takes less, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The driver and the browser, where both are there.
pub(crate) fn programs() -> Option<[PathBuf; 2]> {
    let path = std::env::var_os("PATH")?;
    let find = |names: &[&str]| {
        std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|p| p.is_file())
    };
    Some([find(&["chromedriver"])?, find(&["chromium", "chromium-browser", "google-chrome"])?])
}

/// What a window is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) width: u32,
    pub(crate) dark: bool,
}

/// A window of a browser; both end with it.
pub(crate) struct Browser {
    driver: Child,
    pub(crate) client: Client,
    profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // Where a test fails nobody has closed the window, and the driver does not end it.
        let _ = Command::new("pkill").args(["-KILL", "-f", &format!("user-data-dir={}", self.profile.path().display())]).status();
    }
}

/// A command of the driver that is not of the standard: what the page wrote to its console.
#[derive(Debug)]
struct ReadLog;

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

impl Browser {
    pub(crate) async fn open(window: Window, url: &str) -> Self {
        let [driver, chromium] = programs().expect("looked for before");
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new(driver).arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let profile = tempfile::tempdir().unwrap();
        let mut args = vec![
            "--headless=new".to_owned(),
            // Whoever runs tests as root, in a container, has no sandbox.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={},1000", window.width.max(500)),
        ];
        if window.dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut options = json!({ "args": args, "binary": chromium });
        if window.width < 500 {
            // No window is so narrow, but a telephone is.
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": window.width, "height": 844, "pixelRatio": 2.0, "touch": true } });
        }
        let capabilities = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let capabilities: Capabilities = capabilities;
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        client.goto(url).await.unwrap();
        Self { driver, client, profile }
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({expression});")).await != Value::Bool(true) {
            if began.elapsed() > PATIENCE {
                let text = self.run("return document.querySelector('main').innerText;").await;
                panic!("{expression} is not so after {PATIENCE:?}; the page: {text}; its console: {:?}", self.complaints().await);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn element(&self, id: &str) -> fantoccini::elements::Element {
        let selector = format!("[data-testid='{id}']");
        self.client.find(Locator::Css(&selector)).await.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    pub(crate) async fn click(&self, id: &str) {
        self.element(id).await.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// What a person types, into an empty field.
    pub(crate) async fn type_into(&self, id: &str, text: &str) {
        self.run(&format!("const e = document.querySelector(\"[data-testid='{id}']\"); e.focus(); e.select?.();")).await;
        self.element(id).await.send_keys(text).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Gives a file to a field for files.
    pub(crate) async fn choose(&self, id: &str, file: &Path) {
        self.element(id).await.send_keys(file.to_str().unwrap()).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    pub(crate) async fn text(&self, id: &str) -> String {
        self.run(&format!("return document.querySelector(\"[data-testid='{id}']\").textContent;"))
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) async fn value(&self, id: &str) -> String {
        self.run(&format!("return document.querySelector(\"[data-testid='{id}']\").value;")).await.as_str().unwrap_or_default().to_owned()
    }

    /// What the page wrote to its console of warnings and errors, since it was asked last.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ReadLog).await.unwrap();
        let lines = log.as_array().into_iter().flatten();
        lines.filter(|line| ["SEVERE", "WARNING"].contains(&line["level"].as_str().unwrap_or_default())).map(ToString::to_string).collect()
    }

    /// The whole page as a PNG.
    pub(crate) async fn picture(&self, file: &Path) {
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }
}
