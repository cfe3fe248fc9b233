/work/main/target/release/deps/equator_macro-9536459562c9a6f7.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.2.1/src/lib.rs

/work/main/target/release/deps/libequator_macro-9536459562c9a6f7.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.2.1/src/lib.rs:
