/work/wt/base/target/release/deps/ddim_kernels-3e4976545b1b1fa8.d: crates/ddim-kernels/src/lib.rs crates/ddim-kernels/src/adam.rs crates/ddim-kernels/src/attention.rs crates/ddim-kernels/src/conv.rs crates/ddim-kernels/src/conv_gradient.rs crates/ddim-kernels/src/gemm.rs crates/ddim-kernels/src/images.rs crates/ddim-kernels/src/norm.rs crates/ddim-kernels/src/pool.rs crates/ddim-kernels/src/scratch.rs crates/ddim-kernels/src/simd.rs crates/ddim-kernels/src/winograd.rs

/work/wt/base/target/release/deps/libddim_kernels-3e4976545b1b1fa8.rlib: crates/ddim-kernels/src/lib.rs crates/ddim-kernels/src/adam.rs crates/ddim-kernels/src/attention.rs crates/ddim-kernels/src/conv.rs crates/ddim-kernels/src/conv_gradient.rs crates/ddim-kernels/src/gemm.rs crates/ddim-kernels/src/images.rs crates/ddim-kernels/src/norm.rs crates/ddim-kernels/src/pool.rs crates/ddim-kernels/src/scratch.rs crates/ddim-kernels/src/simd.rs crates/ddim-kernels/src/winograd.rs

/work/wt/base/target/release/deps/libddim_kernels-3e4976545b1b1fa8.rmeta: crates/ddim-kernels/src/lib.rs crates/ddim-kernels/src/adam.rs crates/ddim-kernels/src/attention.rs crates/ddim-kernels/src/conv.rs crates/ddim-kernels/src/conv_gradient.rs crates/ddim-kernels/src/gemm.rs crates/ddim-kernels/src/images.rs crates/ddim-kernels/src/norm.rs crates/ddim-kernels/src/pool.rs crates/ddim-kernels/src/scratch.rs crates/ddim-kernels/src/simd.rs crates/ddim-kernels/src/winograd.rs

crates/ddim-kernels/src/lib.rs:
crates/ddim-kernels/src/adam.rs:
crates/ddim-kernels/src/attention.rs:
crates/ddim-kernels/src/conv.rs:
crates/ddim-kernels/src/conv_gradient.rs:
crates/ddim-kernels/src/gemm.rs:
crates/ddim-kernels/src/images.rs:
crates/ddim-kernels/src/norm.rs:
crates/ddim-kernels/src/pool.rs:
crates/ddim-kernels/src/scratch.rs:
crates/ddim-kernels/src/simd.rs:
crates/ddim-kernels/src/winograd.rs:
