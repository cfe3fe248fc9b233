/work/main/target/release/deps/weezl-3d6b6cb6946cf2ad.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/decode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/encode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/error.rs

/work/main/target/release/deps/libweezl-3d6b6cb6946cf2ad.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/decode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/encode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/error.rs

/work/main/target/release/deps/libweezl-3d6b6cb6946cf2ad.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/decode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/encode.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/error.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/decode.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/encode.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/weezl-0.1.12/src/error.rs:
