//! Profiles of where evaluations spend their time.

use super::clock::Instant;
use std::time::Duration;

/// A profile of where evaluations spent their time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// One share per kind of operation, in the order of first use.
    pub shares: Vec<Share>,
}

/// The share of one kind of operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub kind: &'static str,
    /// Wall time; zero on wasm32-unknown-unknown, which has no clock.
    pub time: Duration,
    /// Multiply-adds as the operation's definition counts them, whatever the algorithm saved; 0 except for convolutions and attention.
    pub multiply_adds: u64,
}

impl Profile {
    /// Adds to the share of one kind of operation.
    pub fn add(&mut self, kind: &'static str, time: Duration, multiply_adds: u64) {
        let index = self.shares.iter().position(|share| share.kind == kind).unwrap_or_else(|| {
            self.shares.push(Share { kind, time: Duration::ZERO, multiply_adds: 0 });
            self.shares.len() - 1
        });
        self.shares[index].time += time;
        self.shares[index].multiply_adds += multiply_adds;
    }
}

/// Adds to a profile, if there is one, what passed since `start`; now.
pub(super) fn note(profile: &mut Option<&mut Profile>, kind: &'static str, start: Instant, multiply_adds: u64) -> Instant {
    let now = Instant::now();
    if let Some(profile) = profile {
        profile.add(kind, now - start, multiply_adds);
    }
    now
}
