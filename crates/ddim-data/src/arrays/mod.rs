//! NumPy's arrays: `.npy` files and `.npz` archives of them.
//!
//! Headers are those of NEP 1, versions 1 to 3, read strictly: a dictionary of `descr`, `fortran_order` and `shape`. Memory of the size
//! that a header claims is only allocated once the file is known to be that large; entries of an archive are read as they come.
//!
//! `numbers.rs` has the number types, `header.rs` the header of a `.npy`, `array.rs` its bytes, and `container.rs` tells the two kinds of
//! file apart. On top of them: `images.rs` reads bytes and floats in the network's scale as pictures, `archive.rs` those of a `.npz` with
//! their labels, `read.rs` either kind; `floats.rs` reads batches as they are; `real.rs` reads any real numbers, by name.

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
