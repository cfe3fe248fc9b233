/work/main/target/release/deps/burn_einsum-37d769b0e92c5270.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/work/main/target/release/deps/libburn_einsum-37d769b0e92c5270.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/work/main/target/release/deps/libburn_einsum-37d769b0e92c5270.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-einsum-0.22.1/src/plan.rs:
