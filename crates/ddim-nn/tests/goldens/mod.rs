//! The goldens of conformance/unet.

use ddim_nn::Condition;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

pub(crate) fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/unet");
    let mut all: Vec<_> = root.read_dir().unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.sort();
    assert!(all.len() >= 8, "found only {all:?}");
    all
}

pub(crate) struct Golden {
    pub(crate) x: Vec<f32>,
    pub(crate) shape: [usize; 4],
    pub(crate) timesteps: Vec<usize>,
    pub(crate) condition: Condition,
    pub(crate) y: Vec<f32>,
}

pub(crate) fn golden(folder: &Path) -> Golden {
    let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        file.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let i64s = |name: &str| -> Vec<usize> {
        file.tensor(name).unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect()
    };
    let has = |name: &str| file.names().contains(&name);
    let condition = match (has("labels"), has("embeddings")) {
        (true, _) => Condition::Labels(i64s("labels")),
        (_, true) => Condition::Embeddings(f32s("embeddings")),
        _ => Condition::None,
    };
    let shape = file.tensor("x").unwrap().shape().try_into().unwrap();
    Golden { x: f32s("x"), shape, timesteps: i64s("timesteps"), condition, y: f32s("y") }
}

/// The largest difference, as a share of the largest number of the golden; NaN where there is one.
pub(crate) fn difference(y: &[f32], golden: &[f32]) -> f32 {
    assert_eq!(y.len(), golden.len());
    let top = golden.iter().fold(0f32, |m, v| m.max(v.abs()));
    y.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m }) / top
}
