//! How the learning rate decays, and where the decay ends.

use serde::{Deserialize, Serialize};

/// The course of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// It stays constant.
    Constant,
    /// It falls to 0 at `decay_steps`, along half a cosine.
    Cosine,
}

/// The step at which the learning rate has fallen to 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of steps, or a list of [after step, end]")]
pub enum DecayEnd {
    /// The same for the whole run.
    Step(u64),
    /// For a run that was extended: pairs [after this step, the end], in step order, starting with one after step 0.
    Changed(Vec<[u64; 2]>),
}

impl DecayEnd {
    /// The end that goes for step `k`.
    pub(super) fn at(&self, k: u64) -> u64 {
        match self {
            Self::Step(end) => *end,
            Self::Changed(ends) => ends.iter().rev().find(|[after, _]| *after < k).or(ends.first()).map_or(k, |[_, end]| *end),
        }
    }

    /// This, but another end after step `after`.
    pub(super) fn changed(&self, after: u64, end: u64) -> Self {
        let mut ends = match self {
            Self::Step(end) => vec![[0, *end]],
            Self::Changed(ends) => ends.clone(),
        };
        ends.retain(|[known, _]| *known < after);
        if ends.is_empty() {
            return Self::Step(end);
        }
        if ends[ends.len() - 1][1] != end {
            ends.push([after, end]);
        }
        match ends[..] {
            [[_, end]] => Self::Step(end),
            _ => Self::Changed(ends),
        }
    }
}
