/work/main/target/release/deps/qd-e2b2dd14360e98d1.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_fma/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_imp/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/simd/mod.rs

/work/main/target/release/deps/libqd-e2b2dd14360e98d1.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_fma/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_imp/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/simd/mod.rs

/work/main/target/release/deps/libqd-e2b2dd14360e98d1.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_fma/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_imp/mod.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/simd/mod.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_fma/mod.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/const_imp/mod.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/qd-0.8.0/src/simd/mod.rs:
