/work/main/target/release/deps/ucd_trie-d60ac24cca1fb113.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/work/main/target/release/deps/libucd_trie-d60ac24cca1fb113.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/work/main/target/release/deps/libucd_trie-d60ac24cca1fb113.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/lib.rs:
/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/ucd-trie-0.1.8/src/owned.rs:
