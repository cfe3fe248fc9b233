//! `ddim encode`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, InversionArgs, PreparationArgs, TrajectoryArgs};
use crate::front::{images, lines, report, steps, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Encode images to latents along the ODE.
///
/// Runs the deterministic process upwards (Eq. 13 of the paper). To decode the latents, run `ddim sample --latents` with the same --steps
/// and --trajectory. Nothing is clipped.
///
/// The error shrinks as S grows. With --inversion anderson, it all but vanishes even with few steps, and the latents are distributed like
/// noise, as interpolation requires.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim encode --input photos/ --save-npy x_T.npy --steps 100
  ddim sample --latents x_T.npy --steps 100 --no-clip --grid again.png
  ddim encode --input boot.png --save-npy boot.npy  then: ddim interpolate --latents two.npy")]
pub(crate) struct Flags {
    /// Images to encode, of the model's size unless --fit is given.
    ///
    /// An image, a folder or .zip of images, the files of a data set, or a batch x_0.npy (f32, [n, c, h, w], range [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Write the latents to this file, as f32 [n, c, h, w].
    #[arg(long, value_name = "x_T.npy", help_heading = "Output")]
    pub(crate) save_npy: PathBuf,
    /// Number of steps S, normally one network evaluation each.
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
