/work/wt/base/target/release/deps/ddim_train-b3fe420fdb6bcb7d.d: crates/ddim-train/src/lib.rs crates/ddim-train/src/checkpoint.rs crates/ddim-train/src/config.rs crates/ddim-train/src/data.rs crates/ddim-train/src/error.rs crates/ddim-train/src/events.rs crates/ddim-train/src/images.rs crates/ddim-train/src/run.rs crates/ddim-train/src/trainer.rs crates/ddim-train/src/../presets/defaults.toml crates/ddim-train/src/../presets/tiny.toml crates/ddim-train/src/../presets/small.toml crates/ddim-train/src/../presets/ddpm-cifar10.toml crates/ddim-train/src/../presets/ddpm-celeba64.toml crates/ddim-train/src/../presets/ddpm-lsun256.toml

/work/wt/base/target/release/deps/libddim_train-b3fe420fdb6bcb7d.rlib: crates/ddim-train/src/lib.rs crates/ddim-train/src/checkpoint.rs crates/ddim-train/src/config.rs crates/ddim-train/src/data.rs crates/ddim-train/src/error.rs crates/ddim-train/src/events.rs crates/ddim-train/src/images.rs crates/ddim-train/src/run.rs crates/ddim-train/src/trainer.rs crates/ddim-train/src/../presets/defaults.toml crates/ddim-train/src/../presets/tiny.toml crates/ddim-train/src/../presets/small.toml crates/ddim-train/src/../presets/ddpm-cifar10.toml crates/ddim-train/src/../presets/ddpm-celeba64.toml crates/ddim-train/src/../presets/ddpm-lsun256.toml

/work/wt/base/target/release/deps/libddim_train-b3fe420fdb6bcb7d.rmeta: crates/ddim-train/src/lib.rs crates/ddim-train/src/checkpoint.rs crates/ddim-train/src/config.rs crates/ddim-train/src/data.rs crates/ddim-train/src/error.rs crates/ddim-train/src/events.rs crates/ddim-train/src/images.rs crates/ddim-train/src/run.rs crates/ddim-train/src/trainer.rs crates/ddim-train/src/../presets/defaults.toml crates/ddim-train/src/../presets/tiny.toml crates/ddim-train/src/../presets/small.toml crates/ddim-train/src/../presets/ddpm-cifar10.toml crates/ddim-train/src/../presets/ddpm-celeba64.toml crates/ddim-train/src/../presets/ddpm-lsun256.toml

crates/ddim-train/src/lib.rs:
crates/ddim-train/src/checkpoint.rs:
crates/ddim-train/src/config.rs:
crates/ddim-train/src/data.rs:
crates/ddim-train/src/error.rs:
crates/ddim-train/src/events.rs:
crates/ddim-train/src/images.rs:
crates/ddim-train/src/run.rs:
crates/ddim-train/src/trainer.rs:
crates/ddim-train/src/../presets/defaults.toml:
crates/ddim-train/src/../presets/tiny.toml:
crates/ddim-train/src/../presets/small.toml:
crates/ddim-train/src/../presets/ddpm-cifar10.toml:
crates/ddim-train/src/../presets/ddpm-celeba64.toml:
crates/ddim-train/src/../presets/ddpm-lsun256.toml:
