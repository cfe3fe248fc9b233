//! Evaluation of diffusion models: features, FID, KID, precision and recall, and the tables and figures of the DDIM paper.

mod error;
mod features;
mod figures;
mod frechet;
mod kernel;
mod likelihood;
mod neighbours;
mod statistics;
mod sweep;
mod table;
mod weights;

pub use error::{Error, ErrorKind, Result};
pub use features::{Images, features, features_of_bytes, features_of_images};
pub use figures::{Axis, Chart, Raster, Series, labelled};
pub use frechet::{Reference, frechet_distance};
pub use kernel::{KernelDistance, kernel_distance};
pub use likelihood::{Bound, Likelihood, likelihood};
pub use neighbours::{NEIGHBOURS, PrecisionRecall, precision_recall};
pub use statistics::{Moments, Statistics};
pub use sweep::{Cell, CellResult, SHOWN, Sweep, SweepEvent, sigma_name};
pub use table::{Table, sigma_label};
pub use weights::load_inception;
