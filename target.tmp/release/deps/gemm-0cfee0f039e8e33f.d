/work/main/target/release/deps/gemm-0cfee0f039e8e33f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/gemm.rs

/work/main/target/release/deps/libgemm-0cfee0f039e8e33f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/gemm.rs

/work/main/target/release/deps/libgemm-0cfee0f039e8e33f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/gemm.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-0.19.0/src/gemm.rs:
