//! Running the real binary, and small models to run it on.

#![allow(dead_code)] // each test file uses a part

#[cfg(unix)]
pub(crate) mod server;

use assert_cmd::cargo::CommandCargoExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `ddim` in `folder`.
pub(crate) fn ddim(folder: &Path, args: &[&str]) -> Run {
    let Output { status, stdout, stderr } =
        Command::cargo_bin("ddim").unwrap().current_dir(folder).args(args).stdin(Stdio::null()).output().unwrap();
    Run {
        code: status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs `ddim`, which must succeed.
pub(crate) fn ok(folder: &Path, args: &[&str]) -> Run {
    let run = ddim(folder, args);
    assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    run
}

/// What was said on standard error, but for warnings.
pub(crate) fn errors(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| !line.starts_with("warning: ")).collect()
}

/// Runs `ddim`, which must fail with `code` and one line on standard error, beside warnings, that has all of `words`, and leave no file behind.
pub(crate) fn refused(folder: &Path, args: &[&str], code: i32, words: &[&str]) {
    let before = listing(folder);
    let run = ddim(folder, args);
    let said = errors(&run.stderr);
    assert_eq!((run.code, said.len()), (code, 1), "{args:?}: {}", run.stderr);
    let line = said[0];
    assert!(run.stdout.is_empty(), "{args:?} printed {}", run.stdout);
    assert!(!line.contains("panicked"), "{args:?}: {line}");
    for word in words {
        assert!(line.contains(word), "{args:?}: {word:?} is not in: {line}");
    }
    assert!(line.starts_with("error: "), "{line}");
    assert_eq!(listing(folder), before, "{args:?} left files behind");
}

/// Every file below a folder.
pub(crate) fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    all
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder with a copy of a small golden pipeline as `model`.
pub(crate) fn with_model(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("conformance/unet").join(name), &folder.path().join("model"));
    folder
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Sets keys of a JSON file; null removes a key.
pub(crate) fn edit(path: &Path, changes: serde_json::Value) {
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let object = json.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(key);
        } else {
            object.insert(key.clone(), value.clone());
        }
    }
    std::fs::write(path, json.to_string()).unwrap();
}

pub(crate) const SAFETENSORS: &str = "model/unet/diffusion_pytorch_model.safetensors";
pub(crate) const CONFIG: &str = "model/unet/config.json";
pub(crate) const SCHEDULER: &str = "model/scheduler/scheduler_config.json";

/// A .npy file with any header.
pub(crate) fn npy(path: &Path, descr: &str, fortran: bool, shape: &str, data: &[u8]) {
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// The numbers of an f32 .npy file.
pub(crate) fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The one object that a run with --json printed.
pub(crate) fn json(run: &Run) -> serde_json::Value {
    assert_eq!(run.stdout.lines().count(), 1, "one object: {}", run.stdout);
    serde_json::from_str(&run.stdout).unwrap()
}

/// Forty gray pictures of 8×8 that look random, as `data.npy`.
pub(crate) fn forty_pictures(folder: &Path) {
    let bytes: Vec<u8> = (0..40 * 64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    npy(&folder.join("data.npy"), "|u1", false, "(40, 8, 8)", &bytes);
}

/// `n` pictures of size² that look random, as a .npy of bytes.
pub(crate) fn pictures(path: &Path, n: usize, size: usize, seed: u32) {
    let bytes: Vec<u8> = (0..(n * size * size * 3) as u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    npy(path, "|u1", false, &format!("({n}, {size}, {size}, 3)"), &bytes);
}
