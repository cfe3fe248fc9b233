//! Everything that `ddim` does, for any front end: typed requests in, events while they run, typed reports out.
//!
//! A request is plain data ([`Sample`], [`Edit`], [`Encode`], [`Reconstruct`], [`Interpolate`], [`Consistency`], [`Nll`], [`Fid`], [`Sweep`], [`Tune`],
//! [`Train`], [`Info`], [`Plan`], [`Convert`], [`Bench`]) that serde reads and writes. [`Engine::run`] runs it while the caller waits; [`Engine::start`] runs
//! it as a [`Job`] on a thread of its own. Either way it reports [`Event`]s (steps, images done, the time left, previews on demand), and stops between two
//! network evaluations after [`Control::cancel`].
//!
//! # Invariants
//! * Nothing is printed, and only the files that a request names are written, each completely or not at all.
//! * Each job has a thread pool of its own: jobs in one process do not affect each other, and no result depends on threads. On the CPU none
//!   depends on batches either.
//! * Whatever was assumed or left out is reported as an [`Event::Note`].
//! * Errors are one line, with fields of the request in `backticks` ([`ErrorKind::Request`]).
//!
//! ```
//! use ddim_engine::{Control, Engine, Sample};
//!
//! let request: Sample = serde_json::from_str(r#"{ "model": { "model": "emoji" }, "count": 1, "steps": 2, "eta": 0.0 }"#)?;
//! let drawn = Engine::new("cpu", Some(1))?.run(&request, &Control::default(), &mut |_| {})?;
//! assert_eq!((drawn.count, drawn.shape, drawn.images.len()), (1, [3, 32, 32], 3072));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// On wasm some of what requests stand on has nobody who asks for it.
#![cfg_attr(target_family = "wasm", allow(dead_code))]

mod axes;
mod batches;
mod bench;
mod choices;
mod class_words;
mod classes;
mod clock;
mod consistency;
mod convert;
mod device;
mod edit;
mod encode;
mod encoded;
mod error;
mod event;
mod fid;
#[cfg(not(target_family = "wasm"))]
pub mod hub;
mod inception;
mod info;
mod inputs;
mod interpolate;
mod inversion;
mod job;
mod models;
mod nearest;
#[cfg(not(target_family = "wasm"))]
mod nll;
mod output;
mod plan;
mod pool;
mod reconstruct;
mod reports;
mod sample;
#[cfg(feature = "openapi")]
mod schemas;
mod session;
mod spacing;
#[cfg(not(target_family = "wasm"))]
mod sweep;
mod sweep_settings;
mod train;
mod trajectories;
mod tune;
mod tuned;
mod usage;
mod used_folder;

pub use bench::{Bench, BenchReport, DeviceSpeed, KindReport};
/// How a sampler steps from one level to the next.
pub use ddim::Solver;
/// Re-exports from the underlying crates, so that a front end needs only this one.
pub use ddim_data::parse_colour;
pub use ddim_data::{npy_bytes, npy_shape};
pub use ddim_eval::{CellResult, plus_minus};
pub use ddim_nn::Precision;
pub use ddim_pictures::{Picture, description, grid, single, square_columns};
pub use ddim_train::{Metrics, Value, quoted};
pub use ddim_weights::{memory, no_more_writes, write_file};

/// The name of the vector instructions that the kernels use; results differ between them in the last digits.
pub use ddim_nn::vectors;

pub use batches::BatchSize;
pub use choices::{Clipping, Eta, Fitting, Guidance, Model, Preparing};
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use clock::set_clock;
pub use consistency::{Consistency, ConsistencyReport, Difference};
pub use convert::{Convert, ConvertReport, Dtype};
pub use device::{DeviceReport, DevicesReport, devices};
pub use edit::{Edit, EditFiles, EditReport, Repaint};
pub use encode::{Encode, EncodeReport};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, NoteKind};
pub use fid::{Fid, FidReport};
pub use info::{Info, InfoReport};
pub use interpolate::{Interpolate, InterpolateReport};
pub use inversion::Inversion;
pub use job::{Control, Engine, Job, Request};
pub use models::{DEFAULT as DEFAULT_MODEL, built_in};
pub use nearest::NearestPair;
#[cfg(not(target_family = "wasm"))]
pub use nll::{BoundReport, Nll, NllReport};
pub use plan::{Plan, PlanReport, PlannedStep};
pub use reconstruct::{Reconstruct, ReconstructReport, Reconstruction};
pub use reports::{ClassReport, DataReport};
pub use sample::{Sample, SampleFiles, SampleReport};
pub use spacing::Spacing;
#[cfg(not(target_family = "wasm"))]
pub use sweep::{Sweep, SweepReport};
pub use train::{DryRun, DryRunReport, Train, TrainReport};
pub use tune::{Tune, TuneReport};
pub use tuned::TunedTrajectory;
