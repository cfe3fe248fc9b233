/work/main/target/release/deps/pest_generator-80c6ee61143af2fd.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/docs.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/generator.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/parse_derive.rs

/work/main/target/release/deps/libpest_generator-80c6ee61143af2fd.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/docs.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/generator.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/parse_derive.rs

/work/main/target/release/deps/libpest_generator-80c6ee61143af2fd.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/docs.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/generator.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/parse_derive.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/macros.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/docs.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/generator.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_generator-2.9.6/src/parse_derive.rs:
