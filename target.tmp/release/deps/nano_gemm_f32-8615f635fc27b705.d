/work/main/target/release/deps/nano_gemm_f32-8615f635fc27b705.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f32-ffde1ebd7888a4e9/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_f32-8615f635fc27b705.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f32-ffde1ebd7888a4e9/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_f32-8615f635fc27b705.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f32-ffde1ebd7888a4e9/out/codegen.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f32-0.2.1/src/lib.rs:
/work/main/target/release/build/nano-gemm-f32-ffde1ebd7888a4e9/out/codegen.rs:

# env-dep:OUT_DIR=/work/main/target/release/build/nano-gemm-f32-ffde1ebd7888a4e9/out
