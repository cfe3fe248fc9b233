/work/main/target/release/deps/safetensors-a81ddeabdfdcc413.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/slice.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/../README.md

/work/main/target/release/deps/libsafetensors-a81ddeabdfdcc413.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/slice.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/../README.md

/work/main/target/release/deps/libsafetensors-a81ddeabdfdcc413.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/slice.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/tensor.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/../README.md

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/slice.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/tensor.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/safetensors-0.8.0/src/../README.md:
