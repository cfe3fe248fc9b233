//! `ddim sweep`

use crate::error::Result;
use crate::flags::{ClassChoice, ClipArgs, Common, GuidanceShape, InceptionArgs, PreparationArgs, SpacingParser, parse_item};
use crate::front::{counted, images, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// FID and KID over numbers of steps, solvers, trajectories, amounts of noise and guidance (Table 1 of the paper).
///
/// The columns are --steps, the rows all combinations of --trajectory, --solver, --eta and --guidance. Every cell of a seed starts from the same --count latents,
/// so that what differs between two cells is what they are called by. With several seeds each cell is drawn for each, and the table has their mean
/// and ± their standard deviation. The figure has FID against evaluations of the network, which is what a solver costs.
///
/// Where the reference has the model's classes, images are drawn of them as often as it has them unless --classes says otherwise, and another table says of
/// how many a linear classifier of the reference finds the class that they were drawn for; classes.csv has that and KID class by class.
///
/// Takes the images' Inception features as they come, and compares them with the reference, which is
/// prepared as for training, and whose features are kept in ddim's cache (DDIM_CACHE) where it has 256 images or more. Everything is kept in --out: the same command goes on where it was stopped, however it was, and asking for more
/// steps, solvers, trajectories, amounts of noise, guidance or seeds computes those alone. Model, reference and Inception are known again by checksums of what they hold: with others
/// the folder is refused. Numbers of one seed come with their standard error over the images of a cell (of KID: and of the reference), and differences of FID, of each row from the first and of
/// each column from the one before, with theirs over pairs of images from the same latents. Sigma hat is the
/// authors' ddpm_noisy: predicted images are clipped and the noise derived again, unless --no-clip says otherwise. Writes table.md, table.csv, differences.csv, table.json, fid, kid and seconds (.svg, .png) and grid.png, and with classes classes.csv.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim sweep --reference emoji/ --count 200 --steps 5,10,20 --eta 0,1      minutes, with the built-in model
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --count 10000
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --steps 5,10,20 --eta 0 --solver ddim,ipndm,unipc --seed 0,1,2 --count 2000
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --steps 20 --eta 0 --guidance 1,1.5,2 --classes each
  ddim sweep --model ./ddpm-cifar10-32 --reference cifar-10-batches-bin --count 50000 --trajectory quadratic --steps 10,20,50,100,1000")]
pub(crate) struct Flags {
    /// Real images, or their statistics: what `ddim fid` takes.
    #[arg(long, value_name = "R", help_heading = "Data")]
    pub(crate) reference: PathBuf,
    /// Only the first N images of the reference.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) reference_limit: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Numbers of steps S: the columns.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100], value_parser = parse_item::<usize>)]
    pub(crate) steps: Vec<usize>,
    /// Amounts of noise: rows. Numbers from 0 to 1, and hat. Solvers that add none, as ipndm and unipc, want 0 alone.
    #[arg(long, value_name = "E1,E2,...,hat", value_delimiter = ',', default_values = ["0", "0.2", "0.5", "1", "hat"], value_parser = parse_sigma)]
    pub(crate) eta: Vec<engine::Eta>,
    /// Images of each cell.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) count: usize,
    /// Seeds of latents and of noise. Of several, the table has the mean and the standard deviation.
    #[arg(long, value_name = "N1,N2,...", value_delimiter = ',', default_values_t = [0], value_parser = parse_item::<u64>)]
    pub(crate) seed: Vec<u64>,
    /// How a step uses what the network said before: rows. The names that `ddim sample --solver` takes.
    #[arg(long, value_name = "NAME1,NAME2,...", value_delimiter = ',', default_values = ["ddim"], value_parser = parse_item::<engine::Solver>)]
    pub(crate) solver: Vec<engine::Solver>,
    /// How the S timesteps are chosen from the T of training: rows [default: what the model's scheduler_config.json says].
    #[arg(long, value_name = "KIND1,KIND2,...", value_delimiter = ',', value_parser = SpacingParser, hide_possible_values = true)]
    pub(crate) trajectory: Vec<engine::Spacing>,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassChoice,
    /// Scales of classifier-free guidance, for models trained with label dropout: rows. 1 is the class alone; others take two evaluations per step
    /// [default: 1, whatever the model's sampling.json says].
    #[arg(long, value_name = "W1,W2,...", value_delimiter = ',', value_parser = parse_item::<f64>)]
    pub(crate) guidance: Vec<f64>,
    #[command(flatten)]
    pub(crate) guidance_shape: GuidanceShape,
    /// The folder of the sweep.
    #[arg(long, value_name = "DIR", default_value = "sweep", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Also write every image of every cell into this folder; those of cells that are done already are drawn again for it, without FID.
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
