//! The same latents sampled over trajectories of different lengths (section 5.2).

use crate::choices::{Clipping, Model, check_count, check_room};
use crate::error::{Error, Result};
use crate::inception::load_inception;
use crate::job::{Request, Within};
use crate::output::{OutputFile, check_paths, joined, shown};
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{Sigma, Solver};
use ddim_nn::Inception;
use ddim_pictures::{check_colours, check_drawable, labelled};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Draws each latent with several numbers of steps, deterministically, and measures how far the images are from each other.
///
/// ```
/// use ddim_engine::{Consistency, Control, Engine};
///
/// let request = Consistency { count: 2, steps: vec![1, 2], ..Consistency::default() };
/// let found = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((found.images.len(), found.images[0].len()), (2, 2 * 3072));
/// assert!(found.rms_from_last[0].rms > 0.0);
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Consistency {
    /// The model, and how to run it.
    pub model: Model,
    /// Seed of the latents.
    pub seed: u64,
    /// Number of latents: the rows.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub count: usize,
    /// Numbers of steps: the columns. The others are compared with the last.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub steps: Vec<usize>,
    /// How timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How a step uses earlier predictions of the network: `ddim`, or one of the other [`Solver`]s.
    #[serde(with = "crate::choices::by_name")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::SolverName, default = crate::schemas::default_solver))]
    pub solver: Solver,
    /// How the predicted x_0 is clipped.
    pub clip: Clipping,
    /// Write all images as one picture to this file.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub grid: Option<PathBuf>,
    /// Leave out the numbers of steps above the columns of the grid.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub no_labels: bool,
    /// Whether to compare Inception features as well.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub features: bool,
    /// Weights of the Inception network. By default, [`ddim_eval::load_inception`] finds them, or downloads them once.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub inception: Option<PathBuf>,
}

impl Default for Consistency {
    fn default() -> Self {
        Self {
            model: Model::default(),
            seed: 0,
            count: 8,
            steps: vec![10, 20, 50, 100, 1000],
            trajectory: None,
            solver: Solver::Ddim,
            clip: Clipping::default(),
            grid: None,
            no_labels: false,
            features: false,
            inception: None,
        }
    }
}

/// The result of a [`Consistency`]: how far the images are from each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "consistency")]
pub struct ConsistencyReport {
    /// The model, as named in the request.
    pub model: String,
    /// Number of latents.
    pub count: usize,
    /// Seed of the latents.
    pub seed: u64,
    /// Name of the spacing of timesteps.
    pub trajectory: String,
    /// Sampling time in seconds.
    pub seconds: f64,
    /// One entry for each number of steps.
    pub rms_from_last: Vec<Difference>,
    /// Root mean squared difference between images of different latents. None where there is only one latent.
    pub rms_between_latents: Option<f64>,
    /// Mean distance of Inception features between images of different latents, if features were compared.
    pub feature_distance_between_latents: Option<f64>,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The images [count, c, h, w] for each number of steps.
    #[serde(skip)]
    pub images: Vec<Vec<f32>>,
}

/// How far the images of one number of steps are from those of the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// S, the number of steps.
    pub steps: usize,
    /// Root mean squared difference of pixels in [0, 1].
    pub rms: f64,
    /// Mean distance of Inception features, if features were compared.
    pub feature_distance: Option<f64>,
}

impl Request for Consistency {
    type Report = ConsistencyReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<ConsistencyReport> {
        check_paths(&self.model.reading(&[("inception", self.inception.as_deref())]), &[], &[("grid", self.grid.as_deref())])?;
        let (session, _) = Session::drawing(&self.model, None, watch)?;
        let count = check_count(self.count)?;
        if self.inception.is_some() && !self.features {
            return Err(Error::field("inception", "no effect without `features`: expected both"));
        }
        if self.steps.is_empty() {
            return Err(Error::field("steps", "none: expected at least one number"));
        }
        let (shape, dim) = (session.shape(), session.dim());
        if self.grid.is_some() {
            check_drawable(shape)?;
        }
        if self.features {
            check_colours(shape)?;
        }
        let trajectories =
            self.steps.iter().map(|&s| session.trajectory(self.trajectory.as_ref(), s, self.solver)).collect::<Result<Vec<_>>>()?;
        let samplers =
            trajectories.iter().map(|t| session.sampler(t, &Sigma::Eta(0.0), self.clip, self.solver)).collect::<Result<Vec<_>>>()?;
        let file = OutputFile::create_optional(self.grid.as_ref())?;
        let inception = self.features.then(|| load_inception(self.inception.as_deref(), watch)).transpose()?;

        let total: usize = trajectories.iter().map(|t| t.len()).sum();
        check_room(count, dim * trajectories.len())?;
        watch.begin("sampling", "image-steps", count * total);
        let latents = session.latents(self.seed, 0, count);
        let columns = samplers.iter().map(|sampler| session.sample(sampler, &latents, (self.seed, 0)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let seconds = watch.end();

        let spacing = session.spacing_name(self.trajectory.as_ref());
        let file = file.map(|file| {
            let mut rows = Vec::with_capacity(columns.len() * latents.len());
            for i in 0..count {
                columns.iter().for_each(|x| rows.extend_from_slice(&x[i * dim..(i + 1) * dim]));
            }
            let (model, steps, flags) = (session.model_flags(), joined(&self.steps, ","), session.flags(self.clip, self.solver));
            let caption = format!(
                "ddim consistency {model} --seed {} --count {count} --steps {steps} --trajectory {}{flags}",
                self.seed,
                session.spacing_word(self.trajectory.as_ref())
            );
            let picture = ddim_pictures::grid(&rows, shape, columns.len())?;
            let labels: Vec<String> = trajectories.iter().map(|t| format!("S = {}", t.len())).collect();
            let picture = if self.no_labels { picture } else { labelled(&picture, &labels, &[]) };
            file.commit(&picture.to_png(&caption))
        });
        let file = file.transpose()?;

        let last = columns.last().map_or(&[][..], Vec::as_slice);
        // The same pictures, each beside its neighbour's.
        let turned = |all: &[f32], by: usize| {
            let mut turned = all.to_vec();
            turned.rotate_left(by);
            turned
        };
        let looked = inception.map(|inception| -> Result<(Vec<f64>, Option<f64>)> {
            let features = columns.iter().map(|x| {
                watch.check()?;
                Ok(ddim_eval::features_of_images(&inception, x, shape)?)
            });
            let features = features.collect::<Result<Vec<_>>>()?;
            let last = features.last().map_or(&[][..], Vec::as_slice);
            let distances = features.iter().map(|f| mean_distance(f, last)).collect();
            Ok((distances, (count > 1).then(|| mean_distance(&turned(last, Inception::FEATURES), last))))
        });
        let looked = looked.transpose()?;
        let differences = trajectories.iter().zip(&columns).enumerate().map(|(i, (trajectory, x))| Difference {
            steps: trajectory.len(),
            rms: difference(x, last),
            feature_distance: looked.as_ref().map(|(distances, _)| distances[i]),
        });
        Ok(ConsistencyReport {
            rms_from_last: differences.collect(),
            rms_between_latents: (count > 1).then(|| difference(&turned(last, dim), last)),
            feature_distance_between_latents: looked.as_ref().and_then(|(_, others)| *others),
            model: session.model,
            count,
            seed: self.seed,
            trajectory: spacing.clone(),
            seconds,
            files: shown(file.as_slice()),
            shape,
            images: columns,
        })
    }
}

/// The mean distance of features, a pair at a time.
fn mean_distance(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.chunks_exact(Inception::FEATURES).zip(b.chunks_exact(Inception::FEATURES));
    let distance = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    pairs.map(distance).sum::<f64>() / (a.len() / Inception::FEATURES) as f64
}

/// Root mean squared difference of pixels in [0, 1], as they are shown.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    difference_of(a.iter().zip(b), a.len())
}

/// The same of `n` pairs.
pub(crate) fn difference_of<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>, n: usize) -> f64 {
    let shown = |x: &f32| f64::from(x.clamp(-1.0, 1.0)) / 2.0;
    (pairs.map(|(a, b)| (shown(a) - shown(b)).powi(2)).sum::<f64>() / n as f64).sqrt()
}
