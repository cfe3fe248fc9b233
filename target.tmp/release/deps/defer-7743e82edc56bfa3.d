/work/main/target/release/deps/defer-7743e82edc56bfa3.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/defer-0.2.1/src/lib.rs

/work/main/target/release/deps/libdefer-7743e82edc56bfa3.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/defer-0.2.1/src/lib.rs

/work/main/target/release/deps/libdefer-7743e82edc56bfa3.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/defer-0.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/defer-0.2.1/src/lib.rs:
