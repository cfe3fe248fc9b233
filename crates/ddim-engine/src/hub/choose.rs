//! Chooses the files of a repository that make up a model: those that `ddim_nn::Pipeline::load_with` would read from the same folder, and no others.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

const MODEL_INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const CLASSES: &str = "classes.json";
const SAMPLING: &str = "sampling.json";
pub(super) const TRAINING_STATE: &str = "training_state.safetensors";
/// What describes a model and some have not: without it a model is another one.
pub(super) const DESCRIBING: [&str; 4] = [MODEL_INDEX, SCHEDULER, CLASSES, SAMPLING];
/// How the names of the weights begin.
const STEM: &str = "diffusion_pytorch_model";

/// The files of a model, by their paths in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The network's configuration, which is among `small`.
    pub(super) config: String,
    /// What describes the model: these come first, so that a snapshot that has the weights has everything.
    pub(super) small: Vec<String>,
    /// The weights, or the index of their shards.
    pub(super) weights: Vec<String>,
    /// The index among `weights`.
    pub(super) index: Option<String>,
    /// Whether all is there that the repository's kind must have; else some of it never came.
    pub(super) whole: bool,
}

/// Chooses among the names of all files; with `raw` also what holds the weights themselves where there are averages, or other averages. Or says what is missing.
pub(super) fn choose(names: &[String], raw: bool) -> std::result::Result<Choice, String> {
    let has = |name: &str| names.iter().any(|n| n == name);
    let has_folder = |folder: &str| names.iter().any(|n| n.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    let pipeline = has(MODEL_INDEX);
    let averaged = has("unet_ema/config.json") && !pipeline;
    let folder = if averaged && !(raw && (has_folder("unet") || has(CONFIG))) {
        "unet_ema/"
    } else if has_folder("unet") || (pipeline && !has(CONFIG)) {
        "unet/"
    } else {
        // The files in the repository itself, as the first pipelines have them, or a U-Net alone.
        ""
    };
    let config = format!("{folder}{CONFIG}");
    if !has(&config) {
        return Err(format!("{config} is missing{}", some(names)));
    }
    let inside = names.iter().filter_map(|name| name.strip_prefix(folder)).filter(|name| !name.contains('/'));
    let Some((weights, is_index)) = ddim_weights::weights_file(inside) else {
        return Err(format!("no {folder}{STEM}.safetensors, .bin, shards or variant{}", some(names)));
    };
    let weights = format!("{folder}{weights}");
    let index = is_index.then(|| weights.clone());
    let mut small = Vec::new();
    small.extend(pipeline.then(|| MODEL_INDEX.to_owned()));
    small.push(config.clone());
    let flat = SCHEDULER.rsplit('/').next().filter(|name| !has_folder("scheduler") && has(name));
    let scheduler = if has(SCHEDULER) { Some(SCHEDULER) } else { flat };
    small.extend(scheduler.map(str::to_owned));
    small.extend([CLASSES, SAMPLING].into_iter().filter(|name| has(name)).map(str::to_owned));
    let mut weights = vec![weights];
    let state = raw && has(TRAINING_STATE);
    if state {
        weights.push(TRAINING_STATE.to_owned());
    }
    let both = raw && averaged && folder == "unet/";
    if both {
        // By which the loader sees that there are two.
        small.push("unet_ema/config.json".to_owned());
    }
    Ok(Choice { config, small, weights, index, whole: (!pipeline || scheduler.is_some()) && (!raw || state || both) })
}

/// A few of a repository's files, for messages.
fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with('.')).take(5).collect();
    match names.len() {
        0 => " (there are no files)".to_owned(),
        n if n > shown.len() => format!(" (found {}, ...)", shown.join(", ")),
        _ => format!(" (found {})", shown.join(", ")),
    }
}

/// The shards that an index at `path` names, as files of the same folder as the file `index` of the repository.
///
/// # Errors
/// Something else than an index; a shard that is no name of a file.
pub(super) fn shards(path: &Path, index: &str) -> Result<Vec<String>> {
    let weight_map = ddim_weights::weight_map(path).map_err(|e| Error::hub(&e).because(e))?;
    let files: BTreeSet<String> = weight_map.into_values().collect();
    let folder = index.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(files.into_iter().map(|file| format!("{folder}{file}")).collect())
}

/// Whether a name is a path inside the repository, on every system.
pub(super) fn is_inside(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !name.contains(['\\', '\0'])
        && name.split('/').all(plain)
        // What a colon makes of a name on Windows.
        && Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], raw: bool) -> std::result::Result<(Vec<String>, bool), String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        choose(&names, raw).map(|choice| {
            assert!(choice.small.contains(&choice.config));
            (choice.small.into_iter().chain(choice.weights).collect(), choice.whole)
        })
    }

    const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

    #[test]
    fn a_pipeline_without_what_is_not_ours() {
        let names = [
            ".gitattributes",
            "README.md",
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_flax_model.msgpack",
            "unet/diffusion_pytorch_model.bin",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/model.onnx",
            "unet/old/diffusion_pytorch_model.safetensors.index.json",
            "vae/config.json",
        ];
        let (files, whole) = chosen(&names, false).unwrap();
        assert_eq!(files, ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json", &format!("unet/{WEIGHTS}")]);
        assert!(whole);
        // What a killed download of another program left.
        let without: Vec<&str> = names.iter().copied().filter(|name| !name.starts_with("scheduler")).collect();
        assert!(!chosen(&without, false).unwrap().1);
        let without: Vec<&str> = names.iter().copied().filter(|name| !name.contains("diffusion_pytorch")).collect();
        assert!(chosen(&without, false).unwrap_err().contains("unet/diffusion_pytorch_model.safetensors"));
        let without: Vec<&str> = names.iter().copied().filter(|name| !name.starts_with("unet/config")).collect();
        assert!(chosen(&without, false).unwrap_err().starts_with("unet/config.json"));
    }

    #[test]
    fn a_pipeline_in_one_folder_and_a_network_alone() {
        let flat = ["config.json", WEIGHTS, "diffusion_pytorch_model.bin", "model_index.json", "scheduler_config.json"];
        let (files, whole) = chosen(&flat, false).unwrap();
        assert_eq!(files, ["model_index.json", "config.json", "scheduler_config.json", WEIGHTS]);
        assert!(whole);
        let (files, whole) = chosen(&["config.json", WEIGHTS, "classes.json", "sampling.json"], false).unwrap();
        assert_eq!(
            (files, whole),
            (vec!["config.json".to_owned(), "classes.json".to_owned(), "sampling.json".to_owned(), WEIGHTS.to_owned()], true)
        );
    }

    #[test]
    fn averages_as_the_loader_takes_them() {
        let both = ["unet/config.json", "unet/diffusion_pytorch_model.bin", "unet_ema/config.json", &format!("unet_ema/{WEIGHTS}")];
        assert_eq!(chosen(&both, false).unwrap().0, ["unet_ema/config.json", &format!("unet_ema/{WEIGHTS}")]);
        let (files, whole) = chosen(&both, true).unwrap();
        assert_eq!(files, ["unet/config.json", "unet_ema/config.json", "unet/diffusion_pytorch_model.bin"]);
        assert!(whole);
        let run = ["model_index.json", "scheduler/scheduler_config.json", TRAINING_STATE, "unet/config.json", &format!("unet/{WEIGHTS}")];
        assert!(!chosen(&run, false).unwrap().0.contains(&TRAINING_STATE.to_owned()));
        assert_eq!(chosen(&run, true).unwrap().0.last().map(String::as_str), Some(TRAINING_STATE));
        assert!(!chosen(&["config.json", WEIGHTS], true).unwrap().1);
    }

    #[test]
    fn shards_lie_beside_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.json");
        let index = "unet/diffusion_pytorch_model.safetensors.index.json";
        let names = ["unet/config.json", index, "unet/diffusion_pytorch_model-00001-of-00002.safetensors"].map(str::to_owned);
        assert_eq!(choose(&names, false).unwrap().index.as_deref(), Some(index));
        std::fs::write(&path, r#"{"weight_map": {"a": "m-1-of-2.safetensors", "b": "m-2-of-2.safetensors", "c": "m-1-of-2.safetensors"}}"#)
            .unwrap();
        assert_eq!(shards(&path, index).unwrap(), ["unet/m-1-of-2.safetensors", "unet/m-2-of-2.safetensors"]);
        for bad in ["../x", "a/b", "/x", "", ".."] {
            std::fs::write(&path, format!(r#"{{"weight_map": {{"a": "{bad}"}}}}"#)).unwrap();
            assert!(shards(&path, index).unwrap_err().to_string().contains("weight_map"), "{bad}");
        }
        std::fs::write(&path, "<html>").unwrap();
        assert!(shards(&path, index).is_err());
    }

    #[test]
    fn paths_inside() {
        for name in ["a", "a/b.c", ".gitattributes", "a b/ä", "a..b"] {
            assert!(is_inside(name), "{name}");
        }
        for name in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "..", "a\0"] {
            assert!(!is_inside(name), "{name:?}");
        }
    }

    /// The loader must read what was chosen: of a folder with all of the rest, it names the file that it took, or tried to take.
    #[test]
    fn the_loader_takes_the_same_weights() {
        let stem = |end: &str| format!("{STEM}.{end}");
        let ends = [
            "safetensors.index.json",
            "safetensors",
            "bin.index.json",
            "bin",
            "fp32.safetensors",
            "ema.safetensors",
            "safetensors.index.fp16.json",
            "fp16.safetensors",
            "fp16.bin",
            "bf16.safetensors",
            "non_ema.safetensors",
        ];
        for i in 0..ends.len() {
            let folder = tempfile::tempdir().unwrap();
            let mut names = vec![CONFIG.to_owned(), format!("{STEM}-00001-of-00002.safetensors"), "model.safetensors".to_owned()];
            names.extend(ends[i..].iter().map(|end| stem(end)));
            for name in &names {
                std::fs::write(folder.path().join(name), "no weights").unwrap();
            }
            let expected = &choose(&names, false).unwrap().weights[0];
            assert_eq!(*expected, stem(ends[i]));
            let error = ddim_weights::read_folder(folder.path()).unwrap_err().to_string();
            let path = folder.path().join(expected);
            assert!(error.starts_with(&format!("{}:", path.display())), "{error}: expected {expected}");
        }
    }
}
