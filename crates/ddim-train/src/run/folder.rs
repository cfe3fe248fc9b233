//! The files of a run's folder.

use crate::checkpoint;
use crate::config::Settings;
use crate::error::{Error, Result};
use ddim_weights::{lock_folder, write_file};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

pub(super) const CONFIG: &str = "config.toml";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const BASE: &str = "base";
pub(super) const LABELS: &str = "labels.txt";
pub(super) const PREVIEWS: &str = "previews";

/// Whether a file is what a run writes of its settings, of which somebody may have changed some: they say what the run is of.
fn is_of_run(path: &Path) -> bool {
    let table = std::fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let says = table.is_some_and(|table| table.get("data").and_then(|data| data.get("path")).is_some() && table.contains_key("network"));
    says && Settings::of_run(path).is_ok()
}

/// What a run replaces where another ended before its first checkpoint.
pub(super) const REPLACED: [&str; 5] = [CONFIG, METRICS, PREVIEWS, BASE, LABELS];

/// Refuses a folder with a run that has a checkpoint, with checkpoints of one that lost its settings, or with files of somebody else's that a run would replace.
pub(super) fn refuse_used(folder: &Path) -> Result<()> {
    match (folder.join(CONFIG).exists(), checkpoint::checkpoints(folder)?.is_empty()) {
        (_, true) => match REPLACED.into_iter().find(|name| folder.join(name).symlink_metadata().is_ok()) {
            Some(name) if !is_of_run(&folder.join(CONFIG)) => {
                Err(Error::run(folder, format!("holds {name}, which is not part of a run and would be replaced: expected another folder")))
            }
            _ => Ok(()),
        },
        (true, false) => Err(Error::run(folder, "holds a run already: --resume continues it, or choose another folder")),
        (false, false) => Err(Error::run(folder, "holds checkpoints of a run but no config.toml: expected another folder")),
    }
}

/// Whether the labels that are asked for are those of the copy, as far as one can tell: the file that they came from may be gone.
pub(super) fn same_file(copy: &Path, asked: Option<&Path>) -> bool {
    let Some(asked) = asked else { return false };
    match (std::fs::read(copy), std::fs::read(asked)) {
        (Ok(copy), Ok(asked)) => copy == asked,
        _ => false,
    }
}

/// `run-2`, or the next number that is free.
pub(super) fn unused_beside(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or("run".as_ref());
    let mut numbered = (2u64..).map(|i| {
        let mut name = name.to_owned();
        name.push(format!("-{i}"));
        folder.with_file_name(name)
    });
    numbered.find(|path| !path.exists()).expect("some number is free")
}

/// Removes a file or folder that may be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::run(path, &e).because(e)),
        _ => Ok(()),
    }
}

pub(super) fn lock(folder: &Path) -> Result<File> {
    lock_folder(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::run(folder, "another process is training here: expected one at a time").because(e),
        _ => Error::run(folder, &e).because(e),
    })
}

pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file(path, bytes).map_err(|e| Error::run(path, format!("cannot be written: {e}")).because(e))
}

/// Opens the metrics to append to; lines of steps that will be taken again go, and so does half a line.
pub(super) fn open_metrics(path: &Path, step: u64) -> Result<File> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    let io = |e| Error::run(path, &e).because(e);
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let kept = |line: &&str| serde_json::from_str::<Line>(line).is_ok_and(|line| line.step <= step);
            let lines: String = text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
            if lines != text {
                write_whole(path, lines.as_bytes())?;
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(io)
}
