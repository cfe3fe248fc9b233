/work/main/target/release/deps/ucd_trie-88f90acf4fd27a08.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/work/main/target/release/deps/libucd_trie-88f90acf4fd27a08.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/work/main/target/release/deps/libucd_trie-88f90acf4fd27a08.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs:
