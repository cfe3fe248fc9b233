//! Runs of `ddim train`, observed from outside through the files that they write.

use crate::error::Problem;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Lines of metrics that are told of one run, spread evenly; the last is.
const MOST_LINES: usize = 2000;

/// A preview is no larger.
const LARGEST_PREVIEW: u64 = 32 << 20;

/// What a run is called in addresses, and where it lies.
struct Run {
    name: String,
    folder: PathBuf,
}

/// The runs that `folders` are, or hold, as they are now.
fn found(folders: &[PathBuf]) -> Vec<Run> {
    let is_run = |folder: &Path| folder.join("config.toml").is_file() && folder.join("metrics.jsonl").is_file();
    let mut runs: Vec<Run> = Vec::new();
    let mut add = |folder: PathBuf| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).filter(|_| is_run(&folder));
        // Of two with one name, the one that was named first.
        if let Some(name) = name.filter(|name| runs.iter().all(|run| run.name != *name)) {
            runs.push(Run { name, folder });
        }
    };
    for folder in folders {
        add(folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        let mut inner: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        inner.sort();
        inner.into_iter().for_each(&mut add);
    }
    runs
}

/// Each run with how far it is.
pub(crate) fn list(folders: &[PathBuf]) -> Value {
    let one = |run: Run| {
        let step = metrics(&run.folder).last().and_then(|line| line.get("step").cloned());
        json!({ "name": run.name, "step": step, "steps": steps(&run.folder) })
    };
    json!({ "runs": found(folders).into_iter().map(one).collect::<Vec<_>>() })
}

/// What a run has written so far.
///
/// # Errors
/// 404 where there is no run of this name.
pub(crate) fn one(folders: &[PathBuf], name: &str) -> Result<Value, Problem> {
    let Run { name, folder } = of_name(folders, name)?;
    let all = metrics(&folder);
    let every = all.len().div_ceil(MOST_LINES).max(1);
    let last = all.len().saturating_sub(1);
    let lines: Vec<Value> = all.into_iter().enumerate().filter(|(i, _)| (last - i).is_multiple_of(every)).map(|(_, line)| line).collect();
    let at = format!("/api/v1/runs/{}/previews", encoded(&name));
    let previews: Vec<String> = previews(&folder).iter().map(|file| format!("{at}/{}", encoded(file))).collect();
    let config = std::fs::read_to_string(folder.join("config.toml")).unwrap_or_default();
    Ok(json!({ "name": name, "steps": steps(&folder), "config": config, "metrics": lines, "previews": previews }))
}

/// The bytes of a preview of a run.
///
/// # Errors
/// 404 where there is none of this name.
pub(crate) fn preview(folders: &[PathBuf], name: &str, file: &str) -> Result<Vec<u8>, Problem> {
    let folder = of_name(folders, name)?.folder;
    let gone = || Problem::not_found(format!("preview {file} of {name}"));
    // One of those that are listed: no name of a request is joined to a path before that.
    let file = previews(&folder).into_iter().find(|listed| listed == file).ok_or_else(gone)?;
    let path = folder.join("previews").join(file);
    let is_small = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST_PREVIEW);
    if is_small { std::fs::read(path).map_err(|_| gone()) } else { Err(gone()) }
}

fn of_name(folders: &[PathBuf], name: &str) -> Result<Run, Problem> {
    found(folders).into_iter().find(|run| run.name == name).ok_or_else(|| Problem::not_found(format!("run {name}")))
}

/// Lines that are whole: the last may be being written.
fn metrics(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The steps that a run is to take.
fn steps(folder: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join("config.toml")).ok()?;
    let line = text.lines().take_while(|line| !line.starts_with('[')).find_map(|line| line.strip_prefix("steps = "));
    line?.trim().parse().ok()
}

fn previews(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("previews")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".png") && !name.starts_with('.'));
    names.sort();
    names
}

/// A part of an address: what has a meaning there is written by its bytes.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
