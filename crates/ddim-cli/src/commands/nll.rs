//! `ddim nll`

use crate::error::Result;
use crate::flags::{ClassArgs, Common, PreparationArgs, TrajectoryArgs, parse_item};
use crate::front::{images, lines, report, steps, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Compute the likelihood bound of a model on images, in bits/dim.
///
/// Computes J_sigma (Theorem 1) for each eta over S of the model's timesteps, in total and for every step, and L_simple of every step.
/// These are Monte Carlo estimates with one draw of noise per image and step, the same for every eta. The bound is for bytes (DDPM's
/// discretised decoder).
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim nll --data emoji/ --fit crop --count 64 --plot nll.svg
  ddim nll --model fashion --data t10k-images-idx3-ubyte.gz --fit pad --background black --steps 1000 --eta 0.5,1")]
pub(crate) struct Flags {
    /// Images: a folder, the files of CIFAR-10 or MNIST, or a .npy batch.
    #[arg(long, value_name = "DIR|FILE", help_heading = "Data")]
    pub(crate) data: PathBuf,
    /// Use only the first N images.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Data")]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Number of timesteps S in the process.
    ///
    /// Using all of them (1000) gives the tightest bound.
    #[arg(long, value_name = "S", default_value_t = 100)]
    pub(crate) steps: usize,
    /// Values of eta, above 0 and up to 1, to compute the bound for.
    #[arg(long, value_name = "E1,E2,...", value_delimiter = ',', default_values_t = [0.2, 0.5, 1.0], value_parser = parse_item::<f64>)]
    pub(crate) eta: Vec<f64>,
    /// Seed for the noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Plot the terms of every step.
    #[arg(long, value_name = "FILE.svg|FILE.png", help_heading = "Output")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Nll {
        model: flags.common.model(&flags.class),
        data: flags.data.clone(),
        count: flags.count,
        preparation: flags.preparation.preparing(),
        steps: flags.steps,
        eta: flags.eta.clone(),
        seed: flags.seed,
        trajectory: flags.trajectory.trajectory.clone(),
        plot: flags.plot.clone(),
    };
    let found = work(&request, &flags.common.machine)?;
    let mut human = format!("{}, {}, {} trajectory; bits/dim\n", images(found.images), steps(found.steps), found.trajectory);
    human += "  eta   bound            x_T    KL terms  decoder   J_sigma\n";
    for bound in &found.bounds {
        let (eta, kl) = (bound.eta, bound.terms[1..].iter().fold(0.0, |all, term| all + term));
        human += &format!(
            "{eta:>5}  {:>6.3} {:<7}  {:.4}  {kl:>8.3}  {:>8.3}  {:>8.3}\n",
            bound.bits_per_dim,
            bound.standard_error.map_or(String::new(), |error| format!("± {error:.3}")),
            bound.prior,
            bound.terms[0],
            bound.j_sigma_bits_per_dim
        );
    }
    human += &format!("L_simple {:.4} (mean squared error of the noise, over the {} timesteps)\n", found.l_simple_mean, found.steps);
    human += &lines(&found.files);
    report(&flags.common.machine.output, &found, &human)
}
