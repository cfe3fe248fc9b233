//! Pipelines on disk: folders as Python diffusers writes and reads them, and files that hold only weights.

use crate::authors;
use crate::classes::{CLASSES, as_classes, classes_in};
use crate::defaults::{SAMPLING, SamplingDefaults};
use crate::error::{Error, Result, is_there, read_text};
use crate::pipeline::{Choices, Pipeline, SAFETENSORS, SCHEDULER_CONFIG, UNET_CONFIG, given_scheduler, part};
use crate::scheduler::{SchedulerClass, SchedulerConfig};
use crate::unet::{UNet, UNetConfig};
use crate::weights;
use ddim_weights::{
    StateDict, TEMPORARY, Unwrapped, WeightsDtype, from_json, parse_safetensors, read_file, read_folder, try_file, writing,
};
use std::io::Write;
use std::path::{Path, PathBuf};

const MODEL_INDEX: &str = "model_index.json";
const UNET: &str = "unet";
/// The averaged weights beside it, in what accelerate's training scripts leave.
const UNET_AVERAGE: &str = "unet_ema";
const CONFIG: &str = "config.json";
/// What a run of `ddim train` keeps beside its averaged weights, the weights themselves among it.
const TRAINING_STATE: &str = "training_state.safetensors";
/// In it, the rates of `ema.0`, `ema.1`, ...
const EMA_RATES: &str = "ema.rates";

impl Pipeline {
    /// Loads a model that diffusers saved: a pipeline folder (`model_index.json`, `unet/`, `scheduler/`), one in the hub's cache, the
    /// folder of a U-Net alone, or a checkpoint of accelerate's training scripts (`unet_ema/`, `unet/`).
    ///
    /// Weights are safetensors, or else `.bin`, whole or sharded, plain or of a variant. If a sub-folder is absent, its files may lie in
    /// `folder` itself, as in the first published pipelines.
    ///
    /// # Errors
    /// Returns an error if a file is missing or broken, a config asks for something unsupported, or the weights do not fit it.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::load_with(folder, &Choices::default())
    }

    /// Loads a model as [`load`](Self::load) does, with choices for what the folder leaves open.
    ///
    /// # Errors
    /// As `load`, and an error for `raw` if there is only one set of weights, for `ema` if there is no average of that rate, and for both
    /// at once.
    pub fn load_with(folder: &Path, choices: &Choices) -> Result<Self> {
        if !folder.is_dir() {
            let found = if folder.exists() { "a file" } else { "nothing" };
            return Err(Error::config(folder, format!("{found}: expected a diffusers pipeline folder")));
        }
        let folder = snapshot(folder)?;
        let index = folder.join(MODEL_INDEX);
        let mut classes = if is_there(&index) { check_index(&index)? } else { Vec::new() };
        let (mut class_counts, mut notes) = (Vec::new(), Vec::new());
        let unet = network_folder(&folder, is_there(&index), choices.raw, &mut notes)?;
        let path = unet.join(CONFIG);
        let config = UNetConfig::from_json(&read_text(&path)?, &path)?;
        let (scheduler, scheduler_class) = scheduler(&folder, is_there(&index), choices, &mut notes)?;
        let path = folder.join(CLASSES);
        if let Some(found) = classes_in(&folder)? {
            (classes, class_counts) = found;
        }
        let sampling = SamplingDefaults::of_folder(&folder)?;
        if let Some(rows) =
            config.num_class_embeds.filter(|rows| config.class_embed_type.is_none() && *rows < classes.len().max(class_counts.len()))
        {
            return Err(Error::config(
                &path,
                format!("{} class names: expected {rows}, as num_class_embeds says", classes.len().max(class_counts.len())),
            ));
        }
        let state = folder.join(TRAINING_STATE);
        let averaged = unet.file_name().is_some_and(|name| name == UNET_AVERAGE);
        if choices.raw && choices.ema.is_some() {
            return Err(Error::choice("the plain weights and an average of them: expected one of the two"));
        }
        let one_set = averaged || !folder.join(UNET_AVERAGE).is_dir();
        if let Some(expected) = choices.expected().filter(|_| !is_there(&state) && (one_set || choices.ema.is_some())) {
            let found = match (choices.ema, averaged) {
                (Some(_), _) => format!("holds no {TRAINING_STATE}"),
                (None, true) => "holds only averaged weights".to_owned(),
                (None, false) => "holds one set of weights".to_owned(),
            };
            return Err(Error::choice(format!("{}: {found}: expected {expected}", folder.display())));
        }
        let (unwrapped, weights_file) = read_folder(&unet)?;
        notes.extend(unwrapped.notes);
        let mut pipeline = Self::assemble(config, scheduler, unwrapped.state, weights_file)?;
        let training_state = is_there(&state).then_some(state);
        if let Some(state) = training_state.as_ref().filter(|_| choices.raw || choices.ema.is_some()) {
            pipeline.unet = in_state(&pipeline.unet, state, choices.ema)?;
            pipeline.weights_file.clone_from(state);
        }
        let mut pipeline = Self { training_state, scheduler_class, classes, class_counts, sampling, notes, ..pipeline };
        if let (Some(scale), None) = (pipeline.sampling.guidance.filter(|scale| *scale != 1.0), pipeline.usual_guidance()) {
            let found = format!("{}: guidance {scale} has no effect", folder.join(SAMPLING).display());
            pipeline.notes.push(format!("{found}: the model has no null class, which {CLASSES} would declare"));
        }
        if pipeline.sampling.classes.is_some() && pipeline.usual_classes().is_none() {
            pipeline.notes.push(format!("{}: classes have no effect: the model has none", folder.join(SAMPLING).display()));
        }
        pipeline.sized(choices)
    }

    /// Returns the rates of the averages in a checkpoint of `ddim train`, one of which [`Choices::ema`] names. It is empty for anything
    /// else, and for a checkpoint from before checkpoints recorded them.
    ///
    /// # Errors
    /// Returns an error if a file is broken.
    pub fn ema_rates(&self) -> Result<Vec<f32>> {
        let Some(path) = &self.training_state else { return Ok(Vec::new()) };
        Ok(ema_rates_of(&mut read_state(path)?))
    }

    /// Loads a single file of weights, safetensors or PyTorch's, whatever is wrapped around its state dict.
    ///
    /// The weights are those of diffusers' U-Net, with its `config.json` in the same folder or given, or of the network of the DDIM authors
    /// (and of DDPM in PyTorch), also in their list [model, optimizer, epoch, step, ema]. If a file has both averaged weights and the
    /// weights themselves, the average is taken, or with `raw` the others.
    ///
    /// For the authors' network the configuration follows from the shapes. So does the size of the images if the network attends at 16×16,
    /// as all of the authors' do; otherwise `size` must give it. The schedule is theirs: 1000 linear betas from 1e-4 to 0.02, ε-prediction,
    /// no clipping.
    ///
    /// # Errors
    /// Returns an error for another kind of file, for the tensors of another network, and for `ema`, whose averages only a checkpoint has.
    pub fn load_file(path: &Path, choices: &Choices) -> Result<Self> {
        if let Some(expected) = choices.expected().filter(|_| choices.ema.is_some()) {
            return Err(Error::choice(format!("{}: a file of weights: expected {expected}", path.display())));
        }
        let Unwrapped { mut state, mut notes } = read_file(path, choices.raw)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let of_diffusers = state.keys().any(|name| name.starts_with("down_blocks."));
        let config = if of_diffusers {
            let file = match &choices.config {
                Some(given) if given.is_dir() => part(given, UNET_CONFIG),
                Some(given) => given.clone(),
                None => folder.join(CONFIG),
            };
            if choices.config.is_none() && !is_there(&file) {
                let why = "its tensors have diffusers' names, and their shapes alone do not determine the network: expected its config.json in the same folder, or --config FILE";
                return Err(Error::weights(path, why));
            }
            UNetConfig::from_json(&read_text(&file)?, &file)?
        } else {
            let (config, renamed) = authors::network(state, choices.size).map_err(|message| Error::weights(path, message))?;
            state = renamed;
            config
        };
        let (scheduler, scheduler_class) = if of_diffusers || choices.scheduler.is_some() {
            scheduler(folder, false, choices, &mut notes)?
        } else {
            (SchedulerConfig { clip_sample: false, ..SchedulerConfig::default() }, String::new())
        };
        let pipeline = Self::assemble(config, scheduler, state, path.to_owned())?;
        Self { scheduler_class, notes, ..pipeline }.sized(choices)
    }

    /// Writes a pipeline folder that Python diffusers can load, with weights as `dtype`.
    ///
    /// Everything is written beside `folder` first and moved there once complete. An existing folder is not touched.
    ///
    /// # Errors
    /// Returns an error if `folder` exists and is not empty, or cannot be written.
    pub fn save(&self, folder: &Path, dtype: WeightsDtype) -> Result<()> {
        self.save_with(folder, dtype, &[])
    }

    /// Writes a pipeline folder as [`save`](Self::save) does, with further files: names and contents.
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
        let io = |e: std::io::Error| Error::io(folder, format!("cannot be written: {e}")).because(e);
        // The system's own words, where its folder is none.
        try_file(folder).map_err(io)?;
        let _writing = writing();
        let staging = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent).map_err(|e| io(e.kind().into()))?;
        // diffusers' DDIM does not take a network that predicts variances too.
        let (pipeline, scheduler) = match self.scheduler.class_name {
            SchedulerClass::Ddim => ("DDIMPipeline", "DDIMScheduler"),
            SchedulerClass::Ddpm => ("DDPMPipeline", "DDPMScheduler"),
        };
        let index = serde_json::json!({
            "_class_name": pipeline,
            "_diffusers_version": self.config.diffusers_version,
            "scheduler": ["diffusers", scheduler],
            "unet": ["diffusers", "UNet2DModel"],
        });
        let text = |value: serde_json::Value| format!("{value:#}\n").into_bytes();
        let as_json = |value: serde_json::Result<serde_json::Value>| value.map(text).map_err(|e| Error::config(folder, &e).because(e));
        let mut files = vec![
            (MODEL_INDEX, text(index)),
            (UNET_CONFIG, as_json(serde_json::to_value(&self.config))?),
            (SCHEDULER_CONFIG, as_json(serde_json::to_value(self.scheduler.for_diffusers()))?),
            (SAFETENSORS, to_safetensors(&self.unet, dtype)?),
        ];
        if let Some(classes) = as_classes(&self.classes, &self.class_counts) {
            files.push((CLASSES, as_json(classes)?));
        }
        if self.sampling != SamplingDefaults::default() {
            files.push((SAMPLING, as_json(serde_json::to_value(&self.sampling))?));
        }
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

/// A safetensors file of the network's weights, as diffusers writes it.
///
/// # Errors
/// A weight that `dtype` cannot hold.
fn to_safetensors(unet: &UNet, dtype: WeightsDtype) -> Result<Vec<u8>> {
    let tensors = unet.parameters().map(|(name, shape, range)| (name, shape, &unet.values()[range]));
    Ok(ddim_weights::to_safetensors(tensors, dtype)?)
}

/// Checks a `model_index.json`; returns the names of classes that some pipelines have in theirs.
fn check_index(path: &Path) -> Result<Vec<String>> {
    let index: serde_json::Value = from_json(&read_text(path)?, path)?;
    let class = index.get("unet").and_then(|u| u.get(1)).and_then(|c| c.as_str());
    match class {
        Some("UNet2DModel") => {}
        Some(other) => return Err(Error::config(path, format!("unet is {other:?}: expected UNet2DModel"))),
        None => return Err(Error::config(path, "unet is missing: expected a pipeline with a UNet2DModel")),
    }
    let Some(names) = index.get("id2label").and_then(|names| names.as_object()) else { return Ok(Vec::new()) };
    let name = |k: usize| names.get(&k.to_string()).and_then(|name| name.as_str()).map(str::to_owned);
    let all: Option<Vec<String>> = (0..names.len()).map(name).collect();
    all.ok_or_else(|| Error::config(path, format!("id2label: expected names under 0 to {}", names.len().saturating_sub(1))))
}

/// The folder of the model in one of the hub's cache (`models--owner--name`): the snapshot that `main` is, or the only one. Any other
/// folder is its own.
fn snapshot(folder: &Path) -> Result<PathBuf> {
    let snapshots = folder.join("snapshots");
    if !snapshots.is_dir() || is_there(&folder.join(MODEL_INDEX)) || is_there(&folder.join(CONFIG)) {
        return Ok(folder.to_owned());
    }
    let main = folder.join("refs/main");
    if is_there(&main) {
        let name = read_text(&main)?;
        let name = name.trim();
        let snapshot = snapshots.join(name);
        if name.is_empty() || name.contains(['/', '\\']) || !snapshot.is_dir() {
            return Err(Error::config(&main, format!("{name:?}: expected the name of a folder in {}", snapshots.display())));
        }
        return Ok(snapshot);
    }
    let entries =
        snapshots.read_dir().and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(|e| Error::io(&snapshots, &e).because(e))?;
    let mut found: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_dir()).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::config(&snapshots, "empty: expected a snapshot of the model (is the download complete?)")),
        several => {
            Err(Error::config(&snapshots, format!("{} snapshots and no refs/main: expected the folder of one snapshot", several.len())))
        }
    }
}

/// Where the network of a model folder is. Of `unet_ema/` and `unet/` without a pipeline around them, the average is taken.
fn network_folder(folder: &Path, pipeline: bool, raw: bool, notes: &mut Vec<String>) -> Result<PathBuf> {
    let (unet, average) = (folder.join(UNET), folder.join(UNET_AVERAGE));
    if is_there(&average.join(CONFIG)) && !pipeline && !raw {
        if unet.is_dir() {
            notes.push(format!("using the averaged weights, {} (--raw uses {})", average.display(), unet.display()));
        }
        return Ok(average);
    }
    if unet.is_dir() || pipeline {
        // With its files in the folder itself, as the first pipelines have them.
        let flat = !unet.is_dir() && folder.join(CONFIG).is_file();
        let found = if flat { folder.to_owned() } else { unet };
        return if is_there(&found.join(CONFIG)) { Ok(found) } else { Err(without_config(&found)) };
    }
    if is_there(&folder.join(CONFIG)) {
        return Ok(folder.to_owned());
    }
    if is_there(&average.join(CONFIG)) {
        return Ok(average);
    }
    Err(without_config(folder))
}

/// What to say of a folder that is no model.
fn without_config(folder: &Path) -> Error {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let mut checkpoints: Vec<&String> = names.iter().filter(|name| name.starts_with("checkpoint-")).collect();
    checkpoints.sort_by_key(|name| (name.len(), *name));
    if let Some(last) = checkpoints.last() {
        return Error::config(
            folder,
            format!("holds checkpoints but no model: expected one of them, such as {}", folder.join(last).display()),
        );
    }
    let weights = |name: &&String| [".safetensors", ".bin", ".pt", ".pth", ".ckpt"].iter().any(|end| name.ends_with(end));
    let found = names.iter().find(weights).map_or(String::new(), |name| format!(", though {name} is there"));
    let expected = "a pipeline folder (model_index.json, unet/, scheduler/) or a U-Net's (config.json and its weights)";
    Error::config(&folder.join(CONFIG), format!("not found{found}: expected {expected}"))
}

/// The scheduler of a model folder, and the class that its file names: the one given, the model's own, that of a pipeline around it, or for a
/// network alone DDPM's.
fn scheduler(folder: &Path, pipeline: bool, choices: &Choices, notes: &mut Vec<String>) -> Result<(SchedulerConfig, String)> {
    if let Some(given) = &choices.scheduler {
        return given_scheduler(given);
    }
    let own = part(folder, SCHEDULER_CONFIG);
    if is_there(&own) || pipeline {
        return SchedulerConfig::read(&read_text(&own)?, &own);
    }
    // A U-Net's folder in a pipeline's, or a checkpoint's in that of its run.
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let is_part = |folder: &Path| {
        let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        name == UNET || name == UNET_AVERAGE || name.starts_with("checkpoint-")
    };
    let around = whole.ancestors().take(2).take_while(|folder| is_part(folder)).filter_map(Path::parent);
    if let Some(path) = around.map(|folder| folder.join(SCHEDULER_CONFIG)).find(|path| is_there(path)) {
        notes.push(format!("using the scheduler of the pipeline around it, {}", path.display()));
        return SchedulerConfig::read(&read_text(&path)?, &path);
    }
    notes
        .push("no scheduler: using DDPM's, 1000 linear betas from 1e-4 to 0.02, epsilon predicted (--scheduler FILE gives another)".into());
    Ok((SchedulerConfig::default(), String::new()))
}

/// What a run keeps beside its averaged weights to go on.
fn read_state(path: &Path) -> Result<StateDict> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, &e).because(e))?;
    Ok(parse_safetensors(&bytes, path)?)
}

/// Its rates; none in one that was written before checkpoints said them.
fn ema_rates_of(state: &mut StateDict) -> Vec<f32> {
    state.remove(EMA_RATES).map_or_else(Vec::new, |array| array.data)
}

/// The network with other weights that the state of a run has: the weights themselves, or the average with the rate `ema`.
fn in_state(unet: &UNet, path: &Path, ema: Option<f64>) -> Result<UNet> {
    let mut state = read_state(path)?;
    let prefix = match ema {
        None => "weights".to_owned(),
        Some(rate) => {
            let rates = ema_rates_of(&mut state);
            let Some(which) = rates.iter().position(|found| *found == rate as f32) else {
                let known = rates.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
                let what = match rates.len() {
                    0 => {
                        "was written before checkpoints recorded the rates of their averages: the next one that the run writes (--resume) will"
                    }
                    1 => &format!("no average with the rate {rate}: expected {known}"),
                    _ => &format!("no average with the rate {rate}: expected one of {known}"),
                };
                return Err(Error::choice(format!("{}: {what}", path.display())));
            };
            format!("ema.{which}")
        }
    };
    let mut values = Vec::with_capacity(unet.values().len());
    for (name, shape, range) in unet.parameters() {
        let key = format!("{prefix}.{name}");
        let array = state.remove(&key).ok_or_else(|| Error::weights(path, format!("tensor {key} is missing")))?;
        if array.data.len() != range.len() {
            return Err(Error::weights(path, format!("tensor {key} has {} numbers: expected {}", array.data.len(), range.len())));
        }
        values.append(&mut weights::from_training_state(name, shape, &array.shape, array.data));
    }
    unet.with_values(values)
}
