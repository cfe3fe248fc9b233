//! `ddim reconstruct`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, InversionArgs, PreparationArgs, SolverArgs, TrajectoryArgs, parse_item};
use crate::front::{lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Encode images, decode them again, and measure the error (Table 2 of the paper).
///
/// Prints the mean squared error per dimension, for images in [0, 1], at each number of steps. Nothing is clipped.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim reconstruct --input photos/ --steps 10,20,50,100 --grid reconstruct.png
  ddim reconstruct --input cifar-10-batches-bin/test_batch.bin --model ./ddpm-cifar10-32  Table 2
  ddim reconstruct --input emoji/ --fit crop --count 256 --json
  ddim reconstruct --input emoji/ --fit crop --count 64 --steps 10 --inversion anderson   near-exact")]
pub(crate) struct Flags {
    /// Images to reconstruct, of the model's size unless --fit is given.
    ///
    /// An image, a folder or .zip of images, the files of a data set, or a batch x_0.npy (f32, [n, c, h, w], range [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    /// Use only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) count: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Numbers of steps to compare, each for both encoding and decoding.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) inversion: InversionArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Draw the first 16 originals (top row) and, for each number of steps, the decoded images and their differences.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Reconstruct {
        model: flags.common.model(&flags.class),
        input: flags.input.clone(),
        count: flags.count,
        preparation: flags.preparation.preparing(),
        steps: flags.steps.clone(),
        trajectory: flags.trajectory.trajectory.clone(),
        inversion: flags.inversion.inversion,
        solver: flags.solver.solver,
        grid: flags.grid.clone(),
    };
    let found = work(&request, &flags.common.machine)?;
    let mut human = format!("{} images, {} trajectory, mean squared error per dimension on [0, 1]\n", found.images, found.trajectory);
    let iterates = found.mse.iter().any(|row| row.evaluations > row.steps as f64);
    human += if iterates { "steps      MSE  evaluations up\n" } else { "steps      MSE\n" };
    for row in &found.mse {
        // As many digits as say something of an error that is all but gone.
        let mse = if row.mse > 0.0 && row.mse < 1e-4 { format!("{:.1e}", row.mse) } else { format!("{:.5}", row.mse) };
        let up = if iterates { format!("  {:.1}", row.evaluations) } else { String::new() };
        human += &format!("{:>5}  {mse:>7}{up}\n", row.steps);
    }
    human += &lines(&found.files);
    report(&flags.common.machine.output, &found, &human)
}
