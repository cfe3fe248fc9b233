/work/wt/base/target/release/deps/ddim_nn-a98b295ca3871612.d: crates/ddim-nn/src/lib.rs crates/ddim-nn/src/authors.rs crates/ddim-nn/src/error.rs crates/ddim-nn/src/files.rs crates/ddim-nn/src/inception.rs crates/ddim-nn/src/network.rs crates/ddim-nn/src/pickle.rs crates/ddim-nn/src/pipeline.rs crates/ddim-nn/src/scheduler.rs crates/ddim-nn/src/training.rs crates/ddim-nn/src/unet/mod.rs crates/ddim-nn/src/unet/blocks.rs crates/ddim-nn/src/unet/config.rs crates/ddim-nn/src/unet/embedding.rs crates/ddim-nn/src/unet/native.rs crates/ddim-nn/src/unet/ops.rs crates/ddim-nn/src/unet/plan.rs crates/ddim-nn/src/unet/presets.rs crates/ddim-nn/src/unet/resnet.rs crates/ddim-nn/src/unet/trace.rs crates/ddim-nn/src/weights.rs

/work/wt/base/target/release/deps/libddim_nn-a98b295ca3871612.rlib: crates/ddim-nn/src/lib.rs crates/ddim-nn/src/authors.rs crates/ddim-nn/src/error.rs crates/ddim-nn/src/files.rs crates/ddim-nn/src/inception.rs crates/ddim-nn/src/network.rs crates/ddim-nn/src/pickle.rs crates/ddim-nn/src/pipeline.rs crates/ddim-nn/src/scheduler.rs crates/ddim-nn/src/training.rs crates/ddim-nn/src/unet/mod.rs crates/ddim-nn/src/unet/blocks.rs crates/ddim-nn/src/unet/config.rs crates/ddim-nn/src/unet/embedding.rs crates/ddim-nn/src/unet/native.rs crates/ddim-nn/src/unet/ops.rs crates/ddim-nn/src/unet/plan.rs crates/ddim-nn/src/unet/presets.rs crates/ddim-nn/src/unet/resnet.rs crates/ddim-nn/src/unet/trace.rs crates/ddim-nn/src/weights.rs

/work/wt/base/target/release/deps/libddim_nn-a98b295ca3871612.rmeta: crates/ddim-nn/src/lib.rs crates/ddim-nn/src/authors.rs crates/ddim-nn/src/error.rs crates/ddim-nn/src/files.rs crates/ddim-nn/src/inception.rs crates/ddim-nn/src/network.rs crates/ddim-nn/src/pickle.rs crates/ddim-nn/src/pipeline.rs crates/ddim-nn/src/scheduler.rs crates/ddim-nn/src/training.rs crates/ddim-nn/src/unet/mod.rs crates/ddim-nn/src/unet/blocks.rs crates/ddim-nn/src/unet/config.rs crates/ddim-nn/src/unet/embedding.rs crates/ddim-nn/src/unet/native.rs crates/ddim-nn/src/unet/ops.rs crates/ddim-nn/src/unet/plan.rs crates/ddim-nn/src/unet/presets.rs crates/ddim-nn/src/unet/resnet.rs crates/ddim-nn/src/unet/trace.rs crates/ddim-nn/src/weights.rs

crates/ddim-nn/src/lib.rs:
crates/ddim-nn/src/authors.rs:
crates/ddim-nn/src/error.rs:
crates/ddim-nn/src/files.rs:
crates/ddim-nn/src/inception.rs:
crates/ddim-nn/src/network.rs:
crates/ddim-nn/src/pickle.rs:
crates/ddim-nn/src/pipeline.rs:
crates/ddim-nn/src/scheduler.rs:
crates/ddim-nn/src/training.rs:
crates/ddim-nn/src/unet/mod.rs:
crates/ddim-nn/src/unet/blocks.rs:
crates/ddim-nn/src/unet/config.rs:
crates/ddim-nn/src/unet/embedding.rs:
crates/ddim-nn/src/unet/native.rs:
crates/ddim-nn/src/unet/ops.rs:
crates/ddim-nn/src/unet/plan.rs:
crates/ddim-nn/src/unet/presets.rs:
crates/ddim-nn/src/unet/resnet.rs:
crates/ddim-nn/src/unet/trace.rs:
crates/ddim-nn/src/weights.rs:
