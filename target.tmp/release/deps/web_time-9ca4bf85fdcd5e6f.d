/work/main/target/release/deps/web_time-9ca4bf85fdcd5e6f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/web-time-1.1.0/src/lib.rs

/work/main/target/release/deps/libweb_time-9ca4bf85fdcd5e6f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/web-time-1.1.0/src/lib.rs

/work/main/target/release/deps/libweb_time-9ca4bf85fdcd5e6f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/web-time-1.1.0/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/web-time-1.1.0/src/lib.rs:
