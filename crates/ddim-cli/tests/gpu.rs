//! `--device` in a build with the feature `gpu`: what it draws and trains against the processor, and what it says.
//!
//! The device is `DDIM_GPU`, or gpu:0, which may be Mesa's lavapipe. Where there is none, these tests are counted as ignored.

mod common;

use common::{ddim, errors, floats, forty_pictures, json, ok, refused, with_model};
use libtest_mimic::{Arguments, Completion, Trial};
use std::path::Path;

type Test = fn(&str);

const TESTS: [(&str, Test); 5] = [
    ("samples_are_the_processors_and_the_same_twice", samples_are_the_processors_and_the_same_twice),
    ("a_run_goes_from_the_processor_to_the_device_and_back", a_run_goes_from_the_processor_to_the_device_and_back),
    ("a_precision_is_told_and_kept_with_what_it_drew", a_precision_is_told_and_kept_with_what_it_drew),
    ("what_the_processor_alone_does_is_refused", what_the_processor_alone_does_is_refused),
    ("a_batch_may_be_as_large_as_there_is_memory_for", a_batch_may_be_as_large_as_there_is_memory_for),
];

fn main() {
    let device = device();
    let needing = |(name, test): (&str, Test)| {
        let device = device.clone();
        Trial::ignorable_test(name, move || {
            let Some(device) = &device else {
                return Ok(Completion::ignored_with("no device: neither a graphics processor nor lavapipe, see docs/gpu.md"));
            };
            test(device);
            Ok(Completion::Completed)
        })
    };
    let mut trials: Vec<Trial> = TESTS.into_iter().map(needing).collect();
    trials.push(Trial::test("the_processor_computes_in_f32", || {
        the_processor_computes_in_f32();
        Ok(())
    }));
    trials.push(Trial::test("no_device_is_said_in_a_line", || {
        no_device_is_said_in_a_line();
        Ok(())
    }));
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..Arguments::from_args() }, trials).exit();
}

/// What there is to test with.
fn device() -> Option<String> {
    if let Some(named) = std::env::var("DDIM_GPU").ok().filter(|name| !name.is_empty()) {
        return Some(named);
    }
    let found = json(&ok(Path::new("."), &["info", "--devices", "--json"]));
    // The first is the processor.
    found["devices"][1]["device"].as_str().map(str::to_owned)
}

/// The largest difference, as a share of the largest number.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let top = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m }) / top
}

fn samples_are_the_processors_and_the_same_twice(device: &str) {
    let folder = with_model("ddpm");
    let draw = |device: &str, out: &str| {
        let flags = ["sample", "--model", "model", "--steps", "10", "--count", "3", "--seed", "7", "--clip", "--json", "-q"];
        ok(folder.path(), &[&flags[..], &["--device", device, "--save-npy", out]].concat());
        folder.path().join(out)
    };
    let (here, there, again) = (draw("cpu", "here.npy"), draw(device, "there.npy"), draw(device, "again.npy"));
    assert!(difference(&floats(&there), &floats(&here)) < 1e-3);
    // It was not the processor: its last bits are others.
    assert!(floats(&there) != floats(&here), "the processor's bytes");
    assert!(floats(&there) == floats(&again), "other bytes from the same seed");
}

fn a_batch_may_be_as_large_as_there_is_memory_for(device: &str) {
    let folder = with_model("ddpm");
    let draw = |device: &str, batch: &str, out: &str| {
        let flags = ["sample", "--model", "model", "--steps", "2", "--count", "3", "--batch-size", batch, "--device", device];
        (ok(folder.path(), &[&flags[..], &["--save-npy", out]].concat()).stderr, floats(&folder.path().join(out)))
    };
    let ((here, expected), (there, found)) = (draw("cpu", "auto", "here.npy"), draw(device, "auto", "there.npy"));
    assert!(there.contains("note: batches of ") && !here.contains("batches"), "{there} {here}");
    assert!(difference(&found, &expected) < 1e-3);
    refused(
        folder.path(),
        &["sample", "--model", "model", "--batch-size", "many", "--save-npy", "x.npy"],
        2,
        &["--batch-size", "many", "auto"],
    );
}

fn a_run_goes_from_the_processor_to_the_device_and_back(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    forty_pictures(folder.path());
    let train = |out: &str, steps: &str, device: &str| {
        let flags = [
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
            "data.holdout=4",
            "--set",
            "output.evaluate_every=3",
            "--set",
            "optimizer.decay=constant",
            "--resume",
            "--json",
            "--quiet",
        ];
        json(&ok(folder.path(), &[&flags[..], &["--out", out, "--steps", steps, "--device", device]].concat()))
    };
    let mut last = [0.0; 2];
    for (out, devices) in [("here", ["cpu", "cpu", "cpu"]), ("both", ["cpu", device, "cpu"])] {
        for (steps, device) in ["3", "6", "9"].into_iter().zip(devices) {
            let report = train(out, steps, device);
            assert_eq!(report["step"].to_string(), steps);
            let there = if device == "cpu" { String::new() } else { format!(" --device {device}") };
            assert_eq!(report["resume"], format!("ddim train --out {out} --resume{there}"));
            last[usize::from(out == "both")] = report["metrics"]["evaluation_loss_raw"].as_f64().unwrap();
        }
    }
    assert!((last[1] / last[0] - 1.0).abs() < 1e-4, "{last:?}");
    let weights = |run: &str| std::fs::read(folder.path().join(run).join("checkpoints/step-00000009/training_state.safetensors")).unwrap();
    assert!(weights("here") != weights("both"), "the processor's bytes");
}

/// What the processor alone does is refused, and nothing is left out without a word.
fn what_the_processor_alone_does_is_refused(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    forty_pictures(folder.path());
    let train =
        ["train", "--data", "data.npy", "--preset", "tiny", "--size", "8", "--steps", "2", "--out", "run", "--checkpoint-activations"];
    for extra in [&[][..], &["--dry-run"]] {
        refused(
            folder.path(),
            &[&train[..], extra, &["--device", device]].concat(),
            2,
            &["--checkpoint-activations", device, "expected cpu"],
        );
    }
    refused(folder.path(), &["bench", "--preset", "ddpm-cifar10", "--profile", "--device", device, "-q"], 2, &["--profile", "--device"]);
}

fn a_precision_is_told_and_kept_with_what_it_drew(device: &str) {
    let folder = with_model("ddpm");
    let draw = |precision: &str| -> Vec<String> {
        let flags = ["sample", "--model", "model", "--steps", "2", "--count", "1", "--seed", "7", "-q", "--device", device];
        let files = ["--save-npy", &format!("{precision}.npy"), "--grid", &format!("{precision}.png"), "--out", "images"];
        [&flags[..], &["--precision", precision], &files].concat().into_iter().map(str::to_owned).collect()
    };
    let run = |precision: &str| ddim(folder.path(), &draw(precision).iter().map(String::as_str).collect::<Vec<_>>());
    let bf16 = run("bf16");
    assert!(bf16.stderr.contains("--precision bf16: gpu:") && bf16.stderr.contains("expected f32 or f16"), "{}", bf16.stderr);
    assert_eq!(run("f32").code, 0);
    let f16 = run("f16");
    if f16.stderr.contains("has no f16") {
        return;
    }
    // Images of f32 are there: those of f16 are not put beside them.
    assert!(f16.code != 0 && f16.stderr.contains("images"), "{}", f16.stderr);
    std::fs::remove_dir_all(folder.path().join("images")).unwrap();
    assert_eq!(run("f16").code, 0);
    let caption = |file: &str| {
        let file = std::fs::File::open(folder.path().join(file)).unwrap();
        let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
        reader.info().utf8_text[0].get_text().unwrap()
    };
    assert!(caption("f16.png").contains(" --precision f16 ") && !caption("f32.png").contains("precision"), "{}", caption("f16.png"));
    let error = difference(&floats(&folder.path().join("f16.npy")), &floats(&folder.path().join("f32.npy")));
    assert!((1e-5..2e-2).contains(&error), "{error:e}");
    let bench = ["bench", "--model", "model", "--batch", "1", "--json", "-q", "--device", device];
    assert_eq!(json(&ok(folder.path(), &bench))["precision"], "f32");
    assert_eq!(json(&ok(folder.path(), &[&bench[..], &["--precision", "f16"]].concat()))["precision"], "f16");
}

fn the_processor_computes_in_f32() {
    let folder = with_model("ddpm");
    let base = &["sample", "--model", "model", "--steps", "1", "--count", "1", "--save-npy", "x.npy", "-q"];
    for precision in ["f16", "bf16"] {
        let flags = [&base[..], &["--precision", precision]].concat();
        refused(folder.path(), &flags, 2, &["--precision", precision, "the CPU computes in f32", "--device"]);
    }
    // auto that comes down to the processor is no way around it.
    let auto = ddim(folder.path(), &[&base[..9], &["--device", "auto", "--precision", "f16"]].concat());
    assert!(
        if auto.code == 0 { auto.stderr.contains("computing on gpu:") } else { auto.stderr.contains("--precision f16: ") },
        "{}",
        auto.stderr
    );
    refused(folder.path(), &[&base[..], &["--precision", "f64"]].concat(), 2, &["--precision", "f32, f16 or bf16"]);
    ok(folder.path(), &[&base[..], &["--precision", "f32"]].concat());
}

fn no_device_is_said_in_a_line() {
    let folder = with_model("ddpm");
    let base = &["sample", "--model", "model", "--steps", "1", "--count", "1", "--save-npy", "x.npy", "-q"];
    refused(folder.path(), &[&base[..], &["--device", "gpu:99"]].concat(), 1, &["--device", "gpu:99", "found"]);
    refused(folder.path(), &[&base[..], &["--device", "tpu"]].concat(), 2, &["--device", "auto, cpu, gpu or gpu:N"]);
    // Which it took, auto says.
    let run = ok(folder.path(), &["sample", "--model", "model", "--steps", "1", "--count", "1", "--save-npy", "x.npy", "--device", "auto"]);
    assert!(run.stderr.contains("computing on "), "{}", run.stderr);
    assert!(errors(&run.stderr).len() < 40);
}
