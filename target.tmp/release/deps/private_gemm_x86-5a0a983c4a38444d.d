/work/main/target/release/deps/private_gemm_x86-5a0a983c4a38444d.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/cache.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.s

/work/main/target/release/deps/libprivate_gemm_x86-5a0a983c4a38444d.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/cache.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.s

/work/main/target/release/deps/libprivate_gemm_x86-5a0a983c4a38444d.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/cache.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.rs /work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.s

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/private-gemm-x86-0.1.22/src/cache.rs:
/work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.rs:
/work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out/asm.s:

# env-dep:OUT_DIR=/work/main/target/release/build/private-gemm-x86-7fb0cc58558b1365/out
