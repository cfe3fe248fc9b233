//! Networks by name: those of the paper's tables, and smaller ones.

use super::config::UNetConfig;
use serde_json::json;
use std::path::Path;

struct Preset {
    name: &'static str,
    size: usize,
    channels: &'static [usize],
    layers: usize,
    /// Where it attends.
    resolution: usize,
    /// Channels of an attention head; all of them where there is none.
    head: Option<usize>,
    groups: usize,
}

const fn ddpm(name: &'static str, size: usize, channels: &'static [usize]) -> Preset {
    Preset { name, size, channels, layers: 2, resolution: 16, head: None, groups: 32 }
}

/// DDPM, appendix B; DDIM, appendix D.1.
const PRESETS: [Preset; 5] = [
    Preset { name: "tiny", size: 32, channels: &[32, 64], layers: 1, resolution: 0, head: None, groups: 8 },
    Preset { name: "small", size: 32, channels: &[32, 64, 96], layers: 1, resolution: 16, head: Some(32), groups: 8 },
    ddpm("ddpm-cifar10", 32, &[128, 256, 256, 256]),
    ddpm("ddpm-celeba64", 64, &[128, 256, 256, 256, 512]),
    ddpm("ddpm-lsun256", 256, &[128, 128, 256, 256, 512, 512]),
];

impl UNetConfig {
    /// Returns the names that [`preset`](Self::preset) accepts.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// Returns a network by name: `tiny` or `small` for 32×32 images, or one of the paper's tables: DDPM's, for CIFAR-10, CelebA 64×64 or
    /// LSUN 256×256. None has dropout.
    pub fn preset(name: &str) -> Option<Self> {
        let preset = PRESETS.iter().find(|preset| preset.name == name)?;
        let levels = 0..preset.channels.len();
        let attends = |level: usize| if preset.size >> level == preset.resolution { "Attn" } else { "" };
        let text = json!({
            "sample_size": preset.size, "in_channels": 3, "out_channels": 3, "layers_per_block": preset.layers,
            "block_out_channels": preset.channels,
            "down_block_types": levels.clone().map(|level| format!("{}DownBlock2D", attends(level))).collect::<Vec<_>>(),
            "up_block_types": levels.rev().map(|level| format!("{}UpBlock2D", attends(level))).collect::<Vec<_>>(),
            "attention_head_dim": preset.head, "norm_num_groups": preset.groups, "norm_eps": 1e-6, "flip_sin_to_cos": false, "freq_shift": 1,
            "downsample_padding": 0,
        });
        Some(Self::from_json(&text.to_string(), Path::new(name)).expect("presets are valid"))
    }
}
