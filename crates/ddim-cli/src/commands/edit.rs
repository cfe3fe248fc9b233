//! `ddim edit`

use crate::error::Result;
use crate::flags::{ClassArgs, ClipArgs, Common, PreparationArgs, SolverArgs, TrajectoryArgs};
use crate::front::{counted, images, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Edit images: redraw them after adding noise, within a mask, under another class or with another model.
///
/// Adds fresh noise up to the level set by --strength, and takes all --steps below that level (SDEdit). diffusers' image-to-image takes
/// only strength times steps of them.
///
/// With --inversion, the image is encoded instead, so that the edit is a function of the image alone. With --from-class or --to-model, it
/// is translated: encoded under one class or model and decoded under another. With --mask, only part of the image is redrawn, and the rest
/// stays the same to the byte.
///
/// Without an output flag, writes a grid to edit.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim edit --input boot.png --strength 0.4 --variations 8          eight variations
  ddim edit --input face.png --mask mouth.png --eta 1               redraws white, keeps black
  ddim edit --model ./garments --input shirts/ --from-class Shirt --to-class Dress
  ddim edit --model fashion --input boot.png --to-model ./sketches  from one model to another")]
pub(crate) struct Flags {
    /// Images to edit, of the model's size unless --fit is given.
    ///
    /// An image, a folder or .zip of images, the files of a data set, or a batch x_0.npy (f32, [n, c, h, w], range [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    /// Use only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) count: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// How much to change, from 0 to 1 [default: 0.5, or 1 with a mask or if the image is encoded].
    ///
    /// 0 returns the image. 1 keeps nothing of it, except what its latent holds if it is encoded (with --inversion, --from-class or
    /// --to-model).
    #[arg(long, value_name = "P")]
    pub(crate) strength: Option<f64>,
    /// Mask of what to redraw: white is redrawn and black stays the same.
    ///
    /// Gray is redrawn only below that fraction of the noise levels, and so changes less. Give one mask for all images, or one for each, in
    /// the same order.
    ///
    /// If --fit is not given, masks must have the model's size.
    #[arg(long, value_name = "IMAGE|DIR")]
    pub(crate) mask: Option<PathBuf>,
    /// Within a mask, repeat every stretch of J steps N times, jumping back up with fresh noise (RePaint) [default: 5:5, or 1 if the image
    /// is encoded].
    ///
    /// Jumping makes what is redrawn agree with what stays, but takes N times as long. 1 makes no jumps. J is 5 if not given.
    #[arg(long, value_name = "N[:J]", value_parser = parse_repaint, requires = "mask")]
    pub(crate) repaint: Option<engine::Repaint>,
    /// Encode the image with this method, and start from its latent instead of noise [default: anderson with --from-class or --to-model].
    ///
    /// One of euler, fixed-point:K, anderson:K and bdia, as for `ddim reconstruct`.
    #[arg(long, value_name = "HOW")]
    pub(crate) inversion: Option<engine::Inversion>,
    /// Translate: encode each image under these classes, and decode it under --to-class.
    ///
    /// Takes the same values as --classes; data stands for the image's own class.
    #[arg(long, alias = "from-classes", value_name = "K,...|data|FILE")]
    pub(crate) from_class: Option<PathBuf>,
    /// Classes to decode under: the same as --classes, to go with --from-class.
    #[arg(long, alias = "to-classes", value_name = "K,...|each|FILE", conflicts_with = "classes")]
    pub(crate) to_class: Option<PathBuf>,
    /// Decode with another model of images of the same shape; --classes are then classes of that model.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME")]
    pub(crate) to_model: Option<PathBuf>,
    /// Number of edits of each image, each from its own noise.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) variations: usize,
    /// Number of steps S, all of them below the level set by --strength.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    /// Amount of noise added while decoding: 0 is DDIM, 1 is DDPM.
    #[arg(long, value_name = "E", default_value_t = 0.0)]
    pub(crate) eta: f64,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Seed for the noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write each edit to this folder, as a PNG named by its number.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Draw the first 16 originals (top row), what a mask keeps of them, and their edits.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Write the edits as f32 [n, c, h, w], unclamped, in the network's range [-1, 1].
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
    both.ok_or_else(|| format!("{text:?}: expected how often and, optionally, the steps of a jump, as in 5 or 5:10"))
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
