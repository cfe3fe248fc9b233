//! Evaluation of diffusion models: features, FID, KID, precision and recall, likelihood bounds, and the tables of the DDIM paper.

mod cache;
mod cell;
mod differences;
mod error;
mod features;
#[cfg_attr(target_family = "wasm", path = "fetch_nothing.rs")]
mod fetch;
mod frechet;
mod kernel;
mod likelihood;
mod neighbours;
mod probe;
mod reference;
mod statistics;
mod subset;
mod sweep;
mod table;
mod weights;

pub use cache::KeptFeatures;
pub use cell::{Cell, CellResult, ClassResult, Plain, Row, sigma_name};
pub use error::{Error, ErrorKind, Result};
pub use features::{Images, features, features_of_bytes, features_of_images, set_checksum};
pub use frechet::{Reference, frechet_distance};
pub use kernel::{KernelDistance, KernelReference, kernel_distance};
pub use likelihood::{Bound, Likelihood, likelihood};
pub use neighbours::{NEIGHBOURS, Nearest, PrecisionRecall, nearest, precision_recall};
pub use probe::Probe;
pub use reference::SweepReference;
pub use statistics::{Moments, Statistics, few_images};
pub use subset::{MOST_COMPARED, compared};
pub use sweep::{SHOWN, Sweep, SweepEvent};
pub use table::{Entry, Table, plus_minus, sigma_label};
pub use weights::load_inception;
