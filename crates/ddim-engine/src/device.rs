//! Where networks run: on the CPU, or in builds with the feature `gpu` on a GPU.

use crate::error::{Error, Result};
use ddim_nn::{Device, Precision};
use serde::Serialize;
use std::sync::Arc;

/// Where networks run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    /// None: on the processor.
    pub(crate) device: Option<Arc<dyn Device>>,
    /// How it was chosen, where that was not the caller.
    pub(crate) said: Option<String>,
}

impl Chosen {
    /// The same, computing with these numbers.
    ///
    /// # Errors
    /// Numbers that it does not compute with.
    pub(crate) fn in_precision(self, precision: Precision) -> Result<Self> {
        match &self.device {
            None if precision == Precision::F32 => Ok(self),
            None => Err(Error::request(format!("`precision` {precision}: the CPU computes in f32: expected f32, or a GPU for `device`"))),
            Some(device) => {
                let device = device.in_precision(precision).map_err(|e| Error::request(format!("`precision` {precision}: {e}")))?;
                Ok(Self { device: Some(device), ..self })
            }
        }
    }
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

/// Something that networks do on the processor alone, which `field` asks of another device.
pub(crate) fn only_here(field: &str, device: &dyn Device) -> Error {
    Error::field(field, format!("not available on {}: expected cpu for `device`", device.name()))
}

/// The devices that the engine can use on this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "info")]
pub struct DevicesReport {
    /// The CPU, then the GPUs.
    pub devices: Vec<DeviceReport>,
    /// Why no GPUs are listed, if this build does not support any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// A device, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceReport {
    /// The name to select it by: `cpu`, `gpu:0`.
    pub device: String,
    /// The vendor's name for it.
    pub name: String,
    /// One of processor, discrete, integrated, virtual or software (a software implementation of a GPU).
    pub kind: String,
    /// The API that it is used through, such as vulkan; for the CPU its vector extension, such as AVX-512.
    pub api: String,
    /// The driver and its version.
    pub driver: Option<String>,
    /// Bytes of memory, where the system reports it: the machine's for the CPU, dedicated memory for a GPU.
    pub memory_bytes: Option<u64>,
}

/// Lists the devices to compute on: the CPU and, in builds with the feature `gpu`, the GPUs whose drivers are found.
pub fn devices() -> DevicesReport {
    let processor = DeviceReport {
        device: "cpu".to_owned(),
        name: said_by("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        kind: "processor".to_owned(),
        api: ddim_nn::vectors().to_owned(),
        driver: None,
        memory_bytes: said_by("/proc/meminfo", "MemTotal")
            .and_then(|kib| kib.strip_suffix(" kB")?.parse::<u64>().ok())
            .map(|kib| kib << 10),
    };
    let mut devices = vec![processor];
    devices.extend(others());
    DevicesReport { devices, note: cfg!(not(feature = "gpu")).then_some(WITHOUT) }
}

/// What Linux says under a name.
fn said_by(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

#[cfg(feature = "gpu")]
fn others() -> Vec<DeviceReport> {
    let report = |gpu: ddim_gpu::Described| DeviceReport {
        device: format!("gpu:{}", gpu.index),
        name: gpu.name,
        kind: gpu.kind.to_string(),
        api: gpu.api,
        driver: Some(gpu.driver).filter(|driver| !driver.is_empty()),
        memory_bytes: gpu.memory,
    };
    ddim_gpu::devices().into_iter().map(report).collect()
}

#[cfg(not(feature = "gpu"))]
fn others() -> Vec<DeviceReport> {
    Vec::new()
}

#[cfg(feature = "gpu")]
fn first() -> Chosen {
    match ddim_gpu::Gpu::open("gpu") {
        Ok(gpu) => {
            let said = format!("computing on {}", gpu.described());
            Chosen { device: Some(Arc::new(gpu)), said: Some(said) }
        }
        Err(error) => Chosen { device: None, said: Some(format!("computing on the CPU: {error}")) },
    }
}

#[cfg(feature = "gpu")]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Ok(Arc::new(ddim_gpu::Gpu::open(name).map_err(|e| Error::failure(format!("`device` {e}")))?))
}

#[cfg(not(feature = "gpu"))]
fn first() -> Chosen {
    Chosen { device: None, said: Some(format!("computing on the CPU: {WITHOUT}")) }
}

#[cfg(not(feature = "gpu"))]
fn named(name: &str) -> Result<Arc<dyn Device>> {
    Err(Error::failure(format!("`device` {name}: {WITHOUT}: expected cpu")))
}

const WITHOUT: &str = "this build lacks the gpu feature and computes on the CPU only";
