//! Pipeline folders, as Python diffusers writes and reads them.

use crate::error::{Error, Result, built_in, from_json, read_text};
use crate::files::TEMPORARY;
use crate::scheduler::SchedulerConfig;
use crate::unet::{UNet, UNetConfig};
use crate::weights::{self, StateDict, WeightsDtype};
use burn::module::Module;
use burn::tensor::Device;
use std::io::Write;
use std::path::{Path, PathBuf};

const MODEL_INDEX: &str = "model_index.json";
const UNET_CONFIG: &str = "unet/config.json";
const SCHEDULER_CONFIG: &str = "scheduler/scheduler_config.json";
const SAFETENSORS: &str = "unet/diffusion_pytorch_model.safetensors";
const PICKLE: &str = "unet/diffusion_pytorch_model.bin";

/// A U-Net, its configuration and its scheduler's.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The network.
    pub unet: UNet,
    /// `unet/config.json`.
    pub config: UNetConfig,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: SchedulerConfig,
    /// The file that the weights came from.
    pub weights_file: PathBuf,
}

/// The files of a pipeline in memory: a model that is built into a binary.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedPipeline {
    /// The name for messages.
    pub name: &'static str,
    /// `unet/config.json`.
    pub config: &'static str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'static str,
    /// `unet/diffusion_pytorch_model.safetensors`.
    pub safetensors: &'static [u8],
}

impl Pipeline {
    /// Loads a pipeline folder: `unet/` with its config and weights (safetensors, else a `.bin` pickle), and `scheduler/`. A
    /// `model_index.json`, where there is one, must name a `UNet2DModel`. Where a sub-folder is absent its files may lie in `folder`
    /// itself, as the first published pipelines have them.
    ///
    /// # Errors
    /// A file that is missing or broken, a config that asks for what is not supported, or weights that do not fit it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        if !folder.is_dir() {
            let found = if folder.exists() { "a file" } else { "nothing" };
            return Err(Error::config(folder, format!("{found}: expected a diffusers pipeline folder")));
        }
        let index = folder.join(MODEL_INDEX);
        if index.exists() {
            check_index(&index)?;
        }
        let path = part(folder, UNET_CONFIG);
        let config = UNetConfig::from_json(&read_text(&path)?, &path)?;
        let path = part(folder, SCHEDULER_CONFIG);
        let scheduler = SchedulerConfig::from_json(&read_text(&path)?, &path)?;
        let (state, weights_file) = read_weights(folder)?;
        Self::assemble(config, scheduler, state, weights_file, device)
    }

    /// Loads a model that is built into the binary.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn embedded(files: &EmbeddedPipeline, device: &Device) -> Result<Self> {
        let config = UNetConfig::from_json(files.config, &built_in(files.name, UNET_CONFIG))?;
        let scheduler = SchedulerConfig::from_json(files.scheduler, &built_in(files.name, SCHEDULER_CONFIG))?;
        let path = built_in(files.name, SAFETENSORS);
        let state = weights::parse_safetensors(files.safetensors, &path)?;
        Self::assemble(config, scheduler, state, path, device)
    }

    pub(crate) fn assemble(
        config: UNetConfig,
        scheduler: SchedulerConfig,
        state: StateDict,
        weights_file: PathBuf,
        device: &Device,
    ) -> Result<Self> {
        let mut unet = UNet::new(&config, device)?;
        weights::apply(&mut unet, state, &weights_file)?;
        Ok(Self { unet, config, scheduler, weights_file })
    }

    /// A network that has not been trained, with burn's initialisation.
    ///
    /// # Errors
    /// As [`UNetConfig::check`].
    pub fn untrained(config: UNetConfig, scheduler: SchedulerConfig, device: &Device) -> Result<Self> {
        Ok(Self { unet: UNet::new(&config, device)?, config, scheduler, weights_file: PathBuf::from("untrained") })
    }

    /// The number of weights.
    pub fn parameters(&self) -> usize {
        self.unet.num_params()
    }

    /// Writes a pipeline folder that Python diffusers loads, weights as `dtype`.
    ///
    /// All of it is written beside `folder` first and moved there when it is complete. An existing folder is not touched.
    ///
    /// # Errors
    /// `folder` exists and is not empty, or cannot be written.
    pub fn save(&self, folder: &Path, dtype: WeightsDtype) -> Result<()> {
        self.save_with(folder, dtype, &[])
    }

    /// [`save`](Self::save), with more files in the folder: names and contents.
    ///
    /// # Errors
    /// As `save`.
    pub fn save_with(&self, folder: &Path, dtype: WeightsDtype, more: &[(&str, Vec<u8>)]) -> Result<()> {
        if folder.read_dir().map_or(folder.exists(), |mut entries| entries.next().is_some()) {
            return Err(Error::io(folder, "exists already: expected a new folder"));
        }
        let parent = match folder.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let io = |e| Error::io(folder, e);
        let staging = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent).map_err(io)?;
        let index = serde_json::json!({
            "_class_name": "DDIMPipeline",
            "_diffusers_version": self.config.diffusers_version,
            "scheduler": ["diffusers", "DDIMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        let text = |value: serde_json::Value| format!("{value:#}\n").into_bytes();
        let as_json = |value: serde_json::Result<serde_json::Value>| value.map(text).map_err(|e| Error::config(folder, e));
        let files = [
            (MODEL_INDEX, text(index)),
            (UNET_CONFIG, as_json(serde_json::to_value(&self.config))?),
            (SCHEDULER_CONFIG, as_json(serde_json::to_value(&self.scheduler))?),
            (SAFETENSORS, weights::to_safetensors(&self.unet, dtype)?),
        ];
        let more = more.iter().map(|(file, bytes)| (*file, bytes.as_slice()));
        for (file, bytes) in files.iter().map(|(file, bytes)| (*file, bytes.as_slice())).chain(more) {
            let path = staging.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a file in the staging folder")).map_err(io)?;
            let mut out = std::fs::File::create(&path).map_err(io)?;
            out.write_all(bytes).and_then(|()| out.sync_all()).map_err(io)?;
        }
        // tempdir makes it private to its owner; a model is an ordinary folder.
        #[cfg(unix)]
        std::fs::set_permissions(staging.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(io)?;
        std::fs::rename(staging.path(), folder).map_err(io)?;
        // The new name is on the disk when its folder is.
        #[cfg(unix)]
        std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)?;
        Ok(())
    }
}

fn check_index(path: &Path) -> Result<()> {
    let index: serde_json::Value = from_json(&read_text(path)?, path)?;
    let class = index.get("unet").and_then(|u| u.get(1)).and_then(|c| c.as_str());
    match class {
        Some("UNet2DModel") => Ok(()),
        Some(other) => Err(Error::config(path, format!("unet is {other:?}: expected UNet2DModel"))),
        None => Err(Error::config(path, "unet is missing: expected a pipeline with a UNet2DModel")),
    }
}

/// A file of a pipeline: in its sub-folder, or in the folder itself where there is no such sub-folder (diffusers' rule).
fn part(folder: &Path, file: &str) -> PathBuf {
    match file.split_once('/') {
        Some((sub, name)) if !folder.join(sub).is_dir() && folder.join(name).is_file() => folder.join(name),
        _ => folder.join(file),
    }
}

fn read_weights(folder: &Path) -> Result<(StateDict, PathBuf)> {
    let path = part(folder, SAFETENSORS);
    match std::fs::read(&path) {
        Ok(bytes) => return Ok((weights::parse_safetensors(&bytes, &path)?, path)),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&path, e)),
        Err(_) => {}
    }
    let pickle = part(folder, PICKLE);
    if pickle.exists() {
        return Ok((weights::read_pickle(&pickle)?, pickle));
    }
    Err(Error::io(&path, "not found, nor diffusion_pytorch_model.bin beside it: expected the network's weights"))
}

/// The default device for what runs on the processor.
pub fn cpu() -> Device {
    Device::flex()
}
