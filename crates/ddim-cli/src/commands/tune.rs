//! `ddim tune`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, parse_item};
use crate::front::{joined, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Find the timesteps that suit a model at few steps, for --trajectory tuned.
///
/// Draws a reference with many steps, and for each solver and number of steps moves the timesteps, one at a time, to where the pictures of the same latents come
/// nearest to it: the mean over pictures of the root mean squared difference, pixels in [0, 1], of which none counts more than twice the median
/// (a few pictures become others altogether). The search starts from the best of power:1.5, the model's own spacing and log-snr. Latents that it has not seen say what it is worth;
/// where they are no better off, the start is kept. The result goes to tuned.json in the model's folder, beside what is there for other solvers and numbers of
/// steps, and is known again by a checksum of the weights; for models that are built in or on the hub, to --out, which --trajectory tuned:FILE reads.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim tune --model ./run --steps 5,10                                      writes run/tuned.json
  ddim sample --model ./run --trajectory tuned --solver ipndm --steps 5
  ddim tune --model google/ddpm-cifar10-32 --solver unipc --steps 8 --out cifar.json
  ddim sample --model google/ddpm-cifar10-32 --trajectory tuned:cifar.json --solver unipc --steps 8")]
pub(crate) struct Flags {
    /// Numbers of steps, from 2, each with timesteps of its own.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [5, 10], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    /// Solvers, each with timesteps of its own; encode uses those of ddim.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_values_t = [engine::Solver::Ipndm, engine::Solver::UniPc], value_parser = parse_item::<engine::Solver>)]
    pub(crate) solver: Vec<engine::Solver>,
    /// Latents to search on.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) count: usize,
    /// Latents after those, to try what was found.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) held_out: usize,
    /// The seed of the latents.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Rounds over all timesteps, at most. Time grows with their number and with the square of S.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) passes: usize,
    /// Steps of the reference, which unipc draws on power:1.5.
    #[arg(long, value_name = "S", default_value_t = 100)]
    pub(crate) reference_steps: usize,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Where the timesteps go [default: tuned.json in the model's folder]. What is there for other solvers and numbers of steps stays.
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
