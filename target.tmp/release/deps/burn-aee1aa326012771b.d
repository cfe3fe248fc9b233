/work/main/target/release/deps/burn-aee1aa326012771b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-0.22.1/src/lib.rs

/work/main/target/release/deps/libburn-aee1aa326012771b.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-0.22.1/src/lib.rs

/work/main/target/release/deps/libburn-aee1aa326012771b.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-0.22.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-0.22.1/src/lib.rs:
