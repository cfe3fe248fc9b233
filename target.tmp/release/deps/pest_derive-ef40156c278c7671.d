/work/main/target/release/deps/pest_derive-ef40156c278c7671.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_derive-2.9.6/src/lib.rs

/work/main/target/release/deps/libpest_derive-ef40156c278c7671.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_derive-2.9.6/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_derive-2.9.6/src/lib.rs:
