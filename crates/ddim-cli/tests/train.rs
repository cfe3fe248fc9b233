//! `ddim train` as a person runs it: kill -9 at any moment, Ctrl-C, bad input, and what it leaves on disk.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{ddim, listing, npy, ok, refused};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with 40 gray pictures of 8×8 as `data.npy`.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..40 * 64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    npy(&folder.path().join("data.npy"), "|u1", false, "(40, 8, 8)", &bytes);
    folder
}

const SMALL: [&str; 20] = [
    "train",
    "--data",
    "data.npy",
    "--preset",
    "tiny",
    "--size",
    "8",
    "--set",
    "network.block_out_channels=[8, 16]",
    "--set",
    "steps=40",
    "--set",
    "output.checkpoint_every=2",
    "--set",
    "output.preview_every=13",
    "--set",
    "output.preview_steps=3",
    "--threads",
    "1",
    "--quiet",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().copied().chain(more.iter().copied()).collect()
}

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::cargo_bin("ddim")
        .unwrap()
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn steps(run: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        run.join("checkpoints").read_dir().map_or(Vec::new(), |entries| entries.map(|e| e.unwrap().path()).collect());
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("step-"));
    found.sort();
    found
}

/// Thirty kills, at moments that fall anywhere, saves included. Each time one command continues, every checkpoint that has its name is
/// whole, and the last one is the same as that of a run left alone.
#[test]
fn kill_at_any_moment() {
    let folder = data();
    ok(folder.path(), &with(&["--out", "whole"]));
    let resume = ["train", "--out", "killed", "--resume", "--quiet", "--threads", "1"];
    let killed = folder.path().join("killed");
    let (mut kills, mut moment) = (0, 0u64);
    while kills < 30 {
        // The run gets longer as it goes, so that there is something left to kill.
        let begun = killed.join("config.toml").exists();
        let mut child = if begun { start(folder.path(), &resume) } else { start(folder.path(), &with(&["--out", "killed"])) };
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(20 + (moment >> 33) % 300);
        let begin = Instant::now();
        let before = steps(&killed).len();
        while begin.elapsed() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_some() {
            // It was done: again, from the beginning.
            assert_same(&folder.path().join("whole"), &killed);
            std::fs::remove_dir_all(&killed).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(steps(&killed).len() >= before.min(1), "a checkpoint was lost");
        for checkpoint in steps(&killed) {
            for file in ["training_state.safetensors", "unet/diffusion_pytorch_model.safetensors"] {
                let bytes = std::fs::read(checkpoint.join(file)).unwrap();
                assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok(), "{}", checkpoint.display());
            }
        }
    }
    if killed.join("config.toml").exists() {
        ok(folder.path(), &resume);
    } else {
        ok(folder.path(), &with(&["--out", "killed"]));
    }
    assert_same(&folder.path().join("whole"), &killed);
    let left: Vec<_> = listing(&killed).into_iter().filter(|path| path.to_string_lossy().contains(".ddim-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Same last checkpoint, same previews, same metrics but for their times.
fn assert_same(a: &Path, b: &Path) {
    let last = |run: &Path| steps(run).pop().unwrap();
    assert_eq!(last(a).file_name(), last(b).file_name());
    for file in ["training_state.safetensors", "unet/diffusion_pytorch_model.safetensors"] {
        assert!(std::fs::read(last(a).join(file)).unwrap() == std::fs::read(last(b).join(file)).unwrap(), "{file}");
    }
    let metrics = |run: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        text.lines().map(|line| line.split(",\"images_per_second\"").next().unwrap().to_owned()).collect()
    };
    assert_eq!(metrics(a), metrics(b));
    for preview in ["step-00000013.png", "step-00000039.png", "step-00000040.png"] {
        let [a, b] = [a, b].map(|run| std::fs::read(run.join("previews").join(preview)).unwrap());
        assert!(a == b, "{preview}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_says_how_to_resume() {
    let folder = data();
    let child = Command::cargo_bin("ddim")
        .unwrap()
        .current_dir(folder.path())
        .args(with(&["--out", "run", "--steps", "100000", "--checkpoint-every", "100000"]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !folder.path().join("run/metrics.jsonl").exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    ok_signal(child.id());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("stopped at step") && said.contains("to go on: ddim train --out run --resume"), "{said}");
    assert_eq!(steps(&folder.path().join("run")).len(), 1);
}

#[cfg(unix)]
fn ok_signal(process: u32) {
    let status = Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// A run and its checkpoints are models to every other verb.
#[test]
fn a_run_is_a_model() {
    let folder = data();
    let run = ok(folder.path(), &with(&["--out", "run", "--json"]));
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((said["step"].as_u64(), said["finished"].as_bool()), (Some(40), Some(true)));
    ok(folder.path(), &["sample", "--model", "run", "--count", "2", "--steps", "3", "--save-npy", "a.npy", "-q"]);
    let checkpoint = said["checkpoint"].as_str().unwrap();
    ok(folder.path(), &["sample", "--model", checkpoint, "--count", "2", "--steps", "3", "--save-npy", "b.npy", "-q"]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("a.npy"), read("b.npy"));
    // And the start of another run, whose first loss is that of a trained network.
    let more = ok(
        folder.path(),
        &["train", "--data", "data.npy", "--model", "run", "--out", "more", "--steps", "2", "--batch-size", "16", "--json", "-q"],
    );
    let said: serde_json::Value = serde_json::from_str(&more.stdout).unwrap();
    assert!(said["metrics"]["loss"].as_f64().unwrap() < 0.99, "{said}");
    let dry = ok(folder.path(), &with(&["--out", "nothing", "--dry-run"]));
    assert!(dry.stdout.contains("block_out_channels = [8, 16]") && dry.stdout.contains("# a step"), "{}", dry.stdout);
    assert!(!folder.path().join("nothing").exists());
}

#[test]
fn bad_input() {
    let folder = data();
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::write(path.join("typo.toml"), "[optimizer]\nwarm_up = 3\n").unwrap();
    std::fs::write(path.join("labels.txt"), "1\n2\n3\n").unwrap();
    refused(path, &["train", "--out", "run"], 2, &["--data"]);
    refused(path, &["train", "--data", "empty", "--out", "run"], 1, &["empty: no images", "expected PNG"]);
    refused(path, &["train", "--data", "absent", "--out", "run"], 1, &["absent: not found"]);
    refused(
        path,
        &with(&["--out", "run", "--config", "typo.toml"]),
        1,
        &["typo.toml", "optimizer.warm_up", "did you mean optimizer.warmup?"],
    );
    refused(path, &with(&["--out", "run", "--config", "absent.toml"]), 1, &["absent.toml"]);
    refused(path, &with(&["--out", "run", "--labels", "labels.txt"]), 1, &["labels.txt: 3 labels: expected 40"]);
    refused(path, &with(&["--out", "run", "--batch-size", "64"]), 1, &["batch_size is 64: expected at most the 40 images"]);
    refused(path, &with(&["--out", "run", "--batch-size", "0"]), 1, &["batch_size is 0"]);
    refused(path, &with(&["--out", "run", "--learning-rate", "-1"]), 1, &["optimizer.learning_rate is -1: expected a positive number"]);
    refused(path, &with(&["--out", "run", "--fit", "squash"]), 1, &["squash"]);
    refused(path, &with(&["--out", "run", "--set", "steps"]), 1, &["steps"]);
    refused(
        path,
        &["train", "--data", "data.npy", "--out", "run", "--preset", "huge"],
        2,
        &["--preset huge", "expected one of tiny, small"],
    );
    refused(path, &["train", "--out", "run", "--resume"], 1, &["run: holds no run", "leave --resume out"]);
    refused(path, &with(&["--out", "data.npy/run"]), 1, &["data.npy/run"]);
    refused(path, &with(&["--out", "run", "--model", "absent"]), 1, &["absent: no such folder"]);
    ok(path, &with(&["--out", "run", "--steps", "2"]));
    refused(path, &with(&["--out", "run"]), 1, &["run: holds a run already", "--resume continues it"]);
    let resume = ["train", "--out", "run", "--resume", "-q"];
    let other = ddim(path, &[&resume[..], &["--batch-size", "8"]].concat());
    assert!(other.code == 1 && other.stderr.contains("batch_size is 8, there 16: expected the same, to resume"), "{}", other.stderr);
    let longer = ok(path, &[&resume[..], &["--steps", "4"]].concat());
    assert!(longer.stdout.contains("done at step 4 of 4"), "{}", longer.stdout);
}
