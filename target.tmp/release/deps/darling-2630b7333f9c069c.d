/work/main/target/release/deps/darling-2630b7333f9c069c.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/macros_public.rs

/work/main/target/release/deps/libdarling-2630b7333f9c069c.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/macros_public.rs

/work/main/target/release/deps/libdarling-2630b7333f9c069c.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/macros_public.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/darling-0.21.3/src/macros_public.rs:
