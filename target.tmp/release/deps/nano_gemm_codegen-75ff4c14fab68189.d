/work/main/target/release/deps/nano_gemm_codegen-75ff4c14fab68189.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-codegen-0.2.1/src/lib.rs

/work/main/target/release/deps/libnano_gemm_codegen-75ff4c14fab68189.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-codegen-0.2.1/src/lib.rs

/work/main/target/release/deps/libnano_gemm_codegen-75ff4c14fab68189.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-codegen-0.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-codegen-0.2.1/src/lib.rs:
