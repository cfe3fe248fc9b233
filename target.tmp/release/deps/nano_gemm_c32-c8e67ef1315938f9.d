/work/main/target/release/deps/nano_gemm_c32-c8e67ef1315938f9.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c32-21663732f47363eb/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_c32-c8e67ef1315938f9.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c32-21663732f47363eb/out/codegen.rs

/work/main/target/release/deps/libnano_gemm_c32-c8e67ef1315938f9.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c32-0.2.1/src/lib.rs /work/main/target/release/build/nano-gemm-c32-21663732f47363eb/out/codegen.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/nano-gemm-c32-0.2.1/src/lib.rs:
/work/main/target/release/build/nano-gemm-c32-21663732f47363eb/out/codegen.rs:

# env-dep:OUT_DIR=/work/main/target/release/build/nano-gemm-c32-21663732f47363eb/out
