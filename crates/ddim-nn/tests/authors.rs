//! Checkpoints of the authors' code against their network in PyTorch (conformance/make_authors.py), and damaged ones.

#![allow(clippy::print_stdout)] // the errors, with --nocapture

use ddim::Denoiser;
use ddim_nn::{Choices, Network, Pipeline};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    // Another folder holds the whole networks, which are too large to commit.
    std::env::var_os("DDIM_AUTHORS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/authors"), PathBuf::from)
}

fn largest_error(file: &str, raw: bool, size: Option<usize>, golden: &str) -> f32 {
    let bytes = std::fs::read(folder().join("golden.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        all.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let levels: Vec<f64> =
        all.tensor("t").unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64 + 1.0).collect();
    let (x, expected) = (f32s(if golden == "legacy" { "legacy_x" } else { "x" }), f32s(golden));
    let choices = Choices { raw, size: size.map(|n| [n, n]), ..Choices::default() };
    let pipeline = Pipeline::load_file(&folder().join(file), &choices).unwrap();
    let network = Network::new(pipeline).unwrap();
    let mut out = vec![f32::NAN; x.len()];
    network.predict(&x, &levels, &mut out).unwrap();
    let top = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let error = out.iter().zip(&expected).map(|(a, b)| (a - b).abs() / top).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
    println!("{file} {golden}: {error:.1e} of the largest output");
    error
}

#[test]
fn outputs_equal_pytorchs() {
    assert!(largest_error("model.ckpt", false, None, "ema") < 2e-5);
    assert!(largest_error("model.ckpt", true, None, "model") < 2e-5);
    if folder().join("legacy.ckpt").exists() {
        assert!(largest_error("legacy.ckpt", false, Some(32), "legacy") < 2e-5);
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let refused = |path: &Path, expected: &str| {
        let error = Pipeline::load_file(path, &Choices::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    };
    let conformance = folder().join("..");
    refused(&folder().join("legacy.ckpt"), "expected --size");
    refused(&conformance.join("training.safetensors"), "expected the authors' network");
    refused(&conformance.join("ddim.json"), "neither safetensors, nor a zip archive nor a file of PyTorch before 1.6");
    refused(&folder().join("absent.ckpt"), "absent.ckpt");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A byte changed, or the end cut off: an error or another network, never a panic or a hang.
    #[test]
    fn damage(legacy: bool, at in 0.0f64..1.0, header: bool, byte: u8, cut: bool) {
        let file = if legacy { "legacy.ckpt" } else { "model.ckpt" };
        let mut bytes = std::fs::read(folder().join(file)).unwrap();
        let range = if header { bytes.len().min(30_000) } else { bytes.len() };
        let at = (at * range as f64) as usize;
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.ckpt");
        std::fs::write(&path, bytes).unwrap();
        if let Err(e) = Pipeline::load_file(&path, &Choices { size: Some([32, 32]), ..Choices::default() }) {
            let message = e.to_string();
            prop_assert!(message.contains("damaged.ckpt") && message.lines().count() == 1, "{}", message);
        }
    }
}
