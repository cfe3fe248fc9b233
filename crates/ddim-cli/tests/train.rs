//! `ddim train` as a person runs it: kill -9 at any moment, Ctrl-C, bad input, and what it leaves on disk.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{ddim, forty_pictures, listing, ok, refused};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with 40 gray pictures of 8×8 as `data.npy`.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    forty_pictures(folder.path());
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

/// Whether activations are kept changes no byte.
#[test]
fn checkpointed_activations_change_no_byte() {
    let folder = data();
    ok(folder.path(), &with(&["--out", "kept", "--set", "network.dropout=0.2"]));
    ok(folder.path(), &with(&["--out", "again", "--set", "network.dropout=0.2", "--checkpoint-activations"]));
    assert_same(&folder.path().join("kept"), &folder.path().join("again"));
}

/// Starts a long run and waits until it trains.
#[cfg(unix)]
fn started(folder: &Path, program: &mut Command) -> Child {
    let child = program.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = folder.join("run/metrics.jsonl");
    let begin = Instant::now();
    while metrics.metadata().map_or(0, |file| file.len()) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(120), "no metrics yet");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[cfg(unix)]
const LONG: [&str; 8] = ["--out", "run", "--steps", "100000", "--checkpoint-every", "100000", "--set", "output.log_every=1"];

#[cfg(unix)]
fn send(signal: &str, process: u32) {
    let status = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Every signal by which people and schedulers end a run: it is saved, and a shell sees 128 and the signal's number.
#[cfg(unix)]
#[test]
fn a_signal_saves_and_is_the_exit_code() {
    use std::os::unix::process::ExitStatusExt;
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 0)] {
        let folder = data();
        let mut child = started(folder.path(), Command::cargo_bin("ddim").unwrap().args(with(&LONG)));
        send(signal, child.id());
        let status = child.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        // Of Ctrl-C it dies, so that the shell around it stops as well.
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
        assert_eq!(status.signal().is_some(), signal == "INT", "{status}");
        // SIGUSR1 has another number on other systems.
        assert!(if number > 0 { code == 128 + number } else { [138, 144, 158].contains(&code) }, "{signal}: {status}, {error}");
        assert!(said.contains("stopped at step") && said.contains("to continue: ddim train --out run --resume"), "{signal}: {said}");
        assert_eq!(steps(&folder.path().join("run")).len(), 1, "{signal}");
        // What is finished ends as usual.
        let step = said.split("at step ").nth(1).unwrap().split(' ').next().unwrap();
        ok(folder.path(), &["train", "--out", "run", "--resume", "--steps", step, "-q"]);
    }
}

/// A shell ends a loop whose command died of Ctrl-C; JSON says how far the run came.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_loop_around_a_run() {
    let folder = data();
    let ddim = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    std::fs::write(
        folder.path().join("loop.sh"),
        "for i in 1 2 3; do \"$@\"; echo \"run $i ended with $?\" >> ended; done; echo all >> ended\n",
    )
    .unwrap();
    let mut shell = Command::new("sh");
    shell.arg("loop.sh").arg(ddim).args(with(&LONG)).arg("--json");
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let child = started(folder.path(), &mut shell);
    // As a terminal does: to the whole group.
    let status = Command::new("kill").args(["-INT", "--", &format!("-{}", child.id())]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["finished"].as_bool(), steps(&folder.path().join("run")).len()), (Some(false), 1), "{said}");
    let ended = std::fs::read_to_string(folder.path().join("ended")).unwrap_or_default();
    assert!(!ended.contains("run 2") && !ended.contains("all"), "{ended}");
}

/// What is ignored when it starts stays so: `nohup ddim train &` outlives its terminal.
#[cfg(target_os = "linux")]
#[test]
fn nohup_is_respected() {
    let folder = data();
    let ddim = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(ddim).args(with(&LONG));
    let mut child = started(folder.path(), &mut shell);
    send("HUP", child.id());
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended");
    send("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(143));
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
    let args = ["train", "--data", "data.npy", "--model", "run", "--out", "more", "--steps", "2", "--batch-size", "16", "--json", "-q"];
    let more = ok(folder.path(), &args);
    assert!(!more.stderr.contains("preset"), "{}", more.stderr);
    let said: serde_json::Value = serde_json::from_str(&more.stdout).unwrap();
    assert!(said["metrics"]["loss"].as_f64().unwrap() < 0.99, "{said}");
    // A preset is its settings then, which is said.
    let preset = ["train", "--data", "data.npy", "--model", "run", "--out", "nothing", "--preset", "tiny", "--dry-run"];
    let preset = ok(folder.path(), &preset).stderr;
    assert!(preset.contains("note: --preset tiny: only its settings are used, the network is that of --model run"), "{preset}");
    let dry = ok(folder.path(), &with(&["--out", "nothing", "--dry-run"]));
    assert!(dry.stdout.contains("block_out_channels = [8, 16]") && dry.stdout.contains("# a step"), "{}", dry.stdout);
    assert!(!folder.path().join("nothing").exists());
}

/// Folders of any name, of Unicode or not, to train from, to train in, and for the labels; resumed as well.
#[test]
fn paths_of_any_name() {
    let folder = data();
    let path = folder.path();
    #[allow(unused_mut)]
    let mut names: Vec<std::ffi::OsString> = [
        "e\u{301}te",                          // é as macOS writes it
        "\u{e23}\u{e39}\u{e1b}",               // Thai
        "\u{91a}\u{93f}\u{924}\u{94d}\u{930}", // Hindi
        "\u{5199}\u{771f}\u{3000}\u{732b}",    // the wide space of Japanese
        "\u{2764}\u{fe0f}",                    // an emoji with a variation selector
        "\u{1f469}\u{200d}\u{1f680}",          // and one with a joiner
        "a\u{a0}b",                            // a space that does not break
        "\u{5e9}\u{200f}",                     // right to left
        "two  spaces 'and' \"quotes\"",
        "none",
        "data",
        "back\\slash # {x} [y] = 'z'",
    ]
    .map(Into::into)
    .to_vec();
    #[cfg(target_os = "linux")]
    names.extend([b"caf\xe9".as_slice(), b"\xff\xfe", b"tab\tand\nline"].map(|bytes| {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
        name.to_owned()
    }));
    for (i, name) in names.iter().enumerate() {
        let below = path.join(i.to_string()).join(name);
        let pictures = below.join("in");
        std::fs::create_dir_all(&pictures).unwrap();
        for picture in 0..4u8 {
            let image = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([picture * 40 + (x * y) as u8]));
            image.save(pictures.join(format!("{picture}.png"))).unwrap();
        }
        std::fs::write(below.join("labels.txt"), "0\n1\n0\n1\n").unwrap();
        let command = |flags: &[&str]| {
            let mut command = Command::cargo_bin("ddim").unwrap();
            command.current_dir(path.join(i.to_string())).arg("train").args(flags).args(["-q", "--threads", "1"]);
            command
        };
        let new = ["--preset", "tiny", "--size", "8", "--batch-size", "2", "--preview-every", "1", "--set", "output.preview_steps=1"];
        let done = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
            output
        };
        // Relative and absolute; from and into such a folder.
        let run = below.join("run");
        done(command(&new).args(["--steps", "1", "--json", "--data"]).arg(Path::new(name).join("in")).arg("--out").arg(&run));
        let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
        assert!(config.contains("path = "), "{config}");
        done(command(&["--resume", "--steps", "2"]).arg("--out").arg(&run));
        assert_eq!(steps(&run).len(), 2);
        let labels = std::path::PathBuf::from(name).join("labels.txt");
        let mut labelled = command(&new);
        labelled.args(["--steps", "1", "--data"]).arg(&pictures).args(["--out", "labelled", "--labels"]).arg(&labels);
        done(&mut labelled);
        std::fs::remove_file(below.join("labels.txt")).unwrap();
        done(command(&["--resume", "--steps", "2", "--out", "labelled"]).args(["--labels"]).arg(&labels));
        // One line, whatever the name holds.
        let output = command(&["--resume", "--learning-rate", "1"]).arg("--out").arg(&run).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end().lines().count(), 1);
    }
    // A model by a path of Unicode.
    let model = path.join("3").join(&names[3]).join("run");
    let args = ["train", "--data", "data.npy", "--batch-size", "2", "--steps", "1", "-q", "--out", "tuned", "--model"];
    let rgb = [&args[..], &[model.to_str().unwrap()]].concat();
    ok(path, &rgb);
}

/// One line starts a run, goes on with it when it is said again, and says what differs.
#[test]
fn the_same_line_again() {
    let folder = data();
    let path = folder.path();
    std::fs::write(path.join("more.toml"), "[objective]\nweighting = \"min-snr\"\n").unwrap();
    let line = with(&["--out", "run", "--resume", "--config", "more.toml", "--holdout", "4"]);
    let first = ok(path, &[&line[..], &["--steps", "3"]].concat());
    assert!(first.stdout.contains("done at step 3 of 3"), "{}", first.stdout);
    let again = ok(path, &[&line[..], &["--steps", "3"]].concat());
    assert!(again.stdout.contains("done at step 3 of 3"), "{}", again.stdout);
    let longer = ok(path, &[&line[..], &["--steps", "5"]].concat());
    assert!(longer.stdout.contains("done at step 5 of 5"), "{}", longer.stdout);
    // From another folder, and the rest left out.
    std::fs::create_dir(path.join("elsewhere")).unwrap();
    ok(&path.join("elsewhere"), &["train", "--out", "../run", "--resume", "--data", "../data.npy", "-q"]);
    for (flags, said) in [
        (["--holdout", "5"], "data.holdout is 5 here, 4 there"),
        (["--learning-rate", "1e-5"], "optimizer.learning_rate is 0.00001 here, 0.002 there"),
        (["--set", "objective.weighting=simple"], "objective.weighting is \"simple\" here, \"min-snr\" there"),
        (["--set", "ema.rates=[0.5]"], "ema.rates is [0.5] here, [0.99] there"),
    ] {
        let line = with(&["--out", "run", "--resume", flags[0], flags[1]]);
        let other = ddim(path, &line);
        assert!(
            other.code == 1 && other.stderr.contains(said) && other.stderr.contains("expected the same, to resume"),
            "{}",
            other.stderr
        );
    }
    // Another preset is another recipe.
    let preset = ddim(path, &["train", "--out", "run", "--resume", "--data", "data.npy", "--preset", "small", "--size", "8"]);
    assert!(preset.code == 1 && preset.stderr.contains("batch_size is 64 here, 16 there"), "{}", preset.stderr);
    refused(path, &["train", "--out", "none", "--resume", "--preset", "tiny"], 1, &["none: holds no run", "give --data"]);
}

/// The command that a diverged run names is one that works: with no checkpoint, with a good one, and with none that is good.
#[cfg(unix)]
#[test]
fn a_diverged_run_names_what_works() {
    let ddim_path = Command::cargo_bin("ddim").unwrap().get_program().to_owned();
    let labels: String = (0..40).map(|i| format!("{}\n", i % 2)).collect();
    let huge = ["--learning-rate", "1e30", "--set", "optimizer.warmup=0", "--set", "optimizer.clip=none", "--set", "steps=30"];
    // Decay that turns weights around, and enlarges them once the rate is large enough: from step 134 on.
    let growing = [
        ["--learning-rate", "1", "--set", "optimizer.warmup=10000", "--set", "optimizer.weight_decay=150.0", "--set", "steps=300"]
            .as_slice(),
        &["--checkpoint-every", "50"],
    ];
    for (flags, words, steps) in [
        (huge.to_vec(), "there is no checkpoint yet", 30),
        ([&huge[..], &["--checkpoint-every", "1"]].concat(), "there is no earlier checkpoint", 30),
        (growing.concat(), "the last good checkpoint is a run/checkpoints/step-", 300),
    ] {
        let folder = data();
        let path = folder.path();
        std::fs::write(path.join("labels.txt"), &labels).unwrap();
        let tiny =
            ["train", "--data", "data.npy", "--preset", "tiny", "--size", "8", "--labels", "labels.txt", "--preview-every", "0", "-q"];
        let more = ["--out", "a run", "--batch-size", "8", "--set", "network.block_out_channels=[8, 16]"];
        let diverged = ddim(path, &[&tiny[..], &more, &flags].concat());
        assert_eq!((diverged.code, diverged.stderr.trim_end().lines().count()), (1, 1), "{}", diverged.stderr);
        assert!(diverged.stderr.contains(words), "{}", diverged.stderr);
        // The labels are gone: the run has them.
        std::fs::remove_file(path.join("labels.txt")).unwrap();
        let command = diverged.stderr.trim_end().split("start again with ddim ").nth(1).unwrap().to_owned();
        let script = format!("\"$0\" {command} -q");
        let output = Command::new("sh").current_dir(path).args(["-c", &script]).arg(&ddim_path).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("done at step {steps} of {steps}")));
    }
}

/// Labels are read once, and the run has them.
#[cfg(unix)]
#[test]
fn labels_from_a_pipe() {
    let folder = data();
    let path = folder.path();
    let labels: String = (0..40).map(|i| format!("{}\n", i % 2)).collect();
    let mut child = Command::cargo_bin("ddim").unwrap();
    child
        .current_dir(path)
        .args(with(&["--out", "run", "--labels", "/dev/stdin", "--steps", "1"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = child.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), labels.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(path.join("run/labels.txt")).unwrap(), labels);
    ok(path, &["train", "--out", "run", "--resume", "--steps", "2", "-q"]);
}

/// An average that is mostly the network before training is said to be, and the weights themselves are within reach.
#[test]
fn the_weights_themselves() {
    let folder = data();
    let path = folder.path();
    let line = with(&["--out", "run", "--set", "steps=20", "--set", "ema.rates=[0.9999]", "--set", "ema.warmup=false"]);
    let words = "after 20 steps 100 % of the average that checkpoints sample with (ema.rates 0.9999) is still the initial weights";
    let dry = ok(path, &[&line[..], &["--dry-run"]].concat());
    assert!(dry.stdout.contains(words), "{}", dry.stdout);
    let json = ok(path, &[&line[..], &["--json"]].concat());
    assert!(json.stderr.contains(&format!("note: {words}")), "{}", json.stderr);
    let said: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(said["remarks"][0].as_str().unwrap().starts_with(words), "{said}");
    let loud: Vec<_> = line.iter().copied().filter(|flag| *flag != "--quiet").chain(["--resume", "--steps", "21"]).collect();
    let resumed = ok(path, &loud);
    assert!(resumed.stderr.contains("100 % of the average"), "{}", resumed.stderr);
    // A warmed-up average says nothing.
    let fine = ok(path, &with(&["--out", "fine", "--steps", "20", "--json"]));
    assert!(fine.stdout.contains("\"remarks\":[]"), "{}", fine.stdout);

    let sampled = |model: &[&str]| {
        ok(path, &[&["sample", "--count", "2", "--steps", "3", "--save-npy", "x.npy", "-q"], model].concat());
        std::fs::read(path.join("x.npy")).unwrap()
    };
    ok(path, &["convert", "run", "raw", "--raw"]);
    ok(path, &["convert", "run", "average"]);
    let raw = sampled(&["--model", "run", "--raw"]);
    assert!(raw == sampled(&["--model", "raw"]) && raw != sampled(&["--model", "run"]));
    assert!(raw == sampled(&["--model", "run/checkpoints/step-00000021", "--raw"]));
    assert!(sampled(&["--model", "average"]) == sampled(&["--model", "run"]));
    let state = std::fs::read(path.join("run/checkpoints/step-00000021/training_state.safetensors")).unwrap();
    let converted = std::fs::read(path.join("raw/unet/diffusion_pytorch_model.safetensors")).unwrap();
    let [state, converted] = [&state, &converted].map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
    // Linear layers lie the other way round in the state.
    for (name, tensor) in converted.tensors().into_iter().filter(|(_, tensor)| tensor.shape().len() != 2) {
        assert!(state.tensor(&format!("weights.{name}")).unwrap().data() == tensor.data(), "{name}");
    }
    refused(path, &["convert", "average", "no", "--raw"], 2, &["average", "--raw", "one set of weights"]);
    refused(path, &["sample", "--raw", "--count", "1"], 2, &["emoji", "--raw"]);
}

/// Each average of a run is within reach, by its rate.
#[test]
fn an_average_by_its_rate() {
    let folder = data();
    let path = folder.path();
    ok(path, &with(&["--out", "run", "--set", "steps=12", "--set", "ema.rates=[0.5, 0.9]"]));
    let sampled = |model: &[&str]| {
        ok(path, &[&["sample", "--count", "2", "--steps", "3", "--save-npy", "x.npy", "-q"], model].concat());
        std::fs::read(path.join("x.npy")).unwrap()
    };
    let first = sampled(&["--model", "run"]);
    let second = sampled(&["--model", "run", "--ema", "0.9"]);
    assert!(first == sampled(&["--model", "run", "--ema", "0.5"]) && first != second);
    assert!(second != sampled(&["--model", "run", "--raw"]));
    ok(path, &["convert", "run", "slow", "--ema", "0.9"]);
    assert!(second == sampled(&["--model", "slow"]));
    assert!(ok(path, &["info", "run"]).stdout.contains("averages    of rates 0.5, 0.9: the first, unless --ema chooses another\n"));
    assert!(ok(path, &["info", "run", "--ema", "0.9", "--json"]).stdout.contains("\"ema_rates\":[0.5,0.9],"));
    assert!(ok(path, &["info", "slow", "--json"]).stdout.contains("\"ema_rates\":[],"));
    // The numbers are those of the state.
    let state = std::fs::read(path.join("run/checkpoints/step-00000012/training_state.safetensors")).unwrap();
    let slow = std::fs::read(path.join("slow/unet/diffusion_pytorch_model.safetensors")).unwrap();
    let [state, slow] = [&state, &slow].map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
    for (name, tensor) in slow.tensors().into_iter().filter(|(_, tensor)| tensor.shape().len() != 2) {
        assert!(state.tensor(&format!("ema.1.{name}")).unwrap().data() == tensor.data(), "{name}");
    }
    ok(path, &["sample", "--model", "run", "--ema", "0.9", "--count", "1", "--steps", "2", "--grid", "captioned.png", "-q"]);
    let report =
        ok(path, &["sample", "--model", "run", "--ema", "0.9", "--count", "1", "--steps", "2", "--out", "images", "--json"]).stdout;
    assert!(report.contains("\"raw\":false,\"ema\":0.9,"), "{report}");
    let captioned = std::fs::read(path.join("captioned.png")).unwrap();
    assert!(captioned.windows(10).any(|bytes| bytes == b" --ema 0.9"));

    refused(path, &["convert", "run", "no", "--ema", "0.99"], 2, &["--ema: ", "no average with the rate 0.99: expected one of 0.5, 0.9"]);
    refused(path, &["convert", "slow", "no", "--ema", "0.9"], 2, &["--ema: slow: holds no training_state.safetensors"]);
    refused(path, &["sample", "--ema", "0.9", "--count", "1"], 2, &["--ema: the built-in model emoji has one set of weights"]);
    refused(path, &["convert", "run", "no", "--ema", "0.9", "--raw"], 2, &["--ema", "--raw", "cannot be used with"]);
    let file = "slow/unet/diffusion_pytorch_model.safetensors";
    refused(path, &["convert", file, "no", "--ema", "0.9"], 2, &["--ema: ", file, "a file of weights"]);

    // A run whose first average is not past its beginning says which is.
    let young = ["--set", "ema.rates=[0.9999, 0.5, 0.6]", "--set", "ema.warmup=false", "--dry-run"];
    let said = ok(path, &[&with(&["--out", "young", "--set", "steps=12"])[..], &young].concat()).stdout;
    assert!(said.contains("--raw uses the plain weights, --ema 0.6 uses another average"), "{said}");

    // States of before the rates were kept.
    let state = path.join("run/checkpoints/step-00000012/training_state.safetensors");
    let bytes = std::fs::read(&state).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let before: Vec<_> = file.tensors().into_iter().filter(|(name, _)| name != "ema.rates").collect();
    safetensors::serialize_to_file(before, header.metadata().clone(), &state).unwrap();
    refused(path, &["convert", "run", "no", "--ema", "0.9"], 2, &["--ema: ", "before checkpoints recorded the rates", "--resume"]);
    assert!(first == sampled(&["--model", "run"]));
    ok(path, &["train", "--out", "run", "--resume", "--steps", "13", "-q"]);
    ok(path, &["convert", "run", "no", "--ema", "0.9"]);
}

/// What TensorBoard reads: files in the order of the runs, each beginning behind the last step that it keeps.
#[test]
fn tensorboard_keeps_the_step_of_a_resume() {
    let folder = data();
    for steps in ["2", "4", "6"] {
        ok(folder.path(), &with(&["--out", "run", "--resume", "--steps", steps, "--set", "output.log_every=1"]));
    }
    let mut files: Vec<_> = listing(&folder.path().join("run"));
    files.retain(|path| path.to_string_lossy().contains("tfevents"));
    assert_eq!(files.len(), 3);
    let varint = |bytes: &[u8], at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    // As TensorBoard does: a START drops what is known of its step and of later ones.
    let mut known: Vec<u64> = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let event = &bytes[at + 12..at + 12 + length];
            at += 16 + length;
            let (mut i, mut step, mut kind) = (0, 0, 0);
            while i < event.len() {
                match varint(event, &mut i) {
                    9 => i += 8,
                    16 => step = varint(event, &mut i),
                    key => {
                        kind = key >> 3;
                        i += varint(event, &mut i) as usize;
                    }
                }
            }
            match kind {
                7 => known.retain(|k| *k < step),
                5 => known.push(step),
                _ => {}
            }
        }
    }
    assert_eq!(known, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn bad_input() {
    let folder = data();
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).unwrap();
    std::fs::write(path.join("typo.toml"), "[optimizer]\nwarm_up = 3\n").unwrap();
    std::fs::write(path.join("labels.txt"), "1\n2\n3\n").unwrap();
    refused(path, &["train", "--out", "run"], 2, &["--data"]);
    refused(path, &with(&["--out", "run", "--seed", "18446744073709551615"]), 2, &["--seed 18446744073709551615: expected at most"]);
    refused(path, &["train", "--data", "data.npy", "--out", "run", "--size", "8x"], 2, &["--size <N|HxW>", "expected N or HxW"]);
    refused(path, &["train", "--data", "empty", "--out", "run"], 1, &["empty: no images", "PNG"]);
    refused(path, &["train", "--data", "absent", "--out", "run"], 1, &["absent: not found"]);
    // What is somebody else's stays.
    for (name, folder) in [("previews/a.txt", "own"), ("labels.txt", "labels"), ("config.toml", "settings")] {
        let file = path.join(folder).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "# mine\n").unwrap();
        let first = name.split('/').next().unwrap();
        refused(path, &with(&["--out", folder]), 1, &[&format!("{folder}: holds {first}, which is not part of a run")]);
        if folder != "own" {
            let (flag, said) = if folder == "labels" {
                ("--labels", "labels.txt is labels.txt of")
            } else {
                ("--config", "config.toml is config.toml of")
            };
            refused(path, &with(&["--out", folder, flag, file.to_str().unwrap()]), 2, &[flag, said]);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "# mine\n");
    }
    refused(
        path,
        &with(&["--out", "run", "--config", "typo.toml"]),
        1,
        &["typo.toml", "optimizer.warm_up", "did you mean optimizer.warmup?"],
    );
    // Not of the flag, whose setting's name is elsewhere in the line.
    std::fs::create_dir(path.join("steps")).unwrap();
    for (file, text, words) in [
        ("steps/typo.toml", "[optimizer]\nfoo = 3\n", ["steps/typo.toml: ", "optimizer.foo"]),
        ("decay.toml", "[optimizer]\ndecay_steps = [[5, 3], [2, 4]]\n", ["optimizer.decay_steps: ", "in the order of the steps"]),
        ("stepz.toml", "stepz = 3\n", ["stepz.toml: ", "did you mean steps?"]),
        ("act.toml", "[network]\nact_fn = \"foo\"\n", ["error: act.toml: network.act_fn: \"foo\": ", "expected silu, mish, gelu, relu"]),
        ("batch.toml", "batch_size = 64\n", ["error: batch.toml: batch_size is 64: ", "expected at most the 40 images"]),
    ] {
        std::fs::write(path.join(file), text).unwrap();
        refused(path, &with(&["--out", "run", "--steps", "10", "--config", file]), 1, &words);
    }
    refused(path, &with(&["--out", "run", "--config", "absent.toml"]), 1, &["absent.toml"]);
    refused(path, &with(&["--out", "run", "--labels", "labels.txt"]), 1, &["labels.txt: 3 labels: expected 40"]);
    refused(path, &with(&["--out", "run", "--batch-size", "64"]), 2, &["--batch-size is 64: expected at most the 40 images"]);
    refused(path, &with(&["--out", "run", "--batch-size", "0"]), 2, &["--batch-size is 0"]);
    refused(path, &with(&["--out", "run", "--learning-rate", "-1"]), 2, &["--learning-rate is -1: expected a positive number"]);
    refused(path, &with(&["--out", "run", "--fit", "squash"]), 2, &["--fit", "squash"]);
    refused(path, &with(&["--out", "run", "--resume", "--dry-run"]), 2, &["--resume", "--dry-run", "cannot be used with"]);
    refused(path, &["train", "--data", "data.npy", "--out", "run", "--size", "9999"], 2, &["--size: expected a number from 1 to 4096"]);
    refused(path, &with(&["--out", "run", "--set", "steps"]), 2, &["--set steps: expected KEY=VALUE"]);
    for (pair, words) in [
        ("steps=abc", "--set steps: invalid type: string \"abc\", expected u64"),
        ("batch_size=0", "--set batch_size is 0: expected 1 or more"),
        ("ema.rates=[]", "--set ema.rates is empty: expected one rate or more"),
        ("network.norm_num_groups=0", "--set network.norm_num_groups is 0: expected a number from 1"),
        ("network.block_out_channels=[-1, 2]", "--set network.block_out_channels[0]: invalid value: integer `-1`, expected usize"),
        ("network.act_fn=foo", "--set network.act_fn: \"foo\": expected silu, mish, gelu, relu"),
        ("scheduler.beta_start=2", "--set scheduler.beta_start: beta 2"),
        ("seed=none", "--set seed is none: expected a value"),
        ("ema.rates=none", "--set ema.rates is none: expected a value"),
        ("ema={rates=[2]}", "--set ema.rates has 2: expected numbers from 0 to below 1"),
        ("ema.rates=[0.5", "error: --set ema.rates=[0.5: expected a value as TOML writes it"),
        ("output.preview_count=9223372036854775807", "--set output.preview_count is 9223372036854775807: expected at most 4096"),
        ("data.resize=100000000", "--set data.resize is 100000000: expected at most 4096"),
        ("output.checkpoint_minutes=-1", "--set output.checkpoint_minutes is -1: expected a positive number"),
        ("scheduler.beta_schedule=foo", "--set scheduler.beta_schedule: beta schedule \"foo\": expected one of linear, scaled_linear"),
    ] {
        let line = ["train", "--data", "data.npy", "--out", "run", "--preset", "tiny", "--size", "8", "--set", pair];
        refused(path, &line, 2, &[words]);
        // A place in a text that nobody wrote.
        assert!(!ddim(path, &line).stderr.contains(" at line "), "{pair}");
    }
    refused(path, &with(&["--out", "run", "--set", "foo=1"]), 2, &["--set foo=1: no setting is called foo"]);
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
    assert!(other.code == 1 && other.stderr.contains("batch_size is 8 here, 16 there: expected the same, to resume"), "{}", other.stderr);
    refused(path, &[&resume[..], &["--steps", "0"]].concat(), 2, &["error: --steps is 0: expected 1 or more"]);
    refused(path, &[&resume[..], &["--set", "output.keep=0"]].concat(), 2, &["error: --set output.keep is 0: expected 1 or more"]);
    let longer = ok(path, &[&resume[..], &["--steps", "4"]].concat());
    assert!(longer.stdout.contains("done at step 4 of 4"), "{}", longer.stdout);
    // A file that somebody edited.
    let config = path.join("run/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("rates = [0.99]", "rates = [0.9]")).unwrap();
    refused(path, &[&resume[..], &["--steps", "5"]].concat(), 1, &["ema.rates was [0.99], and is [0.9] in config.toml"]);
}
