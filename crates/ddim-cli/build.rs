//! What `ddim --version` says of the build: its features, and its commit, which is git's, or what `cargo package` wrote down; else "unknown".

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rustc-env=DDIM_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rustc-env=DDIM_FEATURES={}", features());
    println!("cargo:rerun-if-changed=build.rs");
}

/// As Cargo calls them, but for upper case.
fn features() -> String {
    let named = std::env::vars().filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase));
    let mut named: Vec<String> = named.filter(|name| name != "default").map(|name| name.replace('_', "-")).collect();
    named.sort();
    if named.is_empty() { "none".to_owned() } else { named.join(", ") }
}

fn commit() -> Option<String> {
    let packaged = Path::new(".cargo_vcs_info.json");
    if packaged.exists() {
        let text = std::fs::read_to_string(packaged).ok()?;
        let sha = text.split('"').find(|part| part.len() == 40 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        return Some(sha[..12].to_owned());
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    // Somebody else's repository around ours is not what it was built of.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    // Of a new commit, a new name.
    for file in ["HEAD", "logs/HEAD"] {
        println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", file])?);
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}
