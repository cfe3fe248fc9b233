//! What several reports say of images.

use ddim_data::Report;
use serde::Serialize;

/// What was left out of images that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DataReport {
    /// Files, and how many of what, a line each.
    pub left_out: Vec<String>,
    /// What may mislead.
    pub warnings: Vec<String>,
}

impl From<&Report> for DataReport {
    fn from(report: &Report) -> Self {
        let texts = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>();
        Self {
            left_out: texts(&mut report.left_out.iter().map(ToString::to_string)),
            warnings: texts(&mut report.warnings.iter().map(ToString::to_string)),
        }
    }
}

/// A class of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    /// Its number.
    pub class: usize,
    /// Its name, where the data have names.
    pub name: Option<String>,
    /// How many images have it.
    pub images: usize,
}
