/work/main/target/release/deps/nano_gemm_c64-3760badd277b381a.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c64-998c691089cdc4f5/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_c64-3760badd277b381a.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c64-998c691089cdc4f5/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_c64-3760badd277b381a.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c64-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c64-998c691089cdc4f5/out/codegen.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c64-0.2.1/src/lib.rs:
/work/main/target/release/build/nano-gemm-c64-998c691089cdc4f5/out/codegen.rs:

# env-dep:OUT_DIR=/work/main/target/release/build/nano-gemm-c64-998c691089cdc4f5/out
