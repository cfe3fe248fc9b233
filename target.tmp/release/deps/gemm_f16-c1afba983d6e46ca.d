/work/main/target/release/deps/gemm_f16-c1afba983d6e46ca.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_f16-c1afba983d6e46ca.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_f16-c1afba983d6e46ca.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/microkernel.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/gemm.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f16-0.19.0/src/microkernel.rs:
