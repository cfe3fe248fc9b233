//! `ddim tune`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, parse_item};
use crate::front::{joined, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Find the best timesteps for a model at few steps, to use with --trajectory tuned.
///
/// Draws a reference with many steps. Then, for each solver and number of steps, moves the timesteps one at a time until the images from
/// the same latents are as close to the reference as possible. Closeness is the mean over images of the root mean squared difference, for
/// pixels in [0, 1]. No image counts for more than twice the median, because a few turn into different images altogether.
///
/// The search starts from the best of power:1.5, the model's own spacing and log-snr. Its result is checked on latents that it has not
/// seen. If it is no better there, the starting point is kept.
///
/// The result is written to tuned.json in the model's folder, next to what is there for other solvers and numbers of steps. It is matched
/// to the model by checksums of the weights and the noise schedule, and by the guidance. For built-in models and models on the Hub, write
/// it to a file with --out, and use that file with --trajectory tuned:FILE.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim tune --model ./run --steps 5,10  writes run/tuned.json
  ddim sample --model ./run --trajectory tuned --solver ipndm --steps 5
  ddim tune --model google/ddpm-cifar10-32 --solver unipc --steps 8 --out cifar.json
  ddim sample --model google/ddpm-cifar10-32 --trajectory tuned:cifar.json --solver unipc --steps 8")]
pub(crate) struct Flags {
    /// Numbers of steps, at least 2; each gets its own timesteps.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [5, 10], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    /// Solvers; each gets its own timesteps. `ddim encode` uses those of ddim.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_values_t = [engine::Solver::Ipndm, engine::Solver::UniPc], value_parser = parse_item::<engine::Solver>)]
    pub(crate) solver: Vec<engine::Solver>,
    /// Number of latents to search on.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) count: usize,
    /// Number of further latents to check the result on.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) held_out: usize,
    /// Seed for the latents.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Maximum number of passes over all timesteps.
    ///
    /// Time grows with the number of passes and with the square of S.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) passes: usize,
    /// Number of steps of the reference, which is drawn with unipc and power:1.5.
    #[arg(long, value_name = "S", default_value_t = 100)]
    pub(crate) reference_steps: usize,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write the timesteps to this file [default: tuned.json in the model's folder].
    ///
    /// What the file has for other solvers and numbers of steps is kept.
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Tune {
        model: flags.common.model(&flags.class),
        steps: flags.steps.clone(),
        solver: flags.solver.clone(),
        count: flags.count,
        held_out: flags.held_out,
        seed: flags.seed,
        passes: flags.passes,
        reference_steps: flags.reference_steps,
        out: flags.out.clone(),
    };
    let found = work(&request, &flags.common.machine)?;
    let mut human = format!(
        "{} latents and {} held out, against unipc with {} steps; differences per image (root mean square, pixels in [0, 1])\n",
        found.count, found.held_out, found.reference_steps
    );
    human += "steps  solver        searched          held out          from        timesteps\n";
    for tuned in &found.tuned {
        let ([a, b], [c, d]) = (tuned.in_sample, tuned.held_out);
        let kept = if tuned.is_better { "" } else { " (kept)" };
        let (solver, start, timesteps) = (tuned.solver, format!("{}{kept}", tuned.start), joined(&tuned.timesteps, ","));
        human += &format!("{:>5}  {solver:<12}  {a:.4} -> {b:.4}  {c:.4} -> {d:.4}  {start:<10}  {timesteps}\n", tuned.steps);
    }
    human += &lines(&found.files);
    report(&flags.common.machine.output, &found, &human)
}
