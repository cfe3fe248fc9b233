//! Damaged files of every kind give an error or a model, never a panic.

use ddim_nn::Pipeline;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            let _ = std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Damages one file of a copy of a golden pipeline, and loads it.
fn load_damaged(model: &str, file: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
    let parent = tempfile::tempdir().unwrap();
    let folder: PathBuf = parent.path().join("model");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet").join(model), &folder);
    let path = folder.join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    damage(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let message = Pipeline::load(&folder).map(drop).map_err(|e| e.to_string());
    if let Err(message) = &message {
        assert!(!message.contains('\n') && message.len() > 10, "{message:?}");
    }
    message
}

/// More where `DDIM_FUZZ_CASES` says so; bytes in memory are tried faster, in `src/hostile.rs` here and in ddim-weights.
fn cases() -> u32 {
    std::env::var("DDIM_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn safetensors_headers(at in 0usize..6000, byte: u8) {
        let _ = load_damaged("f16", "unet/diffusion_pytorch_model.safetensors", |b| b[at] = byte);
    }

    #[test]
    fn pickles(at in 0.0f64..1.0, byte: u8, cut: bool) {
        let damage = |b: &mut Vec<u8>| {
            // The zip directory at the end and the pickle at the beginning are what is parsed.
            let n = b.len();
            let at = if at < 0.6 { (at * 30_000.0) as usize } else { n - 1 - ((1.0 - at) * 10_000.0) as usize };
            if cut { b.truncate(at) } else { b[at.min(n - 1)] = byte }
        };
        let _ = load_damaged("legacy_pickle", "unet/diffusion_pytorch_model.bin", damage);
    }

    #[test]
    fn configs(at in 0usize..700, byte in prop::sample::select(b"0123456789-e.,:[]{}\"ntf ".to_vec()), scheduler: bool) {
        let file = if scheduler { "scheduler/scheduler_config.json" } else { "unet/config.json" };
        let _ = load_damaged("ddpm", file, |b| { let n = b.len(); b[at % n] = byte; });
    }
}

#[test]
fn undamaged_files_load() {
    for model in ["f16", "ddpm", "legacy_pickle"] {
        load_damaged(model, "unet/config.json", |_| {}).unwrap();
    }
}
