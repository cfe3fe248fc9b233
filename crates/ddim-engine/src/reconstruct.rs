//! Images encoded and decoded again, and what was lost (Table 2).

use crate::choices::{Clipping, Model, Preparing, Spacing};
use crate::error::Result;
use crate::inputs;
use crate::job::{Request, Within};
use crate::output::{OutputFile, check_paths, joined, shown};
use crate::reports::DataReport;
use crate::session::Session;
use ddim::{Sigma, Solver};
use ddim_pictures::{check_drawable, grid, labelled};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Images that are drawn.
const SHOWN: usize = 16;
/// Times that a difference is shown as large as it is, around gray.
const MAGNIFIED: f32 = 4.0;

/// The error of encoding and decoding images over several numbers of steps, the same up and down. Nothing is clipped.
///
/// ```
/// use ddim_engine::{Control, Engine, Reconstruct};
///
/// # let folder = tempfile::tempdir()?;
/// let input = folder.path().join("x_0.npy"); // one image [3, 32, 32] in [-1, 1]
/// std::fs::write(&input, ddim_data::npy_bytes(&[0.5; 3072], [3, 32, 32]))?;
/// let request = Reconstruct { input, steps: vec![2, 4], ..Reconstruct::default() };
/// let errors = Engine::default().run(&request, &Control::default(), &mut |_| {})?.mse;
/// assert_eq!(errors.iter().map(|error| error.steps).collect::<Vec<_>>(), [2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reconstruct {
    /// Which model.
    pub model: Model,
    /// Images of any kind that is read.
    pub input: PathBuf,
    /// Only the first so many.
    pub count: Option<usize>,
    /// How they become those of the model.
    pub preparation: Preparing,
    /// Numbers of steps.
    pub steps: Vec<usize>,
    /// How timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// A picture of the first 16: originals, then for each number of steps what was decoded, and how it differs.
    pub grid: Option<PathBuf>,
}

impl Default for Reconstruct {
    fn default() -> Self {
        let (model, preparation) = (Model::default(), Preparing::default());
        Self { model, input: PathBuf::new(), count: None, preparation, steps: vec![10, 20, 50, 100], trajectory: None, grid: None }
    }
}

/// What was lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "reconstruct")]
pub struct ReconstructReport {
    /// The model as it was named.
    pub model: String,
    /// Number of images.
    pub images: usize,
    /// What was left out.
    pub data: DataReport,
    /// What the spacing of timesteps is called.
    pub trajectory: String,
    /// What all of it took.
    pub seconds: f64,
    /// One for each number of steps.
    pub mse: Vec<Reconstruction>,
    /// What was written.
    pub files: Vec<String>,
}

/// The error over one number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reconstruction {
    /// Evaluations up, and as many down.
    pub steps: usize,
    /// Mean squared error per dimension of images in [0, 1].
    pub mse: f64,
}

impl Request for Reconstruct {
    type Report = ReconstructReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<ReconstructReport> {
        check_paths(&[("input", Some(&self.input))], &[], &[("grid", self.grid.as_deref())])?;
        let session = Session::new(&self.model, watch)?;
        let trajectories =
            self.steps.iter().map(|&s| session.trajectory(self.trajectory.as_ref(), s, Solver::Ddim)).collect::<Result<Vec<_>>>()?;
        let (shape, dim) = (session.shape(), session.dim());
        let inputs = inputs::read(&self.input, shape, self.preparation, self.count, watch)?;
        let images = inputs.images;
        let count = images.len() / dim;
        let file = OutputFile::create_optional(self.grid.as_ref())?;
        if file.is_some() {
            check_drawable(shape)?;
        }
        let total: usize = trajectories.iter().map(|t| 2 * t.len()).sum();
        watch.begin("reconstructing", "image-steps", count * total);
        let drawn = count.min(SHOWN);
        let (mut rows, mut labels) = (images[..drawn * dim].to_vec(), vec!["original".to_owned()]);
        let mut found = Vec::new();
        for trajectory in &trajectories {
            let latents = session.encode(trajectory, &images)?;
            // The inverse of an encoder: deterministic, and nothing is clipped.
            let decoder =
                session.sampler(trajectory, &Sigma::Eta(0.0), Clipping { clip: Some(false), rederive_epsilon: false }, Solver::Ddim)?;
            let x = session.sample(&decoder, &latents, (0, 0))?;
            // On [0, 1], half the scale of the network.
            let square: f64 = x.iter().zip(&images).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            found.push(Reconstruction { steps: trajectory.len(), mse: square / 4.0 / images.len() as f64 });
            let differences = x.iter().zip(&images).take(drawn * dim).map(|(a, b)| MAGNIFIED * (a - b));
            rows.extend_from_slice(&x[..drawn * dim]);
            rows.extend(differences);
            labels.extend([format!("S = {}", trajectory.len()), format!("difference × {MAGNIFIED}")]);
        }
        let seconds = watch.end();
        let spacing = session.spacing_name(self.trajectory.as_ref());
        let (steps, flags) = (joined(&self.steps, ","), session.classes.flag());
        let caption = format!("ddim reconstruct {} --steps {steps} --trajectory {spacing}{flags}", session.model_flags());
        let file = file.map(|file| file.commit(&labelled(&grid(&rows, shape, drawn)?, &[], &labels).to_png(&caption))).transpose()?;
        Ok(ReconstructReport {
            model: session.model,
            images: count,
            data: (&inputs.report).into(),
            trajectory: spacing.clone(),
            seconds,
            mse: found,
            files: shown(file.as_slice()),
        })
    }
}
