/work/main/target/release/deps/nano_gemm-fdf7a05b9e61e9e2.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-0.2.2/src/lib.rs

/work/main/target/release/deps/libnano_gemm-fdf7a05b9e61e9e2.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-0.2.2/src/lib.rs

/work/main/target/release/deps/libnano_gemm-fdf7a05b9e61e9e2.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-0.2.2/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-0.2.2/src/lib.rs:
