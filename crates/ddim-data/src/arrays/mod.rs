//! NumPy's arrays: `.npy` files and `.npz` archives of them.
//!
//! Headers are NEP 1's, versions 1 to 3, read strictly: a dictionary of `descr`, `fortran_order` and `shape`. Nothing of the size that a header
//! claims is allocated before the file is known to be that large; entries of an archive are read as they come.
//!
//! `numbers.rs` has the types of numbers, `header.rs` what a `.npy` says of itself, `array.rs` its bytes, `container.rs` which of both a file is. What
//! is made of them: `images.rs` bytes and floats in the network's scale as pictures, `archive.rs` those of a `.npz` with their labels, `read.rs` of
//! either; `floats.rs` batches as they are; `real.rs` any real numbers, by name.

mod archive;
mod array;
mod container;
mod floats;
mod header;
mod images;
mod numbers;
mod read;
mod real;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use container::is_array;
pub use floats::{npy_bytes, read_floats, read_floats_any};
pub(crate) use images::check_range;
pub(crate) use numbers::Numbers;
pub(crate) use read::{is_floats, read_batch, shape_of};
pub use real::{Npz, RealArray, npy_numbers, npy_shape};
