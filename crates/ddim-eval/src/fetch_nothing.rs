//! No network.

use crate::error::{Error, Result};
use std::path::Path;

/// Bytes that never come.
pub(crate) const SIZE: u64 = 0;

/// # Errors
/// Always.
pub(crate) fn fetch(
    _url: &str,
    _path: &Path,
    failed: &dyn Fn(&dyn std::fmt::Display) -> Error,
    _observe: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    Err(failed(&"this build has no network access"))
}
