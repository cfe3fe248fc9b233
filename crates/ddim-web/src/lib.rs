//! The engine in a browser, without a server: what a Web Worker runs.
//!
//! A call is JSON, and so is what comes back: the requests, events and reports of [`ddim_engine`], in the words of the studio's server. Pictures and arrays come as
//! bytes. `assets/worker.js` is the other side, and `assets/backend-wasm.js` makes of it what the studio's page talks to.
//!
//! | call | answer |
//! |---|---|
//! | `{"call":"models"}` | `{"models":[…]}`: those whose weights are there |
//! | `{"call":"plan","request":{…}}` | the steps of a [`Plan`](ddim_engine::Plan), and ᾱ |
//! | `{"call":"job","kind":"sample","request":{…},"previews":16}` | `{"report":{…}}`, after its events, its images and its array |
//!
//! What goes wrong is `{"error":"one line","field":"steps"}`, with the field of the request where it is about one, and `"cancelled":true` where the job was stopped.
//!
//! On wasm `abi.rs` has what is exported and imported; elsewhere the crate is for its tests.

#[cfg(target_family = "wasm")]
mod abi;
mod calls;

pub use calls::{Given, answer};
