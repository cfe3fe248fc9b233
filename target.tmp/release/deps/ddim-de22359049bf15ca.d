/work/wt/base/target/release/deps/ddim-de22359049bf15ca.d: crates/ddim/src/lib.rs crates/ddim/src/denoiser.rs crates/ddim/src/encode.rs crates/ddim/src/error.rs crates/ddim/src/interpolate.rs crates/ddim/src/noise.rs crates/ddim/src/objective.rs crates/ddim/src/pixels.rs crates/ddim/src/process.rs crates/ddim/src/sample.rs crates/ddim/src/schedule.rs crates/ddim/src/trajectory.rs

/work/wt/base/target/release/deps/libddim-de22359049bf15ca.rlib: crates/ddim/src/lib.rs crates/ddim/src/denoiser.rs crates/ddim/src/encode.rs crates/ddim/src/error.rs crates/ddim/src/interpolate.rs crates/ddim/src/noise.rs crates/ddim/src/objective.rs crates/ddim/src/pixels.rs crates/ddim/src/process.rs crates/ddim/src/sample.rs crates/ddim/src/schedule.rs crates/ddim/src/trajectory.rs

/work/wt/base/target/release/deps/libddim-de22359049bf15ca.rmeta: crates/ddim/src/lib.rs crates/ddim/src/denoiser.rs crates/ddim/src/encode.rs crates/ddim/src/error.rs crates/ddim/src/interpolate.rs crates/ddim/src/noise.rs crates/ddim/src/objective.rs crates/ddim/src/pixels.rs crates/ddim/src/process.rs crates/ddim/src/sample.rs crates/ddim/src/schedule.rs crates/ddim/src/trajectory.rs

crates/ddim/src/lib.rs:
crates/ddim/src/denoiser.rs:
crates/ddim/src/encode.rs:
crates/ddim/src/error.rs:
crates/ddim/src/interpolate.rs:
crates/ddim/src/noise.rs:
crates/ddim/src/objective.rs:
crates/ddim/src/pixels.rs:
crates/ddim/src/process.rs:
crates/ddim/src/sample.rs:
crates/ddim/src/schedule.rs:
crates/ddim/src/trajectory.rs:
