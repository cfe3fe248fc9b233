/work/main/target/release/deps/moddef-35a82ef77860c52c.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/moddef-0.3.0/src/lib.rs

/work/main/target/release/deps/libmoddef-35a82ef77860c52c.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/moddef-0.3.0/src/lib.rs

/work/main/target/release/deps/libmoddef-35a82ef77860c52c.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/moddef-0.3.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/moddef-0.3.0/src/lib.rs:
