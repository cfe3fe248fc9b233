/work/main/target/release/deps/gemm_c32-4ba292dfe73ddc7d.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_c32-4ba292dfe73ddc7d.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/microkernel.rs

/work/main/target/release/deps/libgemm_c32-4ba292dfe73ddc7d.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/gemm.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/microkernel.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/gemm.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/gemm-c32-0.19.0/src/microkernel.rs:
