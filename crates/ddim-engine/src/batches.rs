//! Batch size: how many images are in memory at once.

use crate::error::Result;
use crate::job::Watch;
use ddim_nn::Network;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::str::FromStr;

/// How many images are in memory at once. In JSON, a number or `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// As many as fit in the GPU's memory, found by trying, up to 512; on the CPU, 64.
    Auto,
    /// Exactly this many.
    Of(usize),
}

impl BatchSize {
    /// The batch size that [`Auto`](Self::Auto) stands for on the CPU.
    pub const ON_PROCESSOR: usize = 64;
}

impl Default for BatchSize {
    fn default() -> Self {
        Self::Of(Self::ON_PROCESSOR)
    }
}

impl From<usize> for BatchSize {
    fn from(n: usize) -> Self {
        Self::Of(n)
    }
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Of).map_err(|_| format!("{text:?}: expected a number of images, or auto")),
        }
    }
}

impl Serialize for BatchSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Of(n) => n.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.as_u64().map(usize::try_from) {
            Some(Ok(n)) => Ok(Self::Of(n)),
            _ if value == "auto" => Ok(Self::Auto),
            _ => Err(D::Error::custom(format!("batch_size {value}: expected a number of images, or \"auto\""))),
        }
    }
}

/// Images of a batch that nobody chose, at most, elsewhere than on the processor.
const MOST: usize = 512;

/// Has the kernels of a network compiled where it runs; how many images a batch has, of which each is `times` for the network.
pub(crate) fn prepared(network: &Network, batch: BatchSize, times: usize, watch: &Watch<'_>) -> Result<usize> {
    let Some(device) = watch.device() else {
        return Ok(if let BatchSize::Of(n) = batch { n } else { BatchSize::ON_PROCESSOR });
    };
    // An image alone wants nearly all kernels; only a batch says whether there is memory for it.
    let tried = if batch == BatchSize::Auto { MOST } else { 1 };
    let mut before = None;
    let fitting = network.prepare(tried * times, &mut |done, all| {
        // It begins anew where there was too little memory.
        if before.is_none_or(|before| done < before) {
            watch.begin("compiling kernels", "operations", all);
        }
        watch.advance(1);
        before = Some(done);
        watch.check().map_err(ddim_nn::Error::caller)
    });
    if before.is_some() {
        watch.end();
    }
    match batch {
        BatchSize::Of(n) => fitting.map(|_| n).map_err(Into::into),
        BatchSize::Auto => {
            let n = (fitting? / times).max(1);
            watch.note(format!("batches of {n}, for {}", device.described()));
            Ok(n)
        }
    }
}
