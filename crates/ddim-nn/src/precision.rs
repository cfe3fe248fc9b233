//! The number formats that a device computes with.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The number format of a network's values and of the factors of its products on a device.
///
/// Sums, norms, softmax and what training keeps are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of precision, as on the processor.
    #[default]
    F32,
    /// 11 bits of precision, up to 65504, in half the bytes.
    F16,
    /// 8 bits of precision, up to 3.4e38.
    Bf16,
}

impl Precision {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Returns the name: f32, f16 or bf16.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Returns its command-line form, with a leading space; empty for f32.
    pub fn flag(self) -> String {
        if self == Self::F32 { String::new() } else { format!(" --precision {self}") }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|precision| precision.name() == text).ok_or_else(|| format!("{text:?}: expected f32, f16 or bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
            assert_eq!(serde_json::to_string(&precision).unwrap(), format!("\"{precision}\""));
            assert_eq!(serde_json::from_str::<Precision>(&format!("\"{precision}\"")).unwrap(), precision);
        }
        assert_eq!("F16".parse::<Precision>().unwrap_err(), "\"F16\": expected f32, f16 or bf16");
    }
}
