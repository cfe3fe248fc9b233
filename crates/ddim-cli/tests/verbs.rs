//! The verbs of the real binary on small models and on the built-in one.

mod common;

use common::{ddim, floats, json, ok, refused, root, with_model};
use std::fs;
use std::io::BufReader;
use std::path::Path;

/// Determinism on the built-in model: the same bytes for any batch size and thread count, and image k does not depend on --count.
#[test]
fn same_seed_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sample = |count: &str, batch: &str, threads: &str, name: &str| {
        let (grid, npy) = (format!("{name}.png"), format!("{name}.npy"));
        let args = ["sample", "--count", count, "--steps", "3", "--eta", "0.5", "--seed", "9", "--batch-size", batch, "--threads", threads];
        ok(folder.path(), &[&args[..], &["--out", name, "--grid", &grid, "--save-npy", &npy, "-q"]].concat());
    };
    sample("64", "1", "1", "a");
    sample("64", "7", "2", "b");
    sample("64", "64", "2", "c");
    sample("64", "64", "1", "d");
    sample("8", "3", "2", "few");
    for other in ["b", "c", "d"] {
        for extension in ["png", "npy"] {
            let bytes = |name: &str| fs::read(path(&format!("{name}.{extension}"))).unwrap();
            assert!(bytes("a") == bytes(other), "{other}.{extension} differs");
        }
    }
    for k in 0..8 {
        let file = format!("{k:05}.png");
        assert!(fs::read(path("a").join(&file)).unwrap() == fs::read(path("few").join(&file)).unwrap(), "image {k}");
    }
    assert_eq!(floats(&path("a.npy"))[..8 * 3 * 1024], floats(&path("few.npy")));
}

#[test]
fn the_default_run_draws_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    let run = ok(folder.path(), &["sample", "--count", "4", "--steps", "2"]);
    assert!(run.stdout.contains("4 images of emoji in 2 steps") && run.stdout.contains("sample.png"), "{}", run.stdout);
    let grid = image::open(folder.path().join("sample.png")).unwrap();
    assert_eq!((grid.width(), grid.height()), (2 * 66 + 2, 2 * 66 + 2));
    let bytes = fs::read(folder.path().join("sample.png")).unwrap();
    // With the classes and the guidance that the model lists.
    let listed: serde_json::Value = serde_json::from_str(&fs::read_to_string(root().join("models/emoji/sampling.json")).unwrap()).unwrap();
    let (classes, guidance) = (listed["classes"].as_str().unwrap(), listed["guidance"].as_f64().unwrap());
    let caption = format!(
        "ddim sample --count 4 --model emoji --steps 2 --trajectory leading --eta 0 --seed 0 --classes {classes} --guidance {guidance}"
    );
    assert!(bytes.windows(caption.len()).any(|w| w == caption.as_bytes()), "{caption}");
}

/// Real test images of Fashion-MNIST: the error of encode -> decode falls with S (Table 2).
#[test]
fn reconstruction_improves_with_steps() {
    let folder = tempfile::tempdir().unwrap();
    let images = root().join("conformance/fashion_test");
    let args = [
        "reconstruct",
        "--model",
        "fashion",
        "--input",
        images.to_str().unwrap(),
        "--steps",
        "10,20,50",
        "--grid",
        "r.png",
        "--json",
        "-q",
    ];
    let object = json(&ok(folder.path(), &args));
    let mse: Vec<f64> = object["mse"].as_array().unwrap().iter().map(|row| row["mse"].as_f64().unwrap()).collect();
    assert_eq!((mse.len(), object["images"].as_u64()), (3, Some(16)));
    assert!(mse[0] < 0.05 && mse[1] < mse[0] / 1.5 && mse[2] < mse[1] / 1.5, "{mse:?}");
    // The originals, and for each S what was decoded and the difference; labels on the left.
    let picture = image::open(folder.path().join("r.png")).unwrap();
    assert!(picture.height() == 7 * 66 + 2 && picture.width() > 16 * 66 + 2 + 50, "{} x {}", picture.width(), picture.height());
}

#[test]
fn latents_of_encode_decode_with_sample() {
    let folder = tempfile::tempdir().unwrap();
    let images = root().join("conformance/fashion_test");
    let encode =
        ["encode", "--model", "fashion", "--input", images.to_str().unwrap(), "--save-npy", "x_T.npy", "--steps", "50", "--json", "-q"];
    let object = json(&ok(folder.path(), &encode));
    assert_eq!(object["inputs"].as_array().unwrap().len(), 16);
    // Below 1: what is black in all images has no noise of which the network could tell.
    assert!((0.5..1.1).contains(&object["latent_std"].as_f64().unwrap()), "{object}");
    ok(folder.path(), &["sample", "--model", "fashion", "--latents", "x_T.npy", "--steps", "50", "--no-clip", "--out", "again", "-q"]);
    let mut square = 0.0;
    for i in 0..16 {
        let original = image::open(images.join(format!("{i:02}.png"))).unwrap().to_luma8();
        let again = image::open(folder.path().join(format!("again/{i:05}.png"))).unwrap().to_luma8();
        square += original.iter().zip(again.iter()).map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / 255.0).powi(2)).sum::<f64>();
    }
    assert!(square / (16.0 * 1024.0) < 0.01, "{}", square / (16.0 * 1024.0));
}

/// One x_T, many τ: the same picture, where other latents give other pictures.
#[test]
fn a_latent_decides_its_picture() {
    let folder = tempfile::tempdir().unwrap();
    let run = ok(
        folder.path(),
        &["consistency", "--model", "fashion", "--count", "4", "--steps", "10, 20,50,100", "--grid", "c.png", "--json", "-q"],
    );
    let object = json(&run);
    let others = object["rms_between_latents"].as_f64().unwrap();
    let rms: Vec<f64> = object["rms_from_last"].as_array().unwrap().iter().map(|r| r["rms"].as_f64().unwrap()).collect();
    assert!(rms.iter().all(|r| *r < others / 3.0) && rms[3] == 0.0, "{rms:?}, {others}");
}

#[test]
fn interpolation_is_smooth_and_starts_at_its_ends() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let line = [
        "interpolate",
        "--model",
        "fashion",
        "--seeds",
        "0,7",
        "--frames",
        "9",
        "--steps",
        "20",
        "--save-npy",
        "line.npy",
        "--animate",
        "line.gif",
        "-q",
    ];
    ok(dir, &line);
    let end = ["sample", "--model", "fashion", "--classes", "none", "--seed", "7", "--count", "1", "--steps", "20"];
    ok(dir, &[&end[..], &["--save-npy", "end.npy", "-q"]].concat());
    let x = floats(&dir.join("line.npy"));
    let frames: Vec<&[f32]> = x.chunks(1024).collect();
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    assert!(distance(frames[8], &floats(&dir.join("end.npy"))) < 1e-2);
    let whole = distance(frames[0], frames[8]);
    assert!(frames.windows(2).all(|w| distance(w[0], w[1]) < 0.8 * whole), "a step as large as the whole way");
    ok(dir, &["interpolate", "--seeds", "1,2,3,4", "--rows", "2", "--cols", "3", "--steps", "1", "--grid", "g.png", "-q"]);
    assert_eq!(image::open(dir.join("g.png")).unwrap().width(), 3 * 66 + 2);

    // There and back, the gray levels as they are in the picture.
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut gif = options.read_info(fs::File::open(dir.join("line.gif")).unwrap()).unwrap();
    let mut delays = Vec::new();
    while let Some(frame) = gif.read_next_frame().unwrap() {
        let top = frame.buffer.chunks(4).map(|p| p[0]).max().unwrap();
        assert_eq!((frame.width, frame.height, top), (68, 68, 255), "the paper between pictures is white");
        delays.push(frame.delay);
    }
    assert_eq!(delays.len(), 16);
}

/// The ending of the name decides: PNG has the very pixels of a grid, as many frames as GIF, and a caption.
#[test]
fn animations_of_two_formats() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let sample = ["sample", "--model", "model", "--count", "3", "--steps", "4", "-q"];
    ok(dir, &[&sample[..], &["--animate", "a.gif"]].concat());
    ok(dir, &[&sample[..], &["--animate", "a.png", "--grid", "g.png"]].concat());
    assert_eq!(fs::read(dir.join("a.gif")).unwrap()[..6], *b"GIF89a");
    let mut reader = png::Decoder::new(BufReader::new(fs::File::open(dir.join("a.png")).unwrap())).read_info().unwrap();
    assert_eq!(reader.info().animation_control.unwrap().num_frames, 5);
    let caption = reader.info().utf8_text[0].get_text().unwrap();
    assert!(caption.starts_with("ddim sample --count 3 "), "{caption}");
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let mut delays = Vec::new();
    for _ in 0..5 {
        reader.next_frame(&mut pixels).unwrap();
        delays.push(reader.info().frame_control.unwrap().delay_num);
    }
    assert_eq!(delays, [40, 40, 40, 40, 150]);
    // On the left of the last frame, what came out.
    let grid = image::open(dir.join("g.png")).unwrap().to_rgb8();
    let (row, whole) = (3 * grid.width() as usize, 3 * reader.info().width as usize);
    assert!(pixels.chunks(whole).zip(grid.chunks(row)).all(|(frame, grid)| frame[..row] == *grid));
    ok(dir, &["interpolate", "--model", "model", "--steps", "1", "--frames", "3", "--animate", "i.PNG", "-q"]);
    let reader = png::Decoder::new(BufReader::new(fs::File::open(dir.join("i.PNG")).unwrap())).read_info().unwrap();
    assert_eq!(reader.info().animation_control.unwrap().num_frames, 4);
}

#[test]
fn traces_hold_every_step() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let args = ["sample", "--model", "model", "--count", "3", "--timesteps", "900, 500,20 ", "--trace", "t", "--save-npy", "x.npy", "-q"];
    ok(dir, &[&args[..], &["--batch-size", "2", "--animate", "a.gif"]].concat());
    let trace = dir.join("t");
    let mut names: Vec<_> = trace.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected =
        ["steps.json", "x_0_0020.npy", "x_0_0500.npy", "x_0_0900.npy", "x_final.npy", "x_t_0020.npy", "x_t_0500.npy", "x_t_0900.npy"];
    assert_eq!(names, expected);
    assert_eq!(floats(&trace.join("x_final.npy")), floats(&dir.join("x.npy")));
    // With η = 0 a later x_t continues to the same end.
    let args = ["sample", "--model", "model", "--latents", "t/x_t_0500.npy", "--timesteps", "500,20", "--save-npy", "y.npy", "-q"];
    ok(dir, &args);
    assert_eq!(floats(&dir.join("x.npy")), floats(&dir.join("y.npy")));
    let steps: serde_json::Value = serde_json::from_str(&fs::read_to_string(trace.join("steps.json")).unwrap()).unwrap();
    assert_eq!(steps["steps"][0]["timestep"], 900);
}

#[test]
fn conditional_networks_take_a_class() {
    for (model, classes) in [("learned_classes", ["0", "4"]), ("class_timestep", ["0", "7"])] {
        let folder = with_model(model);
        let sample = |class: &str, name: &str| {
            ok(folder.path(), &["sample", "--model", "model", "--count", "2", "--steps", "2", "--class", class, "--save-npy", name, "-q"]);
            floats(&folder.path().join(name))
        };
        assert_ne!(sample(classes[0], "a.npy"), sample(classes[1], "b.npy"), "{model}");
        for verb in ["sample", "interpolate", "consistency"] {
            ok(folder.path(), &[verb, "--model", "model", "--steps", "1", "--class", classes[1], "--grid", "g.png", "-q"]);
            let (bytes, flag) = (fs::read(folder.path().join("g.png")).unwrap(), format!(" --classes {}", classes[1]));
            assert!(bytes.windows(flag.len()).any(|w| w == flag.as_bytes()), "{verb}: the caption has{flag}");
        }
    }
}

/// Every golden pipeline that can be sampled from runs through the whole chain, pickles and f16 among them.
#[test]
fn small_models_of_many_kinds() {
    for model in ["ddpm", "scale_shift", "attn_norm_groups", "resnet_resampling", "one_block", "legacy_pickle", "f16", "bf16"] {
        let folder = with_model(model);
        let args = ["sample", "--model", "model", "--count", "2", "--steps", "3", "--trajectory", "trailing", "--eta", "1", "--json", "-q"];
        let object = json(&ok(folder.path(), &args));
        assert_eq!(object["timesteps"], serde_json::json!([999, 666, 332]), "{model}");
        assert_eq!(object["files"], serde_json::json!(["sample.png"]));
        ok(folder.path(), &["convert", "model", "copy", "--dtype", "f16"]);
        let info = json(&ok(folder.path(), &["info", "copy", "--json"]));
        assert!(info["parameters"].as_u64().unwrap() > 10_000);
    }
    // The first published pipelines keep everything in one folder, under DDPM's scheduler.
    let flat = with_model("legacy_pickle");
    let model = flat.path().join("model");
    for file in ["unet/config.json", "unet/diffusion_pytorch_model.bin", "scheduler/scheduler_config.json"] {
        fs::rename(model.join(file), model.join(file.split_once('/').unwrap().1)).unwrap();
    }
    fs::remove_dir(model.join("unet")).unwrap();
    fs::remove_dir(model.join("scheduler")).unwrap();
    common::edit(&model.join("scheduler_config.json"), serde_json::json!({"_class_name": "DDPMScheduler", "variance_type": "fixed_large"}));
    ok(flat.path(), &["sample", "--model", "model", "--count", "1", "--steps", "2", "-q"]);
    let fourier = with_model("fourier");
    ok(fourier.path(), &["sample", "--model", "model", "--count", "1", "--timesteps", "900,100", "-q"]);
}

#[test]
fn help_has_an_example_for_every_verb() {
    let here = Path::new(".");
    for verb in ["sample", "encode", "reconstruct", "interpolate", "consistency", "tune", "info", "convert"] {
        let run = ok(here, &[verb, "--help"]);
        assert!(run.stdout.contains("Examples:") && run.stdout.contains(&format!("ddim {verb}")), "{verb}");
    }
    assert!(ok(here, &["--version"]).stdout.starts_with("ddim 0."));
}

/// A solver is the default's step and more: the first of a run is the same, the same name the same bytes, whatever the batches.
#[test]
fn solvers_by_name() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let draw = |name: &str, more: &[&str]| -> Vec<u8> {
        let args = ["sample", "--model", "model", "--count", "5", "--save-npy", name, "-q"];
        ok(dir, &[&args[..], more].concat());
        fs::read(dir.join(name)).unwrap()
    };
    let steps = ["--steps", "6"];
    let ddim = draw("a.npy", &steps);
    assert!(draw("b.npy", &["--steps", "6", "--solver", "ddim"]) == ddim);
    for solver in ["ipndm", "dpmpp-2m", "unipc", "heun", "dpmpp-2m-sde"] {
        let more = ["--steps", "6", "--solver", solver];
        let whole = draw("c.npy", &more);
        assert!(whole != ddim, "{solver}");
        assert!(draw("d.npy", &[&more[..], &["--batch-size", "2", "--threads", "1"]].concat()) == whole, "{solver}");
        assert!(
            draw("e.npy", &["--steps", "1", "--solver", solver]) == draw("f.npy", &["--steps", "1"]),
            "{solver}: of one step there is nothing more to know"
        );
    }
    // Noise is for those that have a use for it.
    let noisy = draw("g.npy", &["--steps", "6", "--eta", "1", "--solver", "dpmpp-2m-sde"]);
    assert!(noisy != draw("h.npy", &["--steps", "6", "--eta", "1"]) && noisy != ddim);
    // It is among the settings of a set, and in the report.
    let args = ["sample", "--model", "model", "--count", "2", "--steps", "6", "-q", "--out", "set"];
    ok(dir, &[&args[..], &["--solver", "unipc"]].concat());
    refused(dir, &args, 1, &["set: ", "another command", "--solver unipc"]);
    let report = json(&ok(dir, &[&args[..], &["--solver", "unipc", "--json"]].concat()));
    assert_eq!(report["solver"], "unipc");
    for verb in
        [&["interpolate", "--frames", "3", "--grid", "i.png"][..], &["consistency", "--count", "1", "--steps", "2,4", "--grid", "c.png"]]
    {
        ok(dir, &[verb, &["--model", "model", "--solver", "dpmpp-2m", "-q"]].concat());
    }
}

/// Where a trajectory has fewer timesteps than were asked for, that is said.
#[test]
fn fewer_steps_than_were_asked_for() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    for (trajectory, fewer) in [("power:9", true), ("quadratic-full", true), ("trailing", false)] {
        let run = ddim(dir, &["sample", "--model", "model", "--count", "1", "--steps", "200", "--trajectory", trajectory, "--json", "-q"]);
        let steps = json(&run)["steps"].as_u64().unwrap();
        let note = format!("--steps 200: some timesteps of {trajectory} coincide, {steps} are left");
        assert!((steps < 200) == fewer && run.stderr.contains(&note) == fewer, "{trajectory}: {}", run.stderr);
    }
}

/// What is tuned is found again beside the model, by solver and S, whatever the batches and threads it was tuned with; what else is there stays.
#[test]
fn tuned_timesteps_are_those_that_sample_uses() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let small = ["--count", "6", "--held-out", "5", "--passes", "2", "--reference-steps", "20", "-q"];
    let tune = |more: &[&str]| json(&ok(dir, &[&["tune", "--model", "model", "--json"], &small[..], more].concat()));
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let report = tune(&["--steps", "3,4", "--solver", "ipndm,ddim"]);
    assert_eq!((report["command"].as_str(), report["tuned"].as_array().unwrap().len()), (Some("tune"), 4));
    assert_eq!(report["files"], serde_json::json!(["model/tuned.json"]));
    let whole = read("model/tuned.json");
    for entry in report["tuned"].as_array().unwrap() {
        assert!(entry["in_sample"][1].as_f64() <= entry["in_sample"][0].as_f64(), "{entry}");
        let (steps, solver) = (entry["steps"].to_string(), entry["solver"].as_str().unwrap());
        let args = ["sample", "--model", "model", "--count", "1", "--json", "--steps", &steps, "--solver", solver, "--save-npy", "x.npy"];
        let drawn = json(&ok(dir, &[&args[..], &["--trajectory", "tuned"]].concat()));
        assert_eq!(drawn["timesteps"], entry["timesteps"]);
        // The same by name and in full.
        let tuned = fs::read(dir.join("x.npy")).unwrap();
        let timesteps = entry["timesteps"].as_array().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        ok(
            dir,
            &["sample", "--model", "model", "--count", "1", "--solver", solver, "--save-npy", "y.npy", "--timesteps", &timesteps, "-q"],
        );
        assert!(tuned == fs::read(dir.join("y.npy")).unwrap());
    }
    // Those of ddim encode.
    ok(dir, &["encode", "--model", "model", "--input", "x.npy", "--steps", "3", "--trajectory", "tuned", "--save-npy", "z.npy", "-q"]);

    tune(&["--steps", "4,3", "--solver", "ddim,ipndm", "--batch-size", "4", "--threads", "1", "--out", "again.json"]);
    assert_eq!(read("again.json"), whole);
    tune(&["--steps", "5", "--solver", "unipc"]);
    let more = read("model/tuned.json");
    assert!(whole.lines().all(|line| more.contains(line.trim_end_matches(','))) && more.contains("\"unipc\""), "{more}");
    tune(&["--steps", "4", "--solver", "ipndm", "--seed", "1"]);
    let changed = read("model/tuned.json");
    assert_eq!(changed.lines().count(), more.lines().count());
    assert!(changed != more);
}

/// A copy of a model has its tuned timesteps, as long as it is the same model.
#[test]
fn a_converted_model_keeps_what_is_tuned_for_it() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let tuned = ["--count", "2", "--held-out", "2", "--passes", "1", "--reference-steps", "10", "--steps", "3", "--solver", "ddim", "-q"];
    ok(dir, &[&["tune", "--model", "model"], &tuned[..]].concat());
    let left_out = |run: &common::Run| run.stderr.contains("tuned.json is not copied");
    let copy = ok(dir, &["convert", "model", "copy"]);
    assert!(!left_out(&copy), "{}", copy.stderr);
    assert_eq!(fs::read(dir.join("copy/tuned.json")).unwrap(), fs::read(dir.join("model/tuned.json")).unwrap());
    ok(dir, &["sample", "--model", "copy", "--count", "1", "--steps", "3", "--solver", "ddim", "--trajectory", "tuned", "-q"]);
    // Rounded, or on another schedule.
    fs::write(dir.join("cosine.json"), r#"{"_class_name": "DDIMScheduler", "beta_schedule": "squaredcos_cap_v2"}"#).unwrap();
    for (destination, flags) in [("half", ["--dtype", "bf16"]), ("other", ["--scheduler", "cosine.json"])] {
        let made = ok(dir, &[&["convert", "model", destination], &flags[..]].concat());
        assert!(left_out(&made) && !dir.join(destination).join("tuned.json").exists(), "{flags:?}: {}", made.stderr);
    }
    fs::write(dir.join("model/tuned.json"), "[]").unwrap();
    assert!(left_out(&ok(dir, &["convert", "model", "again"])));
    // Built in: f16 is what the weights are.
    ok(dir, &["convert", "fashion", "garments", "--dtype", "f16"]);
    ok(dir, &["sample", "--model", "garments", "--count", "1", "--steps", "5", "--solver", "ddim", "--trajectory", "tuned", "-q"]);
}

/// The built-in models have theirs, for these weights.
#[test]
fn built_in_models_are_tuned() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["emoji", "fashion"] {
        for (solver, steps) in ["ddim", "ipndm", "unipc"].into_iter().flat_map(|solver| [(solver, "5"), (solver, "10")]) {
            let args = ["sample", "--model", model, "--count", "1", "--eta", "0", "--steps", steps, "--solver", solver];
            let drawn = json(&ok(folder.path(), &[&args[..], &["--trajectory", "tuned", "--save-npy", "x.npy", "--json"]].concat()));
            assert_eq!(drawn["timesteps"].as_array().unwrap().len().to_string(), steps, "{model} {solver}");
        }
    }
}

/// A folder of the same name is another model.
#[test]
fn trajectories_of_built_in_models_go_to_no_folder_of_their_name() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["emoji", "fashion", "cifar10"] {
        fs::create_dir(folder.path().join(model)).unwrap();
        refused(folder.path(), &["tune", "--model", model, "--steps", "2", "-q"], 2, &["--out is missing", model, "is built in"]);
        assert_eq!(fs::read_dir(folder.path().join(model)).unwrap().count(), 0, "{model}");
    }
}

#[test]
fn bench_reports_time_and_shares() {
    let folder = with_model("ddpm");
    for train in [false, true] {
        let mode = if train { "--train" } else { "--profile" };
        let run = ok(folder.path(), &["bench", "--model", "model", "--batch", "3", "--threads", "1", mode, "--json"]);
        let object = json(&run);
        assert_eq!(
            (object["command"].as_str(), object["batch"].as_u64(), object["train"].as_bool()),
            (Some("bench"), Some(3), Some(train))
        );
        for key in ["ms_per_image_step", "effective_gflops", "gflop_per_image_step"] {
            assert!(object[key].as_f64().unwrap() > 0.0, "{key}: {object}");
        }
        if cfg!(unix) {
            assert!(object["cpu_ms_per_image_step"].as_f64().unwrap() > 0.0 && object["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
        }
        if !train {
            let shares: Vec<f64> = object["profile"].as_array().unwrap().iter().map(|s| s["share"].as_f64().unwrap()).collect();
            assert!(shares.len() >= 5 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{object}");
        }
    }
    let run = ok(folder.path(), &["bench", "--model", "model", "--batch", "1", "--profile"]);
    assert!(run.stdout.contains("ms per image-step") && run.stdout.contains("group norm"), "{}", run.stdout);
}
