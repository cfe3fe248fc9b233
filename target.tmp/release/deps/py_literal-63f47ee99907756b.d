/work/main/target/release/deps/py_literal-63f47ee99907756b.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/format.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse_macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/grammar.pest

/work/main/target/release/deps/libpy_literal-63f47ee99907756b.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/format.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse_macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/grammar.pest

/work/main/target/release/deps/libpy_literal-63f47ee99907756b.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/format.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse_macros.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/grammar.pest

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/format.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse_macros.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/parse.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/py_literal-0.4.0/src/grammar.pest:
