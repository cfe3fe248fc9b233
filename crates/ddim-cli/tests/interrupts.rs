//! Ends that nobody planned: Ctrl-C in every verb that writes, kill -9 of one that is gone on with, and a disk without room.

#![cfg(unix)]

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{errors, listing, ok, pictures, with_model};
use ddim_eval::Statistics;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Work of hours for each verb, and what it would write. Inception's weights come from a server that takes hours, labels from a pipe that
/// nobody writes to.
const VERBS: &[&[&str]] = &[
    &["sample", "--count", "100000", "--steps", "1000", "--grid", "out.png", "--save-npy", "out.npy"],
    &["sample", "--count", "500", "--steps", "1000", "--trace", "trace", "--animate", "out.gif"],
    &["edit", "--input", "real.npy", "--fit", "crop", "--steps", "1000", "--grid", "out.png", "--save-npy", "out.npy"],
    &["encode", "--input", "real.npy", "--fit", "crop", "--steps", "1000", "--save-npy", "out.npy"],
    &["reconstruct", "--input", "real.npy", "--fit", "crop", "--steps", "1000", "--grid", "out.png"],
    &["interpolate", "--frames", "10000", "--steps", "1000", "--grid", "out.png", "--save-npy", "out.npy"],
    &["consistency", "--count", "1000", "--grid", "out.png"],
    &["tune", "--count", "5000", "--out", "out.json"],
    &["nll", "--data", "real.npy", "--fit", "crop", "--count", "4000", "--steps", "1000", "--plot", "out.svg"],
    &["bench", "--preset", "ddpm-lsun256", "--batch", "8"],
    &["fid", "real.npy", "--save-stats", "out.npz"],
    &["sweep", "--model", "model", "--reference", "real.npy", "--fit", "crop", "--out", "swept", "--save-images", "images"],
    &["train", "--data", "real.npy", "--labels", "pipe", "--out", "run"],
];

/// A server whose files come a byte at a time, or not at all after they were announced.
fn slow_server(stalls: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 95628359\r\n\r\n");
                while stalls || stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    format!("http://{address}/weights.pth")
}

fn start(folder: &Path, args: &[&str]) -> Child {
    start_with(folder, args, &[])
}

fn start_with(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Child {
    let mut command = Command::cargo_bin("ddim").unwrap();
    command.envs(variables.iter().copied());
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
fn a_signal_ends_every_verb_at_once() {
    let servers = [slow_server(false), slow_server(true)];
    for (i, args) in VERBS.iter().enumerate() {
        let folder = with_model("ddpm");
        let dir = folder.path();
        pictures(&dir.join("real.npy"), 4000, 32, 7);
        assert!(Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
        let here = dir.display().to_string();
        // Nobody's weights are found.
        let variables = [
            ("DDIM_INCEPTION", ""),
            ("DDIM_INCEPTION_URL", &*servers[i % 2]),
            ("DDIM_CACHE", &*here),
            ("XDG_CACHE_HOME", &*here),
            ("HOME", &*here),
            ("TORCH_HOME", &*here),
        ];
        let child = start_with(dir, args, &variables);
        std::thread::sleep(Duration::from_millis(1500));
        signal(&child, if i % 2 == 0 { "-INT" } else { "-TERM" });
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        // A second, and patience with a busy machine: the work would take hours.
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(5), "{args:?} took {took:?}");
        let (status, error) = (output.status, String::from_utf8_lossy(&output.stderr).into_owned());
        if i % 2 == 0 {
            assert_eq!(status.signal(), Some(SIGINT), "{args:?}: {status:?} {error}");
        } else {
            // It was answered: the system alone would end the process without a code.
            assert_eq!(status.code(), Some(128 + SIGTERM), "{args:?}: {status:?} {error}");
        }
        assert!(output.stdout.is_empty() && !error.contains("error"), "{args:?}: {error}");
        assert_eq!(temporary(dir), Vec::<PathBuf>::new(), "{args:?}");
        let left = listing(dir).into_iter().filter(|path| path.file_stem().is_some_and(|stem| stem == "out"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "{args:?} left what cannot be whole");
    }
}

/// A folder that a killed `convert` made is a model or not there, and the same command makes it.
#[test]
fn a_killed_convert_leaves_no_half_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, args) = (folder.path(), ["convert", "emoji", "made", "--dtype", "f32"]);
    let began = Instant::now();
    ok(dir, &args);
    let whole = began.elapsed();
    let weights = |dir: &Path| fs::read(dir.join("made/unet/diffusion_pytorch_model.safetensors"));
    let made = weights(dir).unwrap();
    let mut stopped = 0;
    for part in 1..=8 {
        fs::remove_dir_all(dir.join("made")).ok();
        let mut child = start(dir, &args);
        std::thread::sleep(whole * part / 9);
        if child.try_wait().unwrap().is_none() {
            signal(&child, "-KILL");
            stopped += 1;
        }
        child.wait().unwrap();
        if dir.join("made").exists() {
            ok(dir, &["info", "made"]);
            assert!(weights(dir).unwrap() == made);
        }
    }
    assert!(stopped > 0, "nothing was killed in {whole:?}");
    fs::remove_dir_all(dir.join("made")).ok();
    ok(dir, &args);
    assert!(weights(dir).unwrap() == made);
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
    assert!(stopped > 0, "nothing was stopped");
    // One that does not decode is drawn again, its neighbours are not.
    ok(dir, &args("parts"));
    let broken = dir.join("parts/00007.png");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() - 20]).unwrap();
    let before = fs::metadata(dir.join("parts/00006.png")).unwrap().modified().unwrap();
    let run = ok(dir, &args("parts"));
    assert!(run.stderr.contains("39 of 40 images already exist"), "{}", run.stderr);
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
    let features: Vec<f32> = (0..64 * 2100).map(|i| (i % 193) as f32).collect();
    fs::write(dir.join("statistics.npz"), Statistics::of(&features, 64).unwrap().to_npz()).unwrap();
    let ddim = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    let here = ["--model", "model", "-q"];
    for args in [
        &["sample", "--count", "64", "--steps", "1", "--save-npy", "out.npy"][..],
        &["sample", "--count", "64", "--steps", "1", "--grid", "out.png"],
        &["sample", "--count", "64", "--steps", "1", "--animate", "out.gif"],
        &["sample", "--count", "64", "--steps", "1", "--trace", "trace"],
        &["edit", "--input", "real.npy", "--fit", "crop", "--steps", "1", "--save-npy", "out.npy"],
        &["encode", "--input", "real.npy", "--fit", "crop", "--steps", "1", "--save-npy", "out.npy"],
        &["reconstruct", "--input", "real.npy", "--fit", "crop", "--steps", "1", "--grid", "out.png"],
        &["interpolate", "--frames", "64", "--steps", "1", "--grid", "out.png"],
        &["consistency", "--count", "32", "--steps", "1,2", "--grid", "out.png"],
        &["nll", "--data", "real.npy", "--fit", "crop", "--count", "2", "--steps", "3", "--plot", "out.png"],
        &["convert", "emoji", "out"],
        &["fid", "statistics.npz", "--save-stats", "out.npz"],
        &["train", "--data", "real.npy", "--preset", "tiny", "--size", "16", "--steps", "2", "--out", "run"],
    ] {
        let before = listing(dir);
        // Blocks of 512 bytes; a signal says so first, which a full disk does not.
        let mut command = Command::new("sh");
        command.current_dir(dir).args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]).arg(&ddim).args(args);
        command.args(if ["convert", "fid", "train"].contains(&args[0]) { &["-q"][..] } else { &here });
        let output = command.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        let said = errors(&error);
        assert!(said.len() == 1 && said[0].starts_with("error: ") && error.contains("cannot be written"), "{args:?}: {error}");
        assert!(!error.contains(".ddim-"), "{args:?} names what is nobody's: {error}");
        let after: Vec<PathBuf> = listing(dir).into_iter().filter(|path| !before.contains(path)).collect();
        // A trace's folder says what it is of, and is refused to others; a run's has its settings, and --resume goes on.
        let left: Vec<_> = after.iter().filter(|path| !["trace", "run"].iter().any(|kept| path.starts_with(dir.join(kept)))).collect();
        assert!(left.is_empty() && temporary(dir).is_empty(), "{args:?} left {left:?}");
    }
}
