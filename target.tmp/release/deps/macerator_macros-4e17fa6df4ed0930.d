/work/main/target/release/deps/macerator_macros-4e17fa6df4ed0930.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/macerator-macros-0.3.2/src/lib.rs

/work/main/target/release/deps/libmacerator_macros-4e17fa6df4ed0930.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/macerator-macros-0.3.2/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/macerator-macros-0.3.2/src/lib.rs:
