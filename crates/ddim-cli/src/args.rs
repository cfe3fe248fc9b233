//! The command line, as clap parses it. What the values mean together is decided in [`crate::session`].

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Denoising diffusion implicit models: train once, then choose any sampling trajectory.
///
/// Draws pictures from a diffusion model in 10 to 100 times fewer steps than it was trained with, gives the same picture for the same
/// latent whatever the number of steps, encodes images to latents and back, and interpolates between them (arXiv 2010.02502).
#[derive(Debug, Parser)]
#[command(
    name = "ddim",
    version,
    max_term_width = 110,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sample(Sample),
    Encode(Encode),
    Reconstruct(Reconstruct),
    Interpolate(Interpolate),
    Consistency(Consistency),
    Train(Box<Train>),
    Fid(Fid),
    Sweep(Sweep),
    Nll(Nll),
    Info(Info),
    Convert(Convert),
    Bench(Bench),
}

/// Flags of every verb.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A built-in model (emoji, fashion), a diffusers pipeline folder (model_index.json, unet/, scheduler/), or a run of `ddim train`. Also a
    /// U-Net's folder alone, a checkpoint of accelerate's scripts (checkpoint-N), and a model's folder in the hub's cache.
    #[arg(long, value_name = "NAME|DIR", default_value = crate::models::DEFAULT, help_heading = "Everywhere")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// Height and width of the images, N or HxW, where they are not the model's own: multiples of what its network halves.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Everywhere")]
    pub(crate) size: Option<[usize; 2]>,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// What the files of a model leave open.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct ModelArgs {
    /// A scheduler_config.json, or a folder that has one, instead of the model's own.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) scheduler: Option<PathBuf>,
    /// Of a model that has averaged weights as well (a run, checkpoint-N, an authors' checkpoint), the weights themselves.
    #[arg(long)]
    pub(crate) raw: bool,
}

impl ModelArgs {
    pub(crate) fn choices(&self) -> ddim_nn::Choices {
        ddim_nn::Choices { scheduler: self.scheduler.clone(), raw: self.raw, ..ddim_nn::Choices::default() }
    }
}

/// Height and width: N or HxW.
fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let (h, w) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
    match (h.trim().parse(), w.trim().parse()) {
        (Ok(h), Ok(w)) if h > 0 && w > 0 => Ok([h, w]),
        _ => Err(format!("{text:?}: expected N or HxW")),
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Machine {
    /// Where the network runs: cpu, gpu or gpu:N. This version computes on the processor only.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Images in memory at once. Does not change any result.
    #[arg(long, value_name = "B", default_value_t = 64)]
    pub(crate) batch_size: usize,
    /// Processor threads [default: all]. Does not change any result.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which timesteps are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spacing {
    /// The DDIM authors' range(0, T, T // S); where S does not divide T it has more than S steps.
    Uniform,
    /// The DDIM authors' int(linspace(0, sqrt(0.8 T), S)^2), duplicates dropped.
    Quadratic,
    /// The paper's quadratic, up to T itself: floor(c i^2) with c = T / S^2.
    QuadraticFull,
    /// diffusers' i (T // S) + steps_offset.
    Leading,
    /// diffusers' round(T, T - T/S, ...) - 1.
    Trailing,
    /// diffusers' round(linspace(0, T - 1, S)).
    Linspace,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct TrajectoryArgs {
    /// How the S timesteps are chosen from the T of training [default: what the model's scheduler_config.json says].
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) trajectory: Option<Spacing>,
}

/// Clipping of the predicted image.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ClipArgs {
    /// Clip the predicted x_0 to the model's clip_sample_range at every step [default: as the model's scheduler_config.json says].
    #[arg(long, overrides_with = "no_clip")]
    pub(crate) clip: bool,
    /// Neither clip nor threshold the predicted x_0.
    #[arg(long, overrides_with = "clip")]
    pub(crate) no_clip: bool,
    /// After clipping, derive the noise again from the clipped x_0 (diffusers' use_clipped_model_output).
    #[arg(long)]
    pub(crate) rederive_epsilon: bool,
}

/// How images of other sizes become those of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitArg {
    /// Resized to cover, and the middle cut out.
    Crop,
    /// Resized to fit in, never enlarged, with background around.
    Pad,
    /// Resized, whatever their proportions.
    Stretch,
}

/// How images become those of the model: as for training. Each flag names its heading: that of a flattened struct would go on to what
/// follows it.
#[derive(Debug, Args)]
pub(crate) struct PreparationArgs {
    /// How images of other sizes become that of the model, as `ddim train` has it.
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Data")]
    pub(crate) fit: Option<FitArg>,
    /// Behind transparent pixels, and around padded images: #rrggbb, white or black [default: white, where images are fitted].
    #[arg(long, value_name = "COLOUR", value_parser = ddim_data::parse_colour, help_heading = "Data")]
    pub(crate) background: Option<[u8; 3]>,
    /// Leave files out that cannot be read, and name them.
    #[arg(long, help_heading = "Data")]
    pub(crate) skip_bad_files: bool,
}

/// The network that FID looks through.
#[derive(Debug, Args)]
pub(crate) struct InceptionArgs {
    /// Weights of FID's Inception (2015-12-05), safetensors or pytorch-fid's .pth [default: the file that the environment variable
    /// DDIM_INCEPTION names; else from the cache, or downloaded into it once].
    #[arg(long, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) inception: Option<PathBuf>,
}

/// The classes of images, of a conditional model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ClassArgs {
    /// For models trained with classes, by number or name: one for all images, or several that they take in turn (0,2,cat); each, all
    /// classes in turn; random, by the seed and the number of the image; or a text file with one a line. --class is the same.
    #[arg(long, value_name = "K,...|each|random|FILE")]
    pub(crate) classes: Option<OsString>,
    #[arg(long, hide = true, value_name = "K", conflicts_with = "classes")]
    pub(crate) class: Option<OsString>,
}

/// Draw images from noise.
///
/// Starts from latents x_T of a seed (or a file) and follows Eq. 12 of the paper over S of the model's T timesteps. Image k of a seed is
/// the same whatever --count, --batch-size and --threads. With no output flag, writes a grid to sample.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim sample                                         64 images of the built-in model: sample.png
  ddim sample --steps 10 --count 16 --grid ten.png    the same latents in ten steps
  ddim sample --eta 1 --steps 1000                    the DDPM sampler
  ddim sample --sigma-hat --clip --rederive-epsilon   the authors' ddpm_noisy
  ddim sample --model ./ddpm-cifar10-32 --out images  a diffusers pipeline, single images
  ddim sample --count 16 --animate drawing.gif        x_t and the predicted x_0 as they change")]
pub(crate) struct Sample {
    /// Number of images [default: 64].
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<usize>,
    /// S: how often the network is evaluated for an image.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    /// Randomness of the process: 0 is DDIM (the image is a function of its latent), 1 is DDPM.
    #[arg(long, value_name = "E", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) eta: f64,
    /// DDPM's larger variance, the paper's sigma hat, instead of --eta.
    #[arg(long, conflicts_with = "eta")]
    pub(crate) sigma_hat: bool,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    /// Exactly these code timesteps (0 to T - 1), descending, instead of --steps.
    #[arg(long, value_name = "T1,T2,...", value_delimiter = ',', conflicts_with_all = ["steps", "trajectory"])]
    pub(crate) timesteps: Option<Vec<usize>>,
    /// The seed of latents and of noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Start from these latents (f32, [n, c, h, w]) instead of the seed's; --count defaults to all of them.
    #[arg(long, value_name = "x_T.npy")]
    pub(crate) latents: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write each image to DIR/00000.png, DIR/00001.png, ...
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Write all images as one picture; its settings are in the PNG's Description.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Write the batch as f32 [n, c, h, w], unclamped, in the network's scale [-1, 1].
    #[arg(long, value_name = "x_0.npy", help_heading = "Output")]
    pub(crate) save_npy: Option<PathBuf>,
    /// Write every x_t and predicted x_0 as .npy, and the coefficients of every step as steps.json.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) trace: Option<PathBuf>,
    /// Animate the grid: x_t on the left, predicted x_0 on the right. An animated PNG keeps all colours.
    #[arg(long, value_name = "FILE.gif|FILE.png", help_heading = "Output")]
    pub(crate) animate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Turn images into latents along the ODE.
///
/// Runs the deterministic process upwards (Eq. 13): the latents decode to the images again with `ddim sample --latents` and the same
/// --steps and --trajectory. Nothing is clipped. The error falls with S.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim encode --input photos/ --save-npy x_T.npy --steps 100
  ddim sample --latents x_T.npy --steps 100 --no-clip --grid again.png
  ddim encode --input boot.png --save-npy boot.npy          then: ddim interpolate --latents two.npy")]
pub(crate) struct Encode {
    /// Images of the model's size (or --fit): one, a folder or .zip of them, a data set's files, or a batch x_0.npy (f32, [n, c, h, w], scale
    /// [-1, 1]).
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Where the latents go: f32 [n, c, h, w].
    #[arg(long, value_name = "x_T.npy", help_heading = "Output")]
    pub(crate) save_npy: PathBuf,
    /// S: how often the network is evaluated for an image.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Encode images, decode them again, and measure what was lost (Table 2 of the paper).
///
/// Prints the mean squared error per dimension, on images in [0, 1], for each number of steps. Nothing is clipped.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim reconstruct --input photos/ --steps 10,20,50,100 --grid reconstruct.png
  ddim reconstruct --input cifar-10-batches-bin/test_batch.bin --model ./ddpm-cifar10-32     Table 2
  ddim reconstruct --input emoji/ --fit crop --count 256 --json")]
pub(crate) struct Reconstruct {
    /// An image of the model's size, a folder of them, a batch x_0.npy (f32, [n, c, h, w], scale [-1, 1]), or CIFAR-10's or MNIST's files.
    #[arg(long, value_name = "IMAGE|DIR|x_0.npy", help_heading = "Data")]
    pub(crate) input: PathBuf,
    /// Only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) count: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Numbers of steps, the same up and down.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100])]
    pub(crate) steps: Vec<usize>,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Draw the originals (first row; the first 16), then for each number of steps what was decoded, and how it differs.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Walk between latents and draw what lies between (appendix D.5 of the paper).
///
/// Slerps between two latents, or over a grid between four: along two pairs, then across. Deterministic (eta 0). With no output flag,
/// writes interpolate.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim interpolate --seeds 3,8 --frames 11 --grid line.png --animate line.gif
  ddim interpolate --seeds 1,2,3,4 --rows 8 --cols 8 --grid square.png
  ddim interpolate --latents two.npy --steps 100")]
pub(crate) struct Interpolate {
    /// Two seeds, or four for a grid: top left, top right, bottom left, bottom right. The latent of a seed is that of its image 0.
    #[arg(long, value_name = "A,B[,C,D]", value_delimiter = ',', default_values_t = [0, 1], conflicts_with = "latents")]
    pub(crate) seeds: Vec<u64>,
    /// Two latents (or four), f32 [n, c, h, w], instead of seeds.
    #[arg(long, value_name = "two.npy")]
    pub(crate) latents: Option<PathBuf>,
    /// Images from one latent to the other, both included.
    #[arg(long, value_name = "N", default_value_t = 11, conflicts_with_all = ["rows", "cols"])]
    pub(crate) frames: usize,
    /// Rows of a grid between four latents [default: 8].
    #[arg(long, value_name = "R")]
    pub(crate) rows: Option<usize>,
    /// Columns of a grid between four latents [default: 8].
    #[arg(long, value_name = "C")]
    pub(crate) cols: Option<usize>,
    /// S: how often the network is evaluated for an image.
    #[arg(long, value_name = "S", default_value_t = 50)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Write the images as one picture.
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub(crate) grid: Option<PathBuf>,
    /// Leave out the way, from 0 to 1, above the columns.
    #[arg(long, help_heading = "Output")]
    pub(crate) no_labels: bool,
    /// Animate the walk there and back (two latents). An animated PNG keeps all colours.
    #[arg(long, value_name = "FILE.gif|FILE.png", help_heading = "Output")]
    pub(crate) animate: Option<PathBuf>,
    /// Write the images as f32 [n, c, h, w], unclamped, in the network's scale [-1, 1].
    #[arg(long, value_name = "x_0.npy", help_heading = "Output")]
    pub(crate) save_npy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Draw the same latents with different numbers of steps (section 5.2 of the paper).
///
/// One row a latent, one column a number of steps: with eta 0 the picture is decided by the latent. Also prints how far each column is
/// from the last, as the root mean squared difference of pixels in [0, 1], beside the difference between different latents; with --features
/// also by the distance of Inception features, which see what is shown rather than where its pixels are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim consistency --grid consistency.png
  ddim consistency --seed 5 --count 4 --steps 5,10,20,50 --grid few.png")]
pub(crate) struct Consistency {
    /// The seed of the latents.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Number of latents, one a row.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) count: usize,
    /// Numbers of steps, one a column.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100, 1000])]
    pub(crate) steps: Vec<usize>,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Where the picture goes.
    #[arg(long, value_name = "FILE.png", default_value = "consistency.png", help_heading = "Output")]
    pub(crate) grid: PathBuf,
    /// Leave out the numbers of steps above the columns.
    #[arg(long, help_heading = "Output")]
    pub(crate) no_labels: bool,
    /// Also compare by Inception features.
    #[arg(long, help_heading = "Output")]
    pub(crate) features: bool,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Train a network on images.
///
/// Reads folders of PNG, JPEG and WebP files, CIFAR-10, IDX files (MNIST's) and .npy batches; minimises the DDPM objective; writes a run
/// folder with checkpoints that ddim and Python diffusers sample from, previews, and metrics. A run that was stopped, or killed, goes on
/// with --resume to the same bytes. Settings come from the preset, then --config, then flags; --dry-run shows them all.
///
/// Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 finish the step, save and end with 128 and the signal's number (130, 143, 129, 138); a second one
/// ends at once, without saving.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
#[command(after_help = "Examples:
  ddim train --data photos --out run --preset small       32 x 32 from any pictures
  ddim train --data photos --out run --size 64 --dry-run  what it would take
  ddim train --out run --resume                           after Ctrl-C, a crash or kill -9
  ddim train --out run --resume --steps 40000             longer; a cosine decay then goes to the new end, and says so
  ddim train --data photos --out run --steps 9000 --resume   in a job script: starts the run, and goes on with it when said again
  ddim train --data photos --out more --model run         from another run's last checkpoint, or a diffusers pipeline
  ddim sample --model run --steps 50                      look at it")]
pub(crate) struct Train {
    /// A folder of images (searched with its sub-folders), CIFAR-10's or MNIST's files or their folder, or a .npy batch.
    #[arg(long, value_name = "DIR|FILE", required_unless_present_any = ["resume", "config"], help_heading = "Data")]
    pub(crate) data: Option<PathBuf>,
    /// The run's folder: config.toml, metrics.jsonl, TensorBoard events, previews/, checkpoints/.
    #[arg(long, value_name = "RUN", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// tiny, small, ddpm-cifar10, ddpm-celeba64 or ddpm-lsun256: a network and its recipe [default: small].
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Settings over the preset's, in TOML (as a run's config.toml).
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Continue the run in --out from its last checkpoint; with --data or --config, start it where there is none.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Show the settings, the size of the network, and the memory and time that it takes; train nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Start from this model's weights, with its network, size and scheduler: a built-in model, a pipeline folder, or another run.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Steps of the optimizer, in all.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Images of a step.
    #[arg(long, value_name = "B")]
    pub(crate) batch_size: Option<usize>,
    /// Keep fewer activations in memory and recompute them in the backward pass: less memory, slower. Does not change any result.
    #[arg(long)]
    pub(crate) checkpoint_activations: bool,
    /// Adam's.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) learning_rate: Option<f64>,
    /// The seed of everything random.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Height and width of the images: N or HxW.
    #[arg(long, value_name = "N|HxW", help_heading = "Data")]
    pub(crate) size: Option<String>,
    /// How images of other sizes become that: crop, random-crop, pad or stretch.
    #[arg(long, value_name = "HOW", help_heading = "Data")]
    pub(crate) fit: Option<String>,
    /// Behind transparent pixels, and around padded images: #rrggbb, white or black.
    #[arg(long, value_name = "COLOUR", help_heading = "Data")]
    pub(crate) background: Option<String>,
    /// Do not mirror half of the images.
    #[arg(long, help_heading = "Data")]
    pub(crate) no_flip: bool,
    /// Only the first N images.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) limit: Option<usize>,
    /// Classes for a conditional network: data (sub-folders, or the data set's own) or a text file with one number a line.
    #[arg(long, value_name = "data|FILE", help_heading = "Data")]
    pub(crate) labels: Option<PathBuf>,
    /// Images kept from training, for the evaluation loss.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) holdout: Option<usize>,
    /// Leave files out that cannot be decoded, and name them.
    #[arg(long, help_heading = "Data")]
    pub(crate) skip_bad_files: bool,
    /// Steps between checkpoints.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) checkpoint_every: Option<u64>,
    /// Steps between previews; 0 for none.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) preview_every: Option<u64>,
    /// Any other setting, as it is called in config.toml: --set ema.rates=[0.999,0.9999]
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where the network is trained: cpu. This version computes on the processor only.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", help_heading = "Everywhere")]
    pub(crate) device: String,
    /// Processor threads [default: all]. Does not change any result.
    #[arg(long, value_name = "N", help_heading = "Everywhere")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
}

/// Compare two sets of images, as FID does.
///
/// Prints FID with its standard error over the images of A (by leaving each out; B is taken as it is), and where both are images KID with its
/// own, precision and recall (of A against B; of 10,000 images of each where there are more, drawn by --seed). A set is a folder of images of one size, CIFAR-10's or MNIST's files (a folder stands for its training images), a batch (.npy or .npz: bytes [n, h, w, c]
/// or f32 [n, c, h, w] in [-1, 1]), or statistics (.npz with mu and sigma, pytorch-fid's or ours). Equals pytorch-fid: features from bytes,
/// bilinear to 299 x 299.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim fid samples/ cifar-10-batches-bin                 50,000 training images
  ddim fid cifar-10-batches-bin --save-stats train.npz   statistics for later, which pytorch-fid reads as well
  ddim fid samples/ train.npz --json
  ddim fid samples/ photos/ --size 64 --fit crop         both as a model of 64 x 64 sees them
  ddim fid part1.npz --also part2.npz --save-stats all.npz")]
pub(crate) struct Fid {
    /// What is judged.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The reference.
    #[arg(value_name = "B", required_unless_present = "save_stats")]
    pub(crate) b: Option<PathBuf>,
    /// More of A: another part of it, put together with it.
    #[arg(long, value_name = "A2")]
    pub(crate) also: Vec<PathBuf>,
    /// Write the statistics of A, as pytorch-fid does.
    #[arg(long, value_name = "F.npz", help_heading = "Output")]
    pub(crate) save_stats: Option<PathBuf>,
    /// Only the first N images of each set.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) limit: Option<usize>,
    /// Prepare images as those of a model of this size, N or HxW, instead of taking them as they are.
    #[arg(long, value_name = "N|HxW", help_heading = "Data")]
    pub(crate) size: Option<String>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// FID alone: no KID, precision and recall, which take time with the square of the number of images.
    #[arg(long)]
    pub(crate) fid_only: bool,
    /// The seed of the 10000 images of a larger set that KID, precision and recall look at.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Data")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    /// Processor threads [default: all]. Does not change any result.
    #[arg(long, value_name = "N", help_heading = "Everywhere")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// No progress and no warnings.
    #[arg(long, short, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
}

/// FID and KID over numbers of steps and amounts of noise (Table 1 of the paper).
///
/// Draws the same --count latents in every cell, takes their Inception features as they come, and compares them with the reference, which is
/// prepared as for training. Everything is kept in --out: the same command goes on where it was stopped, however it was, and asking for more
/// steps or amounts of noise computes those alone. Model, reference and Inception are known again by checksums of what they hold: with others
/// the folder is refused. Numbers come with their standard error over the images of a cell (of KID: and of the reference). Sigma hat is the
/// authors' ddpm_noisy: predicted images are clipped and the noise derived again, unless --no-clip says otherwise. Writes table.md, table.csv, table.json, fid and seconds (.svg, .png) and grid.png.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim sweep --reference emoji/ --count 200 --steps 5,10,20 --eta 0,1      minutes, with the built-in model
  ddim sweep --model fashion --reference fashion-mnist --fit pad --background black --count 10000
  ddim sweep --model ./ddpm-cifar10-32 --reference cifar-10-batches-bin --count 50000 --trajectory quadratic --steps 10,20,50,100,1000")]
pub(crate) struct Sweep {
    /// Real images, or their statistics: what `ddim fid` takes.
    #[arg(long, value_name = "R", help_heading = "Data")]
    pub(crate) reference: PathBuf,
    /// Only the first N images of the reference.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) reference_limit: Option<usize>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Numbers of steps S: the columns.
    #[arg(long, value_name = "S1,S2,...", value_delimiter = ',', default_values_t = [10, 20, 50, 100])]
    pub(crate) steps: Vec<usize>,
    /// Amounts of noise: the rows. Numbers from 0 to 1, and hat.
    #[arg(long, value_name = "E1,E2,...,hat", value_delimiter = ',', default_values = ["0", "0.2", "0.5", "1", "hat"], value_parser = parse_sigma)]
    pub(crate) eta: Vec<ddim::Sigma>,
    /// Images of each cell.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) count: usize,
    /// The seed of latents and of noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) clip: ClipArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// The folder of the sweep.
    #[arg(long, value_name = "DIR", default_value = "sweep", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Also write every image of every cell into this folder; cells that are done already are not drawn again.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) save_images: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// η as a number, or hat.
fn parse_sigma(text: &str) -> Result<ddim::Sigma, String> {
    match text.trim() {
        "hat" => Ok(ddim::Sigma::Hat),
        number => match number.parse::<f64>() {
            Ok(eta) if (0.0..=1.0).contains(&eta) => Ok(ddim::Sigma::Eta(eta)),
            _ => Err(format!("{text:?}: expected a number from 0 to 1, or hat")),
        },
    }
}

/// The likelihood bound of a model on images, in bits a dimension.
///
/// J_sigma (Theorem 1) for each eta over S of the model's timesteps, as one number and as the term of every step, and L_simple of each:
/// Monte-Carlo estimates with one draw of noise an image and step, the same for every eta. The bound counts bytes (DDPM's discretised decoder).
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
#[command(after_help = "Examples:
  ddim nll --data emoji/ --fit crop --count 64 --plot nll.svg
  ddim nll --model fashion --data t10k-images-idx3-ubyte.gz --fit pad --background black --steps 1000 --eta 0.5,1")]
pub(crate) struct Nll {
    /// Images: a folder, CIFAR-10's or MNIST's files, or a .npy batch.
    #[arg(long, value_name = "DIR|FILE", help_heading = "Data")]
    pub(crate) data: PathBuf,
    /// Only the first N images.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Data")]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// S: the bound is that of a process over so many of the timesteps; all of them (1000) give the tightest.
    #[arg(long, value_name = "S", default_value_t = 100)]
    pub(crate) steps: usize,
    /// Processes: numbers above 0, up to 1.
    #[arg(long, value_name = "E1,E2,...", value_delimiter = ',', default_values_t = [0.2, 0.5, 1.0])]
    pub(crate) eta: Vec<f64>,
    /// The seed of the noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) trajectory: TrajectoryArgs,
    #[command(flatten)]
    pub(crate) class: ClassArgs,
    /// Draw the terms of every step.
    #[arg(long, value_name = "FILE.svg|FILE.png", help_heading = "Output")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Say what a model is: network, size, schedule, and the defaults that follow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim info                      the default built-in model
  ddim info ./ddpm-cifar10-32 --json")]
pub(crate) struct Info {
    /// A built-in model, a diffusers pipeline folder, or what else --model takes.
    #[arg(value_name = "NAME|DIR", default_value = crate::models::DEFAULT)]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Number formats of weights.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
}

/// Rewrite a model as a diffusers pipeline folder with safetensors weights.
///
/// Reads what --model reads (also .bin pickles and the attention names of old versions) and writes what Python diffusers loads today. A file
/// of weights alone (safetensors or PyTorch's, whatever is wrapped around its state dict) is a checkpoint of the DDIM authors' code or of
/// their network, or diffusers' with its config.json; of averaged weights and those themselves the average is taken. Nothing in it is
/// executed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim convert ./old-pipeline ./new-pipeline
  ddim convert fashion ./fashion-f16 --dtype f16
  ddim convert model-790000.ckpt ./ddpm-cifar10       the authors' checkpoint, its averaged weights
  ddim convert unet.bin ./whole --config unet/config.json --scheduler scheduler_config.json")]
pub(crate) struct Convert {
    /// A built-in model, a folder that --model takes, or a file of weights.
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// The folder to make.
    #[arg(value_name = "DST")]
    pub(crate) destination: PathBuf,
    /// Number format of the weights.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// The config.json of the network, for a file of diffusers' weights that has none beside it.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Option<PathBuf>,
    /// The size of the images, N or HxW, where an authors' checkpoint does not tell or a model's own is another.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size)]
    pub(crate) size: Option<[usize; 2]>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Time the network on this machine.
///
/// Evaluates a preset's network (untrained: the weights do not matter for the time) or a model on random images, after a first evaluation
/// that is not counted, for at least two seconds and three times, and reports the median.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim bench                                       the DDPM network of CIFAR-10, batch 16
  ddim bench --batch 1 --threads 1 --profile       where the time goes, an image at a time on one core
  ddim bench --train --batch 8                     a step of training
  ddim bench --model fashion --json                the built-in model, for a script")]
pub(crate) struct Bench {
    /// A network of `ddim train`: tiny, small, ddpm-cifar10, ddpm-celeba64 or ddpm-lsun256.
    #[arg(long, value_name = "NAME", default_value = "ddpm-cifar10", conflicts_with = "model")]
    pub(crate) preset: String,
    /// A built-in model, or a diffusers pipeline folder, instead.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Images evaluated together.
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub(crate) batch: usize,
    /// Time a step of training instead: the gradient of the epsilon objective, clipping by the global norm, Adam.
    #[arg(long)]
    pub(crate) train: bool,
    /// With --train: keep fewer activations in memory and recompute them in the backward pass.
    #[arg(long, requires = "train")]
    pub(crate) checkpoint_activations: bool,
    /// Processor threads [default: all].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Show the share of each kind of operation.
    #[arg(long)]
    pub(crate) profile: bool,
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
}
