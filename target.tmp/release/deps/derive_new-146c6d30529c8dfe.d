/work/main/target/release/deps/derive_new-146c6d30529c8dfe.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/derive-new-0.7.0/src/lib.rs

/work/main/target/release/deps/libderive_new-146c6d30529c8dfe.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/derive-new-0.7.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/derive-new-0.7.0/src/lib.rs:
