/work/main/target/release/deps/darling-95b7542f2d953cd3.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/macros_public.rs

/work/main/target/release/deps/libdarling-95b7542f2d953cd3.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/macros_public.rs

/work/main/target/release/deps/libdarling-95b7542f2d953cd3.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/macros_public.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.24.1/src/macros_public.rs:
