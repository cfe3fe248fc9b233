/work/main/target/release/deps/burn_pack-a1cb28f82425d35f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/atomic.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/base.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/reader.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/writer.rs

/work/main/target/release/deps/libburn_pack-a1cb28f82425d35f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/atomic.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/base.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/reader.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/writer.rs

/work/main/target/release/deps/libburn_pack-a1cb28f82425d35f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/atomic.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/base.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/reader.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/writer.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/atomic.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/base.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/reader.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/tensor.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/burn-pack-0.22.1/src/writer.rs:
