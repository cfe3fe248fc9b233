//! `ddim encode`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, InversionArgs, PreparationArgs, TrajectoryArgs};
use crate::front::{images, lines, report, steps, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Turn images into latents along the ODE.
///
/// Runs the deterministic process upwards (Eq. 13): the latents decode to the images again with `ddim sample --latents` and the same
/// --steps and --trajectory. Nothing is clipped. The error falls with S; --inversion anderson takes it away among few steps too, and its latents are
/// what noise is, which interpolation needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim encode --input photos/ --save-npy x_T.npy --steps 100
  ddim sample --latents x_T.npy --steps 100 --no-clip --grid again.png
  ddim encode --input boot.png --save-npy boot.npy          then: ddim interpolate --latents two.npy")]
pub(crate) struct Flags {
    /// Images of the model's size (or --fit): one, a folder or .zip of them, a data set's files, or a batch x_0.npy (f32, [n, c, h, w], scale
    /// [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Where the latents go: f32 [n, c, h, w].
    #[arg(long, value_name = "x_T.npy", help_heading = "Output")]
    pub(crate) save_npy: PathBuf,
    /// S: how often the network is evaluated for an image.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) inversion: InversionArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Encode {
        model: flags.common.model(&flags.class),
        input: flags.input.clone(),
        preparation: flags.preparation.preparing(),
        steps: flags.steps,
        trajectory: flags.trajectory.trajectory.clone(),
        inversion: flags.inversion.inversion,
        save_npy: Some(flags.save_npy.clone()),
    };
    let encoded = work(&request, &flags.common.machine)?;
    let human = format!(
        "{} to latents in {}{}: {:.1} s; mean {:.3}, deviation {:.3} (noise has 0 and 1)\n{}",
        images(encoded.inputs.len()),
        steps(encoded.steps),
        if encoded.evaluations > encoded.steps as f64 {
            format!(", {:.0} evaluations per image", encoded.evaluations)
        } else {
            String::new()
        },
        encoded.seconds,
        encoded.latent_mean,
        encoded.latent_std,
        lines(&encoded.files)
    );
    report(&flags.common.machine.output, &encoded, &human)
}
