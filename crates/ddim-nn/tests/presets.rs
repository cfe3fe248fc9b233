//! The presets are the paper's networks: their sizes are those of the published checkpoints.

use ddim_nn::{Pipeline, SchedulerConfig, UNetConfig};

#[test]
fn parameters_are_those_of_the_published_networks() {
    for (name, parameters) in [("ddpm-cifar10", 35_746_307), ("ddpm-celeba64", 78_700_803), ("ddpm-lsun256", 113_673_219)] {
        let config = UNetConfig::preset(name).unwrap();
        assert_eq!(Pipeline::untrained(config, SchedulerConfig::default()).unwrap().parameters(), parameters, "{name}");
    }
    assert!(UNetConfig::preset("ddpm").is_none());
    assert_eq!(UNetConfig::presets().count(), 5);
}
