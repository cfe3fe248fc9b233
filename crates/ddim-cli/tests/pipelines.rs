//! Pipelines as others leave them: what diffusers loads, loads here.

mod common;

use common::{CONFIG, SAFETENSORS, SCHEDULER, copy, ddim, edit, floats, npy, ok, refused, root, with_model};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SAMPLE: &[&str] = &["sample", "--model", "model", "--count", "1", "--steps", "2", "--save-npy", "x.npy", "-q"];

/// [`SAMPLE`] with more flags, which may name another model.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let base = SAMPLE.iter().copied().filter(|arg| !(more.contains(&"--model") && ["--model", "model"].contains(arg)));
    base.chain(more.iter().copied()).collect()
}

/// A tensor of a safetensors file.
#[derive(Clone)]
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

type Arrays = BTreeMap<String, Array>;

fn read(path: &Path) -> Arrays {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let array = |view: &TensorView<'_>| Array { dtype: view.dtype(), shape: view.shape().to_vec(), data: view.data().to_vec() };
    file.iter().map(|(name, view)| (name.to_owned(), array(&view))).collect()
}

fn write(path: &Path, arrays: &Arrays) {
    let views = arrays.iter().map(|(name, a)| (name.as_str(), TensorView::new(a.dtype, a.shape.clone(), &a.data).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The first `n` of what lies along an axis, or zeros after it.
fn resized(a: &Array, axis: usize, n: usize) -> Array {
    let size = a.data.len() / a.shape.iter().product::<usize>();
    let inner: usize = size * a.shape[axis + 1..].iter().product::<usize>();
    let rows = a.data.chunks(inner * a.shape[axis]);
    let data = rows.flat_map(|row| {
        let mut row = row.to_vec();
        row.resize(n * inner, 0);
        row
    });
    let mut shape = a.shape.clone();
    shape[axis] = n;
    Array { dtype: a.dtype, shape, data: data.collect() }
}

fn sampled(dir: &Path, more: &[&str]) -> Vec<f32> {
    ok(dir, &with(more));
    floats(&dir.join("x.npy"))
}

fn info(dir: &Path, model: &str) -> Value {
    serde_json::from_str(&ok(dir, &["info", model, "--json"]).stdout).unwrap()
}

fn rename(dir: &Path, from: &str, to: &str) {
    fs::rename(dir.join(from), dir.join(to)).unwrap();
}

/// Everything that two converted copies hold but their times.
fn same_weights(a: &Path, b: &Path) -> bool {
    let file = "unet/diffusion_pytorch_model.safetensors";
    fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap()
}

#[test]
fn schedulers_of_other_classes() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let path = dir.join(SCHEDULER);
    let betas = r#""beta_start": 0.0002, "beta_end": 0.03, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000"#;
    fs::write(&path, format!(r#"{{"_class_name": "DDIMScheduler", {betas}}}"#)).unwrap();
    let expected = sampled(dir, &[]);
    for (class, more) in [
        ("PNDMScheduler", r#""skip_prk_steps": true"#),
        ("DPMSolverMultistepScheduler", r#""lambda_min_clipped": -Infinity, "variance_type": null"#),
        ("DPMSolverSinglestepScheduler", r#""lambda_min_clipped":-Infinity"#),
        ("EulerDiscreteScheduler", r#""sigma_max": Infinity, "note": "NaN, \"-Infinity\"""#),
        ("EulerAncestralDiscreteScheduler", r#""x": [NaN, [-Infinity]]"#),
        ("UniPCMultistepScheduler", r#""solver_order": 2"#),
        ("LMSDiscreteScheduler", r#""tensor_format": "pt""#),
        ("HeunDiscreteScheduler", r#""use_karras_sigmas": true"#),
        ("DEISMultistepScheduler", r#""algorithm_type": "deis""#),
        ("KDPM2DiscreteScheduler", r#""prediction_type": "epsilon""#),
        ("DDIMInverseScheduler", r#""set_alpha_to_zero": true"#),
        ("DDPMScheduler", r#""variance_type": "fixed_small""#),
        ("NobodysScheduler", r#""its_own": {"a": Infinity}"#),
    ] {
        fs::write(&path, format!(r#"{{"_class_name": "{class}", {betas}, {more}}}"#)).unwrap();
        assert_eq!(sampled(dir, &[]), expected, "{class}");
        assert_eq!(info(dir, "model")["scheduler_class"], class);
    }
    // The copy is DDIM's, whatever it was.
    ok(dir, &["convert", "model", "copy"]);
    assert_eq!(info(dir, "copy")["scheduler"]["_class_name"], "DDIMScheduler");
    assert_eq!(sampled(dir, &["--model", "copy"]), expected);
    for (keys, words) in [
        (r#""_class_name": "FlowMatchEulerDiscreteScheduler""#, ["_class_name", "flow matching"]),
        (r#""_class_name": "EDMEulerScheduler""#, ["_class_name", "sigmas"]),
        (r#""_class_name": "ScoreSdeVeScheduler""#, ["_class_name", "sigmas"]),
        (r#""_class_name": "CMStochasticIterativeScheduler""#, ["_class_name", "sigmas"]),
        (r#""_class_name": "NobodysScheduler""#, ["_class_name", "NobodysScheduler"]),
        (r#""_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": true"#, ["use_flow_sigmas", "flow matching"]),
        (r#""_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous""#, ["timestep_type", "sigmas"]),
        (r#""_class_name": "PNDMScheduler", "beta_end": NaN"#, ["beta_end", "NaN"]),
        (r#""_class_name": "PNDMScheduler", "beta_schedule": "exp""#, ["beta_schedule", "squaredcos_cap_v2"]),
    ] {
        fs::write(&path, format!("{{{keys}}}")).unwrap();
        refused(dir, SAMPLE, 1, &[&["scheduler_config.json"], &words[..]].concat());
    }
    // Python's constants in the network's config as well.
    fs::remove_file(&path).unwrap();
    let text = fs::read_to_string(dir.join(CONFIG)).unwrap().replacen('{', r#"{"ema_min": -Infinity, "#, 1);
    fs::write(dir.join(CONFIG), text).unwrap();
    fs::write(&path, format!(r#"{{"_class_name": "DDIMScheduler", {betas}}}"#)).unwrap();
    assert_eq!(sampled(dir, &[]), expected);
}

#[test]
fn variants() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let expected = sampled(dir, &[]);
    let name = |variant: &str| format!("model/unet/diffusion_pytorch_model{variant}.safetensors");
    let mut at = name("");
    for variant in [".fp16", ".ema", ".my.own", ".non_ema"] {
        rename(dir, &at, &name(variant));
        at = name(variant);
        assert_eq!(sampled(dir, &[]), expected, "{variant}");
        assert_eq!(info(dir, "model")["weights"], at);
        assert_eq!(info(dir, "model")["notes"], json!([]));
    }
    // Among several the precise one, with a word; and the plain one above all.
    for other in [".fp16", ".bf16"] {
        fs::write(dir.join(name(other)), "not read").unwrap();
    }
    rename(dir, &at, &name(".fp32"));
    let found = info(dir, "model");
    assert_eq!(found["weights"], name(".fp32"));
    assert!(found["notes"][0].as_str().unwrap().contains("fp32 of bf16, fp16, fp32"), "{found}");
    assert!(ok(dir, SAMPLE).stderr.starts_with("note: "));
    rename(dir, &name(".fp32"), &name(""));
    assert_eq!(info(dir, "model")["weights"], name(""));
    assert!(ok(dir, SAMPLE).stderr.is_empty());
    // Under another name altogether: what was found.
    for gone in [name(".fp16"), name(".bf16")] {
        fs::remove_file(dir.join(gone)).unwrap();
    }
    rename(dir, &name(""), "model/unet/model.safetensors");
    refused(dir, SAMPLE, 1, &["diffusion_pytorch_model.safetensors", "not found", "found model.safetensors"]);
}

#[test]
fn shards() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let expected = sampled(dir, &[]);
    let all = read(&dir.join(SAFETENSORS));
    fs::remove_file(dir.join(SAFETENSORS)).unwrap();
    let unet = dir.join("model/unet");
    let shard = |i: usize| format!("diffusion_pytorch_model-0000{i}-of-00003.safetensors");
    let mut map = serde_json::Map::new();
    for i in 1..=3 {
        let part: Arrays = all.iter().enumerate().filter(|(at, _)| at % 3 == i - 1).map(|(_, (n, a))| (n.clone(), a.clone())).collect();
        map.extend(part.keys().map(|name| (name.clone(), json!(shard(i)))));
        write(&unet.join(shard(i)), &part);
    }
    let index = |name: &str, map: &Value| {
        fs::write(unet.join(name), json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()).unwrap();
    };
    let plain = "diffusion_pytorch_model.safetensors.index.json";
    for name in ["diffusion_pytorch_model.safetensors.index.fp16.json", "diffusion_pytorch_model.safetensors.fp16.index.json", plain] {
        index(name, &json!(map));
        assert_eq!(sampled(dir, &[]), expected, "{name}");
        assert!(info(dir, "model")["weights"].as_str().unwrap().ends_with(name));
        fs::remove_file(unet.join(name)).unwrap();
    }
    let first = all.keys().next().unwrap();
    for (file, word) in [
        ("../unet/diffusion_pytorch_model-00001-of-00003.safetensors", "expected the name of a file beside it"),
        ("/etc/passwd", "expected the name of a file beside it"),
        ("..", "expected the name of a file beside it"),
        ("", "expected the name of a file beside it"),
        ("diffusion_pytorch_model-00009-of-00003.safetensors", "00009-of-00003.safetensors: not found: a shard listed in"),
        (&shard(2), first),
    ] {
        let mut map = map.clone();
        map.insert(first.clone(), json!(file));
        index(plain, &json!(map));
        refused(dir, SAMPLE, 1, &[word]);
    }
    for map in [json!({}), json!([]), json!({"a": 1})] {
        index(plain, &map);
        refused(dir, SAMPLE, 1, &["index.json", "weight_map"]);
    }
    index(plain, &json!(map));
    fs::remove_file(unet.join(shard(3))).unwrap();
    refused(dir, SAMPLE, 1, &[&shard(3), "not found"]);
}

#[test]
fn other_numbers_and_names() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let path = dir.join(SAFETENSORS);
    let expected = sampled(dir, &[]);
    let all = read(&path);
    let double = |a: &Array| {
        let data = a.data.chunks(4).flat_map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())).to_le_bytes());
        Array { dtype: Dtype::F64, shape: a.shape.clone(), data: data.collect() }
    };
    let mut doubles: Arrays = all.iter().map(|(name, a)| (name.clone(), double(a))).collect();
    write(&path, &doubles);
    assert_eq!(sampled(dir, &[]), expected);
    doubles.get_mut("conv_in.bias").unwrap().data[..8].copy_from_slice(&1e300f64.to_le_bytes());
    write(&path, &doubles);
    refused(dir, SAMPLE, 1, &["conv_in.bias", "1e300"]);

    let named = |prefix: &str| all.iter().map(|(name, a)| (format!("{prefix}{name}"), a.clone())).collect::<Arrays>();
    for prefix in ["module.", "_orig_mod.", "model.", "unet.", "module._orig_mod."] {
        write(&path, &named(prefix));
        assert_eq!(sampled(dir, &[]), expected, "{prefix}");
    }
    // The average, and those themselves, of a trainer that has both; and what is beside them.
    let mut both = named("ema_model.");
    both.extend(named("online_model.").into_iter().map(|(name, a)| (name, Array { data: vec![0; a.data.len()], ..a })));
    both.insert("betas".into(), all["conv_in.bias"].clone());
    both.insert("step".into(), Array { dtype: Dtype::I64, shape: vec![1], data: vec![0; 8] });
    write(&path, &both);
    assert_eq!(sampled(dir, &[]), expected);
    assert!(ok(dir, SAMPLE).stderr.contains(": using the averaged weights, ema_model."));
    let mut two = named("a.");
    two.extend(named("b."));
    write(&path, &two);
    refused(dir, SAMPLE, 1, &["several networks", "a., b."]);

    for (text, word) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("<!DOCTYPE html><html><body>401</body></html>", "a web page"),
        ("\n<?xml version=\"1.0\"?><Error/>", "a web page"),
        ("Entry not found", "not a complete safetensors file"),
    ] {
        fs::write(&path, text).unwrap();
        refused(dir, SAMPLE, 1, &["diffusion_pytorch_model.safetensors", word]);
        let bin = dir.join("model/unet/diffusion_pytorch_model.bin");
        fs::rename(&path, &bin).unwrap();
        let word = if word.starts_with("not") { "neither safetensors, nor a zip archive" } else { word };
        refused(dir, SAMPLE, 1, &["diffusion_pytorch_model.bin", word]);
        refused(dir, &["convert", bin.to_str().unwrap(), "out"], 1, &["diffusion_pytorch_model.bin", word]);
        fs::remove_file(&bin).unwrap();
    }
}

#[test]
fn networks_without_a_scheduler() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    // What DDPM's default is, and another.
    fs::write(dir.join(SCHEDULER), r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
    let expected = sampled(dir, &[]);
    fs::write(dir.join("cosine.json"), r#"{"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2"}"#).unwrap();
    let cosine = sampled(dir, &["--scheduler", "cosine.json"]);
    assert_ne!(cosine, expected);

    // A part of a pipeline has the scheduler of the whole.
    copy(&dir.join("model"), &dir.join("whole"));
    fs::copy(dir.join("cosine.json"), dir.join("whole/scheduler/scheduler_config.json")).unwrap();
    let run = ok(dir, &with(&["--model", "whole/unet"]));
    assert!(run.stderr.contains("note: whole/unet: using the scheduler of the pipeline around it"), "{}", run.stderr);
    assert_eq!(floats(&dir.join("x.npy")), cosine);

    copy(&dir.join("model/unet"), &dir.join("alone"));
    let run = ok(dir, &with(&["--model", "alone"]));
    assert!(run.stderr.contains("note: alone: no scheduler: using DDPM's") && run.stderr.contains("--scheduler"), "{}", run.stderr);
    assert_eq!(floats(&dir.join("x.npy")), expected);
    assert!(ok(dir, &["info", "alone"]).stdout.contains("note        no scheduler"));
    for given in ["cosine.json", "whole", "whole/scheduler"] {
        let run = ok(dir, &with(&["--model", "alone", "--scheduler", given]));
        assert!(run.stderr.is_empty());
        assert_eq!(floats(&dir.join("x.npy")), cosine, "{given}");
    }
    refused(dir, &with(&["--scheduler", "absent.json"]), 1, &["absent.json"]);
    refused(dir, &with(&["--scheduler", CONFIG]), 1, &["config.json", "UNet2DModel"]);

    // accelerate's: the average is in another folder.
    copy(&dir.join("alone"), &dir.join("run/checkpoint-500/unet_ema"));
    copy(&dir.join("alone"), &dir.join("run/checkpoint-500/unet"));
    let raw = dir.join("run/checkpoint-500/unet/diffusion_pytorch_model.safetensors");
    let mut other = read(&raw);
    other.get_mut("conv_out.bias").unwrap().data.fill(0);
    write(&raw, &other);
    fs::write(dir.join("run/checkpoint-500/optimizer.bin"), "x").unwrap();
    let run = ok(dir, &with(&["--model", "run/checkpoint-500"]));
    assert!(run.stderr.contains(": using the averaged weights, run/checkpoint-500/unet_ema"), "{}", run.stderr);
    assert_eq!(floats(&dir.join("x.npy")), expected);
    assert_ne!(sampled(dir, &["--model", "run/checkpoint-500", "--raw"]), expected);
    refused(dir, &with(&["--model", "run"]), 1, &["run", "checkpoint-500"]);
    refused(dir, &with(&["--raw"]), 2, &["--raw", "one set of weights"]);
    fs::remove_dir_all(dir.join("run/checkpoint-500/unet_ema")).unwrap();
    assert_ne!(sampled(dir, &["--model", "run/checkpoint-500"]), expected);
    // The pipeline that the script saves at its end lies around its checkpoints.
    copy(&dir.join("whole/scheduler"), &dir.join("run/scheduler"));
    let run = ok(dir, &with(&["--model", "run/checkpoint-500"]));
    assert!(run.stderr.contains("run/scheduler/scheduler_config.json"), "{}", run.stderr);

    fs::create_dir_all(dir.join("empty")).unwrap();
    refused(dir, &with(&["--model", "empty"]), 1, &["empty/config.json", "not found", "model_index.json"]);
    fs::write(dir.join("empty/model.safetensors"), "x").unwrap();
    refused(dir, &with(&["--model", "empty"]), 1, &["model.safetensors is there"]);
    refused(dir, &with(&["--model", "empty/model.safetensors"]), 1, &["a file", "ddim convert"]);
}

#[cfg(unix)]
#[test]
fn the_hubs_cache() {
    use std::os::unix::fs::symlink;
    let folder = with_model("ddpm");
    let dir = folder.path();
    let expected = sampled(dir, &[]);
    let cache = dir.join("models--owner--name");
    let files = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"];
    fs::create_dir_all(cache.join("blobs")).unwrap();
    for snapshot in ["0ld", "4f00"] {
        for (i, file) in files.iter().enumerate() {
            let link = cache.join("snapshots").join(snapshot).join(file);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            let blob = cache.join("blobs").join(format!("{snapshot}{i}"));
            fs::copy(dir.join("model").join(file), &blob).unwrap();
            symlink(&blob, link).unwrap();
        }
    }
    let model = &["--model", "models--owner--name"];
    refused(dir, &with(model), 1, &["2 snapshots", "refs/main"]);
    fs::create_dir_all(cache.join("refs")).unwrap();
    fs::write(cache.join("refs/main"), "4f00\n").unwrap();
    assert_eq!(sampled(dir, model), expected);
    assert!(info(dir, "models--owner--name")["weights"].as_str().unwrap().contains("snapshots/4f00/unet/"));
    assert_eq!(sampled(dir, &["--model", "models--owner--name/snapshots/0ld"]), expected);
    fs::remove_file(cache.join("blobs/4f002")).unwrap();
    refused(dir, &with(model), 1, &["a broken link", "snapshots/4f00"]);
    fs::write(cache.join("refs/main"), "../../model").unwrap();
    refused(dir, &with(model), 1, &["refs/main"]);
    fs::remove_file(cache.join("refs/main")).unwrap();
    fs::remove_dir_all(cache.join("snapshots/4f00")).unwrap();
    assert_eq!(sampled(dir, model), expected);
}

#[test]
fn lone_files() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    ok(dir, &["convert", "model", "a"]);
    // With its config beside it, given, or neither.
    ok(dir, &["convert", SAFETENSORS, "b"]);
    assert!(same_weights(&dir.join("a"), &dir.join("b")));
    fs::copy(dir.join(SAFETENSORS), dir.join("lone.ckpt")).unwrap();
    refused(dir, &["convert", "lone.ckpt", "c"], 1, &["lone.ckpt", "config.json", "--config"]);
    let run = ok(dir, &["convert", "lone.ckpt", "c", "--config", CONFIG, "--size", "8x16"]);
    assert!(run.stderr.contains(": no scheduler"), "{}", run.stderr);
    assert!(same_weights(&dir.join("a"), &dir.join("c")));
    assert_eq!(info(dir, "c")["size"], json!([8, 16]));
    ok(dir, &["convert", "lone.ckpt", "d", "--config", "model", "--scheduler", "model"]);
    assert_eq!(info(dir, "d")["scheduler"], info(dir, "a")["scheduler"]);
    refused(dir, &["convert", "model", "e", "--config", CONFIG], 2, &["--config"]);
    refused(dir, &["convert", "model", "e", "--size", "7"], 2, &["--size", "7x7", "multiples of 2"]);
    refused(dir, &["convert", "model", "e", "--size", "0"], 2, &["--size"]);

    let authors = root().join("conformance/authors/model.ckpt");
    let authors = authors.to_str().unwrap();
    let average = ok(dir, &["convert", authors, "average"]);
    assert!(average.stderr.contains(": using the averaged weights"), "{}", average.stderr);
    assert!(ok(dir, &["convert", authors, "raw", "--raw"]).stderr.is_empty());
    assert!(!same_weights(&dir.join("average"), &dir.join("raw")));
    refused(dir, &["convert", "model/model_index.json", "f"], 1, &["model_index.json", "neither safetensors"]);
}

#[test]
fn what_half_precision_cannot_hold() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let path = dir.join(SAFETENSORS);
    let mut all = read(&path);
    all.get_mut("conv_in.weight").unwrap().data[4..8].copy_from_slice(&(-70000f32).to_le_bytes());
    write(&path, &all);
    refused(dir, &["convert", "model", "half", "--dtype", "f16"], 1, &["conv_in.weight", "-7e4", "f16", "6.5504e4"]);
    for dtype in ["f32", "bf16"] {
        ok(dir, &["convert", "model", dtype, "--dtype", dtype]);
    }
    // 65519 rounds to the largest, 65520 to infinity.
    for (value, fits) in [(65519f32, true), (65520f32, false)] {
        all.get_mut("conv_in.weight").unwrap().data[4..8].copy_from_slice(&value.to_le_bytes());
        write(&path, &all);
        let name = format!("half-{value}");
        if fits {
            ok(dir, &["convert", "model", &name, "--dtype", "f16"]);
        } else {
            refused(dir, &["convert", "model", &name, "--dtype", "f16"], 1, &["conv_in.weight", "6.552e4"]);
        }
    }
    all.get_mut("conv_in.weight").unwrap().data[4..8].copy_from_slice(&f32::MAX.to_le_bytes());
    write(&path, &all);
    refused(dir, &["convert", "model", "b", "--dtype", "bf16"], 1, &["conv_in.weight", "bf16"]);
}

/// A copy of the small model with so many channels: more are zero weights and biases.
fn with_channels(channels: usize) -> tempfile::TempDir {
    let folder = with_model("ddpm");
    let path = folder.path().join(SAFETENSORS);
    let mut all = read(&path);
    for (name, axis) in [("conv_in.weight", 1), ("conv_out.weight", 0), ("conv_out.bias", 0)] {
        let new = resized(&all[name], axis, channels);
        all.insert(name.into(), new);
    }
    write(&path, &all);
    edit(&folder.path().join(CONFIG), json!({"in_channels": channels, "out_channels": channels}));
    folder
}

#[test]
fn alpha() {
    for (channels, colour) in [(2, image::ColorType::La8), (4, image::ColorType::Rgba8)] {
        let folder = with_channels(channels);
        let dir = folder.path();
        let files = ["--grid", "g.png", "--out", "singles", "--animate", "a.gif"];
        ok(dir, &with(&files));
        let x = floats(&dir.join("x.npy"));
        let single = image::open(dir.join("singles/00000.png")).unwrap();
        assert_eq!(single.color(), colour);
        let alpha: Vec<u8> = single.to_rgba8().pixels().map(|p| p.0[3]).collect();
        let expected: Vec<u8> = x[(channels - 1) * 64..].iter().map(|v| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8).collect();
        assert!(alpha.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{channels}: {alpha:?} {expected:?}");
        let grid = image::open(dir.join("g.png")).unwrap();
        assert_eq!((grid.color(), grid.to_rgba8().get_pixel(0, 0).0), (colour, [255; 4]));
        ok(dir, &["consistency", "--model", "model", "--steps", "1,2", "--count", "1", "--grid", "c.png"]);
        assert_eq!(image::open(dir.join("c.png")).unwrap().color(), image::ColorType::Rgb8, "with labels, on paper");
        ok(dir, &["interpolate", "--model", "model", "--steps", "1", "--frames", "3", "--grid", "i.png", "--animate", "i.gif"]);
        image::RgbImage::new(8, 8).save(dir.join("in.png")).unwrap();
        ok(dir, &["encode", "--model", "model", "--input", "in.png", "--save-npy", "z.npy", "--steps", "1"]);
    }
    let folder = with_channels(5);
    refused(folder.path(), &["sample", "--model", "model", "--steps", "1"], 1, &["5 channels", "--save-npy"]);
}

#[test]
fn networks_that_predict_variances() {
    let folder = with_model("six_outputs");
    let dir = folder.path();
    edit(&dir.join(SCHEDULER), json!({"_class_name": "DDPMScheduler", "variance_type": "learned_range"}));
    let found = sampled(dir, &["--eta", "0.5"]);
    let said = ok(dir, &["info", "model"]).stdout;
    assert!(said.contains("epsilon, in the first 3 channels") && said.contains("variances"), "{said}");
    assert_eq!(info(dir, "model")["predicts_variances"], true);
    // The same as of a network without them.
    ok(dir, &["convert", "model", "copy"]);
    let index: Value = serde_json::from_str(&fs::read_to_string(dir.join("copy/model_index.json")).unwrap()).unwrap();
    assert_eq!((&index["_class_name"], &index["scheduler"][1]), (&json!("DDPMPipeline"), &json!("DDPMScheduler")));
    assert_eq!(info(dir, "copy")["scheduler"]["variance_type"], "learned_range");
    assert_eq!(sampled(dir, &["--eta", "0.5", "--model", "copy"]), found);
    let path = dir.join(SAFETENSORS);
    let mut all = read(&path);
    for name in ["conv_out.weight", "conv_out.bias"] {
        let first = resized(&all[name], 0, 3);
        all.insert(name.into(), first);
    }
    write(&path, &all);
    edit(&dir.join(CONFIG), json!({"out_channels": 3}));
    assert_eq!(sampled(dir, &["--eta", "0.5"]), found);
    // Neither the same nor twice as many.
    for name in ["conv_out.weight", "conv_out.bias"] {
        let four = resized(&all[name], 0, 4);
        all.insert(name.into(), four);
    }
    write(&path, &all);
    edit(&dir.join(CONFIG), json!({"out_channels": 4}));
    refused(dir, SAMPLE, 1, &["in_channels is 3", "out_channels 4"]);
}

#[test]
fn sizes() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let latents = |name: &str, shape: [usize; 4]| {
        let n: usize = shape.iter().product();
        let data: Vec<u8> = (0..n).flat_map(|i| ((i as f32 * 0.7).sin() * 1.4).to_le_bytes()).collect();
        let [n, c, h, w] = shape;
        npy(&dir.join(name), "<f4", false, &format!("({n}, {c}, {h}, {w})"), &data);
    };
    latents("x8.npy", [1, 3, 8, 8]);
    latents("x16.npy", [2, 3, 16, 16]);
    latents("wide.npy", [1, 3, 8, 24]);
    latents("odd.npy", [1, 3, 9, 8]);
    latents("gray.npy", [1, 1, 8, 8]);
    let shape = |file: &str| {
        let picture = image::open(dir.join(file)).unwrap();
        [picture.height(), picture.width()]
    };
    let own = sampled(dir, &["--latents", "x8.npy"]);
    for null in [false, true] {
        if null {
            edit(&dir.join(CONFIG), json!({"sample_size": 1}));
            let text = fs::read_to_string(dir.join(CONFIG)).unwrap().replace("\"sample_size\":1", "\"sample_size\":null");
            fs::write(dir.join(CONFIG), text).unwrap();
            refused(dir, SAMPLE, 2, &["--size is missing", "sample_size is null"]);
            refused(dir, &["encode", "--model", "model", "--input", "x8.npy", "--save-npy", "z.npy"], 2, &["--size is missing"]);
            assert!(ok(dir, &["info", "model"]).stdout.contains("any size"));
            refused(dir, &with(&["--latents", "odd.npy"]), 1, &["odd.npy", "multiples of 2"]);
        } else {
            refused(dir, &with(&["--latents", "odd.npy"]), 1, &["odd.npy", "[n, 3, 8, 8]", "multiples of 2"]);
        }
        assert_eq!(sampled(dir, &["--latents", "x8.npy"]), own);
        ok(dir, &["sample", "--model", "model", "--latents", "x16.npy", "--steps", "2", "--out", "o", "-q"]);
        assert_eq!(shape("o/00001.png"), [16, 16]);
        ok(dir, &["sample", "--model", "model", "--latents", "wide.npy", "--steps", "2", "--out", "wide", "-q"]);
        assert_eq!(shape("wide/00000.png"), [8, 24]);
        ok(
            dir,
            &["sample", "--model", "model", "--size", "8x16", "--count", "2", "--steps", "2", "--out", "sized", "--grid", "g.png", "-q"],
        );
        assert_eq!(shape("sized/00000.png"), [8, 16]);
        assert!(fs::read(dir.join("g.png")).unwrap().windows(12).any(|w| w == b" --size 8x16"));
        refused(dir, &with(&["--latents", "x8.npy", "--size", "16"]), 1, &["x8.npy", "[n, 3, 16, 16]"]);
        refused(dir, &with(&["--latents", "gray.npy"]), 1, &["gray.npy", "[n, 3, "]);
        refused(dir, &with(&["--size", "9"]), 2, &["--size", "9x9", "multiples of 2"]);
        refused(dir, &with(&["--size", "99999999"]), 2, &["--size", "16384"]);
        for wrong in ["0", "8x", "x8", "8x8x8", "-8", "eight"] {
            refused(dir, &with(&[&format!("--size={wrong}")]), 2, &["--size", "N or HxW"]);
        }
    }
    // The other verbs.
    image::RgbImage::from_pixel(16, 16, image::Rgb([9, 99, 200])).save(dir.join("in.png")).unwrap();
    let model = ["--model", "model", "--size", "16", "-q", "--steps", "2"];
    ok(dir, &[&["encode", "--input", "in.png", "--save-npy", "z.npy"], &model[..]].concat());
    assert_eq!(floats(&dir.join("z.npy")).len(), 3 * 256);
    ok(dir, &[&["reconstruct", "--input", "in.png", "--grid", "r.png"], &model[..]].concat());
    ok(dir, &[&["interpolate", "--frames", "2", "--save-npy", "i.npy"], &model[..]].concat());
    assert_eq!(floats(&dir.join("i.npy")).len(), 2 * 3 * 256);
    ok(dir, &["interpolate", "--model", "model", "--latents", "x16.npy", "--frames", "2", "--save-npy", "i.npy", "-q", "--steps", "2"]);
    assert_eq!(floats(&dir.join("i.npy")).len(), 2 * 3 * 256);
    ok(dir, &[&["consistency", "--count", "1", "--grid", "c.png"], &model[..]].concat());
    ok(dir, &["nll", "--data", "in.png", "--model", "model", "--size", "16", "--steps", "2", "-q"]);
}

#[test]
fn a_class_for_each_image() {
    let folder = with_model("learned_classes");
    let dir = folder.path();
    let draw = |count: &str, classes: &str, more: &[&str]| {
        let args = ["sample", "--model", "model", "--count", count, "--steps", "2", "--classes", classes, "--save-npy", "x.npy", "-q"];
        ok(dir, &[&args, more].concat());
        floats(&dir.join("x.npy"))
    };
    let image = |k: usize, class: usize| {
        let all = draw("6", &class.to_string(), &[]);
        all[k * all.len() / 6..(k + 1) * all.len() / 6].to_vec()
    };
    let expected = |labels: [usize; 6]| labels.iter().enumerate().flat_map(|(k, class)| image(k, *class)).collect::<Vec<f32>>();
    let listed = expected([0, 2, 4, 0, 2, 4]);
    assert_eq!(draw("6", "0,2,4", &[]), listed);
    for batch in ["1", "4"] {
        assert_eq!(draw("6", "0,2,4", &["--batch-size", batch]), listed);
    }
    assert_eq!(draw("2", "0,2,4", &[]), listed[..listed.len() / 3], "whatever the count");
    assert_eq!(draw("6", "each", &[]), expected([0, 1, 2, 3, 4, 0]));
    fs::write(dir.join("labels.txt"), "3\n 1\n1\r\n0\n2\n4\n").unwrap();
    assert_eq!(draw("6", "labels.txt", &["--batch-size", "4"]), expected([3, 1, 1, 0, 2, 4]));
    let random = draw("6", "random", &[]);
    assert_eq!(draw("6", "random", &["--batch-size", "1"]), random);
    assert_eq!(draw("3", "random", &[]), random[..random.len() / 2]);
    assert_ne!(random, expected([0; 6]));

    // Names, kept by a copy.
    fs::write(dir.join("model/classes.json"), r#"["cat", "dog", "cow", "hen", "3"]"#).unwrap();
    assert_eq!(draw("6", "cat,cow,4", &[]), listed);
    fs::write(dir.join("names.txt"), "hen\ndog\ndog\ncat\ncow\n4\n").unwrap();
    assert_eq!(draw("6", "names.txt", &[]), expected([3, 1, 1, 0, 2, 4]));
    ok(dir, &["convert", "model", "copy"]);
    let said = ok(dir, &["info", "copy"]).stdout;
    assert!(said.contains("5 classes") && said.contains("0 cat, 1 dog, 2 cow, 3 hen, 4 3"), "{said}");
    assert_eq!((&info(dir, "copy")["class_names"][1], &info(dir, "copy")["classes"]), (&json!("dog"), &json!(5)));
    let noted = ddim(dir, &["sample", "--model", "model", "--count", "1", "--steps", "1", "--classes", "3", "-q"]);
    assert!(noted.code == 0 && noted.stderr.contains("named 3 (number 4)"), "{}", noted.stderr);

    // What was drawn is with it.
    let out = ["--out", "o", "--grid", "g.png", "--json"];
    let run = ok(dir, &[&["sample", "--model", "model", "--count", "3", "--steps", "1", "--classes", "cat,cow", "-q"], &out[..]].concat());
    let object: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(object["classes"], json!([0, 2, 0]));
    let has = |file: &str, text: &str| fs::read(dir.join(file)).unwrap().windows(text.len()).any(|w| w == text.as_bytes());
    assert!(has("g.png", " --classes cat,cow") && has("o/00001.png", "image 1, class 2, cow"));

    // Every verb.
    let shape = image::open(dir.join("o/00000.png")).unwrap();
    image::GrayImage::from_pixel(shape.width(), shape.height(), image::Luma([99])).save(dir.join("o/00000.png")).unwrap();
    let model = ["--model", "model", "--classes", "cow,dog", "-q", "--steps", "2"];
    ok(dir, &[&["encode", "--input", "o", "--save-npy", "z.npy", "--batch-size", "2"], &model[..]].concat());
    let z = floats(&dir.join("z.npy"));
    ok(dir, &[&["encode", "--input", "o", "--save-npy", "z.npy", "--batch-size", "3"], &model[..]].concat());
    assert_eq!(floats(&dir.join("z.npy")), z);
    ok(dir, &[&["reconstruct", "--input", "o"], &model[..]].concat());
    ok(dir, &[&["interpolate", "--frames", "3", "--grid", "i.png"], &model[..]].concat());
    ok(dir, &[&["consistency", "--count", "3", "--grid", "c.png"], &model[..]].concat());
    let bits = |batch: &str| {
        let run = ok(dir, &[&["nll", "--data", "o", "--json", "--batch-size", batch], &model[..]].concat());
        serde_json::from_str::<Value>(&run.stdout).unwrap()["bounds"].clone()
    };
    assert_eq!(bits("1"), bits("3"));

    let base = ["sample", "--model", "model", "-q", "--steps", "1", "--classes"];
    for (value, code, words) in [
        ("0,5", 2, vec!["--classes", "\"5\"", "0 to 4", "cat, dog"]),
        ("horse", 2, vec!["--classes", "\"horse\"", "hen"]),
        ("", 2, vec!["--classes"]),
        ("0,,1", 2, vec!["--classes"]),
        ("-1", 2, vec!["--classes"]),
        ("bad.txt", 1, vec!["bad.txt", "line 2", "\"horse\""]),
        ("empty.txt", 1, vec!["empty.txt", "no classes"]),
    ] {
        fs::write(dir.join("bad.txt"), "cat\nhorse\n").unwrap();
        fs::write(dir.join("empty.txt"), "\n").unwrap();
        refused(dir, &[&base[..6], &[&format!("--classes={value}")]].concat(), code, &words);
    }
    refused(dir, &[&base[..], &["0", "--class", "1"]].concat(), 2, &["--class"]);
    for (text, word) in [("[1]", "classes.json"), (r#"{"a": 1}"#, "classes.json"), (r#"["a","b","c","d","e","f"]"#, "6 class names")] {
        fs::write(dir.join("model/classes.json"), text).unwrap();
        refused(dir, &[&base[..], &["0"]].concat(), 1, &[word]);
    }
    fs::remove_file(dir.join("model/classes.json")).unwrap();
    edit(&dir.join("model/model_index.json"), json!({"id2label": {"0": "tench, Tinca tinca", "1": "b", "2": "c", "3": "d", "4": "e"}}));
    assert_eq!(draw("6", "Tinca tinca,c,4", &[]), listed);
    edit(&dir.join("model/model_index.json"), json!({"id2label": {"0": "a", "2": "c"}}));
    refused(dir, &[&base[..], &["0"]].concat(), 1, &["model_index.json", "id2label"]);
}

#[test]
fn folders_with_other_meanings() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    // The name of a model that is built in: said where the folder is a model, not where it is pictures.
    fs::create_dir(dir.join("emoji")).unwrap();
    let args = ["sample", "--count", "1", "--steps", "1", "--save-npy", "x.npy", "-q"];
    assert!(ok(dir, &args).stderr.is_empty());
    fs::remove_dir(dir.join("emoji")).unwrap();
    rename(dir, "model", "emoji");
    let run = ok(dir, &args);
    assert!(run.stderr.contains("note: emoji") && run.stderr.contains("--model ./emoji"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    let built_in = floats(&dir.join("x.npy")).len();
    assert!(ok(dir, &[&args[..], &["--model", "./emoji"]].concat()).stderr.is_empty());
    assert_ne!(floats(&dir.join("x.npy")).len(), built_in);

    // A run that has not come far.
    fs::create_dir_all(dir.join("run/checkpoints")).unwrap();
    fs::write(dir.join("run/config.toml"), "steps = 1\n").unwrap();
    for verb in ["sample", "info", "convert"] {
        let args: &[&str] = match verb {
            "sample" => &["sample", "--model", "run"],
            "info" => &["info", "run"],
            _ => &["convert", "run", "out"],
        };
        refused(dir, args, 1, &["run", "a run without a checkpoint: expected"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_of_any_bytes() {
    use assert_cmd::cargo::CommandCargoExt;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = with_model("learned_classes");
    let dir = folder.path();
    let odd = |name: &[u8]| PathBuf::from(OsStr::from_bytes(name));
    fs::rename(dir.join("model"), dir.join(odd(b"caf\xe9"))).unwrap();
    fs::write(dir.join(odd(b"l\xff.txt")), "1\n2\n").unwrap();
    let run = |args: &[&[u8]]| {
        let mut command = std::process::Command::cargo_bin("ddim").unwrap();
        let output = command.current_dir(dir).args(args.iter().map(|arg| OsStr::from_bytes(arg))).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&[b"info", b"caf\xe9"]);
    run(&[b"info", b"caf\xe9", b"--json"]);
    run(&[
        b"sample",
        b"--model",
        b"caf\xe9",
        b"--count",
        b"2",
        b"--steps",
        b"1",
        b"--classes",
        b"l\xff.txt",
        b"--grid",
        b"g\xe9.png",
        b"--json",
    ]);
    run(&[
        b"interpolate",
        b"--model",
        b"caf\xe9",
        b"--frames",
        b"2",
        b"--steps",
        b"1",
        b"--class",
        b"1",
        b"--grid",
        b"g\xe9.png",
        b"--json",
    ]);
    run(&[
        b"consistency",
        b"--model",
        b"caf\xe9",
        b"--count",
        b"1",
        b"--steps",
        b"1",
        b"--class",
        b"1",
        b"--grid",
        b"g\xe9.png",
        b"--json",
    ]);
    run(&[b"convert", b"caf\xe9", b"copi\xe9", b"--json"]);
    run(&[b"bench", b"--model", b"copi\xe9", b"--batch", b"1", b"--json"]);
}
