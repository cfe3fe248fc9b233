//! Ends that nobody planned: Ctrl-C in every verb that writes, kill -9 of one that is gone on with, and a disk without room.

#![cfg(unix)]

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{listing, ok, pictures, with_model};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIGINT: i32 = 2;

/// Work of hours for each verb, and what it would write.
const VERBS: &[&[&str]] = &[
    &["sample", "--count", "100000", "--steps", "1000", "--grid", "out.png", "--save-npy", "out.npy"],
    &["sample", "--count", "500", "--steps", "1000", "--trace", "trace", "--animate", "out.gif"],
    &["encode", "--input", "real.npy", "--fit", "crop", "--steps", "1000", "--save-npy", "out.npy"],
    &["reconstruct", "--input", "real.npy", "--fit", "crop", "--steps", "1000", "--grid", "out.png"],
    &["interpolate", "--frames", "10000", "--steps", "1000", "--grid", "out.png", "--save-npy", "out.npy"],
    &["consistency", "--count", "1000", "--grid", "out.png"],
    &["nll", "--data", "real.npy", "--fit", "crop", "--count", "4000", "--steps", "1000", "--plot", "out.svg"],
    &["bench", "--preset", "ddpm-lsun256", "--batch", "8"],
];

fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::cargo_bin("ddim").unwrap();
    command.current_dir(folder).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Names that are not whole yet.
fn temporary(folder: &Path) -> Vec<PathBuf> {
    listing(folder).into_iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".ddim-")).collect()
}

#[test]
fn ctrl_c_ends_every_verb_at_once() {
    for args in VERBS {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        pictures(&dir.join("real.npy"), 4000, 32, 7);
        let child = start(dir, args);
        std::thread::sleep(Duration::from_millis(1500));
        signal(&child, "-INT");
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        // A second, and patience with a busy machine: the work would take hours.
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(5), "{args:?} took {took:?}");
        assert_eq!(output.status.signal(), Some(SIGINT), "{args:?}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && !String::from_utf8_lossy(&output.stderr).contains("error"), "{args:?}");
        assert_eq!(temporary(dir), Vec::<PathBuf>::new(), "{args:?}");
        for name in ["out.png", "out.npy", "out.gif", "out.svg"] {
            assert!(!dir.join(name).exists(), "{args:?} left {name}, which cannot be whole");
        }
    }
}

/// However it was stopped, the same command draws what is missing; what is there is not touched.
#[test]
fn sample_out_goes_on_where_it_was_stopped() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let args =
        |out| ["sample", "--model", "model", "--count", "40", "--steps", "20", "--eta", "1", "--batch-size", "3", "--out", out, "-q"];
    ok(dir, &args("whole"));
    let images = |out: &str| -> Vec<(String, Vec<u8>)> {
        let files = listing(&dir.join(out)).into_iter().filter(|path| path.extension().is_some_and(|e| e == "png"));
        files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
    };
    let mut stopped = 0;
    for moment in [60, 110, 200, 90, 150, 300] {
        let mut child = start(dir, &args("parts"));
        std::thread::sleep(Duration::from_millis(moment));
        if child.try_wait().unwrap().is_none() {
            signal(&child, if stopped % 2 == 0 { "-KILL" } else { "-INT" });
            stopped += 1;
        }
        child.wait().unwrap();
        let (whole, parts) = (images("whole"), if dir.join("parts").is_dir() { images("parts") } else { Vec::new() });
        assert!(parts.iter().all(|part| whole.contains(part)), "what has its name is whole");
    }
    // One that does not decode is drawn again, its neighbours are not.
    ok(dir, &args("parts"));
    let broken = dir.join("parts/00007.png");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() - 20]).unwrap();
    let before = fs::metadata(dir.join("parts/00006.png")).unwrap().modified().unwrap();
    let run = ok(dir, &args("parts"));
    assert!(run.stderr.contains("39 of 40 images were there already"), "{}", run.stderr);
    assert_eq!(fs::metadata(dir.join("parts/00006.png")).unwrap().modified().unwrap(), before);
    assert!(images("parts") == images("whole"));
    // A grid of images that are there is the grid that was drawn with them.
    ok(dir, &[&args("parts")[..], &["--grid", "read.png"]].concat());
    ok(dir, &[&args("fresh")[..], &["--grid", "drawn.png"]].concat());
    assert!(fs::read(dir.join("read.png")).unwrap() == fs::read(dir.join("drawn.png")).unwrap());
}

/// Parts of a set, in one folder and in any order, are the set.
#[test]
fn parts_of_a_set_share_a_folder() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let base = ["sample", "--model", "model", "--steps", "3", "--eta", "0.5", "-q", "--out"];
    ok(dir, &[&base[..], &["whole", "--count", "10"]].concat());
    for (first, count) in [("6", "4"), ("0", "3"), ("3", "3")] {
        ok(dir, &[&base[..], &["parts", "--first", first, "--count", count]].concat());
    }
    for i in 0..10 {
        let name = format!("{i:05}.png");
        assert!(fs::read(dir.join("whole").join(&name)).unwrap() == fs::read(dir.join("parts").join(&name)).unwrap(), "{name}");
    }
}

/// Files that may not grow, as on a full disk: one line, and nothing under a final name.
#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    pictures(&dir.join("real.npy"), 600, 16, 7);
    let ddim = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    let here = ["--model", "model", "-q"];
    for args in [
        &["sample", "--count", "64", "--steps", "1", "--save-npy", "out.npy"][..],
        &["sample", "--count", "64", "--steps", "1", "--grid", "out.png"],
        &["sample", "--count", "64", "--steps", "1", "--animate", "out.gif"],
        &["sample", "--count", "64", "--steps", "1", "--trace", "trace"],
        &["encode", "--input", "real.npy", "--fit", "crop", "--steps", "1", "--save-npy", "out.npy"],
        &["reconstruct", "--input", "real.npy", "--fit", "crop", "--steps", "1", "--grid", "out.png"],
        &["interpolate", "--frames", "64", "--steps", "1", "--grid", "out.png"],
        &["consistency", "--count", "32", "--steps", "1,2", "--grid", "out.png"],
        &["nll", "--data", "real.npy", "--fit", "crop", "--count", "2", "--steps", "3", "--plot", "out.png"],
    ] {
        let before = listing(dir);
        // Blocks of 512 bytes; a signal says so first, which a full disk does not.
        let mut command = Command::new("sh");
        command.current_dir(dir).args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]).arg(&ddim).args(args).args(here);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.lines().count() == 1 && error.starts_with("error: ") && error.contains("cannot be written"), "{args:?}: {error}");
        let after: Vec<PathBuf> = listing(dir).into_iter().filter(|path| !before.contains(path)).collect();
        // A trace's folder says what it is of, and is refused to others.
        let left: Vec<_> = after.iter().filter(|path| !path.starts_with(dir.join("trace"))).collect();
        assert!(left.is_empty() && temporary(dir).is_empty(), "{args:?} left {left:?}");
    }
}
