//! `ddim edit`: its limits, which are known, and its bad input.

mod common;

use common::{copy, ddim, edit as set, floats, json, npy, ok, refused, with_model};
use std::fs;
use std::path::Path;

const FAST: &[&str] = &["--steps", "3", "-q"];

/// What `edit` draws where everything is drawn anew: it has no class where none is said, and no guidance.
const SAMPLE: &[&str] = &["sample", "--count", "2", "--classes", "none", "--guidance", "1"];

/// What `ddim` writes with `args` and --save-npy, whose shape is [n, 3, 32, 32].
fn drawn(folder: &Path, args: &[&str]) -> Vec<f32> {
    ok(folder, &[args, FAST, &["--save-npy", "drawn.npy"]].concat());
    let x = floats(&folder.join("drawn.npy"));
    fs::remove_file(folder.join("drawn.npy")).unwrap();
    x
}

/// A batch of numbers as a file.
fn write(path: &Path, x: &[f32], shape: &str) {
    npy(path, "<f4", false, shape, &x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
}

/// A folder with two images, as numbers, and masks of everything, nothing and half.
fn with_images() -> (tempfile::TempDir, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<f32> = (0..2 * 3072).map(|i| ((i * 37 % 255) as f32 / 127.5) - 1.0).collect();
    write(&folder.path().join("x.npy"), &images, "(2, 3, 32, 32)");
    for (name, value) in [("all", [255; 2]), ("none", [0; 2]), ("half", [0, 255])] {
        image::GrayImage::from_fn(32, 32, |_, y| image::Luma([value[usize::from(y >= 16)]]))
            .save(folder.path().join(format!("{name}.png")))
            .unwrap();
    }
    (folder, images)
}

#[test]
fn strength_and_masks_at_their_limits() {
    let (folder, images) = with_images();
    let folder = folder.path();
    let edit = |args: &[&str]| drawn(folder, &[&["edit", "--input", "x.npy"], args].concat());
    let sampled = drawn(folder, SAMPLE);
    assert_eq!(edit(&["--strength", "0"]), images);
    let run = ddim(folder, &["edit", "--input", "x.npy", "--strength", "0.0001", "--save-npy", "y.npy", "-q"]);
    assert!(run.code == 0 && run.stderr.contains("note: --strength 0.0001: below the first timestep"), "{}", run.stderr);
    assert_eq!(edit(&["--strength", "1"]), sampled);
    // Just below it the noise is another: an image that was drawn with this seed would have its latent added to itself.
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
    assert!(apart(&edit(&["--strength", "0.999"]), &sampled) > 0.1);
    assert_eq!(edit(&["--mask", "none.png"]), images);
    assert_eq!(edit(&["--mask", "all.png", "--repaint", "1"]), sampled);
    let noisy = ["--eta", "1", "--seed", "9"];
    assert_eq!(edit(&[&noisy[..], &["--strength", "1"]].concat()), drawn(folder, &[SAMPLE, &noisy[..]].concat()));
    // The upper half stays to the bit, the lower does not.
    let half = edit(&["--mask", "half.png", "--solver", "unipc"]);
    for (row, (a, b)) in half.chunks(32).zip(images.chunks(32)).enumerate() {
        assert_eq!(a == b, row % 32 < 16, "row {row}");
    }
    // With the image encoded as well.
    let half = edit(&["--mask", "half.png", "--inversion", "anderson:5"]);
    assert!(half.chunks(32).zip(images.chunks(32)).enumerate().all(|(row, (a, b))| (a == b) == (row % 32 < 16)));
}

#[test]
fn a_batch_changes_nothing() {
    let (folder, _) = with_images();
    let args =
        ["edit", "--input", "x.npy", "--mask", "half.png", "--repaint", "2:1", "--eta", "0.5", "--variations", "3", "--strength", "0.7"];
    let all = drawn(folder.path(), &args);
    assert_eq!(all.len(), 6 * 3072);
    assert_eq!(all, drawn(folder.path(), &[&args[..], &["--batch-size", "1", "--threads", "1"]].concat()));
    assert_eq!(all, drawn(folder.path(), &[&args[..], &["--batch-size", "4"]].concat()));
    assert_ne!(all[..3072], all[3072..2 * 3072], "variations have noise of their own");
}

/// Encoding and decoding under the same model is the image again, by every inversion that is exact.
#[test]
fn what_is_encoded_decodes_to_itself() {
    let (folder, images) = with_images();
    let error = |args: &[&str]| {
        let edit = drawn(
            folder.path(),
            &[&["edit", "--input", "x.npy", "--no-clip", "--trajectory", "power:1.5", "--strength", "0.3"], args].concat(),
        );
        edit.iter().zip(&images).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(error(&["--inversion", "bdia"]) < 1e-6);
    assert!(error(&["--inversion", "anderson:60:1e-6"]) < 0.01);
    assert!(error(&["--inversion", "euler"]) > 0.02);
    assert!(error(&["--to-model", "emoji", "--inversion", "bdia"]) < 1e-6);
}

/// Encoding clips nothing, and so does what takes it back, whatever the scheduler says of sampling; two schedules whose last step alone differs are of one noise.
#[test]
fn what_was_encoded_is_not_clipped() {
    let (folder, _) = with_images();
    let at = folder.path();
    let text = fs::read_to_string(common::root().join("models/emoji/scheduler/scheduler_config.json")).unwrap();
    let mut scheduler: serde_json::Value = serde_json::from_str(&text).unwrap();
    scheduler["clip_sample"] = true.into();
    fs::write(at.join("clips.json"), scheduler.to_string()).unwrap();
    let edit = ["edit", "--input", "x.npy", "--steps", "4", "--inversion", "anderson", "-q", "--save-npy"];
    ok(at, &[&edit[..], &["plain.npy"]].concat());
    let clips = ok(at, &[&edit[..], &["clips.npy", "--scheduler", "clips.json"]].concat());
    assert!(clips.stderr.contains("note: the model's scheduler clips"), "{}", clips.stderr);
    assert!(fs::read(at.join("plain.npy")).unwrap() == fs::read(at.join("clips.npy")).unwrap());
    ok(at, &[&edit[..], &["wanted.npy", "--scheduler", "clips.json", "--clip"]].concat());
    assert!(fs::read(at.join("plain.npy")).unwrap() != fs::read(at.join("wanted.npy")).unwrap());
    let latents = ok(at, &["encode", "--input", "x.npy", "--steps", "2", "-q", "--save-npy", "x_T.npy", "--scheduler", "clips.json"]);
    assert!(latents.stderr.contains("note: the model's scheduler clips"), "{}", latents.stderr);
}

/// Schedules that differ in where the last step arrives are of one noise, but not for what takes back each step to the bit.
#[test]
fn models_that_end_elsewhere() {
    let folder = with_model("ddpm");
    let at = folder.path();
    copy(&at.join("model"), &at.join("other"));
    set(&at.join("other/scheduler/scheduler_config.json"), serde_json::json!({ "set_alpha_to_one": false }));
    write(&at.join("x.npy"), &[0.25; 3 * 64], "(1, 3, 8, 8)");
    let edit =
        ["edit", "--model", "model", "--to-model", "other", "--input", "x.npy", "--steps", "3", "--save-npy", "y.npy", "-q", "--inversion"];
    ok(at, &[&edit[..], &["anderson"]].concat());
    refused(at, &[&edit[..], &["bdia"]].concat(), 2, &["--inversion", "bdia", "different noise"]);
}

#[test]
fn what_cannot_be_edited() {
    let (folder, _) = with_images();
    let at = folder.path();
    image::GrayImage::new(16, 16).save(at.join("small.png")).unwrap();
    write(&at.join("masks.npy"), &[1.0; 3 * 1024], "(3, 1, 32, 32)");
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--strength", "1.5"], 2, &["--strength", "1.5", "from 0"]),
        (&["--strength", "-0.1"], 2, &["--strength", "-0.1"]),
        (&["--strength", "NaN"], 2, &["--strength", "NaN"]),
        (&["--mask", "small.png"], 1, &["small.png", "16 x 16", "32 x 32"]),
        (&["--mask", "masks.npy"], 2, &["--mask", "3 masks for 2 images"]),
        (&["--mask", "gone.png"], 1, &["gone.png", "not found"]),
        (&["--repaint", "3"], 2, &["--mask"]),
        (&["--mask", "half.png", "--repaint", "0"], 2, &["--repaint", "5:10"]),
        (&["--mask", "half.png", "--inversion", "bdia"], 2, &["--mask", "bdia"]),
        (&["--inversion", "bdia", "--solver", "unipc"], 2, &["--inversion", "bdia", "--solver"]),
        (&["--inversion", "bdia", "--steps", "1"], 2, &["--steps", "bdia"]),
        (&["--inversion", "newton"], 2, &["--inversion", "newton", "anderson"]),
        (&["--inversion", "anderson:0"], 2, &["--inversion", "anderson:0"]),
        (&["--to-model", "fashion"], 2, &["--to-model", "1x32x32", "3x32x32"]),
        (&["--from-class", "dog"], 2, &["--from-class", "dog", "0 to 99"]),
        (&["--variations", "0"], 2, &["--variations", "0"]),
        (&["--inversion", "bdia", "--clip"], 2, &["--clip", "bdia"]),
        (&["--inversion", "anderson:1001"], 2, &["--inversion", "1001"]),
        (&["--from-class", "0", "--to-class", "1", "--classes", "1"], 2, &["--classes"]),
        (&["--grid", "x.npy"], 2, &["--grid", "--input"]),
    ];
    for (args, code, words) in cases {
        let steps = if args.contains(&"--steps") { &[][..] } else { &["--steps", "2"] };
        refused(at, &[&["edit", "--input", "x.npy", "-q"], steps, *args].concat(), *code, words);
    }
    fs::create_dir(at.join("pictures")).unwrap();
    image::RgbImage::new(32, 32).save(at.join("pictures/00000.png")).unwrap();
    refused(at, &["edit", "--input", "pictures", "-q", "--out", "pictures"], 2, &["--out", "pictures", "--input"]);
    refused(at, &["encode", "--input", "x.npy", "--inversion", "bdia", "--save-npy", "x_T.npy"], 2, &["--inversion", "bdia", "half"]);
    refused(at, &["reconstruct", "--input", "x.npy", "--inversion", "bdia", "--solver", "unipc"], 2, &["--solver", "unipc", "bdia"]);
}

/// All steps lie below the level that the strength says, whatever spacing the model has, and jumps fit into few steps.
#[test]
fn strength_says_the_level() {
    let (folder, _) = with_images();
    let edit =
        |args: &[&str]| json(&ok(folder.path(), &[&["edit", "--input", "x.npy", "-q", "--json", "--save-npy", "out.npy"], args].concat()));
    for (strength, steps, first) in [("0.5", "1", 499), ("0.5", "4", 499), ("0.002", "50", 1)] {
        let edited = edit(&["--strength", strength, "--steps", steps]);
        assert_eq!((&edited["timesteps"][0], &edited["level"]), (&first.into(), &(first + 1).into()), "{strength} {steps}");
    }
    let masked = edit(&["--mask", "half.png", "--steps", "4"]);
    assert_eq!(masked["evaluations"], 4 + 4 * 2, "one place for jumps of two steps, four times");
    let run = ok(folder.path(), &["edit", "--input", "x.npy", "-q", "--mask", "half.png", "--steps", "4", "--repaint", "3:10"]);
    assert!(run.stderr.contains("--repaint jumps of 10 steps: reduced to 2,"), "{}", run.stderr);
    assert_eq!(edit(&["--mask", "half.png", "--steps", "3", "--repaint", "1", "--solver", "heun"])["evaluations"], 5);
    // Also where S does not divide the level, and its whole part would leave all of the rest to the first step.
    let even = edit(&["--strength", "0.09", "--steps", "50"]);
    let timesteps: Vec<i64> = even["timesteps"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap()).collect();
    assert!(timesteps[0] == 89 && timesteps.len() == 50 && timesteps.windows(2).all(|pair| pair[0] - pair[1] <= 3), "{timesteps:?}");
}

/// What lies around a mask or shines through it stays, whatever lies behind the images.
#[test]
fn masks_have_no_background() {
    let (folder, images) = with_images();
    let mut mask = image::RgbaImage::new(32, 32);
    mask.put_pixel(4, 7, image::Rgba([255; 4]));
    mask.save(folder.path().join("dot.png")).unwrap();
    let edit = drawn(folder.path(), &["edit", "--input", "x.npy", "--mask", "dot.png", "--background", "white"]);
    let changed: Vec<usize> = (0..3072).filter(|i| edit[*i] != images[*i]).map(|i| i % 1024).collect();
    assert_eq!(changed, [7 * 32 + 4; 3]);
}

/// Masks of a folder are those of the images in turn, in colour or not: none is left out, as a broken image may be.
#[test]
fn masks_are_not_skipped() {
    let (folder, _) = with_images();
    let at = folder.path();
    fs::create_dir(at.join("masks")).unwrap();
    fs::copy(at.join("half.png"), at.join("masks/0.png")).unwrap();
    image::RgbImage::from_fn(32, 32, |x, _| image::Rgb(if x < 8 { [255; 3] } else { [0, 0, 9] })).save(at.join("masks/1.png")).unwrap();
    let edit = |more: &[&str]| drawn(at, &[&["edit", "--input", "x.npy", "--mask", "masks"], more].concat());
    assert_eq!(edit(&["--skip-bad-files"]), edit(&[]));
}

/// Under its own class an image comes back, under another it does not; the class of an image is the same on both ways.
#[test]
fn translations() {
    let folder = with_model("learned_classes");
    let at = folder.path();
    ok(at, &["sample", "--model", "model", "--count", "3", "--steps", "20", "--classes", "0,1,2", "-q", "--save-npy", "x.npy"]);
    let images = floats(&at.join("x.npy"));
    let dim = images.len() / 3;
    let edit = |args: &[&str]| {
        let input = if args.contains(&"--input") { &[][..] } else { &["--input", "x.npy"] };
        ok(at, &[&["edit", "--model", "model", "--steps", "10", "--no-clip", "-q", "--save-npy", "out.npy"], input, args].concat());
        floats(&at.join("out.npy"))
    };
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let exact = ["--inversion", "bdia"];
    // It gives back what it was given, and says so.
    let alike = [
        "edit",
        "--model",
        "model",
        "--input",
        "x.npy",
        "--steps",
        "3",
        "--no-clip",
        "-q",
        "--save-npy",
        "y.npy",
        "--inversion",
        "anderson",
    ];
    let told = |more: &[&str]| ok(at, &[&alike[..], more].concat()).stderr.contains("note: --classes without --from-class: ");
    assert!(told(&["--to-class", "3"]) && !told(&["--from-class", "1", "--to-class", "3"]) && !told(&["--to-class", "3", "--eta", "1"]));
    assert!(far(&edit(&[&exact[..], &["--from-class", "0,1,2", "--to-class", "0,1,2"]].concat()), &images) < 1e-5);
    assert!(far(&edit(&[&exact[..], &["--from-class", "0,1,2", "--to-class", "3"]].concat()), &images) > 0.01);
    assert!(far(&edit(&[&exact[..], &["--classes", "random", "--seed", "7"]].concat()), &images) < 1e-5);
    let twice = edit(&[&exact[..], &["--classes", "0,1", "--variations", "2"]].concat());
    assert!((0..3).all(|i| far(&twice[2 * i * dim..][..dim], &images[i * dim..][..dim]) < 1e-5));
    // The same where the data says what they are.
    for (i, image) in images.chunks_exact(dim).enumerate() {
        fs::create_dir_all(at.join(format!("data/{i}"))).unwrap();
        let [h, w] = [(dim as f64).sqrt() as usize; 2];
        let byte = |x: &f32| ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
        let gray = image::GrayImage::from_raw(w as u32, h as u32, image.iter().map(byte).collect()).unwrap();
        gray.save(at.join(format!("data/{i}/x.png"))).unwrap();
    }
    let of_data = |classes: &str| edit(&[&exact[..], &["--input", "data", "--classes", classes, "--variations", "2"]].concat());
    assert_eq!(of_data("data"), of_data("0,1,2"));
    // Each image as two classes.
    let each = edit(&[&exact[..], &["--from-class", "0,1,2", "--to-class", "0,3", "--variations", "2"]].concat());
    assert!(far(&each[..dim], &images[..dim]) < 1e-5 && far(&each[dim..2 * dim], &images[..dim]) > 0.01);
    let words: &[(&[&str], &[&str])] = &[
        (&["--from-class", "9", "--classes", "0"], &["--from-class", "9"]),
        (&["--from-class", "0"], &["--classes is missing"]),
        (&["--classes", "0", "--to-model", "model"], &["--from-class is missing"]),
        (&["--classes", "0", "--from-class", "reference"], &["--from-class", "reference"]),
        (&["--classes", "0", "--guidance", "2"], &["--guidance", "no null class"]),
    ];
    for (args, words) in words {
        refused(at, &[&["edit", "--model", "model", "--input", "x.npy", "-q"], *args].concat(), 2, words);
    }
}

/// Two models with other noise at the same level go together at strength 1 alone.
#[test]
fn another_model_decodes() {
    let folder = with_model("ddpm");
    let at = folder.path();
    let drawn = json(&ok(at, &["sample", "--model", "model", "--count", "1", "--steps", "1", "-q", "--json", "--save-npy", "x.npy"]));
    assert_eq!(drawn["count"], 1);
    copy(&at.join("model"), &at.join("other"));
    set(&at.join("other/scheduler/scheduler_config.json"), serde_json::json!({ "beta_schedule": "scaled_linear" }));
    let edit = ["edit", "--model", "model", "--input", "x.npy", "--to-model", "other", "--steps", "2", "-q"];
    ok(at, &[&edit[..], &["--save-npy", "out.npy"]].concat());
    image::GrayImage::new(8, 8).save(at.join("mask.png")).unwrap();
    refused(at, &[&edit[..], &["--mask", "mask.png"]].concat(), 2, &["--to-model", "other", "--mask"]);
    refused(at, &[&edit[..], &["--strength", "0.5"]].concat(), 2, &["--strength", "0.5", "other", "expected 1"]);
    refused(at, &[&edit[..], &["--inversion", "bdia"]].concat(), 2, &["--inversion", "bdia", "other"]);
}
