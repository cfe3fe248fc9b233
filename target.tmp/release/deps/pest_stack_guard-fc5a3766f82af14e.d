/work/main/target/release/deps/pest_stack_guard-fc5a3766f82af14e.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_stack_guard-1.0.1/src/lib.rs

/work/main/target/release/deps/libpest_stack_guard-fc5a3766f82af14e.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_stack_guard-1.0.1/src/lib.rs

/work/main/target/release/deps/libpest_stack_guard-fc5a3766f82af14e.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_stack_guard-1.0.1/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pest_stack_guard-1.0.1/src/lib.rs:
