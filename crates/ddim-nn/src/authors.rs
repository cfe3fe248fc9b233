//! Checkpoints of the DDIM authors' code, and of DDPM in PyTorch: their names for the network's tensors, and the configuration that the
//! shapes imply.

use crate::unet::UNetConfig;
use ddim_weights::{Array, StateDict};
use serde_json::json;
use std::path::Path;

/// The configuration of the authors' network that has these tensors, and the tensors under diffusers' names. `size` [h, w] is that of the
/// images, where it attends nowhere on its way down.
pub(crate) fn network(state: StateDict, size: Option<[usize; 2]>) -> std::result::Result<(UNetConfig, StateDict), String> {
    let config = configuration(&state, size)?;
    let levels = config.block_out_channels.len();
    let mut renamed = StateDict::new();
    for (name, mut array) in state {
        let expected = "not part of the authors' network: expected names such as down.0.block.0.conv1.weight";
        let new = modern_name(&name, levels).ok_or_else(|| format!("tensor {name}: {expected}"))?;
        // Attention's 1×1 convolutions are linear layers now.
        if new.contains("attentions.") && array.shape.len() == 4 {
            array.shape.truncate(2);
        }
        renamed.insert(new, array);
    }
    Ok((config, renamed))
}

/// diffusers' name for a tensor of the authors' network of so many levels.
fn modern_name(name: &str, levels: usize) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let layer = |layer: &str| {
        Some(match layer {
            "norm1" | "conv1" | "norm2" | "conv2" => layer.to_owned(),
            "temb_proj" => "time_emb_proj".to_owned(),
            "nin_shortcut" | "conv_shortcut" => "conv_shortcut".to_owned(),
            _ => return None,
        })
    };
    let attention = |layer: &str| {
        [("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")]
            .into_iter()
            .find_map(|(old, new)| (old == layer).then_some(new))
    };
    Some(match parts.as_slice() {
        ["conv_in" | "conv_out", field] => format!("{}.{field}", parts[0]),
        ["norm_out", field] => format!("conv_norm_out.{field}"),
        ["temb", "dense", i, field] => format!("time_embedding.linear_{}.{field}", i.parse::<usize>().ok()? + 1),
        ["mid", "block_1", inner, field] => format!("mid_block.resnets.0.{}.{field}", layer(inner)?),
        ["mid", "block_2", inner, field] => format!("mid_block.resnets.1.{}.{field}", layer(inner)?),
        ["mid", "attn_1", inner, field] => format!("mid_block.attentions.0.{}.{field}", attention(inner)?),
        [side @ ("down" | "up"), level, rest @ ..] => {
            let level: usize = level.parse().ok().filter(|level| *level < levels)?;
            // The authors count the way up from its end.
            let block = if *side == "up" { format!("up_blocks.{}", levels - 1 - level) } else { format!("down_blocks.{level}") };
            match rest {
                ["block", j, inner, field] => format!("{block}.resnets.{j}.{}.{field}", layer(inner)?),
                ["attn", j, inner, field] => format!("{block}.attentions.{j}.{}.{field}", attention(inner)?),
                ["downsample", "conv", field] => format!("{block}.downsamplers.0.conv.{field}"),
                ["upsample", "conv", field] => format!("{block}.upsamplers.0.conv.{field}"),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn configuration(state: &StateDict, size: Option<[usize; 2]>) -> std::result::Result<UNetConfig, String> {
    let shape = |name: &str| state.get(name).map(|array: &Array| array.shape.clone());
    let dims =
        |name: &str| shape(name).filter(|s| s.len() == 4).ok_or_else(|| format!("tensor {name} is missing: expected the authors' network"));
    let (conv_in, conv_out) = (dims("conv_in.weight")?, dims("conv_out.weight")?);
    let levels = (0..).take_while(|level| state.contains_key(&format!("down.{level}.block.0.conv1.weight"))).count();
    if levels == 0 {
        return Err("tensor down.0.block.0.conv1.weight is missing: expected the authors' network".into());
    }
    let layers = (0..).take_while(|block| state.contains_key(&format!("down.0.block.{block}.conv1.weight"))).count();
    let channels: Vec<usize> = (0..levels)
        .map(|level| dims(&format!("down.{level}.block.0.conv1.weight")).map(|s| s[0]))
        .collect::<std::result::Result<_, _>>()?;
    let attends = |level: usize| state.contains_key(&format!("down.{level}.attn.0.q.weight"));
    let found = (0..levels).find(|level| attends(*level)).and_then(|level| 16usize.checked_shl(level as u32));
    let size = size
        .or(found.map(|n| [n, n]))
        .ok_or("it has no attention on the way down, so the size of its images is unknown: expected --size")?;
    let kind = |level: usize, side: &str| format!("{}{side}Block2D", if attends(level) { "Attn" } else { "" });
    let config = json!({
        "sample_size": size, "in_channels": conv_in[1], "out_channels": conv_out[0], "layers_per_block": layers, "block_out_channels": channels,
        "down_block_types": (0..levels).map(|level| kind(level, "Down")).collect::<Vec<_>>(),
        "up_block_types": (0..levels).rev().map(|level| kind(level, "Up")).collect::<Vec<_>>(),
        "attention_head_dim": null, "norm_num_groups": 32, "norm_eps": 1e-6, "flip_sin_to_cos": false, "freq_shift": 1, "downsample_padding": 0,
    });
    UNetConfig::from_json(&config.to_string(), Path::new("its network")).map_err(|e| e.to_string())
}
