//! `unet/config.json`: the configuration of diffusers' `UNet2DModel`, read strictly.

use super::names::{
    Activation, ClassEmbedType, DownBlockType, MidBlockType, NetworkClass, ResampleType, TimeEmbeddingType, TimeScaleShift, UpBlockType,
};
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
    /// Returns [height, width].
    pub fn dims(self) -> [usize; 2] {
        match self {
            Self::Square(n) => [n, n],
            Self::Rectangle(dims) => dims,
        }
    }
}

/// The configuration of a `UNet2DModel`. Field names, meanings and defaults are diffusers'; see its `UNet2DModel` for each.
///
/// Keys that every pipeline folder has are required; those that diffusers added later have its defaults. Unknown keys are ignored, as in
/// diffusers. Names of layers are enums; [`check`](Self::check) verifies what their types do not say about the numbers, whenever a
/// configuration is read and whenever a network is made from one.
///
/// ```
/// use ddim_nn::{UNet, UNetConfig};
///
/// let mut config = UNetConfig::preset("tiny").unwrap();
/// config.block_out_channels = vec![8, 16];
/// assert_eq!(config.size_multiple(), 2); // two resolutions
/// let small = UNet::initialised(&config, 0)?;
/// assert!(small.values().len() < UNet::initialised(&UNetConfig::preset("tiny").unwrap(), 0)?.values().len());
///
/// config.block_out_channels = vec![8, 17];
/// assert!(config.check().unwrap_err().to_string().contains("17"));
/// # Ok::<(), ddim_nn::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UNetConfig {
    #[serde(rename = "_class_name", default = "class_name")]
    pub class_name: NetworkClass,
    #[serde(rename = "_diffusers_version", default = "diffusers_version")]
    pub diffusers_version: String,
    #[serde(default = "silu")]
    pub act_fn: Activation,
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
    pub class_embed_type: Option<ClassEmbedType>,
    pub down_block_types: Vec<DownBlockType>,
    #[serde(default = "one")]
    pub downsample_padding: usize,
    #[serde(default = "conv")]
    pub downsample_type: Option<ResampleType>,
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
    pub mid_block_type: Option<MidBlockType>,
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    #[serde(default)]
    pub num_class_embeds: Option<usize>,
    #[serde(default)]
    pub num_train_timesteps: Option<usize>,
    pub out_channels: usize,
    #[serde(default = "default_shift")]
    pub resnet_time_scale_shift: TimeScaleShift,
    pub sample_size: Option<SampleSize>,
    #[serde(default)]
    pub time_embedding_dim: Option<usize>,
    #[serde(default = "positional")]
    pub time_embedding_type: TimeEmbeddingType,
    pub up_block_types: Vec<UpBlockType>,
    #[serde(default = "conv")]
    pub upsample_type: Option<ResampleType>,
}

fn class_name() -> NetworkClass {
    NetworkClass::UNet2DModel
}
/// The version whose conventions we write.
pub(crate) fn diffusers_version() -> String {
    "0.42.1".into()
}
fn silu() -> Activation {
    Activation::Silu
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
fn conv() -> Option<ResampleType> {
    Some(ResampleType::Conv)
}
fn mid_block() -> Option<MidBlockType> {
    Some(MidBlockType::UNetMidBlock2D)
}
fn norm_eps() -> f64 {
    1e-5
}
fn thirty_two() -> usize {
    32
}
fn default_shift() -> TimeScaleShift {
    TimeScaleShift::Default
}
fn positional() -> TimeEmbeddingType {
    TimeEmbeddingType::Positional
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
    /// Returns an error, naming the key, if the text is not JSON, a key is missing or of another type, or a value is not supported.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let config: Self = ddim_weights::from_json(text, path)?;
        config.find_fault().map_err(|message| Error::config(path, message))?;
        Ok(config)
    }

    /// Checks that a network can be made from this configuration: what [`from_json`](Self::from_json) ensures, for one that was built or
    /// changed in code.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), naming the key, for a value that is not supported.
    pub fn check(&self) -> Result<()> {
        self.find_fault().map_err(|message| Error::config(Path::new("the network's configuration"), message))
    }

    /// Whether it is of the same network, for images of any size.
    pub(crate) fn same_network(&self, other: &Self) -> bool {
        let (sample_size, diffusers_version) = (other.sample_size, other.diffusers_version.clone());
        *other == Self { sample_size, diffusers_version, ..self.clone() }
    }

    pub(crate) fn time_embed_dim(&self) -> usize {
        self.time_embedding_dim.filter(|d| *d > 0).unwrap_or(self.block_out_channels[0] * 4)
    }

    /// Returns the factor by which height and width must be divisible.
    pub fn size_multiple(&self) -> usize {
        1 << (self.block_out_channels.len().clamp(1, MOST_BLOCKS) - 1)
    }

    /// Returns whether the output has as many channels again for the variances of its predictions, as in OpenAI's networks.
    pub fn predicts_variances(&self) -> bool {
        self.out_channels == 2 * self.in_channels
    }

    /// Returns whether a network of this configuration needs class labels.
    pub fn is_conditional(&self) -> bool {
        self.class_embed_type.is_some() || self.num_class_embeds.is_some()
    }

    fn find_fault(&self) -> std::result::Result<(), String> {
        let expect = |ok: bool, key: &str, found: &dyn std::fmt::Debug, expected: &str| {
            if ok { Ok(()) } else { Err(format!("{key} is {found:?}: expected {expected}")) }
        };
        let blocks = self.block_out_channels.len();
        expect((1..=MOST_BLOCKS).contains(&blocks), "block_out_channels", &self.block_out_channels, "1 to 16 channel counts")?;
        let channels_ok = self.block_out_channels.iter().all(|c| (1..=MOST_CHANNELS).contains(c));
        expect(channels_ok, "block_out_channels", &self.block_out_channels, "channel counts from 1 to 16384")?;
        let names = format!("{blocks} names, one for each of block_out_channels");
        expect(self.down_block_types.len() == blocks, "down_block_types", &self.down_block_types, &names)?;
        expect(self.up_block_types.len() == blocks, "up_block_types", &self.up_block_types, &names)?;
        for (key, n) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            expect((1..=MOST_CHANNELS).contains(&n), key, &n, "1 to 16384")?;
        }
        expect((1..=MOST_LAYERS).contains(&self.layers_per_block), "layers_per_block", &self.layers_per_block, "1 to 64")?;
        expect((0.0..1.0).contains(&self.dropout), "dropout", &self.dropout, "a number from 0 to below 1")?;
        expect(self.norm_eps >= 0.0 && self.norm_eps.is_finite(), "norm_eps", &self.norm_eps, "a number, 0 or more")?;
        let scale = self.mid_block_scale_factor;
        expect(scale != 0.0 && scale.is_finite(), "mid_block_scale_factor", &scale, "a number other than 0")?;
        expect(self.freq_shift.is_finite(), "freq_shift", &self.freq_shift, "a number")?;
        expect(self.downsample_padding <= 1, "downsample_padding", &self.downsample_padding, "0 or 1")?;
        if let Some(dim) = self.time_embedding_dim {
            expect(dim <= MOST_CHANNELS * 4, "time_embedding_dim", &dim, "at most 65536")?;
        }
        if self.time_embedding_type == TimeEmbeddingType::Positional {
            let half = (self.block_out_channels[0] / 2) as f64;
            expect(
                half == 0.0 || half != self.freq_shift,
                "freq_shift",
                &self.freq_shift,
                "other than half of the first of block_out_channels",
            )?;
        }
        if self.time_embedding_type == TimeEmbeddingType::Learned {
            let n = self.num_train_timesteps;
            let ok = n.is_some_and(|n| (1..=MOST_ROWS).contains(&n));
            expect(ok, "num_train_timesteps", &n, "a number: time_embedding_type is learned")?;
        }
        if let Some(n) = self.num_class_embeds {
            expect((1..=MOST_ROWS).contains(&n), "num_class_embeds", &n, "at least 1")?;
        }
        if let Some(size) = self.sample_size {
            let m = self.size_multiple();
            let ok = size.dims().iter().all(|n| (1..=Self::MOST_PIXELS).contains(n) && n % m == 0);
            expect(ok, "sample_size", &size.dims(), &format!("multiples of {m}, for {blocks} resolutions"))?;
        }
        self.check_groups_and_heads()
    }

    fn check_groups_and_heads(&self) -> std::result::Result<(), String> {
        let groups = self.norm_num_groups;
        if groups == 0 {
            return Err("norm_num_groups is 0: expected a number from 1".to_owned());
        }
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
            let down = self.down_block_types.iter().map(|t| t.attends()).zip(&self.block_out_channels);
            let up = self.up_block_types.iter().map(|t| t.attends()).zip(self.block_out_channels.iter().rev());
            let attending = down.chain(up).filter(|(attends, _)| *attends).map(|(_, &c)| c);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::UNet;
    use crate::{ErrorKind, Network, Pipeline, SchedulerConfig};
    use serde_json::{Value, json};

    fn tiny() -> UNetConfig {
        UNetConfig { sample_size: Some(SampleSize::Square(8)), ..UNetConfig::preset("tiny").unwrap() }
    }

    fn read(changes: &[(&str, Value)]) -> Result<UNetConfig> {
        let mut json = serde_json::to_value(tiny()).unwrap();
        changes.iter().for_each(|(key, value)| json[*key] = value.clone());
        UNetConfig::from_json(&json.to_string(), Path::new("unet/config.json"))
    }

    /// What is read is written as diffusers spells it, and reads as the same again.
    #[test]
    fn names_are_written_as_diffusers_spells_them() {
        for (key, found, written) in [
            ("act_fn", json!("swish"), json!("silu")),
            ("act_fn", json!("GELU"), json!("gelu")),
            ("down_block_types", json!(["UNetResDownBlock2D", "UNetResAttnDownBlock2D"]), json!(["DownBlock2D", "AttnDownBlock2D"])),
            ("up_block_types", json!(["UNetResAttnUpBlock2D", "UpBlock2D"]), json!(["AttnUpBlock2D", "UpBlock2D"])),
            ("mid_block_type", Value::Null, Value::Null),
            ("mid_block_type", json!("UNetMidBlock2D"), json!("UNetMidBlock2D")),
            ("resnet_time_scale_shift", json!("scale_shift"), json!("scale_shift")),
            ("time_embedding_type", json!("fourier"), json!("fourier")),
            ("class_embed_type", json!("identity"), json!("identity")),
            ("downsample_type", json!("resnet"), json!("resnet")),
            ("upsample_type", Value::Null, Value::Null),
            ("_class_name", json!("UNet2DModel"), json!("UNet2DModel")),
        ] {
            let config = read(&[(key, found)]).unwrap();
            let json = serde_json::to_value(&config).unwrap();
            assert_eq!(json[key], written, "{key}");
            assert_eq!(UNetConfig::from_json(&json.to_string(), Path::new("again")).unwrap(), config, "{key}");
        }
    }

    /// One line that names the file, the key, what was found and what was expected.
    #[test]
    fn names_that_are_not_known_are_refused() {
        for (key, found, expected) in [
            ("act_fn", "tanh", "silu, mish, gelu, relu"),
            ("down_block_types", "UpBlock2D", "DownBlock2D, AttnDownBlock2D"),
            ("up_block_types", "CrossAttnUpBlock2D", "UpBlock2D, AttnUpBlock2D"),
            ("mid_block_type", "UNetMidBlock2DCrossAttn", "UNetMidBlock2D"),
            ("resnet_time_scale_shift", "spatial", "default, scale_shift"),
            ("time_embedding_type", "sine", "positional, fourier, learned"),
            ("class_embed_type", "projection", "timestep, identity"),
            ("downsample_type", "fir", "conv, resnet"),
            ("upsample_type", "", "conv, resnet"),
            ("_class_name", "UNet2DConditionModel", "UNet2DModel"),
        ] {
            let value = if key.ends_with("_types") { json!(["DownBlock2D", found]) } else { json!(found) };
            let value = if key == "up_block_types" { json!(["UpBlock2D", found]) } else { value };
            let error = read(&[(key, value)]).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Config);
            for word in ["unet/config.json", key, &format!("{found:?}"), &format!("expected {expected}")] {
                assert!(message.contains(word), "{word}: {message}");
            }
            assert_eq!(message.lines().count(), 1);
        }
        assert!(read(&[("norm_num_groups", Value::Null)]).unwrap_err().to_string().contains("norm_num_groups"));
    }

    /// A configuration may be put together, or changed after it was read: it is looked at again where a network is made of it.
    #[test]
    fn a_network_is_made_of_what_holds() {
        type Change = fn(&mut UNetConfig);
        let changes: [(&str, Change); 14] = [
            ("block_out_channels", |c| c.block_out_channels.clear()),
            ("block_out_channels", |c| c.block_out_channels = vec![8; 100]),
            ("block_out_channels", |c| c.block_out_channels[1] = usize::MAX),
            ("down_block_types", |c| c.down_block_types.truncate(1)),
            ("up_block_types", |c| c.up_block_types.clear()),
            ("norm_num_groups", |c| c.norm_num_groups = 0),
            ("norm_num_groups", |c| c.norm_num_groups = 5),
            ("attn_norm_num_groups", |c| c.attn_norm_num_groups = Some(0)),
            ("attention_head_dim", |c| c.attention_head_dim = Some(0)),
            ("layers_per_block", |c| c.layers_per_block = usize::MAX),
            ("num_train_timesteps", |c| c.time_embedding_type = TimeEmbeddingType::Learned),
            ("num_class_embeds", |c| c.num_class_embeds = Some(0)),
            ("dropout", |c| c.dropout = f64::NAN),
            ("sample_size", |c| c.sample_size = Some(SampleSize::Square(7))),
        ];
        for (key, change) in changes {
            let mut config = tiny();
            change(&mut config);
            config.size_multiple();
            let errors = [
                config.check().unwrap_err(),
                UNet::initialised(&config, 0).unwrap_err(),
                Pipeline::untrained(config.clone(), SchedulerConfig::default()).unwrap_err(),
            ];
            for error in errors {
                assert!(error.kind() == ErrorKind::Config && error.to_string().contains(key), "{key}: {error}");
            }
            let pipeline = Pipeline { config, ..Pipeline::untrained(tiny(), SchedulerConfig::default()).unwrap() };
            assert!(Network::new(pipeline).is_err(), "{key}");
        }
        // One that holds, and is another network's.
        let pipeline = || Pipeline::untrained(tiny(), SchedulerConfig::default()).unwrap();
        let other = UNetConfig { in_channels: 1, out_channels: 1, ..tiny() };
        let error = Network::new(Pipeline { config: other, ..pipeline() }).expect_err("another network's");
        assert!(error.to_string().contains("for another network"), "{error}");
        let larger = UNetConfig { sample_size: Some(SampleSize::Rectangle([16, 8])), ..tiny() };
        assert_eq!(Network::new(Pipeline { config: larger, ..pipeline() }).unwrap().shape(), [3, 16, 8]);
    }
}
