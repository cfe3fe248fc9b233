//! Folders that hold the output of an earlier command. Two runs in one folder look like one: a shorter run would leave the images of a longer one
//! after its own, and whoever reads the folder would take them all for the same run.

use crate::error::{Error, Result};
use crate::session::Session;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

/// What a folder should have been.
const EXPECTED: &str = "expected a new or empty folder";

/// What images of a model are told by, whatever it is called: its weights, network and scheduler.
pub(crate) fn contents_of(session: &Session<'_, '_>) -> Result<Vec<u8>> {
    let mut bytes = session.network.checksum().to_le_bytes().to_vec();
    bytes.extend(serde_json::to_vec(&session.scheduler).map_err(Error::failure)?);
    bytes.extend(serde_json::to_vec(session.network.config()).map_err(Error::failure)?);
    Ok(bytes)
}

/// The numbers of the images of this very command that `folder` holds (00000.png, …), by which it is gone on with. Refused are images of another
/// command, and, where `end` is given, numbers from there on: more than this command would draw. `caption` says what image `i` is described by.
pub(crate) fn images(folder: &Path, end: Option<usize>, caption: impl Fn(usize) -> String) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for (i, path) in files(folder)?.into_iter().filter_map(|path| Some((number(&path)?, path))) {
        let refuse = |found: String| Err(Error::file(folder, format!("holds {found}: {EXPECTED}")));
        match File::open(&path).ok().and_then(|file| ddim_pictures::description(BufReader::new(file))) {
            Some(found) if found == caption(i) => {}
            Some(found) => return refuse(format!("images from another command ({}: {})", name(&path), line(&found))),
            None => return refuse(format!("{}, which is not from this command", name(&path))),
        }
        found.insert(i);
    }
    match (found.last(), end) {
        (Some(last), Some(end)) if *last >= end => {
            let images = if found.len() == 1 { "1 image".to_owned() } else { format!("{} images", found.len()) };
            let found = format!("holds {images} from this command, up to number {last}, but only {end} would be drawn: {EXPECTED}");
            Err(Error::file(folder, found))
        }
        _ => Ok(found),
    }
}

/// Refuses a folder with the trace of another command than `caption`, which steps.json keeps.
pub(crate) fn check_trace(folder: &Path, caption: &str) -> Result<()> {
    let refuse = |found: String| Err(Error::file(folder, format!("holds {found}: {EXPECTED}")));
    let files = files(folder)?;
    let steps = files.iter().find(|path| name(path) == "steps.json");
    let of = steps.and_then(|path| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok());
    match of.as_ref().and_then(|steps| steps["caption"].as_str()) {
        Some(found) if found == caption => return Ok(()),
        Some(found) => return refuse(format!("the trace of another command ({})", line(found))),
        None => {}
    }
    files.iter().find(|path| is_of_trace(path)).map_or(Ok(()), |path| refuse(format!("{}, part of a trace of unknown origin", name(path))))
}

/// Whether `path` lies in `folder` under a name that files of ours have there.
pub(crate) fn would_hold(folder: &Path, path: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    let parent = path.parent().unwrap_or(Path::new(""));
    let lies_there = plain(parent) == plain(folder)
        || parent.canonicalize().is_ok_and(|parent| folder.canonicalize().is_ok_and(|folder| folder == parent));
    lies_there && (number(path).is_some() || is_of_trace(path))
}

/// Whether a file is called as those of a trace are.
fn is_of_trace(path: &Path) -> bool {
    let name = name(path);
    name == "steps.json" || ["x_t_", "x_0_", "x_final"].iter().any(|start| name.starts_with(start)) && name.ends_with(".npy")
}

/// The files of a folder, or none where there is no folder yet.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = folder.read_dir().and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>());
    let mut files = entries.map_err(|e| Error::file(folder, format!("cannot be read: {e}")))?;
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

/// k of a file that is called as image k is.
fn number(path: &Path) -> Option<usize> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".png")?;
    let digits = stem.len() >= 5 && stem.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten()
}

/// Somebody's words in one line of ours.
fn line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if text.chars().nth(300).is_some() {
        line.push('…');
    }
    line
}
