/work/main/target/release/deps/async_channel-6620742aafcd389d.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/async-channel-2.5.0/src/lib.rs

/work/main/target/release/deps/libasync_channel-6620742aafcd389d.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/async-channel-2.5.0/src/lib.rs

/work/main/target/release/deps/libasync_channel-6620742aafcd389d.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/async-channel-2.5.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/async-channel-2.5.0/src/lib.rs:
