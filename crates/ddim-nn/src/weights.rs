//! The network's weights as a state dict.
//!
//! The names and shapes that a file must hold are those of the modules themselves: there is no second list.

use crate::error::{Error, Result};
use crate::unet::UNet;
use ddim_weights::{StateDict, WeightsDtype};
use std::collections::BTreeMap;
use std::path::Path;

/// Names that diffusers wrote for attention before its version 0.15, in today's.
fn modern_name(name: String) -> String {
    if !name.contains("attentions.") {
        return name;
    }
    let renamed = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    let (layer, field) = name.rsplit_once('.').unwrap_or((&name, ""));
    match renamed.iter().find_map(|(old, new)| layer.strip_suffix(old).filter(|l| l.ends_with('.')).map(|l| (l, new))) {
        Some((parent, new)) => format!("{parent}{new}.{field}"),
        None => name,
    }
}

/// The network with the weights of `state`: every tensor of the network, none besides, each of its shape.
pub(crate) fn apply(unet: &UNet, state: StateDict, path: &Path) -> Result<UNet> {
    let found = state.len();
    let mut state: StateDict = state.into_iter().map(|(name, array)| (modern_name(name), array)).collect();
    if state.len() < found {
        return Err(Error::weights(path, "an attention layer under two names, such as query and to_q: expected one"));
    }
    // Older versions of diffusers have the frequencies of a Fourier embedding under two names.
    if let (Some(old), Some(new)) = (state.get(OLD_FREQUENCIES), state.get(FREQUENCIES))
        && old == new
    {
        state.remove(OLD_FREQUENCIES);
    }
    let parameters = unet.definition().clone();
    let expected: BTreeMap<&str, &[usize]> = parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
    let others = |n: usize| if n > 1 { format!(" (and {} more)", n - 1) } else { String::new() };

    let missing: Vec<_> = expected.keys().filter(|name| !state.contains_key(**name)).collect();
    if let Some(name) = missing.first() {
        return Err(Error::weights(path, format!("tensor {name} is missing{}: config.json asks for it", others(missing.len()))));
    }
    let extra: Vec<_> = state.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
    if let Some(name) = extra.first() {
        return Err(Error::weights(path, format!("tensor {name} is unexpected{}: config.json has no place for it", others(extra.len()))));
    }
    for (name, shape) in &expected {
        let found = &state[*name].shape;
        if found != shape {
            return Err(Error::weights(path, format!("tensor {name} has shape {found:?}: config.json expects {shape:?}")));
        }
    }
    let mut values = Vec::with_capacity(parameters.len());
    for parameter in parameters.iter() {
        values.append(&mut state.remove(&parameter.name).expect("checked above").data);
    }
    unet.with_values(values)
}

/// The frequencies of a Fourier embedding of the timestep.
const FREQUENCIES: &str = "time_proj.weight";
const OLD_FREQUENCIES: &str = "time_proj.W";

/// Returns a checksum (CRC-32C) of all weights, by which a network can be recognised, as they are once written as `dtype`.
pub fn checksum(unet: &UNet, dtype: WeightsDtype) -> u32 {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| dtype.rounded(*v).to_le_bytes()).collect::<Vec<u8>>();
    unet.values().chunks(1 << 16).fold(0, |sum, values| crc32c::crc32c_append(sum, &bytes(values)))
}

/// Converts the parameter `name` of a network, of `shape`, from the state of a training run, where its shape is `found`. States of version
/// 0.1 are flat, and store the weights of linear layers as [in, out].
pub fn from_training_state(name: &str, shape: &[usize], found: &[usize], numbers: Vec<f32>) -> Vec<f32> {
    let table = ["class_embedding.weight", FREQUENCIES].contains(&name);
    match (shape, found) {
        (&[outs, ins], [_]) if !table => (0..numbers.len()).map(|i| numbers[i % ins * outs + i / ins]).collect(),
        _ => numbers,
    }
}

#[cfg(test)]
mod tests {
    use super::modern_name;

    #[test]
    fn legacy_attention_names() {
        for (old, new) in [
            ("mid_block.attentions.0.query.weight", "mid_block.attentions.0.to_q.weight"),
            ("mid_block.attentions.0.proj_attn.bias", "mid_block.attentions.0.to_out.0.bias"),
            ("down_blocks.1.attentions.0.to_k.bias", "down_blocks.1.attentions.0.to_k.bias"),
            ("down_blocks.1.attentions.0.group_norm.weight", "down_blocks.1.attentions.0.group_norm.weight"),
            ("conv_in.weight", "conv_in.weight"),
        ] {
            assert_eq!(modern_name(old.to_owned()), new);
        }
    }
}
