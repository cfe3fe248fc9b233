/work/main/target/release/deps/data_encoding-175283bcc4d78fca.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/data-encoding-2.11.1/src/lib.rs

/work/main/target/release/deps/libdata_encoding-175283bcc4d78fca.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/data-encoding-2.11.1/src/lib.rs

/work/main/target/release/deps/libdata_encoding-175283bcc4d78fca.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/data-encoding-2.11.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/data-encoding-2.11.1/src/lib.rs:
