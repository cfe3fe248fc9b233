//! Models of the Hugging Face hub.

mod choose;
mod id;
mod options;

pub use id::{HubId, is_hub_id};
pub use options::Options;
