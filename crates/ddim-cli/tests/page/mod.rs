//! The tests of `browser.rs`: one window each.

mod browser;
mod draw;
mod looks;
mod tabs;

use crate::common::server::{Server, serve};
use browser::{Browser, Window, programs};
use libtest_mimic::{Arguments, Completion, Trial};
use std::future::Future;
use std::path::Path;

/// A test: a window of a served page.
type Test = fn(Page) -> std::pin::Pin<Box<dyn Future<Output = Page>>>;

/// A served page in a window.
pub(crate) struct Page {
    pub(crate) server: Server,
    pub(crate) browser: Browser,
}

const WIDE: Window = Window { width: 1280, dark: false };

macro_rules! tests {
    ($($module:ident :: $name:ident,)*) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), (|page| Box::pin($module::$name(page))) as Test),)*]
    };
}

const TESTS: &[(&str, Test)] = &tests![
    draw::frames_come_as_it_is_drawn,
    draw::a_drag_starts_anew,
    draw::a_cancel_ends_the_job,
    draw::a_picture_restores_its_settings,
    draw::the_command_draws_the_same,
    draw::what_is_wrong_is_said_beside_its_control,
    draw::pictures_of_other_settings_are_dimmed,
    draw::links_say_what_is_not_here,
    tabs::an_upload_is_encoded_and_decoded,
    tabs::interpolation_follows_the_pointer,
    tabs::an_edit_stays_outside_its_mask,
    tabs::one_latent_in_many_steps,
    tabs::the_grid_fills_and_can_be_cancelled,
];

pub(crate) fn main() {
    let mut arguments = Arguments::from_args();
    // Each has a browser and all processors.
    arguments.test_threads = Some(1);
    let mut trials: Vec<Trial> = TESTS.iter().map(|(name, test)| trial(name, WIDE, *test)).collect();
    trials.extend(looks::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test in a window; ignored where there is no browser.
fn trial(name: &str, window: Window, test: Test) -> Trial {
    Trial::ignorable_test(name, move || {
        if programs().is_none() {
            return Ok(Completion::ignored_with("no chromedriver or no chromium on the PATH, see CONTRIBUTING.md"));
        }
        in_a_window(window, &[], test);
        Ok(Completion::Completed)
    })
}

/// Serves the page, opens it, and looks at its console at the end.
fn in_a_window(window: Window, args: &[&str], test: Test) {
    let folder = tempfile::tempdir().unwrap();
    let root = crate::common::root();
    let server = serve(&root, &[&["--store", folder.path().join("jobs.redb").to_str().unwrap()], args].concat(), &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::open(window, &server.url).await;
        let page = test(Page { server, browser }).await;
        let complaints = page.browser.complaints().await;
        assert!(complaints.is_empty(), "{complaints:?}");
        page.browser.client.clone().close().await.unwrap();
    });
}

impl Page {
    /// Waits until Draw has drawn what its settings say.
    pub(crate) async fn drawn(&self) {
        self.browser.until("document.querySelector(\"[data-testid='draw-gallery'] img\") && document.getElementById('panel-draw').ariaBusy === 'false'").await;
    }

    /// Sets a number and leaves the field.
    pub(crate) async fn set(&self, id: &str, value: &str) {
        self.browser.type_into(id, &format!("{value}\n")).await;
    }

    /// Whether a button that stays pressed is.
    pub(crate) async fn is_pressed(&self, id: &str) -> bool {
        self.browser.run(&format!("return document.querySelector(\"[data-testid='{id}']\").ariaPressed;")).await == "true"
    }

    /// The bytes of a picture that the page shows, written to a file.
    pub(crate) async fn save(&self, selector: &str, file: &Path) {
        let script = format!(
            "const done = arguments[arguments.length - 1]; const image = document.querySelector(\"{selector}\");
             fetch(image.currentSrc || image.src).then((answer) => answer.arrayBuffer()).then((bytes) => done([...new Uint8Array(bytes)]));"
        );
        let bytes = self.browser.client.execute_async(&script, Vec::new()).await.unwrap();
        let bytes: Vec<u8> = bytes.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
        std::fs::write(file, bytes).unwrap();
    }
}
