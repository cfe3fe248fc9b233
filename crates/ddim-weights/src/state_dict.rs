//! Tensors in memory.

use std::collections::BTreeMap;

/// A tensor in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// The values in row-major order, as many as the shape says.
    pub data: Vec<f32>,
}

/// Tensors by their names in PyTorch.
///
/// ```
/// use ddim_weights::{Array, StateDict};
///
/// let mut state = StateDict::new();
/// state.insert("conv_in.bias".into(), Array { shape: vec![3], data: vec![0.0, 0.5, 1.0] });
/// assert_eq!(state["conv_in.bias"].data[2], 1.0);
/// ```
pub type StateDict = BTreeMap<String, Array>;

/// The nearest f32; none where there is none of that size.
pub(crate) fn narrowed(value: f64) -> Option<f32> {
    let near = value as f32;
    (near.is_finite() || !value.is_finite()).then_some(near)
}

/// Returns a checksum (CRC-32C) of bytes by which work is recognised later.
pub fn checksum_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
