/work/main/target/release/deps/terminal_size-8a3638b00547fb62.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/unix.rs

/work/main/target/release/deps/libterminal_size-8a3638b00547fb62.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/unix.rs

/work/main/target/release/deps/libterminal_size-8a3638b00547fb62.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/unix.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/terminal_size-0.4.4/src/unix.rs:
