//! Likelihood bound of a model on images.

use crate::choices::{Model, Preparing};
use crate::error::{Error, Result};
use crate::inception::counted;
use crate::job::{Request, Within};
use crate::output::{OutputFile, check_paths, shown};
use crate::reports::DataReport;
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{Sigma, Solver};
use ddim_eval::likelihood;
use ddim_pictures::likelihood_chart;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// Computes J_σ (Theorem 1), the bound on -log P(x_0) in bits/dim, and L_simple over S timesteps, with one noise sample per image and step.
///
/// ```
/// use ddim_engine::{Control, Engine, Nll};
///
/// # let folder = tempfile::tempdir()?;
/// let data = folder.path().join("x_0.npy"); // two images [3, 32, 32] in [-1, 1]
/// std::fs::write(&data, ddim_data::npy_bytes(&[1.0; 2 * 3072], [3, 32, 32]))?;
/// let request = Nll { data, count: 2, steps: 2, eta: vec![1.0], ..Nll::default() };
/// let found = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert!(found.bounds[0].bits_per_dim > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nll {
    /// The model, and how to run it.
    pub model: Model,
    /// Images in any format that can be read.
    pub data: PathBuf,
    /// Use only the first `count` images.
    pub count: usize,
    /// How images are fitted to the model.
    pub preparation: Preparing,
    /// S, the number of steps.
    pub steps: usize,
    /// The processes to evaluate, as values of η above 0 and up to 1.
    pub eta: Vec<f64>,
    /// Seed of the noise.
    pub seed: u64,
    /// How the S timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// Write a chart of the terms of every step to this file, .svg or .png.
    pub plot: Option<PathBuf>,
}

impl Default for Nll {
    fn default() -> Self {
        Self {
            model: Model::default(),
            data: PathBuf::new(),
            count: 64,
            preparation: Preparing::default(),
            steps: 100,
            eta: vec![0.2, 0.5, 1.0],
            seed: 0,
            trajectory: None,
            plot: None,
        }
    }
}

/// The result of an [`Nll`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "nll")]
pub struct NllReport {
    /// The model, as named in the request.
    pub model: String,
    /// Number of images.
    pub images: usize,
    /// Files left out, and warnings.
    pub data: DataReport,
    /// S, the number of steps.
    pub steps: usize,
    /// Name of the spacing of timesteps.
    pub trajectory: String,
    /// Seed of the noise.
    pub seed: u64,
    /// Code timesteps, ascending.
    pub timesteps: Vec<usize>,
    /// Mean squared error of ε at each timestep.
    pub l_simple: Vec<f64>,
    /// Mean of `l_simple`.
    pub l_simple_mean: f64,
    /// One bound for each η.
    pub bounds: Vec<BoundReport>,
    /// Evaluation time in seconds.
    pub seconds: f64,
    /// Files written.
    pub files: Vec<String>,
}

/// The bound for one process, in bits/dim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundReport {
    /// η of the process.
    pub eta: f64,
    /// The upper bound on -log₂ P(x_0).
    pub bits_per_dim: f64,
    /// Standard error of `bits_per_dim` over the images; `None` for a single image.
    pub standard_error: Option<f64>,
    /// The prior term, KL(q(x_T|x_0) ‖ N(0, I)).
    pub prior: f64,
    /// J_σ, whose last step is a density rather than a probability of bytes.
    pub j_sigma_bits_per_dim: f64,
    /// The term of each timestep, ascending: the decoder term, then the KL terms.
    pub terms: Vec<f64>,
}

impl Request for Nll {
    type Report = NllReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<NllReport> {
        check_paths(&[("data", Some(&self.data))], &[], &[("plot", self.plot.as_deref())])?;
        let mut session = Session::of_data(&self.model, watch)?;
        if let Some(eta) = self.eta.iter().find(|eta| !(**eta > 0.0 && **eta <= 1.0)) {
            let expected = "expected numbers above 0 and up to 1 (J_sigma needs every sigma above 0)";
            return Err(Error::field("eta", format!("{eta}: {expected}")));
        }
        let trajectory = session.trajectory(self.trajectory.as_ref(), self.steps, Solver::Ddim)?;
        let svg = self.plot.as_ref().map(|path| match path.extension().and_then(|e| e.to_str()) {
            Some("svg") => Ok(true),
            Some("png") => Ok(false),
            _ => Err(Error::field("plot", format!("{}: expected a name that ends in .svg or .png", path.display()))),
        });
        let svg = svg.transpose()?.unwrap_or(false);
        let inputs = session.read(&self.data, self.preparation, Some(self.count))?;
        // The bound counts bytes: a batch of floats is made those.
        let images: Vec<f32> = inputs.images.iter().map(|x| ddim::from_byte(ddim::to_byte(*x))).collect();
        let beyond = inputs.images.iter().filter(|x| x.abs() > 1.0).count();
        if beyond > 0 {
            watch.warn(format!("{beyond} values outside [-1, 1] were clamped: the bound is for 8-bit images"));
        }
        let count = images.len() / session.dim();
        let file = OutputFile::create_optional(self.plot.as_ref())?;
        let sigmas: Vec<Sigma> = self.eta.iter().map(|&eta| Sigma::Eta(eta)).collect();
        watch.begin("evaluating", "image-steps", count * (trajectory.len() + 1));
        let network = |images: Range<usize>| session.network_for(self.seed, images).map_err(ddim_eval::Error::observer);
        let batch = (self.seed, session.batch_size());
        let found = likelihood(&session.schedule, &trajectory, &sigmas, &images, batch, &network, &mut counted(watch));
        // Numbers above 0 whose square is none.
        let is_sigma = |e: &ddim_eval::Error| {
            let source = std::error::Error::source(e).and_then(|source| source.downcast_ref::<ddim::Error>());
            source.is_some_and(|source| source.kind() == ddim::ErrorKind::Sigma)
        };
        let found = found.map_err(|e| if is_sigma(&e) { Error::field("eta", &e).because(e) } else { e.into() })?;
        let seconds = watch.end();

        let spacing = session.spacing_name(self.trajectory.as_ref());
        let guided = session.guidance_flags().replace(" --", ", ");
        let title = format!("{}, {count} images, S = {}, {spacing}{guided}", session.model, trajectory.len());
        let file = file.map(|file| {
            let chart = likelihood_chart(&found, &sigmas, &title);
            if svg { file.commit(chart.to_svg().as_bytes()) } else { file.commit(&chart.to_picture().to_png(&title)) }
        });
        let file = file.transpose()?;
        let bounds = self.eta.iter().zip(found.bounds).map(|(&eta, bound)| BoundReport {
            eta,
            bits_per_dim: bound.bits,
            standard_error: bound.error,
            prior: bound.prior,
            j_sigma_bits_per_dim: bound.j_bits,
            terms: bound.terms,
        });
        Ok(NllReport {
            model: session.model,
            images: count,
            data: (&inputs.report).into(),
            steps: trajectory.len(),
            trajectory: spacing.clone(),
            seed: self.seed,
            timesteps: found.timesteps,
            l_simple_mean: found.l_simple.iter().sum::<f64>() / found.l_simple.len() as f64,
            l_simple: found.l_simple,
            bounds: bounds.collect(),
            seconds,
            files: shown(file.as_slice()),
        })
    }
}
