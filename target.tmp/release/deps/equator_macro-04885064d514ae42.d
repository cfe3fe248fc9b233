/work/main/target/release/deps/equator_macro-04885064d514ae42.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.6.0/src/lib.rs

/work/main/target/release/deps/libequator_macro-04885064d514ae42.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.6.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/equator-macro-0.6.0/src/lib.rs:
