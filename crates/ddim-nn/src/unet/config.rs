//! `unet/config.json`: the configuration of diffusers' `UNet2DModel`, read strictly.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Height and width, as `sample_size` gives them: one number or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampleSize {
    /// A square.
    Square(usize),
    /// [height, width].
    Rectangle([usize; 2]),
}

impl SampleSize {
    /// [height, width].
    pub fn dims(self) -> [usize; 2] {
        match self {
            Self::Square(n) => [n, n],
            Self::Rectangle(dims) => dims,
        }
    }
}

/// The configuration of a `UNet2DModel`. Field names, meanings and defaults are diffusers'; see its `UNet2DModel` for each.
///
/// Keys that every pipeline folder has are required; those that diffusers added later have its defaults. Unknown keys are ignored, as
/// diffusers does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UNetConfig {
    #[serde(rename = "_class_name", default = "class_name")]
    pub class_name: String,
    #[serde(rename = "_diffusers_version", default = "diffusers_version")]
    pub diffusers_version: String,
    #[serde(default = "silu")]
    pub act_fn: String,
    #[serde(default = "yes")]
    pub add_attention: bool,
    #[serde(default = "eight")]
    pub attention_head_dim: Option<usize>,
    #[serde(default)]
    pub attn_norm_num_groups: Option<usize>,
    pub block_out_channels: Vec<usize>,
    #[serde(default)]
    pub center_input_sample: bool,
    #[serde(default)]
    pub class_embed_type: Option<String>,
    pub down_block_types: Vec<String>,
    #[serde(default = "one")]
    pub downsample_padding: usize,
    #[serde(default = "conv")]
    pub downsample_type: Option<String>,
    #[serde(default)]
    pub dropout: f64,
    #[serde(default = "yes")]
    pub flip_sin_to_cos: bool,
    #[serde(default)]
    pub freq_shift: f64,
    pub in_channels: usize,
    pub layers_per_block: usize,
    #[serde(default = "unit")]
    pub mid_block_scale_factor: f64,
    #[serde(default = "mid_block")]
    pub mid_block_type: Option<String>,
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    #[serde(default = "thirty_two")]
    pub norm_num_groups: Option<usize>,
    #[serde(default)]
    pub num_class_embeds: Option<usize>,
    #[serde(default)]
    pub num_train_timesteps: Option<usize>,
    pub out_channels: usize,
    #[serde(default = "default_shift")]
    pub resnet_time_scale_shift: String,
    pub sample_size: Option<SampleSize>,
    #[serde(default)]
    pub time_embedding_dim: Option<usize>,
    #[serde(default = "positional")]
    pub time_embedding_type: String,
    pub up_block_types: Vec<String>,
    #[serde(default = "conv")]
    pub upsample_type: Option<String>,
}

fn class_name() -> String {
    "UNet2DModel".into()
}
/// The version whose conventions we write.
pub(crate) fn diffusers_version() -> String {
    "0.42.1".into()
}
fn silu() -> String {
    "silu".into()
}
fn yes() -> bool {
    true
}
fn eight() -> Option<usize> {
    Some(8)
}
fn one() -> usize {
    1
}
fn unit() -> f64 {
    1.0
}
fn conv() -> Option<String> {
    Some("conv".into())
}
fn mid_block() -> Option<String> {
    Some("UNetMidBlock2D".into())
}
fn norm_eps() -> f64 {
    1e-5
}
fn thirty_two() -> Option<usize> {
    Some(32)
}
fn default_shift() -> String {
    "default".into()
}
fn positional() -> String {
    "positional".into()
}

/// Beyond these a config is a typing error, and building it would exhaust memory before any weight is read.
const MOST_CHANNELS: usize = 1 << 14;
const MOST_LAYERS: usize = 64;
const MOST_BLOCKS: usize = 16;
const MOST_ROWS: usize = 1 << 24;

impl UNetConfig {
    /// The largest height and width.
    pub(crate) const MOST_PIXELS: usize = 1 << 14;

    /// Reads and checks a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// Not JSON, a key that is missing or of another type, a value that is not supported: the message names the key.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let config: Self = crate::error::from_json(text, path)?;
        config.check().map_err(|message| Error::config(path, message))?;
        Ok(config)
    }

    /// What one activation does.
    pub(crate) fn activation(&self) -> Activation {
        Activation::named(&self.act_fn).expect("checked")
    }

    pub(crate) fn time_embed_dim(&self) -> usize {
        self.time_embedding_dim.filter(|d| *d > 0).unwrap_or(self.block_out_channels[0] * 4)
    }

    pub(crate) fn groups(&self) -> usize {
        self.norm_num_groups.expect("checked")
    }

    /// The factor by which height and width must be divisible.
    pub fn size_multiple(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Whether it has as many channels again for the variances of what it predicts, as OpenAI's networks.
    pub fn predicts_variances(&self) -> bool {
        self.out_channels == 2 * self.in_channels
    }

    /// Whether a network of this configuration needs class labels.
    pub fn is_conditional(&self) -> bool {
        self.class_embed_type.is_some() || self.num_class_embeds.is_some()
    }

    fn check(&self) -> std::result::Result<(), String> {
        let expect = |ok: bool, key: &str, found: &dyn std::fmt::Debug, expected: &str| {
            if ok { Ok(()) } else { Err(format!("{key} is {found:?}: expected {expected}")) }
        };
        let one_of = |key: &str, found: &str, known: &[&str]| expect(known.contains(&found), key, &found, &known.join(", "));
        one_of("_class_name", &self.class_name, &["UNet2DModel"])?;
        let blocks = self.block_out_channels.len();
        expect((1..=MOST_BLOCKS).contains(&blocks), "block_out_channels", &self.block_out_channels, "1 to 16 channel counts")?;
        let channels_ok = self.block_out_channels.iter().all(|c| (1..=MOST_CHANNELS).contains(c));
        expect(channels_ok, "block_out_channels", &self.block_out_channels, "channel counts from 1 to 16384")?;
        for (key, types, known) in [
            ("down_block_types", &self.down_block_types, ["DownBlock2D", "AttnDownBlock2D"]),
            ("up_block_types", &self.up_block_types, ["UpBlock2D", "AttnUpBlock2D"]),
        ] {
            expect(types.len() == blocks, key, types, &format!("{blocks} names, one for each of block_out_channels"))?;
            types.iter().try_for_each(|t| one_of(key, block_name(t), &known))?;
        }
        if let Some(mid) = &self.mid_block_type {
            expect(mid == "UNetMidBlock2D", "mid_block_type", mid, "UNetMidBlock2D or null")?;
        }
        for (key, n) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            expect((1..=MOST_CHANNELS).contains(&n), key, &n, "1 to 16384")?;
        }
        expect((1..=MOST_LAYERS).contains(&self.layers_per_block), "layers_per_block", &self.layers_per_block, "1 to 64")?;
        expect(Activation::named(&self.act_fn).is_some(), "act_fn", &self.act_fn, "silu, swish, mish, gelu or relu")?;
        expect((0.0..1.0).contains(&self.dropout), "dropout", &self.dropout, "a number from 0 to below 1")?;
        expect(self.norm_eps >= 0.0 && self.norm_eps.is_finite(), "norm_eps", &self.norm_eps, "a number, 0 or more")?;
        let scale = self.mid_block_scale_factor;
        expect(scale != 0.0 && scale.is_finite(), "mid_block_scale_factor", &scale, "a number other than 0")?;
        expect(self.freq_shift.is_finite(), "freq_shift", &self.freq_shift, "a number")?;
        expect(self.downsample_padding <= 1, "downsample_padding", &self.downsample_padding, "0 or 1")?;
        for (key, kind) in [("downsample_type", &self.downsample_type), ("upsample_type", &self.upsample_type)] {
            one_of(key, kind.as_deref().unwrap_or("conv"), &["conv", "resnet"])?;
        }
        one_of("resnet_time_scale_shift", &self.resnet_time_scale_shift, &["default", "scale_shift"])?;
        one_of("time_embedding_type", &self.time_embedding_type, &["positional", "fourier", "learned"])?;
        if let Some(dim) = self.time_embedding_dim {
            expect(dim <= MOST_CHANNELS * 4, "time_embedding_dim", &dim, "at most 65536")?;
        }
        if self.time_embedding_type == "positional" {
            let half = (self.block_out_channels[0] / 2) as f64;
            expect(
                half == 0.0 || half != self.freq_shift,
                "freq_shift",
                &self.freq_shift,
                "other than half of the first of block_out_channels",
            )?;
        }
        if self.time_embedding_type == "learned" {
            let n = self.num_train_timesteps;
            let ok = n.is_some_and(|n| (1..=MOST_ROWS).contains(&n));
            expect(ok, "num_train_timesteps", &n, "a number: time_embedding_type is \"learned\"")?;
        }
        if let Some(n) = self.num_class_embeds {
            expect((1..=MOST_ROWS).contains(&n), "num_class_embeds", &n, "at least 1")?;
        }
        if let Some(kind) = &self.class_embed_type {
            expect(["timestep", "identity"].contains(&kind.as_str()), "class_embed_type", kind, "timestep, identity or null")?;
        }
        if let Some(size) = self.sample_size {
            let m = self.size_multiple();
            let ok = size.dims().iter().all(|n| (1..=Self::MOST_PIXELS).contains(n) && n % m == 0);
            expect(ok, "sample_size", &size.dims(), &format!("multiples of {m}, for {blocks} resolutions"))?;
        }
        self.check_groups_and_heads()
    }

    fn check_groups_and_heads(&self) -> std::result::Result<(), String> {
        let Some(groups) = self.norm_num_groups.filter(|g| *g > 0) else {
            return Err(format!("norm_num_groups is {:?}: expected a number from 1", self.norm_num_groups));
        };
        for &c in &self.block_out_channels {
            if c % groups != 0 {
                return Err(format!("norm_num_groups is {groups}: expected a divisor of block_out_channels {:?}", self.block_out_channels));
            }
        }
        let mid = self.block_out_channels[self.block_out_channels.len() - 1];
        if let Some(g) = self.attn_norm_num_groups
            && (g == 0 || !mid.is_multiple_of(g))
        {
            return Err(format!("attn_norm_num_groups is {g}: expected a divisor of the last of block_out_channels, {mid}"));
        }
        if let Some(dim) = self.attention_head_dim {
            let down = self.down_block_types.iter().zip(&self.block_out_channels);
            let up = self.up_block_types.iter().zip(self.block_out_channels.iter().rev());
            let attending = down.chain(up).filter(|(t, _)| block_name(t).starts_with("Attn")).map(|(_, &c)| c);
            let attending = attending.chain((self.mid_block_type.is_some() && self.add_attention).then_some(mid));
            for channels in attending {
                if dim == 0 || dim > channels {
                    return Err(format!("attention_head_dim is {dim}: expected 1 to {channels}, the channels of a block with attention"));
                }
            }
        }
        Ok(())
    }
}

/// diffusers drops the prefix that its first versions wrote.
pub(crate) fn block_name(name: &str) -> &str {
    name.strip_prefix("UNetRes").unwrap_or(name)
}

/// diffusers' `act_fn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Activation {
    Silu,
    Mish,
    Gelu,
    Relu,
}

impl Activation {
    fn named(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "silu" | "swish" => Some(Self::Silu),
            "mish" => Some(Self::Mish),
            "gelu" => Some(Self::Gelu),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }
}
