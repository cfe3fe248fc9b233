//! The networks of the paper's tables.

use super::config::UNetConfig;
use serde_json::json;
use std::path::Path;

/// Names, image sizes, channel multiples of 128, and the resolution at which the network attends (DDPM, appendix B; DDIM, appendix D.1).
const PRESETS: [(&str, usize, &[usize]); 3] =
    [("ddpm-cifar10", 32, &[1, 2, 2, 2]), ("ddpm-celeba64", 64, &[1, 2, 2, 2, 4]), ("ddpm-lsun256", 256, &[1, 1, 2, 2, 4, 4])];

impl UNetConfig {
    /// The names that [`preset`](Self::preset) knows.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, ..)| *name)
    }

    /// The network of one of the paper's tables: DDPM's, for CIFAR-10, CelebA 64×64 or LSUN 256×256.
    pub fn preset(name: &str) -> Option<Self> {
        let (_, size, multiples) = PRESETS.iter().find(|(known, ..)| *known == name)?;
        let attends = |level: usize| if size >> level == 16 { "Attn" } else { "" };
        let levels = 0..multiples.len();
        let text = json!({
            "sample_size": size, "in_channels": 3, "out_channels": 3, "layers_per_block": 2,
            "block_out_channels": multiples.iter().map(|m| 128 * m).collect::<Vec<_>>(),
            "down_block_types": levels.clone().map(|level| format!("{}DownBlock2D", attends(level))).collect::<Vec<_>>(),
            "up_block_types": levels.rev().map(|level| format!("{}UpBlock2D", attends(level))).collect::<Vec<_>>(),
            "attention_head_dim": null, "norm_num_groups": 32, "norm_eps": 1e-6, "flip_sin_to_cos": false, "freq_shift": 1, "downsample_padding": 0,
        });
        Some(Self::from_json(&text.to_string(), Path::new(name)).expect("presets are valid"))
    }
}
