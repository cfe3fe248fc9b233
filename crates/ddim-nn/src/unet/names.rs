//! The names that a `config.json` may give to a kind of layer. Each is an enum, so a configuration that was read has no unknown names.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An enum whose variants are names in JSON, looked up as `by` makes of them. The first spelling is diffusers' own and the one that is
/// written; others are read as well.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident by $read:path: $($(#[$about:meta])* $variant:ident = $first:literal $(| $other:literal)*),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// Returns the name used in `config.json`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $first,)+
                }
            }

            fn named(name: &str) -> Option<Self> {
                match name {
                    $($first $(| $other)* => Some(Self::$variant),)+
                    _ => None,
                }
            }

            const EXPECTED: &[&str] = &[$($first),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::named(&$read(&name)).ok_or_else(|| D::Error::custom(format_args!("{name:?}: expected {}", Self::EXPECTED.join(", "))))
            }
        }
    };
}

names! {
    /// `_class_name`: the class of network.
    NetworkClass by str::to_owned:
    /// The unconditional U-Net, or one with classes.
    UNet2DModel = "UNet2DModel"
}

names! {
    /// `act_fn`: the activation between a residual block's layers. diffusers reads it in any letter case.
    Activation by str::to_lowercase:
    /// x / (1 + e^-x).
    Silu = "silu" | "swish",
    /// x tanh(ln(1 + e^x)).
    Mish = "mish",
    /// x Φ(x).
    Gelu = "gelu",
    /// max(0, x).
    Relu = "relu"
}

impl Activation {
    /// The kernel that computes it.
    pub(crate) fn kernel(self) -> ddim_kernels::Activation {
        match self {
            Self::Silu => ddim_kernels::Activation::Silu,
            Self::Mish => ddim_kernels::Activation::Mish,
            Self::Gelu => ddim_kernels::Activation::Gelu,
            Self::Relu => ddim_kernels::Activation::Relu,
        }
    }
}

// diffusers drops the prefix UNetRes, which its first versions wrote.
names! {
    /// One of `down_block_types`.
    DownBlockType by str::to_owned:
    /// Residual blocks.
    DownBlock2D = "DownBlock2D" | "UNetResDownBlock2D",
    /// Residual blocks, each followed by attention.
    AttnDownBlock2D = "AttnDownBlock2D" | "UNetResAttnDownBlock2D"
}

names! {
    /// One of `up_block_types`.
    UpBlockType by str::to_owned:
    /// Residual blocks.
    UpBlock2D = "UpBlock2D" | "UNetResUpBlock2D",
    /// Residual blocks, each followed by attention.
    AttnUpBlock2D = "AttnUpBlock2D" | "UNetResAttnUpBlock2D"
}

names! {
    /// `mid_block_type`: the block between down and up.
    MidBlockType by str::to_owned:
    /// Two residual blocks with attention between them.
    UNetMidBlock2D = "UNetMidBlock2D"
}

names! {
    /// `downsample_type` and `upsample_type`: how blocks with attention change the resolution.
    ResampleType by str::to_owned:
    /// A convolution.
    Conv = "conv",
    /// A residual block.
    Resnet = "resnet"
}

names! {
    /// `resnet_time_scale_shift`: how the time embedding enters a residual block.
    TimeScaleShift by str::to_owned:
    /// It is added.
    Default = "default",
    /// It scales and shifts the output of the second norm.
    ScaleShift = "scale_shift"
}

names! {
    /// `time_embedding_type`: how a timestep becomes features.
    TimeEmbeddingType by str::to_owned:
    /// Sines and cosines.
    Positional = "positional",
    /// Random Fourier features of its logarithm.
    Fourier = "fourier",
    /// A table with a row for each of `num_train_timesteps`.
    Learned = "learned"
}

names! {
    /// `class_embed_type`: how a class becomes an embedding, if not as a row of a table.
    ClassEmbedType by str::to_owned:
    /// In the same way as a timestep.
    Timestep = "timestep",
    /// It already is an embedding.
    Identity = "identity"
}

impl DownBlockType {
    /// Returns whether it has attention.
    pub fn attends(self) -> bool {
        self == Self::AttnDownBlock2D
    }
}

impl UpBlockType {
    /// Returns whether it has attention.
    pub fn attends(self) -> bool {
        self == Self::AttnUpBlock2D
    }
}
