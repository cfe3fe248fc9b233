//! Reconstruction: images encoded and decoded again, and the error (Table 2).

use crate::choices::{Clipping, Model, Preparing};
use crate::encode::moments;
use crate::error::{Error, Result};
use crate::inversion::Inversion;
use crate::job::{Request, Watch, Within};
use crate::output::{OutputFile, check_paths, joined, shown};
use crate::reports::DataReport;
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{BdiaPair, Sigma, Solver, Trajectory};
use ddim_pictures::{check_drawable, grid, labelled};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Images that are drawn.
const SHOWN: usize = 16;

/// Measures the error of encoding and decoding images, for several numbers of steps, the same in both directions. Nothing is clipped.
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Reconstruct {
    /// The model, and how to run it.
    pub model: Model,
    /// Images in any format that can be read.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub input: PathBuf,
    /// Use only the first `count` images.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub count: Option<usize>,
    /// How images are fitted to the model.
    pub preparation: Preparing,
    /// Numbers of steps to try.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub steps: Vec<usize>,
    /// How timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How images are encoded. All inversions but Eq. 13 invert DDIM's steps, which decode.
    pub inversion: Inversion,
    /// How latents are decoded. With [`Inversion::Bdia`], only [`Solver::Ddim`] is allowed.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName, default = crate::schemas::default_solver))]
    pub solver: Solver,
    /// A picture of the first 16 images: the originals, then for each number of steps the reconstructions and their differences.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub grid: Option<PathBuf>,
}

impl Default for Reconstruct {
    fn default() -> Self {
        let (model, preparation) = (Model::default(), Preparing::default());
        Self {
            model,
            input: PathBuf::new(),
            count: None,
            preparation,
            steps: vec![10, 20, 50, 100],
            trajectory: None,
            inversion: Inversion::Euler,
            solver: Solver::Ddim,
            grid: None,
        }
    }
}

/// The result of a [`Reconstruct`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "reconstruct")]
pub struct ReconstructReport {
    /// The model, as named in the request.
    pub model: String,
    /// Number of images.
    pub images: usize,
    /// Files left out, and warnings.
    pub data: DataReport,
    /// Name of the spacing of timesteps.
    pub trajectory: String,
    /// How images were encoded.
    pub inversion: Inversion,
    /// How latents were decoded.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName))]
    pub solver: Solver,
    /// Total time in seconds.
    pub seconds: f64,
    /// One entry for each number of steps.
    pub mse: Vec<Reconstruction>,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The prepared input images, [n, c, h, w].
    #[serde(skip)]
    pub originals: Vec<f32>,
    /// The reconstructions for each number of steps, [n, c, h, w].
    #[serde(skip)]
    pub decoded: Vec<Vec<f32>>,
}

/// The reconstruction error for one number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconstruction {
    /// S, the number of steps in each direction.
    pub steps: usize,
    /// Network evaluations per image while encoding: S, except for iterative inversions. The second evaluation that guidance takes is not counted.
    pub evaluations: f64,
    /// Standard deviation of all latent values; 1 for pure noise.
    pub latent_std: f64,
    /// Mean squared error per dimension, of images in [0, 1].
    pub mse: f64,
}

impl Request for Reconstruct {
    type Report = ReconstructReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<ReconstructReport> {
        check_paths(&self.model.reading(&[("input", Some(&*self.input))]), &[], &[("grid", self.grid.as_deref())])?;
        if self.steps.is_empty() {
            return Err(Error::field("steps", "none: expected at least one number"));
        }
        let mut session = Session::of_data(&self.model, watch)?;
        let trajectories =
            self.steps.iter().map(|&s| session.trajectory(self.trajectory.as_ref(), s, self.solver)).collect::<Result<Vec<_>>>()?;
        if self.inversion == Inversion::Bdia && self.solver != Solver::Ddim {
            return Err(Error::field(
                "solver",
                format!("{}: expected ddim, since the bdia inversion decodes exactly as it encodes", self.solver),
            ));
        }
        if self.solver != Solver::Ddim {
            watch.note(format!(
                "`solver` {}: latents are encoded with ddim's steps, which other solvers do not invert exactly",
                self.solver
            ));
        }
        let (shape, dim) = (session.shape(), session.dim());
        let inputs = session.read(&self.input, self.preparation, self.count)?;
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
        let (mut found, mut decoded) = (Vec::new(), Vec::new());
        for trajectory in &trajectories {
            let (x, latents, evaluations) = self.round_trip(&session, trajectory, &images, watch)?;
            // On [0, 1], half the scale of the network.
            let square: f64 = x.iter().zip(&images).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let latent_std = moments(&latents).1;
            found.push(Reconstruction { steps: trajectory.len(), evaluations, latent_std, mse: square / 4.0 / images.len() as f64 });
            let differences = x.iter().zip(&images).take(drawn * dim).map(|(a, b)| Self::MAGNIFIED * (a - b));
            rows.extend_from_slice(&x[..drawn * dim]);
            rows.extend(differences);
            labels.extend([format!("S = {}", trajectory.len()), format!("difference × {}", Self::MAGNIFIED)]);
            decoded.push(x);
        }
        let seconds = watch.end();
        let spacing = session.spacing_name(self.trajectory.as_ref());
        let (steps, flags) = (joined(&self.steps, ","), session.flags(Clipping::default(), self.solver));
        let (model, inversion) = (session.model_flags(), self.inversion.flag());
        let input = self.preparation.flags_of(&self.input, self.count);
        let caption = format!(
            "ddim reconstruct {model} {input} --steps {steps} --trajectory {}{inversion}{flags}",
            session.spacing_word(self.trajectory.as_ref())
        );
        let file = file.map(|file| file.commit(&labelled(&grid(&rows, shape, drawn)?, &[], &labels).to_png(&caption))).transpose()?;
        Ok(ReconstructReport {
            model: session.model,
            images: count,
            data: (&inputs.report).into(),
            trajectory: spacing,
            inversion: self.inversion,
            solver: self.solver,
            seconds,
            mse: found,
            files: shown(file.as_slice()),
            shape,
            originals: images,
            decoded,
        })
    }
}

impl Reconstruct {
    /// The factor by which differences are magnified, around gray.
    pub const MAGNIFIED: f32 = 4.0;

    /// Images up and down again: what came out, the latents, and evaluations up per image.
    fn round_trip(
        &self,
        session: &Session<'_, '_>,
        trajectory: &Trajectory,
        images: &[f32],
        watch: &Watch<'_>,
    ) -> Result<(Vec<f32>, Vec<f32>, f64)> {
        let Some(inversion) = self.inversion.of_encoder() else {
            let pair = session.bdia(trajectory, BdiaPair { lower: images.to_vec(), upper: images.to_vec() }, (0, 0), true)?;
            let latents = pair.upper.clone();
            return Ok((session.bdia(trajectory, pair, (0, 0), false)?.lower, latents, trajectory.len() as f64));
        };
        let encoded = session.encode(&session.encoder(trajectory, inversion)?, images)?;
        let count = images.len() / session.dim();
        encoded.note(count, trajectory.len(), watch);
        // The inverse of an encoder: deterministic, and nothing is clipped.
        let unclipped = Clipping { clip: Some(false), rederive_epsilon: false };
        let decoder = session.sampler(trajectory, &Sigma::Eta(0.0), unclipped, self.solver)?;
        Ok((session.sample(&decoder, &encoded.latents, (0, 0))?, encoded.latents, encoded.evaluations as f64 / count as f64))
    }
}
