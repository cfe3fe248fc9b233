/work/main/target/release/deps/equator-98990a4eaa1a8f0b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.2.2/src/lib.rs

/work/main/target/release/deps/libequator-98990a4eaa1a8f0b.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.2.2/src/lib.rs

/work/main/target/release/deps/libequator-98990a4eaa1a8f0b.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.2.2/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.2.2/src/lib.rs:
