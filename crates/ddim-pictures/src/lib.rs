//! Picture output: grids, labels, PNG files with a caption, animations, and charts of evaluation results.
//!
//! Everything happens in memory: no file is touched, and the same input gives the same bytes everywhere. On wasm, where plotters does not take our font, there
//! are neither charts nor labels around grids.
//!
//! Images are flat slices in the network's scale [-1, 1], [n, c, h, w]; a [`Picture`] is 8-bit.
//!
//! ```
//! use ddim_pictures::{AnimationFormat, Picture, description, grid, labelled, square_columns};
//! use std::io::Cursor;
//!
//! let shape = [1, 8, 8];
//! let batch: Vec<f32> = (0..4 * 64).map(|i| (i % 64) as f32 / 32.0 - 1.0).collect();
//! let picture = grid(&batch, shape, square_columns(4))?;             // two rows of two
//! let columns = ["S = 10", "S = 20"].map(String::from);
//! let labelled = labelled(&picture, &columns, &[]);
//! let file = labelled.to_png("four slopes");                         // with a caption
//! assert_eq!(description(Cursor::new(&file)).as_deref(), Some("four slopes"));
//! assert_eq!(Picture::from_png(&file)?, labelled);
//!
//! let frames = batch.chunks(64).map(|image| grid(image, shape, 1)).collect::<Result<Vec<_>, _>>()?;
//! let format = AnimationFormat::of("slopes.gif".as_ref())?;
//! assert_eq!(format.encode(&frames, true, "four slopes")?[..6], *b"GIF89a");
//! # Ok::<(), ddim_pictures::Error>(())
//! ```

mod animation;
#[cfg(not(target_family = "wasm"))]
mod chart;
mod error;
#[cfg(not(target_family = "wasm"))]
mod font;
mod grid;
#[cfg_attr(target_family = "wasm", path = "labels_without_font.rs")]
mod labels;
mod picture;
mod png;
#[cfg(not(target_family = "wasm"))]
mod results;

pub use crate::png::description;
pub use animation::{AnimationFormat, shown_frames, to_apng, to_gif};
#[cfg(not(target_family = "wasm"))]
pub use chart::{Axis, Chart, Series};
pub use error::{Error, ErrorKind, Result};
pub use grid::{beside, grid, square_columns};
pub use labels::labelled;
pub use picture::{Picture, check_colours, check_drawable, single};
#[cfg(not(target_family = "wasm"))]
pub use results::{fid_chart, kid_chart, likelihood_chart, time_chart};
