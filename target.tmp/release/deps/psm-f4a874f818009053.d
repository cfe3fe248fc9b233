/work/main/target/release/deps/psm-f4a874f818009053.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/psm-0.1.32/src/lib.rs

/work/main/target/release/deps/libpsm-f4a874f818009053.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/psm-0.1.32/src/lib.rs

/work/main/target/release/deps/libpsm-f4a874f818009053.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/psm-0.1.32/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/psm-0.1.32/src/lib.rs:
