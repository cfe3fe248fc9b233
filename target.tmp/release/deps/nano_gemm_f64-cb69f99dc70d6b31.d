/work/main/target/release/deps/nano_gemm_f64-cb69f99dc70d6b31.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f64-186a1d49ead4a8af/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_f64-cb69f99dc70d6b31.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f64-186a1d49ead4a8af/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_f64-cb69f99dc70d6b31.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-f64-186a1d49ead4a8af/out/codegen.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-f64-0.2.1/src/lib.rs:
/work/main/target/release/build/nano-gemm-f64-186a1d49ead4a8af/out/codegen.rs:

# env-dep:OUT_DIR=/work/main/target/release/build/nano-gemm-f64-186a1d49ead4a8af/out
