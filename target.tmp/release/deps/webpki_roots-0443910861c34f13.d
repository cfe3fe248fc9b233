/work/main/target/release/deps/webpki_roots-0443910861c34f13.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/webpki-roots-1.0.10/src/lib.rs

/work/main/target/release/deps/libwebpki_roots-0443910861c34f13.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/webpki-roots-1.0.10/src/lib.rs

/work/main/target/release/deps/libwebpki_roots-0443910861c34f13.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/webpki-roots-1.0.10/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/webpki-roots-1.0.10/src/lib.rs:
