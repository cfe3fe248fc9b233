//! The cells of a sweep: what each is of, what it is called, and what came out.

use crate::error::{Error, Result};
use ddim::{Sigma, Solver};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// What the cells of a row share.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// How a step uses what the network said before.
    pub solver: Solver,
    /// What the choice of timesteps is called.
    pub trajectory: String,
    /// η, or σ̂.
    pub sigma: Sigma,
    /// The scale of classifier-free guidance: 1 is none.
    pub guidance: f64,
}

/// What a cell is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// S that was asked for.
    pub steps: usize,
    /// How a step uses what the network said before.
    pub solver: Solver,
    /// What the choice of timesteps is called.
    pub trajectory: String,
    /// η, or σ̂.
    pub sigma: Sigma,
    /// The scale of classifier-free guidance: 1 is none.
    pub guidance: f64,
    /// Of latents and noise: cells of one seed start from the same latents.
    pub seed: u64,
}

/// What came out of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// S that was asked for.
    pub steps: usize,
    /// How often the network was evaluated for an image: S, but for trajectories that drop or add steps, solvers that look twice, and guidance.
    pub evaluations: usize,
    /// The solver's name. Empty in files of versions that had DDIM's alone; [`Sweep::cell`](crate::Sweep::cell) fills it in, as the next two.
    #[serde(default)]
    pub solver: String,
    /// What the choice of timesteps is called.
    #[serde(default)]
    pub trajectory: String,
    /// η as text, or "hat".
    pub eta: String,
    /// The scale of classifier-free guidance: 1 is none.
    #[serde(default = "no_guidance")]
    pub guidance: f64,
    /// Of latents and noise.
    #[serde(default)]
    pub seed: u64,
    /// Images.
    pub count: usize,
    /// Against the reference.
    pub fid: f64,
    /// Its standard error over the images of the cell. None for 2 images.
    pub fid_error: Option<f64>,
    /// Against the reference, where its images are known and not their statistics alone.
    pub kid: Option<f64>,
    /// Its standard error over the images of both.
    pub kid_error: Option<f64>,
    /// The share of images in which a classifier of the reference ([`Probe`](crate::Probe)) finds the class that they were drawn for, of those whose class
    /// the reference has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The same and KID of each class, against the reference's images of that class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassResult>,
}

/// What came out of one class of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassResult {
    /// The class, as the model numbers it.
    pub class: usize,
    /// Images that were drawn for it.
    pub count: usize,
    /// The share of them in which the classifier finds it. None of a class that the reference has not.
    pub accuracy: Option<f64>,
    /// Against the reference's images of the class. None where either has fewer than 2.
    pub kid: Option<f64>,
    /// Its standard error over the images of both.
    pub kid_error: Option<f64>,
}

/// What files say that know of no guidance.
fn no_guidance() -> f64 {
    1.0
}

/// What the cells of a folder are of whose names do not say: with DDIM's own solver, over this trajectory, under this guidance, from this seed.
/// The first that a sweep was asked for; earlier versions knew no others.
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
    /// What their choice of timesteps is called.
    pub trajectory: String,
    /// The scale of their guidance.
    pub guidance: f64,
    /// Of their latents and noise.
    pub seed: u64,
}

impl Plain {
    /// As the settings of a sweep in `folder` have it.
    pub(crate) fn among(settings: &Map<String, Value>, folder: &Path) -> Result<Self> {
        let missing = |key: &str| {
            let message = format!("a sweep of an earlier version, which did not note {key}: expected a new folder, or another --out");
            Error::sweep(folder, message)
        };
        let trajectory = settings.get("trajectory").and_then(Value::as_str).ok_or_else(|| missing("trajectory"))?;
        let guidance = settings.get("guidance").and_then(Value::as_f64).ok_or_else(|| missing("guidance"))?;
        let seed = settings.get("seed").and_then(Value::as_u64).ok_or_else(|| missing("seed"))?;
        Ok(Self { trajectory: trajectory.to_owned(), guidance, seed })
    }
}

impl Row {
    /// The cell of S steps and a seed.
    pub fn cell(&self, steps: usize, seed: u64) -> Cell {
        let Self { solver, trajectory, sigma, guidance } = self.clone();
        Cell { steps, solver, trajectory, sigma, guidance, seed }
    }
}

impl Cell {
    /// What its files are called, beside others of a folder: S and η, and what is not `plain`.
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

/// How the name of a noise is written.
pub fn sigma_name(sigma: &Sigma) -> String {
    match sigma {
        Sigma::Eta(eta) => format!("{eta}"),
        Sigma::Hat => "hat".to_owned(),
        Sigma::Explicit(_) => "explicit".to_owned(),
    }
}
