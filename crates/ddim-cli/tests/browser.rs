//! The studio's page in Chromium, served by the binary: what a person does there, and what comes of it.
//!
//! Without Chromium and its driver each of these is counted as ignored; `.ci/browser` installs them where it can. DDIM_AXE is axe-core's file, for the test of
//! accessibility; DDIM_SCREENSHOTS a folder for pictures of every tab.

mod common;

#[cfg(unix)]
mod page;

#[cfg(unix)]
fn main() {
    page::main();
}

#[cfg(not(unix))]
fn main() {}
