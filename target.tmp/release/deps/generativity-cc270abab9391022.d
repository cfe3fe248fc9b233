/work/main/target/release/deps/generativity-cc270abab9391022.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/generativity-1.2.1/src/lib.rs

/work/main/target/release/deps/libgenerativity-cc270abab9391022.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/generativity-1.2.1/src/lib.rs

/work/main/target/release/deps/libgenerativity-cc270abab9391022.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/generativity-1.2.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/generativity-1.2.1/src/lib.rs:
