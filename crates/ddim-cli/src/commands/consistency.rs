//! `ddim consistency`

use crate::error::Result;
use crate::flags::{ClassArgs, ClipArgs, Common, InceptionArgs, SolverArgs, TrajectoryArgs, parse_item};
use crate::front::{counted, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Draw the same latents with different numbers of steps (section 5.2 of the paper).
///
/// Draws one row per latent and one column per number of steps. Sampling is deterministic (eta 0), so the latent determines the image.
///
/// Also prints how far each column is from the last, as the root mean squared difference of pixels in [0, 1], next to the difference
/// between different latents. With --features, the distance between Inception features is printed as well, which reflects content rather
/// than exact pixels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim consistency --grid consistency.png
  ddim consistency --seed 5 --count 4 --steps 5,10,20,50 --grid few.png")]
pub(crate) struct Flags {
    /// Seed for the latents.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Number of latents, one per row.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) count: usize,
    /// Numbers of steps, one per column.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100, 1000], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write the picture to this file.
    #[arg(long, value_name = "FILE.png", default_value = "consistency.png", help_heading = "Output")]
    pub(crate) grid: PathBuf,
    /// Omit the numbers of steps above the columns.
    #[arg(long, help_heading = "Output")]
    pub(crate) no_labels: bool,
    /// Also compare Inception features.
    #[arg(long, help_heading = "Output")]
    pub(crate) features: bool,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Consistency {
        model: flags.common.model(&flags.class),
        seed: flags.seed,
        count: flags.count,
        steps: flags.steps.clone(),
        trajectory: flags.trajectory.trajectory.clone(),
        solver: flags.solver.solver,
        clip: flags.clip.clipping(),
        grid: Some(flags.grid.clone()),
        no_labels: flags.no_labels,
        features: flags.features,
        inception: flags.inception.inception.clone(),
    };
    let found = work(&request, &flags.common.machine)?;
    let what = "difference from the last column (root mean square, pixels in [0, 1])";
    let mut human = format!("{}, {} trajectory; {what}\n", counted(found.count, "latent"), found.trajectory);
    let features = |distance: Option<f64>| distance.map_or(String::new(), |d| format!("  {d:8.3}"));
    human += if flags.features { "steps     RMS  features\n" } else { "steps     RMS\n" };
    for row in &found.rms_from_last {
        human += &format!("{:>5}  {:.4}{}\n", row.steps, row.rms, features(row.feature_distance));
    }
    if let Some(rms) = found.rms_between_latents {
        human += &format!("between different latents {rms:.4}{}\n", features(found.feature_distance_between_latents));
    }
    human += &lines(&found.files);
    report(&flags.common.machine.output, &found, &human)
}
