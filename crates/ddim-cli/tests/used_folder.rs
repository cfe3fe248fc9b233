//! A folder of images is that of one command: what a second run would leave mixed is refused before anything is drawn.

mod common;

use common::{listing, ok, refused, with_model};
use std::fs;
use std::path::Path;

const SAMPLE: &[&str] = &["sample", "--model", "model", "--steps", "2", "-q", "--out", "images"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = listing(folder);
    files.sort();
    files.into_iter().filter(|file| file.is_file()).map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

#[test]
fn two_runs_do_not_mix() {
    let folder = with_model("ddpm");
    let here = folder.path();
    ok(here, &with(SAMPLE, &["--count", "5"]));
    let images = here.join("images");
    let first = contents(&images);
    assert_eq!(first.len(), 5);
    // Every setting that decides the pictures; fewer of them would leave the others at the end.
    for other in [
        &["--count", "5", "--seed", "1"][..],
        &["--count", "9", "--seed", "1"],
        &["--count", "5", "--eta", "0.5"],
        &["--count", "5", "--sigma-hat"],
        &["--count", "5", "--trajectory", "trailing"],
        &["--count", "5", "--clip"],
    ] {
        refused(here, &with(SAMPLE, other), 1, &["images: ", "another command", "00000.png", "--seed 0", "new or empty folder"]);
    }
    refused(here, &with(SAMPLE, &["--count", "2"]), 1, &["images: ", "5 images from this command", "only 2 would", "new or empty folder"]);
    assert!(contents(&images) == first, "a refusal leaves what is there");
    // The same command, and more of the same; other things may lie there.
    fs::write(images.join("notes.txt"), "mine").unwrap();
    ok(here, &with(SAMPLE, &["--count", "5", "--batch-size", "2", "--threads", "1"]));
    ok(here, &with(SAMPLE, &["--count", "7", "--grid", "images/grid.png"]));
    ok(here, &with(SAMPLE, &["--count", "7"]));
    assert!(first.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    // Half of a run that was stopped is part of it.
    (3..7).for_each(|i| fs::remove_file(images.join(format!("{i:05}.png"))).unwrap());
    refused(here, &with(SAMPLE, &["--count", "7", "--seed", "1"]), 1, &["another command"]);
    ok(here, &with(SAMPLE, &["--count", "7"]));
}

#[test]
fn images_of_others_are_not_overwritten() {
    let folder = with_model("ddpm");
    let here = folder.path();
    let images = here.join("images");
    // A picture without a caption, a file that is no picture, one of a run that was longer than any.
    for (name, bytes) in [
        ("00000.png", fs::read(common::root().join("conformance/fashion_test/00.png")).unwrap()),
        ("00003.png", b"not a picture".to_vec()),
        ("123456.png", b"".to_vec()),
    ] {
        fs::create_dir_all(&images).unwrap();
        fs::write(images.join(name), &bytes).unwrap();
        refused(here, &with(SAMPLE, &["--count", "2"]), 1, &["images: ", name, "not from this command", "new or empty folder"]);
        assert_eq!(fs::read(images.join(name)).unwrap(), bytes);
        fs::remove_dir_all(&images).unwrap();
    }
    // Other names are other people's.
    fs::create_dir_all(&images).unwrap();
    for name in ["7.png", "photo.png", "00001.jpg", "x00001.png", "00001.PNG.txt"] {
        fs::write(images.join(name), "").unwrap();
    }
    ok(here, &with(SAMPLE, &["--count", "2"]));
}

#[test]
fn traces_do_not_mix() {
    let folder = with_model("ddpm");
    let here = folder.path();
    let trace = &["sample", "--model", "model", "--count", "2", "--trace", "trace", "-q"][..];
    ok(here, &with(trace, &["--steps", "4"]));
    let first = contents(&here.join("trace"));
    for other in [&["--steps", "2"][..], &["--steps", "4", "--seed", "3"], &["--steps", "4", "--count", "3"]] {
        let mut args = with(trace, other);
        if other.contains(&"--count") {
            args.drain(3..5);
        }
        refused(here, &args, 1, &["trace: ", "another command", "--steps 4", "new or empty folder"]);
    }
    ok(here, &with(trace, &["--steps", "4"]));
    assert!(contents(&here.join("trace")) == first);
    // One that does not say of what it is.
    fs::remove_file(here.join("trace/steps.json")).unwrap();
    refused(here, &with(trace, &["--steps", "4"]), 1, &["trace: ", ".npy", "new or empty folder"]);
    fs::write(here.join("trace/steps.json"), "{").unwrap();
    refused(here, &with(trace, &["--steps", "4"]), 1, &["trace: ", "steps.json", "new or empty folder"]);
}

/// The images of a cell of a sweep are in the same danger, and looked at before the sweep's own folder is made.
#[test]
fn cells_of_a_sweep_do_not_mix() {
    let folder = with_model("ddpm");
    let here = folder.path();
    ok(here, &["sample", "--model", "model", "--steps", "2", "--count", "4", "--save-npy", "real.npy", "-q"]);
    ok(here, &["sample", "--model", "model", "--steps", "2", "--count", "4", "--out", "kept/s0002-eta1", "-q"]);
    let sweep = ["sweep", "--model", "model", "--reference", "real.npy", "--count", "4", "--steps", "1,2", "--eta", "0,1", "-q"];
    let words = ["kept", "s0002-eta1", "another command", "ddim sample", "new or empty folder"];
    refused(here, &with(&sweep, &["--save-images", "kept", "--out", "sweep"]), 1, &words);
}

/// A path is a name: what lies there may have changed, and a folder would hold images of both.
#[test]
fn other_contents_under_the_same_name_are_another_command() {
    let folder = with_model("ddpm");
    let here = folder.path();
    ok(here, &with(SAMPLE, &["--count", "2"]));
    common::edit(&here.join(common::SCHEDULER), serde_json::json!({ "beta_end": 0.03 }));
    refused(here, &with(SAMPLE, &["--count", "3"]), 1, &["images: ", "another command", "new or empty folder"]);
    // Nor is it the same network whose settings changed and whose weights did not.
    let traced = ["sample", "--model", "model", "--count", "1", "--steps", "2", "-q", "--out", "one", "--trace", "steps"];
    ok(here, &traced);
    common::edit(&here.join("model/unet/config.json"), serde_json::json!({ "norm_eps": 1e-3 }));
    refused(here, &traced, 1, &["one: ", "another command", "new or empty folder"]);
    fs::remove_dir_all(here.join("one")).unwrap();
    refused(here, &traced, 1, &["steps: ", "another command", "new or empty folder"]);
    let latents =
        |seed: &str| ok(here, &["sample", "--model", "model", "--count", "2", "--steps", "1", "--seed", seed, "-q", "--save-npy", "x.npy"]);
    let from = ["sample", "--model", "model", "--steps", "2", "-q", "--latents", "x.npy", "--out", "from"];
    latents("1");
    ok(here, &from);
    latents("2");
    refused(here, &from, 1, &["from: ", "another command"]);
}
