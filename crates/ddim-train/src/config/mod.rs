//! The settings of a run: TOML tables laid over each other (defaults, preset, a file, flags), then checked as a whole.
//!
//! `settings.rs` has the tables, `typed.rs` their checked meaning, `decay.rs` the end of the learning rate's decay, which moves when a run
//! is extended, and `value.rs` how single values are written.

mod decay;
mod settings;
mod typed;
mod value;

pub use decay::{Decay, DecayEnd};
pub(crate) use settings::Difference;
pub use settings::Settings;
pub use typed::{Average, Config, Data, Objective, Optimizer, Output, Timesteps, WeightingName};
pub(crate) use value::path_value;
