/work/main/target/release/deps/faer_traits-afaf7f6242713a1b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/faer-traits-0.24.0/src/lib.rs

/work/main/target/release/deps/libfaer_traits-afaf7f6242713a1b.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/faer-traits-0.24.0/src/lib.rs

/work/main/target/release/deps/libfaer_traits-afaf7f6242713a1b.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/faer-traits-0.24.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/faer-traits-0.24.0/src/lib.rs:
