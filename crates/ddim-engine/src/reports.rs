//! What several reports say about input images.

use ddim_data::Report;
use serde::Serialize;

/// What was left out of the images that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DataReport {
    /// Files left out, and counts of other omissions, one line each.
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
    /// Number of the class.
    pub class: usize,
    /// Name of the class, where the data set has names.
    pub name: Option<String>,
    /// Number of images of the class.
    pub images: usize,
}
