/work/main/target/release/deps/utf8_zero-694d05473b891bfe.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lossy.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/read.rs

/work/main/target/release/deps/libutf8_zero-694d05473b891bfe.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lossy.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/read.rs

/work/main/target/release/deps/libutf8_zero-694d05473b891bfe.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lossy.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/read.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/lossy.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/utf8-zero-0.8.1/src/read.rs:
