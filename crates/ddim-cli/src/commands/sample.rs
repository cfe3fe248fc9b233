//! `ddim sample`

use crate::error::Result;
use crate::flags::{ClassArgs, ClipArgs, Common, SolverArgs, TrajectoryArgs, parse_item};
use crate::front::{images, lines, report, steps, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Draw images from noise.
///
/// Starts from the latents x_T of a seed (or a file) and follows Eq. 12 of the paper over S of the model's T timesteps. Image k of a seed
/// is the same for any --count, --batch-size and --threads (on a GPU, up to the last bits). Without an output flag, writes a grid to sample.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim sample                                                   64 images from the built-in model
  ddim sample --steps 10 --count 16 --grid ten.png              the same latents in ten steps
  ddim sample --steps 10 --solver ipndm --trajectory power:1.5  ten steps with a better solver
  ddim sample --eta 1 --steps 1000                              the DDPM sampler
  ddim sample --sigma-hat --clip --rederive-epsilon             the authors' ddpm_noisy
  ddim sample --model ./ddpm-cifar10-32 --out images            a diffusers pipeline, one PNG each
  ddim sample --model google/ddpm-cifar10-32                    a model on the Hugging Face Hub
  ddim sample --first 41 --count 1 --grid one.png               only image 41 of the seed
  ddim sample --model RUN --classes each --guidance 2           every class in turn, with guidance
  ddim sample --count 16 --animate drawing.gif                  x_t and the predicted x_0 over time")]
pub(crate) struct Flags {
    /// Number of images [default: 64].
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<usize>,
    /// Number of the first image [default: 0].
    ///
    /// Use it to draw image N of a seed on its own, or to draw part of a set into the same folder as the rest.
    #[arg(long, value_name = "N")]
    pub(crate) first: Option<usize>,
    /// Number of steps S, normally one network evaluation each.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    /// Amount of noise added while sampling: 0 is DDIM (the image is a function of its latent), 1 is DDPM.
    #[arg(long, value_name = "E", default_value_t = 0.0)]
    pub(crate) eta: f64,
    /// Use DDPM's larger variance, the paper's sigma hat, instead of --eta.
    #[arg(long, conflicts_with = "eta")]
    pub(crate) sigma_hat: bool,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Visit exactly these timesteps, from 0 to T - 1 and in descending order, instead of --steps.
    #[arg(long, value_name = "T1,T2,...", value_delimiter = ',', value_parser = parse_item::<usize>, conflicts_with_all = ["steps", "trajectory"])]
    pub(crate) timesteps: Option<Vec<usize>>,
    /// Seed for the latents and the noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Start from these latents (f32, [n, c, h, w]) instead of those of the seed.
    ///
    /// Draws all of them unless --count is given. They may be encoded images, so no class and no guidance are used unless requested.
    #[arg(long, value_name = "x_T.npy")]
    pub(crate) latents: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write each image to DIR/00000.png, DIR/00001.png, and so on.
    ///
    /// Running the same command again draws only the missing images.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Write all images as one picture, with the settings in the PNG's Description.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Write the images as f32 [n, c, h, w], unclamped, in the network's range [-1, 1].
    #[arg(long, value_name = "x_0.npy", help_heading = "Output")]
    pub(crate) save_npy: Option<PathBuf>,
    /// Write every x_t and predicted x_0 as .npy, and the coefficients of every step as steps.json.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) trace: Option<PathBuf>,
    /// Animate the grid: x_t on the left, the predicted x_0 on the right.
    ///
    /// An animated PNG keeps all colours.
    #[arg(long, value_name = "FILE.gif|FILE.png", help_heading = "Output")]
    pub(crate) animate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let mut files = engine::SampleFiles {
        out: flags.out.clone(),
        grid: flags.grid.clone(),
        save_npy: flags.save_npy.clone(),
        trace: flags.trace.clone(),
        animate: flags.animate.clone(),
    };
    if files == engine::SampleFiles::default() {
        files.grid = Some("sample.png".into());
    }
    let request = engine::Sample {
        model: flags.common.model(&flags.class),
        count: flags.count,
        first: flags.first,
        steps: flags.steps,
        eta: if flags.sigma_hat { engine::Eta::Hat } else { engine::Eta::Value(flags.eta) },
        trajectory: flags.trajectory.trajectory.clone(),
        solver: flags.solver.solver,
        timesteps: flags.timesteps.clone(),
        seed: flags.seed,
        latents: flags.latents.clone(),
        clip: flags.clip.clipping(),
        files,
    };
    let drawn = work(&request, &flags.common.machine)?;
    let rate = drawn.ms_per_image_step.map_or(String::new(), |ms| format!(", {ms:.2} ms per image-step"));
    let (model, steps, seconds) = (&drawn.model, steps(drawn.steps), drawn.seconds);
    let count = images(drawn.drawn);
    let human = format!("{count} of {model} in {steps}: {seconds:.1} s{rate}\n{}", lines(&drawn.files));
    report(&flags.common.machine.output, &drawn, &human)
}
