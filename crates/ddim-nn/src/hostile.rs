//! Configurations that are almost right: each is read, or gives an error of one line, never a panic or a hang.
//!
//! `DDIM_FUZZ_CASES=1000000 cargo test --release --workspace --lib hostile` tries a million of each kind.

use crate::damage::{cases, damaged, damages};
use crate::{SchedulerConfig, UNetConfig};
use ddim_weights::from_json;
use proptest::prelude::*;
use std::path::Path;

fn path() -> &'static Path {
    Path::new("damaged.json")
}

const UNET: &str = include_str!("../../../conformance/unet/ddpm/unet/config.json");
const SCHEDULER: &str = include_str!("../../../conformance/unet/ddpm/scheduler/scheduler_config.json");

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn configs(damage in damages(), word in prop::sample::select(vec!["NaN", "-Infinity", "null", "1e400", "[", "\"", "{}", "-1", "\\"]), at in 0.0f64..1.0) {
        for (text, scheduler) in [(UNET, false), (SCHEDULER, true)] {
            let mut bytes = damaged(text.as_bytes(), &damage);
            let place = (at * bytes.len() as f64) as usize;
            bytes.splice(place..place, word.bytes());
            let text = String::from_utf8_lossy(&bytes);
            let read = if scheduler {
                SchedulerConfig::from_json(&text, path()).map(|config| drop((config.schedule(), config.clip())))
            } else {
                UNetConfig::from_json(&text, path()).map(drop)
            };
            if let Err(error) = read {
                let message = error.to_string();
                prop_assert!(message.starts_with("damaged.json: ") && message.lines().count() == 1, "{message}");
            }
            // Any JSON, of any depth.
            let _ = from_json::<serde_json::Value>(&text, path());
        }
    }
}
