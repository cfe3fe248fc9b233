/work/main/target/release/deps/reborrow-90be99c3ec18a8bf.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/reborrow-0.5.5/src/lib.rs

/work/main/target/release/deps/libreborrow-90be99c3ec18a8bf.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/reborrow-0.5.5/src/lib.rs

/work/main/target/release/deps/libreborrow-90be99c3ec18a8bf.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/reborrow-0.5.5/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/reborrow-0.5.5/src/lib.rs:
