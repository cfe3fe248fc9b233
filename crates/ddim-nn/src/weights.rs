//! The network's weights as a state dict.
//!
//! The names and shapes that a file must hold are those of the modules themselves: there is no second list.

use crate::error::{Error, Result};
use crate::unet::{UNet, UNetConfig};
use burn::tensor::{Device, TensorData};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge};
use ddim::noise::Stream;
use ddim_weights::{Array, StateDict, WeightsDtype};
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

/// Loads `state` into `unet`: every tensor of the network, none besides, each of its shape.
pub(crate) fn apply(unet: &mut UNet, state: StateDict, path: &Path) -> Result<()> {
    let found = state.len();
    let mut state: StateDict = state.into_iter().map(|(name, array)| (modern_name(name), array)).collect();
    if state.len() < found {
        return Err(Error::weights(path, "an attention layer under two names, such as query and to_q: expected one"));
    }
    let expected: BTreeMap<String, Vec<usize>> = snapshot(unet).into_iter().map(|t| (t.name.clone(), t.shape.to_vec())).collect();
    let others = |n: usize| if n > 1 { format!(" (and {} more)", n - 1) } else { String::new() };

    let missing: Vec<_> = expected.keys().filter(|name| !state.contains_key(*name)).collect();
    if let Some(name) = missing.first() {
        return Err(Error::weights(path, format!("tensor {name} is missing{}: config.json asks for it", others(missing.len()))));
    }
    let extra: Vec<_> = state.keys().filter(|name| !expected.contains_key(*name)).collect();
    if let Some(name) = extra.first() {
        return Err(Error::weights(path, format!("tensor {name} is one too many{}: config.json has no place for it", others(extra.len()))));
    }
    for (name, shape) in &expected {
        let found = &state[name].shape;
        if found != shape {
            return Err(Error::weights(path, format!("tensor {name} has shape {found:?}: config.json expects {shape:?}")));
        }
    }
    let tensors = expected.keys().map(|name| {
        let array = state.remove(name).expect("checked above");
        bridge::from_data(TensorData::new(array.data, array.shape), name.clone(), None)
    });
    let result = unet.apply(tensors.collect(), None, Some(Box::new(PyTorchToBurnAdapter)), true);
    if let Some(error) = result.errors.first() {
        return Err(Error::weights(path, error));
    }
    if let Some((name, _)) = result.missing.first() {
        return Err(Error::weights(path, format!("tensor {name} was not loaded")));
    }
    Ok(())
}

/// A checksum (CRC-32C) of all weights, by which a network is known again.
pub fn checksum(unet: &UNet) -> u32 {
    let bytes = |values: Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    crate::parameters(unet).into_iter().fold(0, |sum, values| crc32c::crc32c_append(sum, &bytes(values)))
}

fn snapshot(unet: &UNet) -> Vec<burn_store::burn_pack::Tensor> {
    unet.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true)
}

impl UNet {
    /// A network with DDPM's initialisation, a function of the seed: weights uniform with variance 2/(fan in + fan out), biases 0, and 0
    /// also what closes a residual branch (its second convolution, an attention's output) and the network itself.
    ///
    /// # Errors
    /// As [`UNetConfig::check`].
    pub fn initialised(config: &UNetConfig, seed: u64, device: &Device) -> Result<Self> {
        let mut unet = Self::new(config, device)?;
        let path = Path::new("the initial weights");
        let state = snapshot(&unet).into_iter().enumerate().map(|(i, tensor)| {
            let (name, shape) = (tensor.name.clone(), tensor.shape.to_vec());
            let len = shape.iter().product();
            let mut stream = Stream::new(seed, i as u64, INITIAL);
            let closing = ["conv2.weight", "to_out.0.weight", "conv_out.weight"].iter().any(|end| name.ends_with(end));
            let data: Vec<f32> = match shape.as_slice() {
                _ if closing || name.ends_with("bias") => vec![0.0; len],
                // An embedding of classes or timesteps, as PyTorch's.
                [_, _] if ["class_embedding.weight", "time_proj.weight"].contains(&name.as_str()) => {
                    (0..len).map(|_| stream.normal() as f32).collect()
                }
                [out, ins, window @ ..] => {
                    let taps: usize = window.iter().product();
                    let bound = (6.0 / ((out + ins) * taps) as f64).sqrt();
                    (0..len).map(|_| ((2.0 * stream.unit() - 1.0) * bound) as f32).collect()
                }
                _ if name == "time_proj.weight" => (0..len).map(|_| (16.0 * stream.normal()) as f32).collect(),
                _ => vec![1.0; len],
            };
            (name, Array { shape, data })
        });
        let state = state.collect();
        apply(&mut unet, state, path)?;
        Ok(unet)
    }

    /// The names of the parameters in PyTorch, in the order of [`parameters`](crate::parameters).
    pub fn parameter_names(&self) -> Vec<String> {
        snapshot(self).into_iter().map(|tensor| tensor.name.clone()).collect()
    }
}

/// The stream of initial weights.
const INITIAL: u64 = 8 << 40;

/// A safetensors file of the network's weights, as diffusers writes it.
///
/// # Errors
/// A weight that `dtype` cannot hold.
pub(crate) fn to_safetensors(unet: &UNet, dtype: WeightsDtype) -> Result<Vec<u8>> {
    let tensors = snapshot(unet).into_iter().map(|tensor| {
        let (name, shape) = (tensor.name.clone(), tensor.shape.to_vec());
        let data = bridge::into_data(tensor).map_err(|e| Error::input(format!("tensor {name}: {e}")))?;
        let values: Vec<f32> = data.try_to_vec().map_err(|e| Error::input(format!("tensor {name}: {e:?}")))?;
        Ok((name, shape, values))
    });
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = tensors.collect::<Result<_>>()?;
    let borrowed = tensors.iter().map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.as_slice()));
    Ok(ddim_weights::to_safetensors(borrowed, dtype)?)
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
