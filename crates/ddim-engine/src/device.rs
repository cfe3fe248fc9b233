//! Where networks run: the processor, or a device that a build with the feature `gpu` knows.

use crate::error::{Error, Result};
use ddim_nn::Device;
use std::sync::Arc;

/// A device by its name, and what is to be said of how it was chosen; none for the processor.
///
/// # Errors
/// No such name, or no such device.
pub(crate) fn open(name: &str) -> Result<(Option<Arc<dyn Device>>, Option<String>)> {
    let numbered = name.strip_prefix("gpu:").is_some_and(|number| number.parse::<usize>().is_ok());
    match name {
        "cpu" => Ok((None, None)),
        "auto" => Ok(first()),
        _ if name == "gpu" || numbered => Ok((Some(named(name)?), None)),
        _ => Err(Error::request(format!("`device` {name}: expected auto, cpu, gpu or gpu:N"))),
    }
}

#[cfg(feature = "gpu")]
fn first() -> (Option<Arc<dyn Device>>, Option<String>) {
    match ddim_gpu::Gpu::open("gpu") {
        Ok(gpu) => {
            let said = format!("computing on {}", gpu.described());
            (Some(Arc::new(gpu)), Some(said))
        }
        Err(error) => (None, Some(format!("computing on the processor: {error}"))),
    }
}

#[cfg(feature = "gpu")]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Ok(Arc::new(ddim_gpu::Gpu::open(name).map_err(|e| Error::failure(format!("`device` {e}")))?))
}

#[cfg(not(feature = "gpu"))]
fn first() -> (Option<Arc<dyn Device>>, Option<String>) {
    (None, Some(format!("computing on the processor: {WITHOUT}")))
}

#[cfg(not(feature = "gpu"))]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Err(Error::failure(format!("`device` {name}: {WITHOUT}: expected cpu")))
}

#[cfg(not(feature = "gpu"))]
const WITHOUT: &str = "this build computes on the processor only (it has not the feature gpu)";
