/work/main/target/release/deps/color_quant-6b39e7c834916654.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/math.rs

/work/main/target/release/deps/libcolor_quant-6b39e7c834916654.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/math.rs

/work/main/target/release/deps/libcolor_quant-6b39e7c834916654.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/math.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/color_quant-1.1.0/src/math.rs:
