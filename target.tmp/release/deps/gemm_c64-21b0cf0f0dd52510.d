/work/main/target/release/deps/gemm_c64-21b0cf0f0dd52510.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_c64-21b0cf0f0dd52510.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_c64-21b0cf0f0dd52510.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/microkernel.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/gemm.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c64-0.19.0/src/microkernel.rs:
