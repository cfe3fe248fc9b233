/work/main/target/release/deps/tynm-c45139e155c58079.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/parser.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/type_params_fmt_opts.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/types.rs

/work/main/target/release/deps/libtynm-c45139e155c58079.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/parser.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/type_params_fmt_opts.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/types.rs

/work/main/target/release/deps/libtynm-c45139e155c58079.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/parser.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/type_params_fmt_opts.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/types.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/parser.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/type_params_fmt_opts.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tynm-0.2.0/src/types.rs:
