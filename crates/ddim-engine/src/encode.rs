//! Encoding images to latents along the ODE (Eq. 13).

use crate::choices::{Model, Preparing};
use crate::error::{Error, Result};
use crate::inversion::Inversion;
use crate::job::{Request, Within};
use crate::output::{OutputFile, check_paths};
use crate::reports::DataReport;
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::Solver;
use ddim_data::npy_bytes;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Encodes images to latents that decode to them again over the same trajectory. Nothing is clipped.
///
/// [`Inversion::Euler`] encodes as in the paper; the other inversions find the latent that DDIM's own steps turn into the image.
///
/// ```
/// use ddim_engine::{Control, Encode, Engine};
///
/// # let folder = tempfile::tempdir()?;
/// let input = folder.path().join("x_0.npy"); // one image [3, 32, 32] in [-1, 1]
/// std::fs::write(&input, ddim_data::npy_bytes(&[0.5; 3072], [3, 32, 32]))?;
/// let request = Encode { input, steps: 2, ..Encode::default() };
/// let encoded = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!((encoded.shape, encoded.latents.len()), ([3, 32, 32], 3072));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Encode {
    /// The model, and how to run it.
    pub model: Model,
    /// Images in any format that can be read: one image, a folder, an archive, the files of a data set, a batch.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub input: PathBuf,
    /// How images are fitted to the model.
    pub preparation: Preparing,
    /// S, the number of steps.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub steps: usize,
    /// How the S timesteps are chosen.
    pub trajectory: Option<Spacing>,
    /// How the encoding steps are solved. [`Inversion::Bdia`] is not allowed, because a latent is only half of its state: see
    /// [`Reconstruct`](crate::Reconstruct) and [`Edit`](crate::Edit).
    pub inversion: Inversion,
    /// Write the latents to this .npy file, f32 [n, c, h, w].
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub save_npy: Option<PathBuf>,
}

impl Default for Encode {
    fn default() -> Self {
        let (model, preparation) = (Model::default(), Preparing::default());
        Self { model, input: PathBuf::new(), preparation, steps: 50, trajectory: None, inversion: Inversion::Euler, save_npy: None }
    }
}

/// The result of an [`Encode`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "command", rename = "encode")]
pub struct EncodeReport {
    /// The model, as named in the request.
    pub model: String,
    /// Names of the images.
    pub inputs: Vec<String>,
    /// Files left out, and warnings.
    pub data: DataReport,
    /// S, the number of steps.
    pub steps: usize,
    /// Network evaluations per image: S, except for iterative inversions. The second evaluation that guidance takes is not counted.
    pub evaluations: f64,
    /// Number of images that did not come within the inversion's tolerance in some step.
    pub unsettled: usize,
    /// Code timesteps, descending, in decoding order.
    pub timesteps: Vec<usize>,
    /// Mean of all latent values; 0 for pure noise.
    pub latent_mean: f64,
    /// Standard deviation of all latent values; 1 for pure noise.
    pub latent_std: f64,
    /// Encoding time in seconds.
    pub seconds: f64,
    /// Files written.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub files: Vec<String>,
    /// [channels, height, width] of an image.
    #[serde(skip)]
    pub shape: [usize; 3],
    /// The prepared input images, [n, c, h, w].
    #[serde(skip)]
    pub originals: Vec<f32>,
    /// The latents, [n, c, h, w].
    #[serde(skip)]
    pub latents: Vec<f32>,
}

impl Request for Encode {
    type Report = EncodeReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<EncodeReport> {
        check_paths(&self.model.reading(&[("input", Some(&*self.input))]), &[], &[("save_npy", self.save_npy.as_deref())])?;
        let mut session = Session::of_data(&self.model, watch)?;
        let trajectory = session.trajectory(self.trajectory.as_ref(), self.steps, Solver::Ddim)?;
        let inversion = self.inversion.of_encoder().ok_or_else(|| {
            Error::field(
                "inversion",
                "bdia encodes to a pair of states, and a latent is only half of it: expected euler, fixed-point or anderson",
            )
        })?;
        let encoder = session.encoder(&trajectory, inversion)?;
        let inputs = session.read(&self.input, self.preparation, None)?;
        let file = OutputFile::create_optional(self.save_npy.as_ref())?;
        watch.begin("encoding", "image-steps", inputs.names.len() * trajectory.len());
        let encoded = session.encode(&encoder, &inputs.images)?;
        let seconds = watch.end();
        encoded.note(inputs.names.len(), trajectory.len(), watch);
        let (evaluations, unsettled) = (encoded.evaluations as f64 / inputs.names.len() as f64, encoded.unsettled);
        let latents = encoded.latents;
        let (latent_mean, latent_std) = moments(&latents);
        let shape = session.shape();
        let file = file.map(|file| file.commit(&npy_bytes(&latents, shape))).transpose()?;
        if session.scheduler.clip() != ddim::Clip::None {
            watch.note("the model's scheduler clips predicted images: decode these latents without clipping to get their images back");
        }
        Ok(EncodeReport {
            model: session.model,
            data: (&inputs.report).into(),
            inputs: inputs.names,
            steps: trajectory.len(),
            evaluations,
            unsettled,
            timesteps: trajectory.timesteps().collect(),
            latent_mean,
            latent_std,
            seconds,
            files: crate::output::shown(file.as_slice()),
            shape,
            originals: inputs.images,
            latents,
        })
    }
}

/// Mean and standard deviation of all numbers.
pub(crate) fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, (x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
}
