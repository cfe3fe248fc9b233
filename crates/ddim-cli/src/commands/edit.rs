//! `ddim edit`

use crate::error::Result;
use crate::flags::{ClassArgs, ClipArgs, Common, PreparationArgs, SolverArgs, TrajectoryArgs};
use crate::front::{counted, images, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Change images: draw them again from some of their noise, within a mask, under another class or by another model.
///
/// --strength chooses a level of noise, and all --steps run below it (diffusers' image-to-image runs steps times strength of them). The image gets fresh noise of that level
/// (SDEdit); with --inversion it is encoded instead, so that the edit is a function of the image, and with --from-class or --to-model it is translated: encoded under one class
/// or model, decoded under another. --mask says what is drawn; the rest stays as it is, to the byte. With no output flag, writes a grid to edit.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim edit --input boot.png --strength 0.4 --variations 8            eight like it
  ddim edit --input face.png --mask mouth.png --eta 1                 white is drawn, black stays
  ddim edit --model ./garments --input shirts/ --from-class Shirt --to-class Dress
  ddim edit --model fashion --input boot.png --to-model ./sketches    encoded by one, decoded by the other")]
pub(crate) struct Flags {
    /// Images of the model's size (or --fit): one, a folder or .zip of them, a data set's files, or a batch x_0.npy (f32, [n, c, h, w], scale
    /// [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    /// Only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) count: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// How much is changed: 0 returns the image, 1 leaves nothing of it but what its latent keeps [default: 1 with --mask, --inversion, --from-class or --to-model, else 0.5].
    #[arg(long, value_name = "P")]
    pub(crate) strength: Option<f64>,
    /// White is drawn, black stays, gray is drawn from that share of the levels on, and so changes less: an image of the model's size (or --fit) for all images, or
    /// one for each, in their order.
    #[arg(long, value_name = "IMAGE|DIR")]
    pub(crate) mask: Option<PathBuf>,
    /// With --mask, go through every stretch of J steps N times, jumping back up by fresh noise (RePaint) [default: 5:5, none with --inversion]: what is drawn comes to agree with what stays, in N times the time. 1 makes no jumps.
    #[arg(long, value_name = "N[:J]", value_parser = parse_repaint, requires = "mask")]
    pub(crate) repaint: Option<engine::Repaint>,
    /// Start from the image's latent instead of noise: euler, fixed-point:K, anderson:K or bdia, as `ddim encode` has them [default: anderson with --from-class or --to-model].
    #[arg(long, value_name = "HOW")]
    pub(crate) inversion: Option<engine::Inversion>,
    /// Translate: encode each image under these classes, given as --classes are, or data for its own, and decode each edit under --to-class.
    #[arg(long, alias = "from-classes", value_name = "K,...|data|FILE")]
    pub(crate) from_class: Option<PathBuf>,
    /// The classes that are drawn: --classes under the name that goes with --from-class.
    #[arg(long, alias = "to-classes", value_name = "K,...|each|FILE", conflicts_with = "classes")]
    pub(crate) to_class: Option<PathBuf>,
    /// Decode by another model of images of the same shape. --classes are its own.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME")]
    pub(crate) to_model: Option<PathBuf>,
    /// Edits of each image, from noise of their own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) variations: usize,
    /// S: all of them below the level that --strength chooses.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    /// Randomness of the way down: 0 is DDIM, 1 is DDPM.
    #[arg(long, value_name = "E", default_value_t = 0.0)]
    pub(crate) eta: f64,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// The seed of noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write each edit as a PNG of its number into this folder.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Draw the originals (first row; the first 16), what stays of them under a mask, and their edits.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Write the edits as f32 [n, c, h, w], unclamped, in the network's scale [-1, 1].
    #[arg(long, value_name = "x_0.npy", help_heading = "Output")]
    pub(crate) save_npy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How often, and perhaps the steps of a stretch.
fn parse_repaint(text: &str) -> std::result::Result<engine::Repaint, String> {
    let (times, jump) = text.split_once(':').map_or((text, None), |(times, jump)| (times, Some(jump)));
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0);
    let jump = jump.map_or(Some(engine::Repaint::default().jump), number);
    let both = number(times).zip(jump).map(|(times, jump)| engine::Repaint { times, jump });
    both.ok_or_else(|| format!("{text:?}: expected how often, and perhaps the steps of a jump, as in 5 or 5:10"))
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let only_default = flags.out.is_none() && flags.grid.is_none() && flags.save_npy.is_none();
    let request = engine::Edit {
        model: engine::Model { classes: flags.to_class.clone().or(flags.class.choice.classes.clone()), ..flags.common.model(&flags.class) },
        input: flags.input.clone(),
        count: flags.count,
        preparation: flags.preparation.preparing(),
        strength: flags.strength,
        steps: flags.steps,
        eta: engine::Eta::Value(flags.eta),
        trajectory: flags.trajectory.trajectory.clone(),
        solver: flags.solver.solver,
        seed: flags.seed,
        inversion: flags.inversion,
        from_class: flags.from_class.clone(),
        to_model: flags.to_model.clone(),
        mask: flags.mask.clone(),
        repaint: flags.repaint,
        variations: flags.variations,
        clip: flags.clip.clipping(),
        files: engine::EditFiles {
            out: flags.out.clone(),
            grid: flags.grid.clone().or(only_default.then(|| "edit.png".into())),
            save_npy: flags.save_npy.clone(),
        },
    };
    let drawn = work(&request, &flags.common.machine)?;
    let of = if drawn.variations > 1 { format!(", {} edits of each", drawn.variations) } else { String::new() };
    let human = format!(
        "{}{of}, strength {} (from level {}), {}: {:.1} s; RMS difference {:.3}\n{}",
        images(drawn.images),
        drawn.strength,
        drawn.level,
        counted(drawn.evaluations, "evaluation"),
        drawn.seconds,
        drawn.rms,
        lines(&drawn.files)
    );
    report(&flags.common.machine.output, &drawn, &human)
}
