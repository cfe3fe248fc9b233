//! `ddim VERB --help`: every flag under the heading where one looks for it.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

/// Flags by the headings of a verb's help. Those of a heading that clap gives by itself are under "Options".
fn headings(verb: &str) -> BTreeMap<String, Vec<String>> {
    let text = common::ok(Path::new("."), &[verb, "--help"]).stdout;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        match line.strip_suffix(':') {
            Some(name) if !line.starts_with(' ') => heading = name.to_owned(),
            _ => {
                let line = line.trim_start();
                // "-q, --quiet" and "--eta <E>"; what is about the verb, above all headings, may begin a line with a flag as well.
                let flag = line.strip_prefix("-q, ").or(line.strip_prefix("-h, ")).or(line.strip_prefix("-V, ")).unwrap_or(line);
                if let Some(flag) = flag.strip_prefix("--").filter(|_| !heading.is_empty() && heading != "Examples") {
                    let name: String = flag.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                    found.entry(heading.clone()).or_default().push(name);
                }
            }
        }
    }
    found
}

/// Where a flag belongs. Those of training, and flags that are not listed, say for themselves.
fn belongs(verb: &str, flag: &str) -> Option<&'static str> {
    let training = verb == "train";
    Some(match flag {
        "size" if verb == "fid" || training => "Data",
        "size" | "scheduler" | "raw" | "ema" => "Everywhere",
        "seed" if verb == "fid" => "Data",
        "count" if matches!(verb, "nll" | "reconstruct" | "edit") => "Data",
        "out" | "grid" | "save-npy" | "save-stats" | "save-images" | "trace" | "animate" | "plot" | "no-labels" | "features" => "Output",
        "checkpoint-every" | "preview-every" => "Output",
        "input" | "data" | "reference" | "reference-limit" | "limit" | "fit" | "background" | "skip-bad-files" | "labels" => "Data",
        "no-flip" | "holdout" => "Data",
        "preset" | "config" | "resume" | "model" | "steps" | "batch-size" | "learning-rate" | "seed" if training => "Training",
        "model" | "device" | "batch-size" | "threads" | "json" | "quiet" | "inception" => "Everywhere",
        "held-out" | "passes" | "reference-steps" => "Sampling",
        "steps" | "eta" | "sigma-hat" | "trajectory" | "solver" | "timesteps" | "seed" | "seeds" | "latents" | "count" | "frames"
        | "rows" => "Sampling",
        "cols" | "clip" | "no-clip" | "rederive-epsilon" | "class" | "classes" => "Sampling",
        "guidance" | "guidance-interval" | "guidance-rescale" => "Sampling",
        "listen" | "open" | "runs" | "host" | "store" | "no-store" => "Server",
        "help" | "version" => "Options",
        _ => return None,
    })
}

#[test]
fn flags_lie_under_their_headings() {
    for verb in ["sample", "edit", "encode", "reconstruct", "interpolate", "consistency", "sweep", "tune", "nll", "train", "fid", "serve"] {
        let found = headings(verb);
        let mut flags = 0;
        for (heading, names) in &found {
            for name in names {
                if let Some(expected) = belongs(verb, name) {
                    assert_eq!(heading, expected, "ddim {verb} --help: --{name}");
                    flags += 1;
                }
            }
        }
        assert!(flags >= 10 && found.contains_key("Everywhere"), "ddim {verb} --help: {found:?}");
    }
    // What is read, and what leaked: flags of its own behind those of another struct.
    assert!(headings("sweep")["Sampling"].starts_with(&["steps", "eta", "count", "seed", "solver", "trajectory"].map(str::to_owned)));
    assert_eq!(headings("nll")["Data"][..2], ["data", "count"]);
    assert!(headings("reconstruct")["Data"].contains(&"input".to_owned()));
    assert!(headings("fid")["Options"].contains(&"fid-only".to_owned()));
}

/// What shells and man read is of the flags that there are.
#[test]
fn completions_and_manual_pages() {
    let here = Path::new(".");
    for (shell, words) in [("bash", "--save-npy"), ("zsh", "save-npy"), ("fish", "save-npy")] {
        let script = common::ok(here, &["completions", shell]).stdout;
        assert!(script.contains(words) && script.contains("interpolate") && script.contains("log-snr"), "{shell}");
    }
    common::refused(tempfile::tempdir().unwrap().path(), &["completions", "csh"], 2, &["csh", "bash"]);
    let folder = tempfile::tempdir().unwrap();
    common::ok(folder.path(), &["man", "pages"]);
    let page = |name: &str| std::fs::read_to_string(folder.path().join("pages").join(name)).unwrap();
    assert!(page("ddim.1").contains("ddim\\-sample(1)") && page("ddim-sample.1").contains("\\-\\-save\\-npy"));
    // A page is the same wherever it was written: nothing of the machine.
    assert!(!page("ddim.1").contains("threads ") && page("ddim.1").contains(concat!("ddim ", env!("CARGO_PKG_VERSION"))));
    // Examples keep their lines.
    assert!(page("ddim-sample.1").lines().any(|line| line.starts_with("  ddim sample \\-\\-steps 10")), "{}", page("ddim-sample.1"));
    assert_eq!(folder.path().join("pages").read_dir().unwrap().count(), 18);
}

#[test]
fn the_version_says_what_it_was_built_of() {
    let long = common::ok(Path::new("."), &["--version"]).stdout;
    for row in ["commit ", "target ", "vectors ", "features ", "threads ", "models "] {
        assert!(long.lines().any(|line| line.starts_with(row) && line.len() > 9), "{row}: {long}");
    }
    assert_eq!(common::ok(Path::new("."), &["-V"]).stdout.lines().count(), 1);
}
