//! Jobs of [`ddim_engine`] as pages and programs send them: JSON in, with the files that it reads; events and files out.
//!
//! [`Work`] is a request with its kind; [`Place`] where its files lie meanwhile; [`EventEncoder`] makes the engine's events to names and JSON, with previews; [`JobOutput`] is what comes of it.
//!
//! # Invariants
//! * No path of a request opens or writes a file: those that are read come within it, as data URLs in base64.
//! * What comes of a job is what the command line makes of the same request, byte for byte.
//!
//! ```
//! use ddim_engine::{Control, Engine};
//! use ddim_jobs::{Place, EventEncoder, Work};
//! use serde_json::json;
//!
//! let mut work = Work::parse("sample", json!({ "count": 2, "steps": 3 }))?;
//! let (folder, control) = (tempfile::tempdir()?, Control::default());
//! let place = Place::new(folder.path());
//! let (mut encoder, mut previews) = (EventEncoder::new(control.clone(), 3, place.clone()), 0);
//! let files = work.take_files(usize::MAX, usize::MAX)?;
//! let drawn = work.run(files, &place, &Engine::default(), &control, &mut |event| {
//!     previews += usize::from(encoder.encode(&event).is_some_and(|(name, _)| name == "preview"));
//! })?;
//! assert_eq!((drawn.images.len(), previews), (2, 3));
//! assert_eq!(Work::parse("sample", json!({ "steps": "x" })).unwrap_err().field.as_deref(), Some("steps"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod event;
mod place;
mod preview;
mod problem;
mod upload;
mod work;

pub use event::{EventEncoder, PREVIEWS};
pub use place::Place;
pub use problem::{Problem, ProblemKind, parsed};
pub use upload::File;
pub use work::{JobOutput, Work, model_json};
