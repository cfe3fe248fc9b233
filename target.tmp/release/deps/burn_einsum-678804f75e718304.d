/work/main/target/release/deps/burn_einsum-678804f75e718304.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/work/main/target/release/deps/libburn_einsum-678804f75e718304.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/work/main/target/release/deps/libburn_einsum-678804f75e718304.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs:
