/work/main/target/release/deps/nano_gemm_core-af4505a7f886bfb4.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-core-0.2.1/src/lib.rs

/work/main/target/release/deps/libnano_gemm_core-af4505a7f886bfb4.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-core-0.2.1/src/lib.rs

/work/main/target/release/deps/libnano_gemm_core-af4505a7f886bfb4.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-core-0.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-core-0.2.1/src/lib.rs:
