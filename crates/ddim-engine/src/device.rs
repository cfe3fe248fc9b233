//! Where networks run: the processor, or a device that a build with the feature `gpu` knows.

use crate::error::{Error, Result};
use ddim_nn::Device;
use std::sync::Arc;

/// Where networks run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    /// None: on the processor.
    pub(crate) device: Option<Arc<dyn Device>>,
    /// How it was chosen, where that was not the caller.
    pub(crate) said: Option<String>,
}

/// By its name.
///
/// # Errors
/// No such name, or no such device.
pub(crate) fn open(name: &str) -> Result<Chosen> {
    let numbered = name.strip_prefix("gpu:").is_some_and(|number| number.parse::<usize>().is_ok());
    match name {
        "cpu" => Ok(Chosen::default()),
        "auto" => Ok(first()),
        _ if name == "gpu" || numbered => Ok(Chosen { device: Some(named(name)?), said: None }),
        _ => Err(Error::request(format!("`device` {name}: expected auto, cpu, gpu or gpu:N"))),
    }
}

#[cfg(feature = "gpu")]
fn first() -> Chosen {
    match ddim_gpu::Gpu::open("gpu") {
        Ok(gpu) => {
            let said = format!("computing on {}", gpu.described());
            Chosen { device: Some(Arc::new(gpu)), said: Some(said) }
        }
        Err(error) => Chosen { device: None, said: Some(format!("computing on the processor: {error}")) },
    }
}

#[cfg(feature = "gpu")]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Ok(Arc::new(ddim_gpu::Gpu::open(name).map_err(|e| Error::failure(format!("`device` {e}")))?))
}

#[cfg(not(feature = "gpu"))]
fn first() -> Chosen {
    Chosen { device: None, said: Some(format!("computing on the processor: {WITHOUT}")) }
}

#[cfg(not(feature = "gpu"))]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Err(Error::failure(format!("`device` {name}: {WITHOUT}: expected cpu")))
}

#[cfg(not(feature = "gpu"))]
const WITHOUT: &str = "this build computes on the processor only (it has not the feature gpu)";
