/work/main/target/release/deps/ident_case-df3d61ea51c0f54a.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ident_case-1.0.1/src/lib.rs

/work/main/target/release/deps/libident_case-df3d61ea51c0f54a.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ident_case-1.0.1/src/lib.rs

/work/main/target/release/deps/libident_case-df3d61ea51c0f54a.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ident_case-1.0.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ident_case-1.0.1/src/lib.rs:
