/work/main/target/release/deps/darling_macro-c24b3f9fc9ad1e1b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.21.3/src/lib.rs

/work/main/target/release/deps/libdarling_macro-c24b3f9fc9ad1e1b.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.21.3/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.21.3/src/lib.rs:
