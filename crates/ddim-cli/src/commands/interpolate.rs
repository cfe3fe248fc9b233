//! `ddim interpolate`

use crate::error::Result;
use crate::flags::{ClassArgs, ClipArgs, Common, SolverArgs, TrajectoryArgs, parse_item};
use crate::front::{images, lines, report, steps, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Interpolate between latents and draw the images in between (appendix D.5 of the paper).
///
/// Slerps between two latents, or over a grid between four: first within two pairs, then across. Sampling is deterministic (eta 0).
///
/// If the model has classes, each end may have its own (--classes A,B); in between, their embeddings are mixed.
///
/// Without an output flag, writes interpolate.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim interpolate --seeds 3,8 --frames 11 --grid line.png --animate line.gif
  ddim interpolate --seeds 1,2,3,4 --rows 8 --cols 8 --grid square.png
  ddim interpolate --latents two.npy --steps 100
  ddim interpolate --model RUN --classes boot,shirt --seeds 1,2  from class to class")]
pub(crate) struct Flags {
    /// Two seeds, or four for a grid: top left, top right, bottom left, bottom right.
    ///
    /// The latent of a seed is that of its image 0.
    #[arg(long, value_name = "A,B[,C,D]", value_delimiter = ',', default_values_t = [0, 1], value_parser = parse_item::<u64>, conflicts_with = "latents")]
    pub(crate) seeds: Vec<u64>,
    /// Use these two or four latents (f32, [n, c, h, w]) instead of seeds.
    #[arg(long, value_name = "two.npy")]
    pub(crate) latents: Option<PathBuf>,
    /// Number of images from one latent to the other, both included [default: 11].
    #[arg(long, value_name = "N", conflicts_with_all = ["rows", "cols"])]
    pub(crate) frames: Option<usize>,
    /// Rows of the grid between four latents [default: 8].
    #[arg(long, value_name = "R")]
    pub(crate) rows: Option<usize>,
    /// Columns of the grid between four latents [default: 8].
    #[arg(long, value_name = "C")]
    pub(crate) cols: Option<usize>,
    /// Number of steps S, normally one network evaluation each.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write the images as one picture.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Omit the labels above the columns, which give the position from 0 to 1.
    #[arg(long, help_heading = "Output")]
    pub(crate) no_labels: bool,
    /// Animate the walk between two latents, there and back.
    ///
    /// An animated PNG keeps all colours.
    #[arg(long, value_name = "FILE.gif|FILE.png", help_heading = "Output")]
    pub(crate) animate: Option<PathBuf>,
    /// Write the images as f32 [n, c, h, w], unclamped, in the network's range [-1, 1].
    #[arg(long, value_name = "x_0.npy", help_heading = "Output")]
    pub(crate) save_npy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let only_default = flags.grid.is_none() && flags.animate.is_none() && flags.save_npy.is_none();
    let request = engine::Interpolate {
        model: flags.common.model(&flags.class),
        seeds: flags.seeds.clone(),
        latents: flags.latents.clone(),
        frames: flags.frames,
        rows: flags.rows,
        cols: flags.cols,
        steps: flags.steps,
        trajectory: flags.trajectory.trajectory.clone(),
        solver: flags.solver.solver,
        clip: flags.clip.clipping(),
        grid: flags.grid.clone().or(only_default.then(|| "interpolate.png".into())),
        no_labels: flags.no_labels,
        animate: flags.animate.clone(),
        save_npy: flags.save_npy.clone(),
    };
    let drawn = work(&request, &flags.common.machine)?;
    let human = format!("{} in {}: {:.1} s\n{}", images(drawn.count), steps(drawn.steps), drawn.seconds, lines(&drawn.files));
    report(&flags.common.machine.output, &drawn, &human)
}
