//! The weights files of a network's folder: whole or sharded, safetensors or PyTorch's, plain or of a variant.

use crate::error::{Error, Result};
use crate::json::from_json;
use crate::read::{read_file, read_pickle};
use crate::safetensors::parse_safetensors;
use crate::state_dict::StateDict;
use crate::wrapped::{self, Unwrapped};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// How the names of all of them begin.
const STEM: &str = "diffusion_pytorch_model";

/// One way to the weights that a folder offers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    name: String,
    /// Such as `fp16`; empty for the plain one.
    variant: String,
    safetensors: bool,
    /// The index of shards, not a file of weights.
    index: bool,
}

impl Offer {
    /// What a file's name says: `diffusion_pytorch_model[.variant].safetensors` or `.bin`, or with `.index[.variant].json` after it.
    fn of(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(STEM)?.strip_prefix('.')?;
        let mut words: Vec<&str> = rest.split('.').collect();
        let index = words.last() == Some(&"json") && words.contains(&"index");
        if index {
            words.retain(|word| *word != "json" && *word != "index");
        }
        let format = words.iter().rposition(|word| ["safetensors", "bin"].contains(word)).filter(|at| index || at + 1 == words.len())?;
        let safetensors = words.remove(format) == "safetensors";
        let variant = words.join(".");
        // A shard is found by its index.
        let shard = variant.contains("-of-");
        (!shard).then(|| Self { name: name.to_owned(), variant, safetensors, index })
    }

    /// Smaller is better: plain files; then those of full precision, then of half; and what is not the average last. safetensors before
    /// PyTorch's, and an index before a single file, as diffusers has it.
    fn rank(&self) -> (usize, &str, bool, bool) {
        let variant = self.variant.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| variant.contains(word));
        let class = match () {
            () if variant.is_empty() => 0,
            () if has(&["non_ema", "non-ema", "no_ema"]) => 5,
            () if has(&["bf16", "bfloat16"]) => 4,
            () if has(&["fp16", "float16", "half"]) => 3,
            () if has(&["fp32", "float32", "full"]) => 1,
            () => 2,
        };
        (class, &self.variant, !self.safetensors, !self.index)
    }
}

/// Returns the file that [`read_folder`] reads, given the names of a folder's files, and whether it is an index of shards. `None` if there
/// are no weights.
pub fn weights_file<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, bool)> {
    let offers = names.into_iter().filter_map(|name| Some((name, Offer::of(name)?)));
    offers.min_by(|(_, a), (_, b)| a.rank().cmp(&b.rank())).map(|(name, offer)| (name, offer.index))
}

/// Reads the weights of a network's folder, under diffusers' names. Also returns the file that they came from, an index if there are
/// shards.
///
/// # Errors
/// Returns an error if there are no such files, if files under their names are of another kind, or if shards are missing or share a tensor.
pub fn read_folder(folder: &Path) -> Result<(Unwrapped, PathBuf)> {
    let mut names: Vec<String> = Vec::new();
    for entry in folder.read_dir().map_err(|e| Error::io(folder, &e).because(e))? {
        names.extend(entry.map_err(|e| Error::io(folder, &e).because(e))?.file_name().into_string());
    }
    let mut offers: Vec<Offer> = names.iter().filter_map(|name| Offer::of(name)).collect();
    offers.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let Some(offer) = offers.first() else {
        let expected = folder.join(format!("{STEM}.safetensors"));
        return Err(Error::io(
            &expected,
            format!("not found, nor a .bin, shards or a variant{}: expected the network's weights", others(&names)),
        ));
    };
    let path = folder.join(&offer.name);
    // A link of a hub's cache to what was not downloaded.
    if !path.exists() {
        return Err(Error::io(&path, "a broken link: expected the network's weights (is the download complete?)"));
    }
    let mut unwrapped = match (offer.index, offer.safetensors) {
        (true, safetensors) => shards(folder, &path, safetensors)?,
        (false, true) => wrapped::safetensors(&bytes(&path)?, false, &path)?,
        (false, false) => read_file(&path, false)?,
    };
    let variants: BTreeSet<&str> = offers.iter().map(|offer| offer.variant.as_str()).collect();
    if !offer.variant.is_empty() && variants.len() > 1 {
        let all: Vec<&str> = variants.into_iter().collect();
        unwrapped.notes.push(format!("weights: using the variant {} of {}", offer.variant, all.join(", ")));
    }
    Ok((unwrapped, path))
}

/// What may be weights under other names.
fn others(names: &[String]) -> String {
    let weights = |name: &&String| [".safetensors", ".bin", ".pt", ".pth", ".ckpt"].iter().any(|end| name.ends_with(end));
    let found: Vec<&str> = names.iter().filter(weights).take(3).map(String::as_str).collect();
    if found.is_empty() { String::new() } else { format!(" (found {})", found.join(", ")) }
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, &e).because(e))
}

/// Reads the index of shards at `path` and returns, for each tensor, the file beside it that holds the tensor.
///
/// # Errors
/// Returns an error if the file is not an index, if it has no tensors, or if a path that leaves the folder stands in place of a file name.
pub fn weight_map(path: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = from_json(&std::fs::read_to_string(path).map_err(|e| Error::io(path, &e).because(e))?, path)?;
    if weight_map.is_empty() {
        return Err(Error::config(path, "weight_map is empty: expected the files of tensors"));
    }
    // On every system; also of what a colon makes of a name on Windows.
    let is_name = |file: &str| {
        let mut parts = Path::new(file).components();
        !file.contains(['/', '\\', '\0']) && matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    match weight_map.values().find(|file| !is_name(file)) {
        Some(bad) => Err(Error::config(path, format!("weight_map points to {bad:?}: expected the name of a file beside it"))),
        None => Ok(weight_map),
    }
}

/// The tensors of all shards that an index names.
fn shards(folder: &Path, index: &Path, safetensors: bool) -> Result<Unwrapped> {
    let weight_map = weight_map(index)?;
    let files: BTreeSet<&String> = weight_map.values().collect();
    let mut state = StateDict::new();
    for file in files {
        let path = folder.join(file);
        if !path.is_file() {
            return Err(Error::io(&path, format!("not found: a shard listed in {}", index.display())));
        }
        let shard = if safetensors { parse_safetensors(&bytes(&path)?, &path)? } else { read_pickle(&path, |_| true)? };
        if let Some((name, _)) = weight_map.iter().find(|(name, of)| *of == file && !shard.contains_key(*name)) {
            return Err(Error::weights(&path, format!("tensor {name} is missing: {} says it is here", index.display())));
        }
        for (name, array) in shard {
            if state.insert(name.clone(), array).is_some() {
                return Err(Error::weights(&path, format!("tensor {name} is in another shard as well: expected it once")));
            }
        }
    }
    wrapped::without_prefix(state, false, index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(names: &[&'a str]) -> Option<&'a str> {
        weights_file(names.iter().copied()).map(|(name, _)| name)
    }

    #[test]
    fn of_several_files_the_plain_and_the_precise() {
        let stem = |end: &str| format!("{STEM}.{end}");
        // Each before all that follow it.
        let order = [
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
        ]
        .map(stem);
        for i in 0..order.len() {
            let names: Vec<&str> = order[i..].iter().rev().map(String::as_str).collect();
            assert_eq!(best(&names), Some(order[i].as_str()));
        }
        assert_eq!(
            best(&["diffusion_pytorch_model.safetensors.fp16.index.json"]),
            Some("diffusion_pytorch_model.safetensors.fp16.index.json")
        );
    }

    #[test]
    fn what_is_no_weights_file() {
        let shard = "diffusion_pytorch_model.fp16-00001-of-00002.safetensors";
        for name in [
            "config.json",
            "diffusion_pytorch_model-00001-of-00002.safetensors",
            shard,
            "diffusion_pytorch_model.msgpack",
            "model.safetensors",
        ] {
            assert_eq!(Offer::of(name), None, "{name}");
        }
    }
}
