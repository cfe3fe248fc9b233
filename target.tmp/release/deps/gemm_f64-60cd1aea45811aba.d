/work/main/target/release/deps/gemm_f64-60cd1aea45811aba.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_f64-60cd1aea45811aba.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_f64-60cd1aea45811aba.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/microkernel.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/gemm.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-f64-0.19.0/src/microkernel.rs:
