//! The common result of all readers of arrays and archives.

use crate::error::{Error, Result};
use std::path::Path;

/// Images of one size in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Height and width.
    pub(crate) size: [usize; 2],
    /// 1 (gray) or 3 (colours).
    pub(crate) channels: usize,
    /// [n, h, w, c], interleaved.
    pub(crate) bytes: Vec<u8>,
    /// The class of each image, where the source has them.
    pub(crate) labels: Option<Vec<usize>>,
    /// The names of the classes, where the source has them.
    pub(crate) class_names: Option<Vec<String>>,
    /// What was left out or assumed, one line each, naming the file.
    pub(crate) warnings: Vec<String>,
}

impl Batch {
    /// The number of images.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / (self.size[0] * self.size[1] * self.channels)
    }

    /// With warnings that name the file.
    pub(crate) fn of_file(mut self, path: &Path) -> Self {
        for warning in &mut self.warnings {
            *warning = format!("{}: {warning}", path.display());
        }
        self
    }
}

/// Something that went wrong while bytes were read, wherever they come from: the file's name is added where it is known.
pub(crate) type Step<T> = std::result::Result<T, String>;

/// Adds the file's name.
pub(crate) fn in_file<T>(path: &Path, step: Step<T>) -> Result<T> {
    step.map_err(|e| Error::at(path, e))
}

/// Labels below this are class numbers; more classes than that nobody has.
pub(crate) const MOST_CLASSES: usize = 1 << 20;

/// 40000 as 40,000.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).expect("digits")).collect();
    groups.join(",")
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Planes [c, h·w], of 1 or 3 channels, as interleaved pixels [h·w, c].
pub(crate) fn interleave(planes: &[u8], channels: usize, out: &mut Vec<u8>) {
    if channels == 1 {
        return out.extend_from_slice(planes);
    }
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    for ((r, g), b) in red.iter().zip(green).zip(blue) {
        out.extend_from_slice(&[*r, *g, *b]);
    }
}
