/work/main/target/release/deps/enumset_derive-b1d226c84ed80e98.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/const_eval.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/gen.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/plan.rs

/work/main/target/release/deps/libenumset_derive-b1d226c84ed80e98.so: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/const_eval.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/gen.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/plan.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/const_eval.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/gen.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/enumset_derive-0.15.1/src/plan.rs:
