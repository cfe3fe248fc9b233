/work/main/target/release/deps/interpol-4badd18e3b5e5e4b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/interpol-0.2.1/src/lib.rs

/work/main/target/release/deps/libinterpol-4badd18e3b5e5e4b.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/interpol-0.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/interpol-0.2.1/src/lib.rs:
