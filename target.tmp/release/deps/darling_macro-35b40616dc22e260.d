/work/main/target/release/deps/darling_macro-35b40616dc22e260.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.24.1/src/lib.rs

/work/main/target/release/deps/libdarling_macro-35b40616dc22e260.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.24.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling_macro-0.24.1/src/lib.rs:
