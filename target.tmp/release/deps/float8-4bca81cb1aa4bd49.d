/work/main/target/release/deps/float8-4bca81cb1aa4bd49.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/float8-0.7.0/src/lib.rs

/work/main/target/release/deps/libfloat8-4bca81cb1aa4bd49.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/float8-0.7.0/src/lib.rs

/work/main/target/release/deps/libfloat8-4bca81cb1aa4bd49.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/float8-0.7.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/float8-0.7.0/src/lib.rs:
