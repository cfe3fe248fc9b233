/work/main/target/release/deps/equator_macro-247e22873f626e5b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.4.2/src/lib.rs

/work/main/target/release/deps/libequator_macro-247e22873f626e5b.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.4.2/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.4.2/src/lib.rs:
