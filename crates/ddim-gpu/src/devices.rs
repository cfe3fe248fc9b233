//! Listing and opening devices.

use crate::error::{Error, Result};
use burn::backend::wgpu::WgpuBackend;
use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind, FloatDType, Tensor, TensorData};
use ddim_nn::{Faults, Precision, TensorDevice};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

/// A device, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The number N in `gpu:N`.
    pub index: usize,
    /// The device's name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// The kind of device.
    pub kind: Kind,
    /// The API that it is reached through, such as `vulkan`.
    pub api: String,
    /// The driver and its version; empty if it does not report them.
    pub driver: String,
    /// Bytes of dedicated memory, where known.
    pub memory: Option<u64>,
}

/// The kind of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A card with its own memory.
    Discrete,
    /// Part of the CPU's chip, sharing its memory.
    Integrated,
    /// A share of a device, in a virtual machine.
    Virtual,
    /// No hardware: a software implementation such as Mesa's lavapipe.
    Software,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Software => "software",
        })
    }
}

impl fmt::Display for Described {
    /// Formats as one line, such as `gpu:0 NVIDIA H100 80GB HBM3 (discrete, vulkan, NVIDIA 570.86)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpu:{} {} ({}, {}", self.index, self.name, self.kind, self.api)?;
        if let Some(memory) = self.memory {
            write!(f, ", {:.1} GiB", memory as f64 / f64::from(1 << 30))?;
        }
        if !self.driver.is_empty() {
            write!(f, ", {}", self.driver)?;
        }
        f.write_str(")")
    }
}

/// A device, and how the framework calls it.
struct Found {
    described: Described,
    selector: (WgpuBackend, DeviceKind),
    /// Numbers that a buffer holds.
    most: usize,
}

/// Lists all devices: GPUs before software devices, and discrete GPUs before those that share the CPU's memory.
pub fn devices() -> Vec<Described> {
    found().iter().map(|found| found.described.clone()).collect()
}

/// Asked for once: drivers do not take kindly to being asked by several threads, and some say something each time.
fn found() -> &'static [Found] {
    static FOUND: OnceLock<Vec<Found>> = OnceLock::new();
    FOUND.get_or_init(look)
}

fn look() -> Vec<Found> {
    let apis = [
        (wgpu::Backend::Vulkan, WgpuBackend::Vulkan, "vulkan"),
        (wgpu::Backend::Metal, WgpuBackend::Metal, "metal"),
        (wgpu::Backend::Dx12, WgpuBackend::Dx12, "dx12"),
    ];
    let mut software = Vec::new();
    // One interface for all: under two, each device would be there twice.
    for (backend, selector, api) in apis {
        let devices = of_api(backend, selector, api);
        if devices.iter().any(|found| found.described.kind != Kind::Software) {
            return numbered(devices);
        }
        if software.is_empty() {
            software = devices;
        }
    }
    numbered(software)
}

fn of_api(backend: wgpu::Backend, selector: WgpuBackend, api: &str) -> Vec<Found> {
    let descriptor = wgpu::InstanceDescriptor { backends: backend.into(), ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let adapters = ready(wgpu::Instance::new(descriptor).enumerate_adapters(backend.into()));
    let mut counts = [0; 4];
    let described = adapters.into_iter().filter_map(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
            wgpu::DeviceType::VirtualGpu => Kind::Virtual,
            wgpu::DeviceType::Cpu => Kind::Software,
            wgpu::DeviceType::Other => return None,
        };
        let count = counts[kind as usize];
        counts[kind as usize] += 1;
        let device = match kind {
            Kind::Discrete => DeviceKind::DiscreteGpu(count),
            Kind::Integrated => DeviceKind::IntegratedGpu(count),
            Kind::Virtual => DeviceKind::VirtualGpu(count),
            // The framework knows one of these.
            Kind::Software if count > 0 => return None,
            Kind::Software => DeviceKind::Cpu,
        };
        let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
        let memory = memory(&info.device_pci_bus_id);
        let described = Described { index: 0, name: info.name, kind, api: api.to_owned(), driver, memory };
        let limits = adapter.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / 4;
        Some(Found { described, selector: (selector, device), most: usize::try_from(most).unwrap_or(usize::MAX) })
    });
    described.collect()
}

fn numbered(mut devices: Vec<Found>) -> Vec<Found> {
    devices.sort_by_key(|found| found.described.kind as usize);
    devices.iter_mut().enumerate().for_each(|(index, found)| found.described.index = index);
    devices
}

/// A card's memory: what Linux says of AMD's, and NVIDIA's library of its own. WebGPU does not say.
fn memory(pci: &str) -> Option<u64> {
    let file = format!("/sys/bus/pci/devices/{pci}/mem_info_vram_total");
    let linux = || std::fs::read_to_string(file).ok()?.trim().parse().ok();
    if pci.is_empty() { None } else { linux().or_else(|| of_nvidia(pci)) }
}

#[cfg(any(target_os = "linux", windows))]
fn of_nvidia(pci: &str) -> Option<u64> {
    Some(nvml_wrapper::Nvml::init().ok()?.device_by_pci_bus_id(pci).ok()?.memory_info().ok()?.total)
}

#[cfg(not(any(target_os = "linux", windows)))]
fn of_nvidia(_pci: &str) -> Option<u64> {
    None
}

/// What a future gives that never waits: adapters are listed at once but for browsers.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// An open device.
///
/// ```no_run
/// let gpu = ddim_gpu::Gpu::open("gpu")?;
/// let network = gpu.network(ddim_nn::Pipeline::load("ddpm-cifar10-32".as_ref())?)?;
/// // A `ddim::Denoiser` as any other.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gpu {
    pub(crate) device: TensorDevice,
    pub(crate) described: Described,
    wgpu: wgpu::Device,
}

/// What was opened before: the framework opens a device once a process.
static OPEN: Mutex<Vec<Gpu>> = Mutex::new(Vec::new());

impl Gpu {
    /// Opens `gpu`, the first GPU, or `gpu:N` as listed by [`devices`]. A software device is only opened by its number.
    ///
    /// # Errors
    /// If the name is not one of these, or the device does not exist or cannot be opened.
    pub fn open(name: &str) -> Result<Self> {
        let number = match name.strip_prefix("gpu").map(|rest| (rest, rest.strip_prefix(':').map(str::parse::<usize>))) {
            Some(("", _)) => None,
            Some((_, Some(Ok(number)))) => Some(number),
            _ => return Err(Error::new(format!("{name}: expected gpu or gpu:N"))),
        };
        let devices = found();
        let count = devices.len();
        let fits = |found: &Found| number.map_or(found.described.kind != Kind::Software, |number| found.described.index == number);
        let Some(Found { described, selector: (api, kind), most }) = devices.iter().find(|found| fits(found)) else {
            return Err(Error::new(match (number, devices.first()) {
                (_, None) => format!("{name}: no GPU was found: expected one with a driver for {DRIVERS}"),
                (None, Some(first)) => {
                    format!("{name}: no GPU was found, only {}, which runs on the CPU", first.described)
                }
                (Some(_), Some(_)) if count == 1 => format!("{name}: one device was found: expected gpu:0"),
                (Some(_), Some(_)) => format!("{name}: {count} devices were found: expected gpu:0 to gpu:{}", count - 1),
            }));
        };
        let mut open = OPEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(gpu) = open.iter().find(|gpu| gpu.described == *described) {
            return Ok(gpu.clone());
        }
        // Or files of working folders and the environment would have a say in what is computed. Set already, by an earlier device: that is what it is.
        let _ = CubeClRuntimeConfig::try_set(CubeClRuntimeConfig::default());
        let opened = Device::wgpu_options().device_kind(kind.clone()).graphics_api(*api).init_with_setup();
        let (device, setup) = opened.map_err(|e| Error::new(format!("{name}: {described} cannot be opened: {e}")))?;
        let faults = Arc::new(Faults::default());
        let recorded = Arc::clone(&faults);
        // Instead of the framework's own, whose panic is caught and forgotten.
        setup.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let out_of_memory = matches!(error, wgpu::Error::OutOfMemory { .. });
            recorded.record(&error, out_of_memory);
            if out_of_memory {
                // Or the framework would take the buffer that is none for one. It catches this, and no hook hears of it.
                std::panic::resume_unwind(Box::new("out of memory"));
            }
        }));
        let gpu = Self {
            device: TensorDevice { device, most: *most, precision: Precision::F32, faults },
            described: described.clone(),
            wgpu: setup.device,
        };
        open.push(gpu.clone());
        Ok(gpu)
    }

    /// The device as networks use it.
    pub fn device(&self) -> &TensorDevice {
        &self.device
    }

    /// The underlying wgpu device, for computing or drawing on it as well. Errors that this causes are reported by the networks that run at the same time.
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.wgpu
    }

    /// Sets the number format that networks created from now on compute in; the default is f32.
    ///
    /// # Errors
    /// For bf16, which WGSL does not have; and for f16 if the device does not support it, or saturates instead of overflowing.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        let refused = |why: &str| Err(Error::new(format!("{}: {why}", self.described)));
        match precision {
            Precision::Bf16 => refused("WGSL has no bf16: expected f32 or f16"),
            Precision::F16 if !self.device.device.supports_dtype(FloatDType::F16) => {
                refused("the device or its driver has no f16: expected f32")
            }
            Precision::F16 if !self.shows_overflow() => refused("f16 saturates instead of overflowing here: expected f32"),
            precision => Ok(Self { device: TensorDevice { precision, ..self.device }, ..self }),
        }
    }

    /// Whether more than f16 holds becomes infinite, by which it is seen: a driver may round it to the largest number instead.
    fn shows_overflow(&self) -> bool {
        let found = self.device.guarded(|| {
            let large = Tensor::<1>::from_data(TensorData::new(vec![1e6f32, -1e6], [2]), &self.device.device);
            self.device.fetch([large.cast(FloatDType::F16).cast(FloatDType::F32)])
        });
        found.is_ok_and(|found| found.concat().iter().all(|v| v.is_infinite()))
    }

    /// The device's description.
    pub fn described(&self) -> &Described {
        &self.described
    }
}

const DRIVERS: &str = if cfg!(target_vendor = "apple") {
    "Metal"
} else if cfg!(windows) {
    "Vulkan or DirectX 12"
} else {
    "Vulkan (libvulkan.so.1)"
};
