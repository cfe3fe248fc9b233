/work/main/target/release/deps/equator-1ae60400c0015880.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.6.0/src/lib.rs

/work/main/target/release/deps/libequator-1ae60400c0015880.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.6.0/src/lib.rs

/work/main/target/release/deps/libequator-1ae60400c0015880.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.6.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-0.6.0/src/lib.rs:
