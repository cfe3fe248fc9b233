//! Files of tuned trajectories, which `Tune` writes beside a model and `Spacing::Tuned` reads.

use crate::error::{Error, Result};
use crate::models::{built_in_tuned, is_built_in};
use ddim::{NoiseSchedule, Solver, Trajectory};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the file is called in a model's folder.
pub(crate) const NAME: &str = "tuned.json";

/// What trajectories are tuned for: others would run, but nobody has looked how well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TunedFor {
    /// CRC-32C of the network's weights, in hexadecimal digits.
    weights: String,
    /// The same of ᾱ_1..ᾱ_T, as f32.
    schedule: String,
    /// T.
    timesteps: usize,
}

impl TunedFor {
    pub(crate) fn of(weights: u32, schedule: &NoiseSchedule) -> Self {
        let alpha_bars = (1..=schedule.levels()).flat_map(|level| (schedule.alpha_bar(level) as f32).to_le_bytes());
        let bytes: Vec<u8> = alpha_bars.collect();
        Self {
            weights: format!("{weights:08x}"),
            schedule: format!("{:08x}", ddim_weights::checksum_of(&bytes)),
            timesteps: schedule.levels(),
        }
    }

    /// What a file was tuned for, where that is not this. T is in the schedule's checksum.
    fn other(&self, found: &Self) -> Option<String> {
        let pairs = [("weights", &found.weights, &self.weights), ("noise schedule", &found.schedule, &self.schedule)];
        let (what, found, expected) = pairs.into_iter().find(|(_, found, expected)| found != expected)?;
        Some(format!("was tuned for another model: {what} {found}, expected {expected}"))
    }
}

/// A tuned trajectory, and how good it is.
///
/// Errors are root mean squared differences from the reference per image, of pixels in [0, 1], each capped at `cap`, then averaged over images: first of the
/// trajectory that the search started from, then of the one that it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunedTrajectory {
    /// The solver that it was tuned for.
    #[serde(with = "crate::choices::by_name")]
    pub solver: Solver,
    /// S, the number of steps.
    pub steps: usize,
    /// The guidance that it was tuned for, as flags; empty without guidance.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guidance: String,
    /// Code timesteps in sampling order: the ones found, or the start's if those were no better on held-out images.
    pub timesteps: Vec<usize>,
    /// The spacing that the search started from, such as `power:1.5`.
    pub start: String,
    /// Whether the timesteps found were better on held-out images, and so are in `timesteps`.
    pub is_better: bool,
    /// Errors on the images of the search.
    pub in_sample: [f64; 2],
    /// Errors on held-out images.
    pub held_out: [f64; 2],
    /// The cap on a single image's error.
    pub cap: f64,
    /// Numbers of images searched on and held out.
    pub images: [usize; 2],
    /// Number of rounds over all levels.
    pub passes: usize,
}

impl TunedTrajectory {
    /// What a file has once.
    fn key(&self) -> (&'static str, usize, &str) {
        (self.solver.name(), self.steps, &self.guidance)
    }
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(flatten)]
    tuned_for: TunedFor,
    tuned: Vec<TunedTrajectory>,
}

/// The S timesteps for a solver, of `file` or of the model's own.
pub(crate) fn trajectory(
    model: &Path,
    file: Option<&Path>,
    expected: &TunedFor,
    (solver, steps, guidance): (Solver, usize, &str),
) -> Result<Trajectory> {
    let error = |what: String| Error::field("trajectory", format!("tuned: {what}"));
    let (name, text) = match file.map(Path::to_owned).or_else(|| own(model)) {
        Some(path) => match read_if_there(&path)? {
            Some(text) => (path.display().to_string(), text),
            None => return Err(error(format!("{} not found: expected a file written by ddim tune", path.display()))),
        },
        None => match built_in_tuned(model) {
            Some(text) => (model.display().to_string(), text.to_owned()),
            None => {
                let expected = "expected tuned:FILE, which ddim tune writes to `out`";
                return Err(error(format!("nothing is tuned for {}, which {}: {expected}", model.display(), without_folder(model))));
            }
        },
    };
    let found = parse(&text, expected, |what| error(format!("{name} {what}")))?;
    let Some(tuned) = found.iter().find(|tuned| tuned.key() == (solver.name(), steps, guidance)) else {
        let one = |tuned: &TunedTrajectory| format!("{} {}{}", tuned.solver, tuned.steps, tuned.guidance);
        let there: Vec<String> = found.iter().map(one).collect();
        let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
        return Err(error(format!(
            "{name} has no entry for solver {solver} and {steps} steps{guidance} (it has {there}): ddim tune adds one"
        )));
    };
    let made = Trajectory::from_timesteps(expected.timesteps, &tuned.timesteps);
    let made = made.map_err(|e| error(format!("{name}, {solver} {steps}: {e}")).because(e))?;
    match made.len() == steps {
        true => Ok(made),
        false => Err(error(format!("{name}, {solver} {steps}: {} timesteps, expected {steps}", made.len()))),
    }
}

/// The text of a model's own file, if it has one.
pub(crate) fn own_text(model: &Path) -> Result<Option<String>> {
    match own(model) {
        Some(path) => read_if_there(&path),
        None => Ok(built_in_tuned(model).map(str::to_owned)),
    }
}

/// Why a file's text is of no use for a model, if it is of none.
pub(crate) fn mismatch(text: &str, expected: &TunedFor) -> Option<Error> {
    parse(text, expected, Error::request).err()
}

/// A file's entries; `refused` makes an error of why it is of no use for a model.
fn parse(text: &str, expected: &TunedFor, refused: impl Fn(String) -> Error) -> Result<Vec<TunedTrajectory>> {
    let found: File = serde_json::from_str(text).map_err(|e| refused(format!("was not written by ddim tune ({e})")).because(e))?;
    match expected.other(&found.tuned_for) {
        Some(what) => Err(refused(what)),
        None => Ok(found.tuned),
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// The file in a model's own folder. None of what is built in or on the hub.
fn own(model: &Path) -> Option<PathBuf> {
    (!is_built_in(model) && model.is_dir()).then(|| model.join(NAME))
}

/// Why a model has no folder of its own.
fn without_folder(model: &Path) -> &'static str {
    if is_built_in(model) { "is built in" } else { "is a model of the hub" }
}

/// Where a model's trajectories are to be written.
pub(crate) fn place(model: &Path, out: Option<&Path>) -> Result<PathBuf> {
    out.map(Path::to_owned).or_else(|| own(model)).ok_or_else(|| {
        Error::request(format!("`out` is missing: {} {}: expected a file to write to", model.display(), without_folder(model)))
    })
}

/// What a file that will be written has already.
pub(crate) fn kept(path: &Path, expected: &TunedFor) -> Result<Vec<TunedTrajectory>> {
    let Some(text) = read_if_there(path)? else { return Ok(Vec::new()) };
    parse(&text, expected, |what| Error::field("out", format!("{} {what}: expected another file, or move this one away", path.display())))
}

/// The file's text, an entry a line: `kept` but for what `made` has as well, and `made`, by solver and S.
pub(crate) fn text(tuned_for: &TunedFor, kept: &[TunedTrajectory], made: &[TunedTrajectory]) -> Result<String> {
    let mut all: Vec<&TunedTrajectory> = kept.iter().filter(|old| made.iter().all(|new| new.key() != old.key())).chain(made).collect();
    all.sort_by_key(|tuned| tuned.key());
    let lines = all.into_iter().map(|tuned| serde_json::to_string(tuned).map_err(Error::failure)).collect::<Result<Vec<_>>>()?;
    let TunedFor { weights, schedule, timesteps } = tuned_for;
    let head = format!("  \"weights\": \"{weights}\",\n  \"schedule\": \"{schedule}\",\n  \"timesteps\": {timesteps}");
    Ok(format!("{{\n{head},\n  \"tuned\": [\n    {}\n  ]\n}}\n", lines.join(",\n    ")))
}
