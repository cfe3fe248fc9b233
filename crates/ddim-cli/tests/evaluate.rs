//! `ddim fid`, `sweep` and `nll` as a person runs them, as far as the weights of Inception are not needed: bounds, and bad input.

mod common;

use assert_cmd::cargo::CommandCargoExt;
use common::{errors, json, listing, ok, pictures, refused, root, with_model};
use std::fs;
use std::process::Command;

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
    assert!(text.contains("bits/dim") && text.contains("L_simple"), "{text}");
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
    let mut wrong = ddim_eval::Statistics { count: 9, mean: vec![0.0; 2], covariance: vec![1.0, 0.5, 0.2, 1.0] };
    fs::write(dir.join("slanted.npz"), wrong.to_npz()).unwrap();
    wrong.covariance = vec![1.0, 2.0, 2.0, 1.0];
    fs::write(dir.join("negative.npz"), wrong.to_npz()).unwrap();
    pictures(&dir.join("two.npy"), 2, 8, 0);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["fid", "empty", "one.npy"], 1, &["empty", "no images"]),
        (&["fid", "nowhere", "one.npy"], 1, &["nowhere", "not found"]),
        (&["fid", "text.npz", "one.npy"], 1, &["text.npz", "not a .npz"]),
        (&["fid", "two.npy", "few.npz", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["fid", "few.npz", "--also", "two.npy", "two.npy", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["sweep", "--reference", "few.npz", "-q"], 1, &["few.npz", "5 numbers", "2048"]),
        (&["fid", "one.npy"], 2, &["<B>"]),
        (&["fid", "one.npy", "one.npy", "--fit", "crop"], 2, &["--fit", "--size"]),
        (&["fid", "one.npy", "two.npy", "-q"], 1, &["A: one.npy has 1 image:", "at least 2"]),
        (&["fid", "two.npy", "one.npy", "-q"], 1, &["B: one.npy has 1 image:", "at least 2"]),
        (&["fid", "two.npy", "two.npy", "--limit", "1", "-q"], 1, &["A: two.npy has 1 image:"]),
        (&["fid", "few.npz", "slanted.npz", "-q"], 1, &["slanted.npz", "symmetric"]),
        (&["fid", "negative.npz", "few.npz", "-q"], 1, &["negative.npz", "positive semidefinite"]),
        (&["fid", "one.npy", "one.npy", "--size", "0"], 2, &["--size", "0"]),
        (&["fid", "one.npy", "one.npy", "--background", "blue"], 2, &["--background", "blue"]),
        (&["fid", "two.npy", "two.npy", "--inception", "none.safetensors", "-q"], 1, &["none.safetensors"]),
        (&["sweep", "--reference", "one.npy", "--eta", "2"], 2, &["--eta", "2", "hat"]),
        (&["sweep", "--reference", "one.npy", "--steps", "0"], 2, &["--steps", "0"]),
        (&["sweep", "--reference", "one.npy", "--steps", "5,5"], 2, &["--steps", "5 twice"]),
        (&["sweep", "--reference", "one.npy", "--eta", "0,hat,0.0"], 2, &["--eta", "0 twice"]),
        (&["sweep", "--reference", "one.npy", "--seed", "3,4,3"], 2, &["--seed", "3 twice"]),
        (&["sweep", "--reference", "one.npy", "--solver", "ddim,ddim"], 2, &["--solver", "ddim twice"]),
        (&["sweep", "--reference", "one.npy", "--trajectory", "uniform,linspace,uniform"], 2, &["--trajectory", "uniform twice"]),
        (&["sweep", "--reference", "one.npy", "--solver", "ddim,euler"], 2, &["--solver", "euler", "ipndm"]),
        // A row that does not exist ends the others as well, before anything is read.
        (&["sweep", "--reference", "nowhere", "--solver", "ddim,ipndm"], 2, &["--solver", "ipndm adds no noise", "eta 0"]),
        (&["sweep", "--reference", "nowhere", "--solver", "dpmpp-2m-sde", "--eta", "0.5,hat"], 2, &["--solver", "sigma-hat"]),
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
        .args(["fid", "two.npy", "two.npy", "-q"])
        .env_remove("DDIM_INCEPTION")
        .env("DDIM_CACHE", &cache)
        .env("XDG_CACHE_HOME", &cache)
        .env("DDIM_INCEPTION_URL", "http://127.0.0.1:9/weights.pth")
        .output()
        .unwrap();
    let text = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(errors(&text).len() == 1 && text.contains("--inception") && text.contains("pt_inception-2015-12-05-6726825d.pth"), "{text}");
    fs::remove_dir_all(cache).unwrap();
    // A variable that names what is not there is no reason to look elsewhere; an empty one names nothing.
    for (value, words) in
        [("none.safetensors", ["DDIM_INCEPTION: none.safetensors", "No such file"]), ("", ["could not be downloaded from", "--inception"])]
    {
        let mut command = Command::cargo_bin("ddim").unwrap();
        command.current_dir(dir).args(["fid", "two.npy", "two.npy", "-q"]).env("DDIM_INCEPTION", value);
        let run =
            command.env("DDIM_CACHE", dir).env("XDG_CACHE_HOME", dir).env("DDIM_INCEPTION_URL", "http://127.0.0.1:9/w").output().unwrap();
        let text = String::from_utf8(run.stderr).unwrap();
        assert!(errors(&text).len() == 1 && words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(run.status.code(), Some(1));
    }
}

/// Sets that are statistics alone: at 0 from themselves and not below, whatever bytes their names have, and without an error of FID.
#[test]
fn distances_of_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let statistics = ddim_eval::Statistics { count: 3, mean: vec![0.1; 3], covariance: vec![0.3, 0.1, 0.1, 0.1, 0.2, 0.0, 0.1, 0.0, 0.2] };
    fs::write(dir.join("s.npz"), statistics.to_npz()).unwrap();
    let object = json(&ok(dir, &["fid", "s.npz", "s.npz", "-q", "--json"]));
    assert!((0.0..1e-9).contains(&object["fid"].as_f64().unwrap()) && !object["fid"].as_f64().unwrap().is_sign_negative(), "{object}");
    assert!(object["fid_error"].is_null() && object["warnings"].to_string().contains("A is statistics"), "{object}");
    assert!(ok(dir, &["fid", "s.npz", "s.npz", "-q"]).stdout.starts_with("FID        0.0000 "));
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.npz");
        fs::write(dir.join(name), statistics.to_npz()).unwrap();
        let written = std::ffi::OsStr::from_bytes(b"caf\xe9s.npz");
        for flag in ["--json", "-q"] {
            let mut command = Command::cargo_bin("ddim").unwrap();
            command.current_dir(dir).args(["fid", "s.npz"]).arg(name).arg("--also").arg(name).args([flag, "--save-stats"]).arg(written);
            let run = command.output().unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        }
    }
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
        .env_remove("DDIM_INCEPTION")
        .env("DDIM_CACHE", &cache)
        .env("XDG_CACHE_HOME", &cache)
        .env("DDIM_INCEPTION_URL", format!("http://{address}/weights.pth"))
        .output()
        .unwrap();
    server.join().unwrap();
    let text = String::from_utf8(run.stderr).unwrap();
    assert!(text.contains("5 bytes with SHA-256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), "{text}");
    assert_eq!((run.status.code(), errors(&text).len()), (Some(1), 1));
    assert_eq!(listing(&cache), [cache.join(".lock")], "the folder was held, and nothing else is left");
}
