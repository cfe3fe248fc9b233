//! Jobs of [`ddim_engine`] as pages and programs send them: JSON requests that carry their input files, and events and files in return.
//!
//! [`Work`] is a request and its kind; [`Place`] is where its files are kept meanwhile; [`EventEncoder`] encodes the engine's events as names and JSON, with
//! previews; [`JobOutput`] is the result.
//!
//! # Invariants
//! * No path in a request opens or writes a file: input files are sent in the request, as data URLs in base64.
//! * The results of a job are byte for byte what the command line produces for the same request.
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
