//! The cells of a sweep: what each stands for, its name, and its results.

use crate::error::{Error, Result};
use ddim::{Sigma, Solver};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// What the cells of a row share.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// How a step uses the network's earlier outputs.
    pub solver: Solver,
    /// The name of the choice of timesteps.
    pub trajectory: String,
    /// η, or σ̂.
    pub sigma: Sigma,
    /// The scale of classifier-free guidance: 1 is none.
    pub guidance: f64,
}

/// What a cell stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The requested number of steps S.
    pub steps: usize,
    /// How a step uses the network's earlier outputs.
    pub solver: Solver,
    /// The name of the choice of timesteps.
    pub trajectory: String,
    /// η, or σ̂.
    pub sigma: Sigma,
    /// The scale of classifier-free guidance: 1 is none.
    pub guidance: f64,
    /// The seed of latents and noise: cells with the same seed start from the same latents.
    pub seed: u64,
}

/// The results of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// The requested number of steps S.
    pub steps: usize,
    /// Network evaluations per image: S, except for trajectories that drop or add steps, solvers that evaluate twice, and guidance.
    pub evaluations: usize,
    /// The solver's name. Empty in files of versions that only had DDIM's; [`Sweep::cell`](crate::Sweep::cell) fills it in, like the next
    /// two.
    #[serde(default)]
    pub solver: String,
    /// The name of the choice of timesteps.
    #[serde(default)]
    pub trajectory: String,
    /// η as text, or "hat".
    pub eta: String,
    /// The scale of classifier-free guidance: 1 is none.
    #[serde(default = "no_guidance")]
    pub guidance: f64,
    /// The seed of latents and noise.
    #[serde(default)]
    pub seed: u64,
    /// The number of images.
    pub count: usize,
    /// FID against the reference.
    pub fid: f64,
    /// Its standard error over the images of the cell. `None` for 2 images.
    pub fid_error: Option<f64>,
    /// KID against the reference, if its images are known and not only their statistics.
    pub kid: Option<f64>,
    /// Its standard error over the images of both.
    pub kid_error: Option<f64>,
    /// The share of images in which a classifier of the reference ([`Probe`](crate::Probe)) finds the class that they were drawn for, among
    /// those whose class the reference has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The accuracy and KID of each class, against the reference's images of that class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassResult>,
}

/// The results of one class of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassResult {
    /// The class, as the model numbers it.
    pub class: usize,
    /// The number of images that were drawn for it.
    pub count: usize,
    /// The share of them in which the classifier finds it. `None` for a class that the reference does not have.
    pub accuracy: Option<f64>,
    /// KID against the reference's images of the class. `None` if either has fewer than 2.
    pub kid: Option<f64>,
    /// Its standard error over the images of both.
    pub kid_error: Option<f64>,
}

/// What files say that know of no guidance.
fn no_guidance() -> f64 {
    1.0
}

/// What the cells of a folder stand for if their names do not say: DDIM's own solver, over this trajectory, under this guidance, from this
/// seed.
///
/// These are the first values that a sweep was asked for; earlier versions knew no others.
///
/// ```
/// use ddim::{Sigma, Solver};
/// use ddim_eval::{Plain, Row};
///
/// let plain = Plain { trajectory: "uniform".into(), guidance: 1.0, seed: 0 };
/// let row = |solver, trajectory: &str| Row { solver, trajectory: trajectory.into(), sigma: Sigma::Eta(0.0), guidance: 1.0 };
/// assert_eq!(row(Solver::Ddim, "uniform").cell(10, 0).name(&plain), "s0010-eta0");
/// assert_eq!(row(Solver::Ipndm, "power:1.5").cell(10, 1).name(&plain), "s0010-ipndm-power1.5-eta0-seed1");
/// assert_eq!(Row { guidance: 1.5, ..row(Solver::Ddim, "uniform") }.cell(10, 0).name(&plain), "s0010-eta0-guidance1.5");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plain {
    /// The name of their choice of timesteps.
    pub trajectory: String,
    /// The scale of their guidance.
    pub guidance: f64,
    /// The seed of their latents and noise.
    pub seed: u64,
}

impl Plain {
    /// As the settings of a sweep in `folder` have it.
    pub(crate) fn among(settings: &Map<String, Value>, folder: &Path) -> Result<Self> {
        let missing = |key: &str| {
            let message = format!("a sweep from an earlier version, which did not record {key}: expected a new folder, or another --out");
            Error::sweep(folder, message)
        };
        let trajectory = settings.get("trajectory").and_then(Value::as_str).ok_or_else(|| missing("trajectory"))?;
        let guidance = settings.get("guidance").and_then(Value::as_f64).ok_or_else(|| missing("guidance"))?;
        let seed = settings.get("seed").and_then(Value::as_u64).ok_or_else(|| missing("seed"))?;
        Ok(Self { trajectory: trajectory.to_owned(), guidance, seed })
    }
}

impl Row {
    /// Returns the cell of S steps and a seed.
    pub fn cell(&self, steps: usize, seed: u64) -> Cell {
        let Self { solver, trajectory, sigma, guidance } = self.clone();
        Cell { steps, solver, trajectory, sigma, guidance, seed }
    }
}

impl Cell {
    /// Returns the base name of its files in a folder: S and η, and whatever differs from `plain`.
    pub fn name(&self, plain: &Plain) -> String {
        let mut name = format!("s{:04}", self.steps);
        if self.solver != Solver::Ddim {
            name += &format!("-{}", self.solver);
        }
        if self.trajectory != plain.trajectory {
            // A colon is no part of a file's name everywhere.
            let kept = self.trajectory.chars().filter(|c| *c != ':');
            name.push('-');
            name.extend(kept.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }));
        }
        name += &format!("-eta{}", sigma_name(&self.sigma));
        if self.guidance != plain.guidance {
            name += &format!("-guidance{}", self.guidance);
        }
        if self.seed != plain.seed {
            name += &format!("-seed{}", self.seed);
        }
        name
    }
}

/// Returns the way a noise is written in names.
pub fn sigma_name(sigma: &Sigma) -> String {
    match sigma {
        Sigma::Eta(eta) => format!("{eta}"),
        Sigma::Hat => "hat".to_owned(),
        Sigma::Explicit(_) => "explicit".to_owned(),
    }
}
