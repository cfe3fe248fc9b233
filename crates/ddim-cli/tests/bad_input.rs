//! Bad input to the real binary: a clear line, the right exit code, nothing half-written.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{CONFIG, SAFETENSORS, SCHEDULER, ddim, edit, listing, npy, ok, pictures, refused, root, with_model};
use ddim_eval::Statistics;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

const SAMPLE: &[&str] = &["sample", "--model", "model", "--count", "1", "--steps", "1", "-q"];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    base.iter().chain(more).copied().collect()
}

/// What becomes of a tensor: gone, or of this dtype and shape.
type Change = Option<(Dtype, Vec<usize>)>;

/// Rewrites the weights of the model with one tensor changed: dropped (None), or another dtype and shape, or added.
fn rewrite(folder: &Path, name: &str, change: Change) {
    let path = folder.join(SAFETENSORS);
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> =
        file.iter().filter(|(n, _)| *n != name).map(|(n, v)| (n.to_owned(), v.dtype(), v.shape().to_vec(), v.data().to_vec())).collect();
    if let Some((dtype, shape)) = change {
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        tensors.push((name.to_owned(), dtype, shape, vec![0; size]));
    }
    let views = tensors.iter().map(|(n, d, s, b)| (n.as_str(), TensorView::new(*d, s.clone(), b).unwrap()));
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn weights_that_do_not_fit() {
    let cases: &[(&str, Change, &[&str])] = &[
        ("conv_in.weight", None, &["conv_in.weight", "missing"]),
        ("surplus.weight", Some((Dtype::F32, vec![2])), &["surplus.weight", "no place"]),
        ("conv_in.weight", Some((Dtype::F32, vec![8, 3, 5, 5])), &["conv_in.weight", "[8, 3, 5, 5]", "[8, 3, 3, 3]"]),
        ("conv_in.bias", Some((Dtype::I64, vec![8])), &["conv_in.bias", "I64", "F32, F16 or BF16"]),
    ];
    for (name, change, words) in cases {
        let folder = with_model("ddpm");
        rewrite(folder.path(), name, change.clone());
        refused(folder.path(), SAMPLE, 1, &with(words, &["diffusion_pytorch_model.safetensors"]));
    }
}

#[test]
fn weights_that_are_broken_or_absent() {
    let folder = with_model("ddpm");
    let path = folder.path().join(SAFETENSORS);
    let whole = fs::read(&path).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        refused(folder.path(), SAMPLE, 1, &["safetensors", "not a complete safetensors file", &length.to_string()]);
    }
    let mut hostile = whole.clone();
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, hostile).unwrap();
    refused(folder.path(), SAMPLE, 1, &["not a complete safetensors file"]);
    fs::remove_file(&path).unwrap();
    refused(folder.path(), SAMPLE, 1, &["diffusion_pytorch_model.safetensors", "not found"]);

    let folder = with_model("legacy_pickle");
    let path = folder.path().join("model/unet/diffusion_pytorch_model.bin");
    let whole = fs::read(&path).unwrap();
    for length in [0, 10, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        refused(folder.path(), SAMPLE, 1, &["diffusion_pytorch_model.bin"]);
    }
}

#[test]
fn nan_in_the_weights_is_found() {
    let folder = with_model("ddpm");
    let path = folder.path().join(SAFETENSORS);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    refused(folder.path(), SAMPLE, 1, &["sample 0", "not finite"]);
}

#[test]
fn network_configs() {
    let cases = [
        (json!({"in_channels": null}), "in_channels"),
        (json!({"block_out_channels": null}), "block_out_channels"),
        (json!({"layers_per_block": "two"}), "layers_per_block"),
        (json!({"layers_per_block": -1}), "layers_per_block"),
        (json!({"layers_per_block": 1e9}), "layers_per_block"),
        (json!({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}), "down_block_types"),
        (json!({"up_block_types": ["UpBlock2D"]}), "up_block_types"),
        (json!({"mid_block_type": "UNetMidBlock2DCrossAttn"}), "mid_block_type"),
        (json!({"act_fn": "tanh"}), "act_fn"),
        (json!({"resnet_time_scale_shift": "spatial"}), "resnet_time_scale_shift"),
        (json!({"time_embedding_type": "sine"}), "time_embedding_type"),
        (json!({"time_embedding_type": "learned"}), "num_train_timesteps"),
        (json!({"class_embed_type": "projection"}), "class_embed_type"),
        (json!({"downsample_padding": 2}), "downsample_padding"),
        (json!({"downsample_type": "fir"}), "downsample_type"),
        (json!({"upsample_type": "kernel"}), "upsample_type"),
        (json!({"norm_num_groups": 3}), "norm_num_groups"),
        (json!({"norm_num_groups": 0}), "norm_num_groups"),
        (json!({"attn_norm_num_groups": 5}), "attn_norm_num_groups"),
        (json!({"attention_head_dim": 0}), "attention_head_dim"),
        (json!({"attention_head_dim": 99}), "attention_head_dim"),
        (json!({"dropout": 2}), "dropout"),
        (json!({"mid_block_scale_factor": 0}), "mid_block_scale_factor"),
        (json!({"sample_size": 7}), "sample_size"),
        (json!({"sample_size": [8, 8, 8]}), "sample_size"),
        (json!({"block_out_channels": [8, 999_999_999]}), "block_out_channels"),
        (json!({"_class_name": "UNet2DConditionModel"}), "_class_name"),
        (json!({"out_channels": 6}), "conv_out"),
    ];
    for (changes, key) in cases {
        let folder = with_model("ddpm");
        edit(&folder.path().join(CONFIG), changes);
        refused(folder.path(), SAMPLE, 1, &[key]);
    }
    for text in ["", "{", "[]", "null", "not json", "{\"in_channels\": 3}", "{} {}"] {
        let folder = with_model("ddpm");
        fs::write(folder.path().join(CONFIG), text).unwrap();
        refused(folder.path(), SAMPLE, 1, &["config.json"]);
    }
    let folder = with_model("fourier");
    refused(folder.path(), SAMPLE, 1, &["timestep 0", "trailing"]);
}

#[test]
fn schedulers() {
    let cases = [
        (json!({"_class_name": "FlowMatchEulerDiscreteScheduler"}), "_class_name"),
        (json!({"_class_name": 1}), "_class_name"),
        (json!({"_class_name": null, "beta_schedule": null, "beta_start": null}), "_class_name"),
        (json!({"num_train_timesteps": 0}), "num_train_timesteps"),
        (json!({"num_train_timesteps": "many"}), "num_train_timesteps"),
        (json!({"beta_schedule": "exp"}), "beta_schedule"),
        (json!({"beta_start": -1}), "beta_start"),
        (json!({"beta_end": 1.5}), "beta_end"),
        (json!({"trained_betas": [0.1, 0.2]}), "trained_betas"),
        (json!({"prediction_type": "score"}), "prediction_type"),
        (json!({"timestep_spacing": "karras"}), "timestep_spacing"),
        (json!({"thresholding": true, "dynamic_thresholding_ratio": 2}), "thresholding"),
        (json!({"clip_sample": true, "clip_sample_range": -1}), "clip_sample_range"),
        (json!({"steps_offset": "one"}), "steps_offset"),
    ];
    for (changes, key) in cases {
        let folder = with_model("ddpm");
        edit(&folder.path().join(SCHEDULER), changes);
        refused(folder.path(), SAMPLE, 1, &["scheduler_config.json", key]);
    }
    let folder = with_model("ddpm");
    fs::remove_file(folder.path().join(SCHEDULER)).unwrap();
    refused(folder.path(), SAMPLE, 1, &["scheduler_config.json"]);
    // Zero SNR and ε: x_0 is not determined at the first step.
    let folder = with_model("ddpm");
    edit(&folder.path().join(SCHEDULER), json!({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}));
    refused(folder.path(), SAMPLE, 1, &["epsilon", "timestep 999"]);
    let folder = with_model("ddpm");
    edit(&folder.path().join("model/model_index.json"), json!({"unet": ["diffusers", "UNet2DConditionModel"]}));
    refused(folder.path(), SAMPLE, 1, &["model_index.json", "UNet2DConditionModel"]);
}

#[test]
fn flags() {
    let folder = with_model("ddpm");
    let base = &["sample", "--model", "model", "-q"];
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--steps", "0"], 2, "--steps: 0 steps"),
        (&["--steps", "1001"], 2, "1 to 1000"),
        (&["--steps=-3"], 2, "--steps"),
        (&["--steps", "ten"], 2, "--steps"),
        (&["--eta", "-0.1"], 2, "--eta"),
        (&["--eta", "1.1"], 2, "--eta"),
        (&["--eta", "NaN"], 2, "--eta"),
        (&["--eta", "inf"], 2, "--eta"),
        (&["--eta", "1", "--sigma-hat"], 2, "--sigma-hat"),
        (&["--count", "0"], 2, "--count"),
        (&["--count", "18446744073709551615"], 2, "--count"),
        (&["--batch-size", "0"], 2, "--batch-size"),
        (&["--threads", "0"], 2, "--threads"),
        (&["--device", "tpu"], 2, "--device"),
        (&["--device", "gpu"], 1, "--device"),
        (&["--trajectory", "straight"], 2, "--trajectory"),
        (&["--solver", "euler"], 2, "expected one of ddim, ipndm, dpmpp-2m, unipc, heun, dpmpp-2m-sde"),
        (&["--solver", "unipc", "--eta", "1"], 2, "--solver: the solver unipc adds no noise"),
        (&["--solver", "dpmpp-2m-sde", "--sigma-hat"], 2, "--solver: the solver dpmpp-2m-sde"),
        (&["--timesteps", "100,900"], 2, "--timesteps"),
        (&["--timesteps", "900,900"], 2, "--timesteps"),
        (&["--timesteps", "1000"], 2, "0 to 999"),
        (&["--timesteps", "900", "--steps", "3"], 2, "--timesteps"),
        (&["--class", "1"], 2, "--class"),
        (&["--bogus"], 2, "--bogus"),
    ];
    for (flags, code, word) in cases {
        refused(folder.path(), &with(base, flags), *code, &[word]);
    }
    refused(folder.path(), &["sample", "--model", "nothing", "-q"], 1, &["nothing", "emoji, fashion, cifar10"]);
    refused(folder.path(), &["sample", "--model", "model/model_index.json", "-q"], 1, &["a file", "pipeline folder"]);
    refused(folder.path(), &["interpolate", "--model", "model", "--seeds", "1,2,3"], 2, &["3 seeds"]);
    refused(folder.path(), &["interpolate", "--model", "model", "--frames", "0"], 2, &["--frames"]);
    refused(folder.path(), &["interpolate", "--model", "model", "--rows", "3"], 2, &["--rows"]);
    refused(folder.path(), &["interpolate", "--model", "model", "--seeds", "1,2,3,4", "--frames", "3"], 2, &["--frames", "found four"]);
    refused(folder.path(), &["consistency", "--model", "model", "--steps", "10,0"], 2, &["--steps"]);
    refused(folder.path(), &["consistency", "--model", "model", "--steps", "2", "--inception", "x"], 2, &["--inception", "--features"]);
    refused(folder.path(), &["convert", "model", "other", "--size", "33"], 2, &["--size", "33x33"]);
    // What would be lost at the end is said at the beginning.
    refused(folder.path(), &with(SAMPLE, &["--save-npy", "absent/"]), 1, &["absent/: a folder"]);
    let long = format!("{}.npy", "x".repeat(300));
    refused(folder.path(), &with(SAMPLE, &["--save-npy", &long]), 1, &["cannot be written", "too long"]);
    refused(
        folder.path(),
        &with(SAMPLE, &["--out", "later", "--save-npy", &format!("later/{long}")]),
        1,
        &["cannot be written", "too long"],
    );
    assert!(!folder.path().join("later").exists());
    common::ok(folder.path(), &["convert", "model", "copied/"]);
    refused(folder.path(), &["sample", "--count", "10000000", "--steps", "900", "--animate", "a.gif", "-q"], 2, &["--count", "memory"]);
    refused(folder.path(), &["convert", "model", "model"], 1, &["exists already"]);
    refused(folder.path(), &["convert", "model", "absent/copy"], 1, &["absent/copy", "No such file"]);
    // One image is no reference, and a folder that was refused is none of a sweep.
    common::pictures(&folder.path().join("real.npy"), 6, 16, 1);
    let sweep = ["sweep", "--model", "model", "--reference", "real.npy", "--out", "sweep", "-q", "--reference-limit"];
    for few in ["0", "1"] {
        refused(folder.path(), &[&sweep[..], &[few]].concat(), 2, &["--reference-limit", "at least 2"]);
    }
    assert!(!folder.path().join("sweep").exists());
    // Folders are known however they are written.
    common::ok(folder.path(), &with(SAMPLE, &["--out", "./new/er", "--grid", "new/g.png"]));
    // Not every large number is wrong.
    common::ok(folder.path(), &with(SAMPLE, &["--batch-size", "18446744073709551615", "--save-npy", "x.npy"]));

    let classes = with_model("learned_classes");
    let base = &["sample", "--model", "model", "-q", "--steps", "1"];
    refused(classes.path(), &with(base, &["--class", "5"]), 2, &["0 to 4"]);
    // Each in turn, unless it is told of one that stands for none; what encodes has to know.
    common::ok(classes.path(), &with(base, &["--count", "5", "--save-npy", "each.npy"]));
    refused(
        classes.path(),
        &["encode", "--model", "model", "--input", "each.npy", "-q", "--save-npy", "x.npy"],
        2,
        &["--classes is missing"],
    );
    let identity = with_model("class_identity");
    refused(identity.path(), base, 2, &["--class", "class_embed_type is identity"]);
}

/// Timesteps that are not there, of another model, or changed by hand: what is wrong, and where to find what is right.
#[test]
fn tuned_trajectories() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let sample = ["sample", "--model", "model", "--count", "1", "-q", "--steps", "3", "--trajectory"];
    refused(dir, &with(&sample, &["tuned"]), 2, &["--trajectory: tuned: model/tuned.json not found", "ddim tune"]);
    refused(dir, &with(&sample, &["tuned:"]), 2, &["--trajectory", "a file after tuned"]);
    refused(dir, &with(&sample, &["tuned:absent.json"]), 2, &["absent.json not found"]);
    refused(dir, &with(&sample, &["tuned:model"]), 1, &["model"]);
    let emoji = ["sample", "--count", "1", "-q", "--steps", "3", "--trajectory", "tuned"];
    refused(dir, &emoji, 2, &["--trajectory: tuned: emoji has no entry for solver ddim and 3 steps", "ddim tune"]);

    let tune = &["tune", "--model", "model", "--count", "2", "--held-out", "2", "--passes", "1", "--reference-steps", "20", "-q"];
    let cases: &[(&[&str], &str)] = &[
        (&["--steps", "1"], "--steps: 1: expected 2 to 1000, since the first timestep is fixed"),
        (&["--steps", "5,1001"], "--steps: 1001"),
        (&["--steps", "5,5"], "--steps: 5 twice"),
        (&["--solver", "ddim,ddim"], "--solver: ddim twice"),
        (&["--solver", "euler"], "expected one of ddim"),
        (&["--count", "0"], "--count: 0"),
        (&["--held-out", "0"], "--held-out: 0"),
        (&["--passes", "0"], "--passes: 0"),
        (&["--reference-steps", "0"], "--reference-steps: 0: expected 1 to 1000"),
        (&["--reference-steps", "3", "--steps", "3"], "--reference-steps: 3: expected more than the 3 "),
        (&["--out", ""], "--out"),
    ];
    for (flags, words) in cases {
        let args = if tune.contains(&flags[0]) { without(tune, flags[0]) } else { tune.to_vec() };
        refused(dir, &with(&args, flags), 2, &[words]);
    }
    refused(dir, &["tune", "--count", "1"], 2, &["--out is missing: emoji is built in"]);
    refused(dir, &with(tune, &["--out", "absent/a.json"]), 1, &["absent/a.json"]);

    ok(dir, &with(tune, &["--steps", "3", "--solver", "ddim"]));
    let file = dir.join("model/tuned.json");
    let whole = fs::read_to_string(&file).unwrap();
    refused(dir, &with(&sample, &["tuned", "--solver", "unipc"]), 2, &["no entry for solver unipc and 3 steps (it has ddim 3): ddim tune"]);
    refused(dir, &["sample", "--steps", "3", "--trajectory", "tuned:model/tuned.json", "-q"], 2, &["was tuned for another model: weights"]);
    let changed = |from: &str, to: &str, words: &[&str]| {
        assert!(whole.contains(from), "{from}: {whole}");
        fs::write(&file, whole.replacen(from, to, 1)).unwrap();
        refused(dir, &with(&sample, &["tuned"]), 2, &with(&["--trajectory: tuned: model/tuned.json"], words));
    };
    let list = "\"timesteps\":[";
    let at = whole.find(list).unwrap() + list.len();
    let first = format!("{list}{},", &whole[at..at + whole[at..].find(',').unwrap()]);
    changed(&first, "\"timesteps\":[0,", &["strictly descending"]);
    changed(&first, "\"timesteps\":[1000,", &["0 to 999"]);
    changed(&first, list, &["2 timesteps, expected 3"]);
    changed("\"schedule\": \"", "\"schedule\": \"f", &["another model: noise schedule"]);
    changed("\"solver\":\"ddim\"", "\"solver\":\"euler\"", &["was not written by ddim tune", "euler"]);
    changed("{", "", &["was not written by ddim tune"]);
    refused(dir, &with(tune, &["--steps", "3"]), 2, &["--out: model/tuned.json was not written by ddim tune", "expected another file"]);
    fs::write(&file, whole.replacen("\"weights\": \"", "\"weights\": \"f", 1)).unwrap();
    refused(dir, &with(tune, &["--steps", "3"]), 2, &["--out: model/tuned.json was tuned for another model", "expected another file"]);
}

/// `args` but for one flag and its value.
fn without<'a>(args: &[&'a str], flag: &str) -> Vec<&'a str> {
    let at = args.iter().position(|word| *word == flag).unwrap();
    [&args[..at], &args[at + 2..]].concat()
}

#[test]
fn latents() {
    let folder = with_model("ddpm");
    let file = folder.path().join("x.npy");
    let good = [0u8; 3 * 64 * 4];
    let mut nan = good;
    nan[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: &[(&str, bool, &str, &[u8], &str)] = &[
        ("<f4", false, "(1, 3, 8, 7)", &good, "[n, 3, 8, 8]"),
        ("<f4", false, "(3, 8, 8)", &good, "expected [n, "),
        ("<f4", false, "(0, 3, 8, 8)", &[], "expected [n, "),
        ("<i4", false, "(1, 3, 8, 8)", &good, "<i4"),
        ("<c8", false, "(1, 3, 8, 8)", &[0; 3 * 64 * 8], "<c8"),
        ("<f4", false, "(1, 3, 8, 8)", &nan, "NaN in image 0"),
        ("<f4", false, "(1, 3, 8, 8)", &good[..500], "too short"),
        ("<f4", false, "(999999999999, 3, 8, 8)", &good, "too short"),
        ("<f4", false, "(18446744073709551615, 3, 8, 8)", &good, "x.npy"),
    ];
    for (descr, fortran, shape, data, word) in cases {
        npy(&file, descr, *fortran, shape, data);
        refused(folder.path(), &with(SAMPLE, &["--latents", "x.npy"]), 1, &["x.npy", word]);
        refused(folder.path(), &["encode", "--model", "model", "--input", "x.npy", "--save-npy", "y.npy"], 1, &["x.npy", word]);
    }
    for bytes in [&b""[..], b"text", b"\x93NUMPY\x01\x00\xff\xff{"] {
        fs::write(&file, bytes).unwrap();
        refused(folder.path(), &with(SAMPLE, &["--latents", "x.npy"]), 1, &["x.npy"]);
    }
    refused(folder.path(), &with(SAMPLE, &["--latents", "absent.npy"]), 1, &["absent.npy"]);
    npy(&file, "<f4", false, "(1, 3, 8, 8)", &good);
    let two = ["sample", "--model", "model", "--count", "2", "--latents", "x.npy"];
    refused(folder.path(), &two, 2, &["--count", "at most 1"]);
    refused(
        folder.path(),
        &with(&two[..3], &["--latents", "x.npy", "--first", "1"]),
        2,
        &["--first: 1: expected at most 0, as x.npy has 1"],
    );
    refused(folder.path(), &["interpolate", "--model", "model", "--latents", "x.npy"], 2, &["1 latents"]);
    npy(&file, "<f4", false, "(2, 3, 8, 8)", &[0; 2 * 3 * 64 * 4]);
    refused(folder.path(), &["interpolate", "--model", "model", "--latents", "x.npy"], 2, &["zero"]);
}

#[test]
fn images() {
    let folder = with_model("ddpm");
    let path = |name: &str| folder.path().join(name);
    image::RgbImage::from_pixel(9, 8, image::Rgb([1, 2, 3])).save(path("wide.png")).unwrap();
    image::RgbaImage::from_pixel(8, 8, image::Rgba([1, 2, 3, 7])).save(path("clear.png")).unwrap();
    image::RgbImage::from_pixel(8, 8, image::Rgb([1, 2, 3])).save(path("good.png")).unwrap();
    fs::write(path("text.png"), "this is text").unwrap();
    fs::write(path("empty.png"), "").unwrap();
    let whole = fs::read(path("good.png")).unwrap();
    fs::write(path("cut.png"), &whole[..whole.len() - 20]).unwrap();
    fs::create_dir(path("folder")).unwrap();
    let encode = |input: &'static str| ["encode", "--model", "model", "--steps", "1", "--input", input, "--save-npy", "x.npy"];
    for (input, words) in [
        ("wide.png", ["wide.png", "9 x 8", "expected 8 x 8"]),
        ("clear.png", ["clear.png", "transparent", "opaque"]),
        ("text.png", ["text.png", "not an image", ""]),
        ("empty.png", ["empty.png", "not an image", ""]),
        ("cut.png", ["cut.png", "broken", ""]),
        ("folder", ["folder", "no images", ""]),
        ("absent.png", ["absent.png", "", ""]),
    ] {
        refused(folder.path(), &encode(input), 1, &words);
    }
    let gray = with_model("scale_shift");
    image::RgbImage::from_pixel(8, 8, image::Rgb([1, 2, 3])).save(gray.path().join("red.png")).unwrap();
    refused(gray.path(), &encode("red.png"), 1, &["red.png", "in colour"]);
    let two = with_model("not_square");
    image::GrayImage::new(8, 8).save(two.path().join("gray.png")).unwrap();
    // Gray, and opaque.
    assert_eq!(ddim(two.path(), &encode("gray.png")).code, 1, "8 x 8 is not its size");
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = with_model("ddpm");
    fs::write(folder.path().join("file"), "kept").unwrap();
    for (flag, path, word) in [
        ("--grid", "absent/grid.png", "absent/grid.png"),
        ("--grid", "file/grid.png", "file/grid.png"),
        ("--grid", "model", "a folder"),
        ("--save-npy", "absent/x.npy", "absent/x.npy"),
        ("--out", "file", "file"),
        ("--out", "file/below", "file/below"),
        ("--trace", "file", "file"),
        ("--animate", "absent/a.gif", "absent/a.gif"),
    ] {
        refused(folder.path(), &with(SAMPLE, &[flag, path]), 1, &[word]);
        let said = ddim(folder.path(), &with(SAMPLE, &[flag, path])).stderr;
        assert!(!said.contains(".ddim-"), "names what is nobody's: {said}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "kept");
    for name in ["a.webp", "a", ".gif"] {
        let words = ["--animate: ", name, "expected a name that ends in .gif or .png"];
        refused(folder.path(), &with(SAMPLE, &["--animate", name]), 2, &words);
        refused(folder.path(), &["interpolate", "--model", "model", "--steps", "1", "--animate", name], 2, &words);
    }
    // The file system itself refuses, whoever runs this.
    if Path::new("/proc/self").exists() {
        refused(folder.path(), &with(SAMPLE, &["--grid", "/proc/grid.png"]), 1, &["/proc/grid.png", "cannot be written"]);
    }
}

/// One file for two things would lose one of them.
#[test]
fn outputs_are_not_each_other_nor_inputs() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    pictures(&dir.join("x.npy"), 2, 16, 7);
    fs::write(dir.join("a.npz"), Statistics { count: 3, mean: vec![0.5], covariance: vec![1.0] }.to_npz()).unwrap();
    let kept = [fs::read(dir.join("x.npy")).unwrap(), fs::read(dir.join("a.npz")).unwrap()];
    let here = ["--model", "model", "--steps", "1", "-q"];
    // What is called a JPEG and is a PNG, some programs do not open.
    refused(dir, &[&["sample", "--grid", "x.JPG"], &here[..]].concat(), 2, &["--grid: x.JPG", "a PNG", ".png"]);
    for (args, words) in [
        (&["sample", "--grid", "a.png", "--save-npy", "./a.png"][..], ["--save-npy: ", "also written by --grid"]),
        (&["sample", "--grid", "a.png", "--animate", "model/../a.png"], ["--animate: ", "also written by --grid"]),
        (&["sample", "--latents", "x.npy", "--save-npy", "x.npy"], ["--save-npy: ", "is read by --latents"]),
        (&["interpolate", "--grid", "a.png", "--animate", "a.png"], ["--animate: ", "also written by --grid"]),
        (&["sample", "--out", "o", "--grid", "./o/00000.png"], ["--grid: ", "named like the files that --out writes in o"]),
        (&["sample", "--trace", "o", "--save-npy", "o/x_final.npy"], ["--save-npy: ", "named like the files that --trace writes in o"]),
        (&["encode", "--input", "x.npy", "--save-npy", "x.npy"], ["--save-npy: ", "is read by --input"]),
        (&["reconstruct", "--input", "x.npy", "--grid", "x.npy"], ["--grid: ", "is read by --input"]),
        (&["nll", "--data", "x.png", "--plot", "x.png"], ["--plot: ", "is read by --data"]),
    ] {
        refused(dir, &with(args, &here), 2, &words);
    }
    refused(dir, &["fid", "a.npz", "--save-stats", "a.npz", "-q"], 2, &["--save-stats: ", "is read by A"]);
    assert!(kept == [fs::read(dir.join("x.npy")).unwrap(), fs::read(dir.join("a.npz")).unwrap()]);
    // The images of a folder are inputs, and a folder that is made may take more than its images.
    fs::create_dir(dir.join("real")).unwrap();
    fs::copy(root().join("conformance/fashion_test/00.png"), dir.join("real/0.png")).unwrap();
    for verb in
        [&["encode", "--input", "real", "--save-npy", "real/0.png"][..], &["reconstruct", "--input", "real", "--grid", "./real/0.png"]]
    {
        refused(dir, &with(verb, &["--model", "fashion", "--steps", "1", "-q"]), 2, &["lies in real, which --input reads"]);
    }
    // So is a file of classes, and a scheduler.
    fs::write(dir.join("classes.txt"), "Sneaker\n").unwrap();
    for file in ["--classes", "--scheduler"] {
        let sample =
            ["sample", "--model", "fashion", "--count", "1", "--steps", "1", "-q", file, "classes.txt", "--save-npy", "classes.txt"];
        refused(dir, &sample, 2, &["--save-npy", &format!("is read by {file}")]);
    }
    assert_eq!(fs::read_to_string(dir.join("classes.txt")).unwrap(), "Sneaker\n");
    ok(dir, &with(SAMPLE, &["--out", "made", "--grid", "made/grid.png"]));
    ok(dir, &with(SAMPLE, &["--out", "made", "--grid", "made/grid.png"]));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("later.npy", dir.join("link.npy")).unwrap();
        refused(dir, &with(SAMPLE, &["--save-npy", "link.npy", "--grid", "later.npy"]), 2, &["--save-npy: ", "also written by --grid"]);
        // What is no file takes anything; this standard output is a pipe.
        ok(dir, &with(SAMPLE, &["--save-npy", "/dev/null", "--grid", "/dev/null"]));
        let run = Command::cargo_bin("ddim").unwrap().current_dir(dir).args(with(SAMPLE, &["--save-npy", "/dev/stdout"])).output().unwrap();
        assert!(run.status.success() && run.stdout.starts_with(b"\x93NUMPY"), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let folder = with_model("ddpm");
    for args in [&["info", "model"][..], &["--help"], &with(SAMPLE, &["--json", "--grid", "g.png"])] {
        let mut command = std::process::Command::cargo_bin("ddim").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.current_dir(folder.path()).args(args).stdout(writer).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
    assert!(folder.path().join("g.png").exists());
}

#[test]
fn numbers_below_zero_are_refused_by_the_name_of_their_flag() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    for (verb, flag) in [
        ("sample", "--steps"),
        ("sample", "--count"),
        ("sample", "--guidance-rescale"),
        ("consistency", "--steps"),
        ("sweep", "--count"),
        ("train", "--batch-size"),
        ("bench", "--batch"),
    ] {
        refused(dir, &[verb, flag, "-1"], 2, &[flag, "-1"]);
    }
    // In words that say what to write.
    for (flag, value, expected) in [
        ("--count", "-1", "expected a whole number, 0 or more"),
        ("--count", "", "expected a whole number, 0 or more"),
        ("--seed", "99999999999999999999", "expected a smaller number"),
        ("--guidance", "1,2", "expected a number"),
    ] {
        refused(dir, &["sample", flag, value], 2, &[flag, value, expected]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_said() {
    for args in [&["--help"][..], &["sample", "--help"], &["--version"], &["help", "sweep"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::cargo_bin("ddim").unwrap().args(args).stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.starts_with("error: standard output: "), "{args:?}: {error}");
    }
}

/// Killed at any moment, a run leaves its outputs absent or whole.
#[cfg(unix)]
#[test]
fn a_killed_run_leaves_no_partial_output() {
    let folder = with_model("ddpm");
    let args =
        ["sample", "--model", "model", "--count", "64", "--steps", "20", "-q", "--out", "images", "--grid", "g.png", "--save-npy", "x.npy"];
    for delay in [0, 5, 20, 40, 80, 150, 250, 400] {
        let mut command = std::process::Command::cargo_bin("ddim").unwrap();
        let mut child = command.current_dir(folder.path()).args(args).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        for path in listing(folder.path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(".ddim-") {
                continue; // the temporary file of the killed run
            }
            match path.extension().and_then(|e| e.to_str()) {
                Some("png") => drop(image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))),
                Some("npy") => assert_eq!(common::floats(&path).len(), 64 * 3 * 64),
                _ => {}
            }
        }
    }
    assert_eq!(ddim(folder.path(), &args).code, 0);
}

#[test]
fn benches_that_make_no_sense() {
    let folder = with_model("ddpm");
    for (more, words) in [
        (&["--preset", "ddpm-mnist"][..], &["--preset", "ddpm-mnist", "ddpm-cifar10, ddpm-celeba64, ddpm-lsun256"][..]),
        (&["--batch", "0"], &["--batch", "0", "1 to 4096"]),
        (&["--batch", "some"], &["--batch", "some"]),
        (&["--threads", "0"], &["--threads", "0", "1 to 1024"]),
        (&["--model", "model", "--preset", "ddpm-cifar10"], &["--preset", "--model"]),
    ] {
        refused(folder.path(), &with(&["bench"], more), 2, words);
    }
    refused(folder.path(), &["bench", "--model", "nowhere"], 1, &["nowhere", "no such folder"]);
}
