//! Training of denoising diffusion models on the processor: the random draws of the objective, the loop, averages of the weights, and runs
//! that resume to the same bytes after being killed.
//!
//! ```no_run
//! use ddim_train::{Run, Settings};
//! use std::sync::atomic::AtomicBool;
//!
//! let mut settings = Settings::preset("small")?;
//! settings.set("data.path", "photos")?;
//! let run = Run::create("run".as_ref(), settings, &ddim_nn::Pipeline::load)?;
//! let outcome = run.train(&AtomicBool::new(false), &mut |_| Ok(()))?;
//! println!("{}", outcome.checkpoint.expect("it has finished").display());
//! # Ok::<(), ddim_train::Error>(())
//! ```

mod checkpoint;
mod config;
mod error;
mod events;
mod run;
mod shell;
mod tally;
mod trainer;

pub use checkpoint::{PREVIEWS, checkpoints};
pub use config::{Average, Config, Data, Decay, DecayEnd, Objective, Optimizer, Output, Settings, Timesteps, WeightingName};
pub use error::{Error, ErrorKind, Result};
pub use run::{Event, Metrics, Outcome, Run};
pub use shell::quoted;
/// The value of a setting, and a table of values: types of the crate `toml`.
pub use toml::{Table, Value};
pub use trainer::{Evaluated, Stepped, Trainer};
