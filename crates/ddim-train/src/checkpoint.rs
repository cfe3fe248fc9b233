//! Checkpoints: pipeline folders with the averaged weights, and beside them `training_state.safetensors` with everything a run needs to
//! resume.

use crate::error::{Error, Result};
use crate::tally::Tally;
use crate::trainer::{Start, Trainer};
use ddim_nn::{SamplingDefaults, SchedulerConfig, UNet, UNetConfig, classes_in, from_training_state};
use ddim_weights::WeightsDtype;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const STATE: &str = "training_state.safetensors";

/// The name of [`State`] in that file's metadata.
const KEY: &str = "ddim_training_state";

/// The rates of `ema.0`, `ema.1`, ... in it.
const EMA_RATES: &str = "ema.rates";

/// What is not an array.
#[derive(Serialize, Deserialize)]
struct State {
    step: u64,
    adam_steps: u64,
    data_checksum: u32,
    images: usize,
    tally: Tally,
}

/// The folder of checkpoints in a run's.
pub(crate) fn folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

fn name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Returns the checkpoints of a run in step order. Those under their final name are complete, since they only get it once they are.
///
/// # Errors
/// Returns an error if a folder cannot be read.
pub fn checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = folder(run);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(|e| Error::run(&folder, &e).because(e))? {
        let path = entry.map_err(|e| Error::run(&folder, &e).because(e))?.path();
        let step = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("step-")).and_then(|n| n.parse().ok());
        found.extend(step.map(|step| (step, path)));
    }
    found.sort();
    Ok(found)
}

/// The folder of a run's previews, which the observer of a run may write.
pub const PREVIEWS: &str = "previews";

/// Removes what a killed process left unfinished.
pub(crate) fn sweep(run: &Path) -> Result<()> {
    // Checkpoints, the files of the run itself, and what its observer draws.
    for folder in [folder(run), run.to_owned(), run.join(PREVIEWS)] {
        ddim_weights::remove_temporary(&folder).map_err(|e| Error::run(&folder, &e).because(e))?;
    }
    Ok(())
}

/// Removes all but the last `keep` checkpoints: first their names, so that no half of one is taken for a whole.
pub(crate) fn prune(run: &Path, keep: usize) -> Result<()> {
    let found = checkpoints(run)?;
    for (step, path) in &found[..found.len().saturating_sub(keep)] {
        let gone = folder(run).join(format!(".ddim-old-{}", name(*step)));
        std::fs::rename(path, &gone).and_then(|()| std::fs::remove_dir_all(&gone)).map_err(|e| Error::run(path, &e).because(e))?;
    }
    Ok(())
}

/// Where the checkpoint of a step is.
pub(crate) fn path(run: &Path, step: u64) -> PathBuf {
    folder(run).join(name(step))
}

/// Writes a checkpoint, whole or not at all.
pub(crate) fn save(path: &Path, trainer: &Trainer, tally: &Tally) -> Result<()> {
    Ok(trainer.pipeline(0)?.save_with(path, WeightsDtype::F32, &[(STATE, to_bytes(trainer, tally)?)])?)
}

/// f32 in the byte order of the file.
fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// What the state says of the averages.
fn rates(trainer: &Trainer) -> Vec<f32> {
    trainer.averages.iter().map(|average| average.rate as f32).collect()
}

fn to_bytes(trainer: &Trainer, tally: &Tally) -> Result<Vec<u8>> {
    let unet = trainer.unet();
    let kinds = [("weights".to_owned(), unet.values())]
        .into_iter()
        .chain(trainer.averages.iter().enumerate().map(|(which, average)| (format!("ema.{which}"), average.values.as_slice())))
        .chain(
            [("adam.first", &trainer.adam.moments[0]), ("adam.second", &trainer.adam.moments[1])]
                .map(|(k, m)| (k.to_owned(), m.as_slice())),
        );
    let mut arrays: Vec<(String, &[usize], Vec<u8>)> = Vec::new();
    // There are no moments before the first step.
    for (kind, values) in kinds.filter(|(_, values)| !values.is_empty()) {
        arrays.extend(unet.parameters().map(|(name, shape, range)| (format!("{kind}.{name}"), shape, bytes_of(&values[range]))));
    }
    // Which rate each average has, for sampling with another than the first (`ddim_nn::Choices::ema`).
    let rates = rates(trainer);
    let count = [rates.len()];
    arrays.push((EMA_RATES.to_owned(), &count, bytes_of(&rates)));
    let views = arrays.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("as many bytes as numbers");
        (name.as_str(), view)
    });
    let state = State {
        step: trainer.step,
        adam_steps: trainer.adam.steps,
        data_checksum: trainer.checksum,
        images: trainer.data().len(),
        tally: *tally,
    };
    // One entry: the order of several would be another each time, and the bytes with it.
    let metadata = [(KEY.to_owned(), serde_json::to_string(&state).expect("plain numbers"))].into();
    safetensors::serialize(views, Some(metadata)).map_err(|e| Error::run(Path::new(STATE), &e).because(e))
}

/// The bytes of a file of states, to be read as such.
struct StateFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl StateFile {
    fn read(checkpoint: &Path) -> Result<Self> {
        let path = checkpoint.join(STATE);
        let bytes = std::fs::read(&path).map_err(|e| Error::run(&path, &e).because(e))?;
        Ok(Self { path, bytes })
    }

    fn wrong(&self, message: impl std::fmt::Display) -> Error {
        Error::run(&self.path, message)
    }

    fn broken(&self, error: safetensors::SafeTensorError) -> Error {
        self.wrong(format!("not a complete safetensors file ({} bytes): {error}", self.bytes.len())).because(error)
    }

    fn state(&self) -> Result<State> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.broken(e))?;
        let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let entry = entry.ok_or_else(|| self.wrong(format!("{KEY} is missing: expected the state of a run")))?;
        serde_json::from_str(entry).map_err(|e| self.wrong(format!("{KEY}: {e}")).because(e))
    }

    /// The rates of the averages; none in states of before they were kept.
    fn rates(&self) -> Result<Option<Vec<f32>>> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| self.broken(e))?;
        Ok(file.tensor(EMA_RATES).ok().map(|view| floats(view.data())))
    }

    /// What is kept under `prefix` of the parameters of a network, one after the other.
    fn numbers(&self, unet: &UNet, prefix: &str) -> Result<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| self.broken(e))?;
        let mut all = Vec::with_capacity(unet.values().len());
        for (key, shape, range) in unet.parameters() {
            let name = format!("{prefix}.{key}");
            let view = file.tensor(&name).map_err(|e| self.wrong(&e).because(e))?;
            // In states of version 0.1 a parameter that takes no part has no moments.
            let none = view.data().is_empty() && prefix.starts_with("adam");
            if view.dtype() != Dtype::F32 || (view.data().len() != 4 * range.len() && !none) {
                return Err(self.wrong(format!("{name}: expected {} numbers of f32", range.len())));
            }
            if none {
                all.resize(range.end, 0.0);
                continue;
            }
            all.append(&mut from_training_state(key, shape, view.shape(), floats(view.data())));
        }
        Ok(all)
    }
}

/// Puts a new trainer of the same configuration into the state of a checkpoint.
pub(crate) fn load(checkpoint: &Path, trainer: &mut Trainer) -> Result<Tally> {
    let file = StateFile::read(checkpoint)?;
    let state = file.state()?;
    if (state.data_checksum, state.images) != (trainer.checksum, trainer.data().len()) {
        let (here, then) = (trainer.data().len(), state.images);
        let message = format!("the data has changed ({here} images now, {then} when the run began): expected the same images");
        return Err(file.wrong(message));
    }
    let rates = rates(trainer);
    if let Some(then) = file.rates()?.filter(|then| *then != rates) {
        return Err(file.wrong(format!("ema.rates was {then:?}, and is {rates:?} in config.toml: expected the same")));
    }
    let numbers = |prefix: &str| file.numbers(trainer.unet(), prefix);
    let weights = numbers("weights")?;
    let averages: Vec<_> = (0..trainer.averages.len()).map(|which| numbers(&format!("ema.{which}"))).collect::<Result<_>>()?;
    let moments = match state.adam_steps {
        0 => [Vec::new(), Vec::new()],
        _ => [numbers("adam.first")?, numbers("adam.second")?],
    };
    trainer.restore(weights)?;
    trainer.averages.iter_mut().zip(averages).for_each(|(average, values)| average.values = values);
    (trainer.adam.steps, trainer.adam.moments) = (state.adam_steps, moments);
    trainer.step = state.step;
    Ok(state.tally)
}

/// Sums of a checkpoint's run when it was saved.
pub(crate) fn tally(checkpoint: &Path) -> Result<Tally> {
    Ok(StateFile::read(checkpoint)?.state()?.tally)
}

/// What training goes on from, without the weights, which [`load`] reads.
pub(crate) fn start(checkpoint: &Path) -> Result<Start> {
    let (names, counts) = classes_in(checkpoint)?.unwrap_or_default();
    let known = names.len().max(counts.len());
    Ok(Start::Checkpoint(names, known, SamplingDefaults::of_folder(checkpoint)?))
}

/// A checkpoint's network and scheduler.
pub(crate) fn configuration(checkpoint: &Path) -> Result<(UNetConfig, SchedulerConfig)> {
    let read = |name: &str| {
        let path = checkpoint.join(name);
        std::fs::read_to_string(&path).map(|text| (text, path.clone())).map_err(|e| Error::run(&path, &e).because(e))
    };
    let (network, path) = read("unet/config.json")?;
    let network = UNetConfig::from_json(&network, &path)?;
    let (scheduler, path) = read("scheduler/scheduler_config.json")?;
    Ok((network, SchedulerConfig::from_json(&scheduler, &path)?))
}
