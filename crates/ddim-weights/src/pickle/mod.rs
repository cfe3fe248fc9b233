//! Reads Python's pickles, of protocols 0 to 5, without running anything.
//!
//! A pickle is a program for a stack machine. This machine builds dictionaries, lists, numbers and text, and calls only what is implemented
//! here: no name is looked up. The reader of a pickle decides what a call of a name returns ([`Names`]); any other object is opaque. Values
//! live in an arena, so self-references cost nothing and nesting does not become recursion; bytes stay where they were read, if possible.
//!
//! `values.rs` has the arena and the input, `machine.rs` the instructions, `text.rs` how text is written in them.

mod machine;
mod text;
mod values;

pub use machine::Names;
pub use values::{Id, Pickle, Span, Step, Value};
