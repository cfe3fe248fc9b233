/work/main/target/release/deps/event_listener_strategy-18cf34e8844ad994.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/event-listener-strategy-0.5.4/src/lib.rs

/work/main/target/release/deps/libevent_listener_strategy-18cf34e8844ad994.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/event-listener-strategy-0.5.4/src/lib.rs

/work/main/target/release/deps/libevent_listener_strategy-18cf34e8844ad994.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/event-listener-strategy-0.5.4/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/event-listener-strategy-0.5.4/src/lib.rs:
