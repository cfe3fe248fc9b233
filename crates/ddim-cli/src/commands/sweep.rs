//! `ddim sweep`

use crate::error::Result;
use crate::flags::{ClassChoice, ClipArgs, Common, GuidanceShape, InceptionArgs, PreparationArgs, SpacingParser, parse_item};
use crate::front::{counted, images, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Tabulate FID and KID over numbers of steps, solvers, trajectories, amounts of noise and guidance (Table 1 of the paper).
///
/// The columns are --steps, and the rows are all combinations of --trajectory, --solver, --eta and --guidance. All cells of a seed start
/// from the same --count latents, so that two cells differ only in their settings. With several seeds, each cell is drawn for each of them,
/// and the table shows the mean and ± the standard deviation. The chart plots FID against network evaluations, which are what a solver
/// costs.
///
/// If the reference has the model's classes, images are drawn with its class frequencies, unless --classes says otherwise. A second table
/// then shows how many of them a linear classifier, trained on the reference, assigns to the class they were drawn for. classes.csv lists
/// this and KID for each class.
///
/// The reference is prepared as for training. If it has 256 images or more, its features are kept in ddim's cache (DDIM_CACHE). Inception
/// features of the cells are computed as their images are drawn.
///
/// Everything is kept in --out. Running the same command again resumes it, however it was stopped. Asking for more steps, solvers,
/// trajectories, amounts of noise, guidance or seeds computes only the new cells. The model, reference and Inception are identified by
/// checksums of their contents, and the folder is refused for any others.
///
/// With one seed, FID and KID come with their standard error over the images of a cell and, for KID, of the reference. The differences of
/// FID between each row and the first, and between each column and the one before, come with their standard error over pairs of images from
/// the same latents.
///
/// Sigma hat is the authors' ddpm_noisy: the predicted images are clipped and the noise is recomputed, unless --no-clip is given.
///
/// Writes table.md with the command that computes it, table.csv, differences.csv, table.json, grid.png, and the charts fid, kid and seconds (.svg, .png). With classes, also
/// writes classes.csv.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim sweep --reference emoji/ --count 200 --steps 5,10,20 --eta 0,1  takes minutes
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --count 10000
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --steps 5,10,20 --eta 0 --solver ddim,ipndm,unipc --seed 0,1,2 --count 2000
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --steps 20 --eta 0 --guidance 1,1.5,2 --classes each
  ddim sweep --model ./ddpm-cifar10-32 --reference cifar-10-batches-bin --count 50000 --trajectory quadratic --steps 10,20,50,100,1000")]
pub(crate) struct Flags {
    /// Real images or their statistics: anything that `ddim fid` takes.
    #[arg(long, value_name = "R", help_heading = "Data")]
    pub(crate) reference: PathBuf,
    /// Use only the first N images of the reference.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) reference_limit: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Numbers of steps S, one per column.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    /// Amounts of noise, one per row: numbers from 0 to 1, and hat for sigma hat.
    ///
    /// Solvers that add no noise, such as ipndm and unipc, accept only 0.
    #[arg(long, value_name = "E1,E2,...,hat", value_delimiter = ',', default_values = ["0", "0.2", "0.5", "1", "hat"], value_parser = parse_sigma)]
    pub(crate) eta: Vec<engine::Eta>,
    /// Number of images in each cell.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) count: usize,
    /// Seeds for the latents and the noise.
    ///
    /// With several, the table shows the mean and the standard deviation.
    #[arg(long, value_name = "N1,N2,...", value_delimiter = ',', default_values_t = [0], value_parser = parse_item::<u64>)]
    pub(crate) seed: Vec<u64>,
    /// Solvers, one per row: the names that `ddim sample --solver` takes.
    #[arg(long, value_name = "NAME1,NAME2,...", value_delimiter = ',', default_values = ["ddim"], value_parser = parse_item::<engine::Solver>)]
    pub(crate) solver: Vec<engine::Solver>,
    /// How to choose the S timesteps from the T training timesteps, one per row [default: as in the model's scheduler_config.json].
    ///
    /// Takes the same values as `ddim sample --trajectory`.
    #[arg(long, value_name = "KIND1,KIND2,...", value_delimiter = ',', value_parser = SpacingParser, hide_possible_values = true)]
    pub(crate) trajectory: Vec<engine::Spacing>,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassChoice,
    /// Scales of classifier-free guidance, one per row, for models trained with label dropout [default: 1].
    ///
    /// A scale of 1 uses the class alone; others take two evaluations per step. The scale in the model's sampling.json is not used.
    #[arg(long, value_name = "W1,W2,...", value_delimiter = ',', value_parser = parse_item::<f64>)]
    pub(crate) guidance: Vec<f64>,
    #[command(flatten)]
    pub(crate) guidance_shape: GuidanceShape,
    /// Folder of the sweep.
    #[arg(long, value_name = "DIR", default_value = "sweep", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Also write every image of every cell to this folder.
    ///
    /// Images of cells that are already done are drawn again, without computing FID.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) save_images: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// η as a number, or hat.
fn parse_sigma(text: &str) -> std::result::Result<engine::Eta, String> {
    match text.trim() {
        "hat" => Ok(engine::Eta::Hat),
        number => match number.parse::<f64>() {
            Ok(eta) if (0.0..=1.0).contains(&eta) => Ok(engine::Eta::Value(eta)),
            _ => Err(format!("{text:?}: expected a number from 0 to 1, or hat")),
        },
    }
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Sweep {
        model: flags.common.guided_model(&flags.class, &flags.guidance_shape, None),
        reference: flags.reference.clone(),
        reference_limit: flags.reference_limit,
        preparation: flags.preparation.preparing(),
        steps: flags.steps.clone(),
        eta: flags.eta.clone(),
        guidance: flags.guidance.clone(),
        count: flags.count,
        solver: flags.solver.clone(),
        trajectory: flags.trajectory.clone(),
        seed: flags.seed.clone(),
        clip: flags.clip.clipping(),
        out: flags.out.clone(),
        save_images: flags.save_images.clone(),
        inception: flags.inception.inception.clone(),
    };
    let machine = &flags.common.machine;
    let found = work(&request, machine)?;
    let (cells, markdown) = (found.cells.len(), &found.markdown);
    let human = format!("{markdown}\n{} of {}: {:.1} s\n{}\n", counted(cells, "cell"), images(flags.count), found.seconds, found.out);
    report(&machine.output, &found, &human)
}
