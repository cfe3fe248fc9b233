//! `ddim fid`, `sweep` and `nll` as a person runs them: equal sets, files both ways, kills at any moment, and bad input.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{ddim, listing, npy, ok, refused, root, with_model};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WEIGHTS: &str = "needs ../shared/weights/inception-fid.safetensors beside the project";

/// The flag that names the weights.
fn weights() -> String {
    let path = root().join("../shared/weights/inception-fid.safetensors");
    format!("--inception={}", path.canonicalize().expect(WEIGHTS).display())
}

fn json(run: &common::Run) -> serde_json::Value {
    assert_eq!(run.stdout.lines().count(), 1);
    serde_json::from_str(&run.stdout).unwrap()
}

/// `n` pictures of size² that look random, as a .npy of bytes.
fn pictures(path: &Path, n: usize, size: usize, seed: u32) {
    let bytes: Vec<u8> = (0..(n * size * size * 3) as u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    npy(path, "|u1", false, &format!("({n}, {size}, {size}, 3)"), &bytes);
}

#[test]
#[cfg_attr(not(inception_weights), ignore = "needs ../shared/weights/inception-fid.safetensors beside the project")]
fn distances_of_sets() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    let fashion = root().join("conformance/fashion_test");
    let fashion = fashion.to_str().unwrap();
    pictures(&dir.join("noise.npy"), 12, 32, 0);
    // A set is at no distance from itself, and noise is far from garments.
    let run = ok(dir, &["fid", fashion, fashion, &weights, "--json", "-q", "--save-stats", "fashion.npz"]);
    let same = json(&run);
    assert!(same["fid"].as_f64().unwrap().abs() < 1e-3 && same["count_a"] == 16 && same["precision"] == 1.0, "{same}");
    let far = json(&ok(dir, &["fid", "noise.npy", "fashion.npz", &weights, "--json", "-q"]));
    assert!(far["fid"].as_f64().unwrap() > 200.0 && far["kid"].is_null() && far["count_b"] == 16, "{far}");
    let both = json(&ok(dir, &["fid", "noise.npy", fashion, &weights, "--json", "-q"]));
    assert!((both["fid"].as_f64().unwrap() - far["fid"].as_f64().unwrap()).abs() < 1e-9 && both["recall"] == 0.0, "{both}");
    assert!(both["kid"].as_f64().unwrap() > 0.1);
    // Parts, put together.
    for i in 0..16 {
        let part = if i < 5 { "part" } else { "rest" };
        fs::create_dir_all(dir.join(part)).unwrap();
        fs::copy(Path::new(fashion).join(format!("{i:02}.png")), dir.join(part).join(format!("{i:02}.png"))).unwrap();
    }
    let run = ok(dir, &["fid", "part", "--also", "rest", "fashion.npz", &weights, "--json"]);
    let parts = json(&run);
    assert!(parts["fid"].as_f64().unwrap().abs() < 1e-3 && parts["count_a"] == 16, "{parts}");
    assert!(run.stderr.contains("warning: A has 16 images"), "{}", run.stderr);
    let text = ok(dir, &["fid", "part", "rest", &weights, "--size", "16", "-q"]).stdout;
    assert!(text.starts_with("FID ") && text.contains("5 images against 11 images") && text.contains("images/s"), "{text}");
}

const SWEEP: [&str; 14] = [
    "sweep",
    "--model",
    "model",
    "--reference",
    "real.npy",
    "--count",
    "70",
    "--steps",
    "2,3",
    "--eta",
    "0,hat",
    "--batch-size",
    "16",
    "-q",
];

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let all = listing(folder).into_iter().filter(|path| path.is_file());
    let named = all.map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), fs::read(path).unwrap()));
    // How long it took is another matter.
    named.filter(|(name, _)| name != "timings.json" && !name.starts_with("seconds.")).collect()
}

/// Ten kills at moments that fall anywhere: the same command goes on, repeats no image, and ends with the same bytes.
#[test]
#[cfg_attr(not(inception_weights), ignore = "needs ../shared/weights/inception-fid.safetensors beside the project")]
fn a_sweep_killed_at_any_moment() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    let weights = weights();
    pictures(&dir.join("real.npy"), 40, 16, 1);
    let with = |out: &'static str| SWEEP.iter().copied().chain(["--out", out, &weights]).map(str::to_owned).collect::<Vec<_>>();
    let whole = with("whole");
    let begin = Instant::now();
    let run = ok(dir, &whole.iter().map(String::as_str).collect::<Vec<_>>());
    let took = begin.elapsed();
    assert!(run.stdout.starts_with("| S | 2 | 3 |\n|---|---|---|\n| η = 0 |"), "{}", run.stdout);
    let (mut kills, mut moment) = (0, 1u64);
    loop {
        let mut child = Command::cargo_bin("ddim")
            .unwrap()
            .current_dir(dir)
            .args(with("killed"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if kills == 10 {
            assert!(child.wait().unwrap().success());
            break;
        }
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(300 + (moment >> 33) % (took.as_millis() as u64 / 5 + 1));
        let begin = Instant::now();
        while begin.elapsed() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let (whole, killed) = (files(&dir.join("whole")), files(&dir.join("killed")));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole), names(&killed));
    for ((name, a), (_, b)) in whole.iter().zip(&killed) {
        assert!(a == b, "{name} differs");
    }
    assert!(whole.iter().any(|(name, _)| name == "grid.png") && whole.iter().any(|(name, _)| name == "fid.svg"));

    // More cells in the same folder: what is there is not computed again.
    let begin = Instant::now();
    let more: Vec<String> = with("whole").into_iter().map(|arg| if arg == "2,3" { "2,3,4".to_owned() } else { arg }).collect();
    let object = json(&ok(dir, &[&more.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--json"]].concat()));
    assert_eq!(object["cells"].as_array().unwrap().len(), 6);
    assert!(begin.elapsed() < took, "{:?} for two cells of six, {took:?} for four", begin.elapsed());
    // Another sweep's folder.
    let other: Vec<&str> = more.iter().map(String::as_str).chain(["--seed", "5"]).collect();
    refused(dir, &other, 1, &["whole", "seed is 0 there and 5 here"]);
}

#[test]
fn bounds_on_pictures() {
    let folder = with_model("ddpm");
    let dir = folder.path();
    pictures(&dir.join("real.npy"), 5, 16, 1);
    let args = ["nll", "--model", "model", "--data", "real.npy", "--fit", "crop", "--steps", "5", "--plot", "nll.svg", "-q"];
    let object = json(&ok(dir, &[&args[..], &["--json"]].concat()));
    let bounds = object["bounds"].as_array().unwrap();
    assert_eq!((bounds.len(), object["images"].as_u64(), object["timesteps"].as_array().unwrap().len()), (3, Some(5), 5));
    let bits = bounds.iter().map(|b| b["bits_per_dim"].as_f64().unwrap());
    assert!(bits.clone().all(|b| b > 8.0), "an untrained network knows nothing of bytes: {:?}", bits.collect::<Vec<_>>());
    assert!(fs::read_to_string(dir.join("nll.svg")).unwrap().contains("L_simple"));
    let text = ok(dir, &args).stdout;
    assert!(text.contains("bits a dimension") && text.contains("L_simple"), "{text}");
    refused(dir, &["nll", "--model", "model", "--data", "real.npy", "--eta", "0"], 2, &["--eta", "above 0"]);
    refused(dir, &["nll", "--model", "model", "--data", "real.npy", "--plot", "a.pdf"], 2, &["--plot", "a.pdf", ".svg"]);
    refused(dir, &["nll", "--model", "model", "--data", "none", "--fit", "crop"], 1, &["none", "not found"]);
}

#[test]
fn bad_sets() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let fashion = root().join("conformance/fashion_test");
    fs::create_dir(dir.join("empty")).unwrap();
    fs::write(dir.join("empty/notes.txt"), "no image").unwrap();
    fs::create_dir(dir.join("mixed")).unwrap();
    fs::copy(fashion.join("00.png"), dir.join("mixed/0.png")).unwrap();
    image::RgbImage::new(9, 7).save(dir.join("mixed/1.png")).unwrap();
    fs::create_dir(dir.join("broken")).unwrap();
    fs::copy(fashion.join("00.png"), dir.join("broken/0.png")).unwrap();
    fs::write(dir.join("broken/1.png"), &fs::read(fashion.join("01.png")).unwrap()[..100]).unwrap();
    image::RgbaImage::from_pixel(8, 8, image::Rgba([9, 9, 9, 100])).save(dir.join("clear.png")).unwrap();
    fs::create_dir(dir.join("clear")).unwrap();
    fs::rename(dir.join("clear.png"), dir.join("clear/0.png")).unwrap();
    fs::copy(root().join("conformance/inception.npz"), dir.join("other.npz")).unwrap();
    fs::write(dir.join("text.npz"), "no archive").unwrap();
    pictures(&dir.join("one.npy"), 1, 8, 0);
    let few = ddim_eval::Statistics { count: 9, mean: vec![0.0; 5], covariance: vec![0.0; 25] };
    fs::write(dir.join("few.npz"), few.to_npz()).unwrap();
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["fid", "empty", "one.npy"], 1, &["empty", "no images"]),
        (&["fid", "nowhere", "one.npy"], 1, &["nowhere", "not found"]),
        (&["fid", "other.npz", "one.npy"], 1, &["other.npz", "coloured", "mu and sigma"]),
        (&["fid", "text.npz", "one.npy"], 1, &["text.npz", "not a .npz"]),
        (&["fid", "one.npy", "few.npz", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["fid", "few.npz", "--also", "one.npy", "one.npy", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["sweep", "--reference", "few.npz", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["fid", "one.npy"], 2, &["<B>"]),
        (&["fid", "one.npy", "one.npy", "--fit", "crop"], 2, &["--fit", "--size"]),
        (&["fid", "one.npy", "one.npy", "--size", "0"], 2, &["--size", "0"]),
        (&["fid", "one.npy", "one.npy", "--background", "blue"], 2, &["--background", "blue"]),
        (&["fid", "one.npy", "one.npy", "--inception", "none.safetensors", "-q"], 1, &["none.safetensors"]),
        (&["sweep", "--reference", "one.npy", "--eta", "2"], 2, &["--eta", "2", "hat"]),
        (&["sweep", "--reference", "one.npy", "--steps", "0"], 2, &["--steps", "0"]),
        (&["sweep", "--reference", "one.npy", "--steps", "5,5"], 2, &["twice"]),
        (&["sweep", "--reference", "one.npy", "--count", "1"], 2, &["--count", "1"]),
        (&["sweep", "--reference", "nowhere"], 1, &["nowhere", "not found"]),
        (&["sweep", "--reference", "one.npy", "--out", "mixed"], 1, &["mixed", "not a sweep"]),
    ];
    for (args, code, words) in cases {
        refused(dir, args, *code, words);
    }
    // What cannot be looked at for want of the network's weights, and where to put them.
    let cache = dir.join("cache");
    let run = Command::cargo_bin("ddim")
        .unwrap()
        .current_dir(dir)
        .args(["fid", "one.npy", "one.npy", "-q"])
        .env("DDIM_CACHE", &cache)
        .env("XDG_CACHE_HOME", &cache)
        .env("DDIM_INCEPTION_URL", "http://127.0.0.1:9/weights.pth")
        .output()
        .unwrap();
    let text = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(text.lines().count() == 1 && text.contains("--inception") && text.contains("pt_inception-2015-12-05-6726825d.pth"), "{text}");
    fs::remove_dir_all(cache).unwrap();
}

/// A server that sends something else: it is not kept.
#[test]
fn a_download_that_is_not_the_weights() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    pictures(&folder.path().join("a.npy"), 2, 8, 0);
    let cache = folder.path().join("cache");
    let run = Command::cargo_bin("ddim")
        .unwrap()
        .current_dir(folder.path())
        .args(["fid", "a.npy", "a.npy", "-q"])
        .env("DDIM_CACHE", &cache)
        .env("XDG_CACHE_HOME", &cache)
        .env("DDIM_INCEPTION_URL", format!("http://{address}/weights.pth"))
        .output()
        .unwrap();
    server.join().unwrap();
    let text = String::from_utf8(run.stderr).unwrap();
    assert!(text.contains("5 bytes with SHA-256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), "{text}");
    assert_eq!((run.status.code(), text.lines().count()), (Some(1), 1));
    assert_eq!(listing(&cache), Vec::<std::path::PathBuf>::new());
}

#[test]
#[cfg_attr(not(inception_weights), ignore = "needs ../shared/weights/inception-fid.safetensors beside the project")]
fn bad_sets_that_are_found_later() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let weights = weights();
    let fashion = root().join("conformance/fashion_test");
    pictures(&dir.join("one.npy"), 1, 32, 0);
    for name in ["mixed", "broken", "clear"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::copy(fashion.join("00.png"), dir.join(name).join("0.png")).unwrap();
    }
    image::RgbImage::new(9, 7).save(dir.join("mixed/1.png")).unwrap();
    fs::write(dir.join("broken/1.png"), &fs::read(fashion.join("01.png")).unwrap()[..100]).unwrap();
    image::RgbaImage::from_pixel(32, 32, image::Rgba([9, 9, 9, 100])).save(dir.join("clear/1.png")).unwrap();
    let fashion = fashion.to_str().unwrap().to_owned();
    for (a, words) in [
        ("mixed", &["mixed/1.png", "9 x 7", "32 x 32"][..]),
        ("broken", &["broken/1.png", "broken image"]),
        ("clear", &["clear/1.png", "transparent"]),
        ("one.npy", &["1 images", "at least 2"]),
    ] {
        refused(dir, &["fid", a, &fashion, &weights, "-q", "--save-stats", "never.npz"], 1, words);
    }
    let small = root().join("conformance/unet/ddpm/unet/diffusion_pytorch_model.safetensors");
    let run = ddim(dir, &["fid", &fashion, &fashion, "-q", "--inception", small.to_str().unwrap()]);
    assert!(run.code == 1 && run.stderr.contains("Conv2d_1a_3x3") && run.stderr.lines().count() == 1, "{}", run.stderr);
}
