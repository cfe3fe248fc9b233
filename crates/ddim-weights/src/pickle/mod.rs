//! Python's pickles, of protocols 0 to 5, read without running anything.
//!
//! A pickle is a program for a stack machine. This one builds dictionaries, lists, numbers and text, of which it calls nothing but what is written
//! here: no name is looked up. What a call of a name gives, its readers decide ([`Names`]); any other object is an opaque one. Values live in an
//! arena, so that what refers to itself costs nothing and nothing is as deep as it is nested; bytes stay where they were read, where they can.
//!
//! `values.rs` has the arena and the input, `machine.rs` the instructions, `text.rs` how text is written in them.

mod machine;
mod text;
mod values;

pub use machine::Names;
pub use values::{Id, Pickle, Span, Step, Value};
