//! Flags that several verbs have, as clap parses them, and what they say to the engine.

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, ValueEnum};
use ddim_engine as engine;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;

/// Flags of every verb.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A built-in model (emoji, fashion, cifar10), a diffusers pipeline folder (model_index.json, unet/, scheduler/), a run of `ddim train`, or a model of
    /// the Hugging Face hub (google/ddpm-cifar10-32, with @REVISION where it is not main), which is downloaded once into the hub's own cache.
    /// Also a U-Net's folder alone, a checkpoint of accelerate's scripts (checkpoint-N), and a model's folder in the hub's cache.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME", default_value = engine::DEFAULT_MODEL, help_heading = "Everywhere")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// Height and width of the images, N or HxW, where they are not the model's own: multiples of what its network halves.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Everywhere")]
    pub(crate) size: Option<[usize; 2]>,
    /// Images in memory at once, or auto: with --device gpu as many as it has memory for. Does not change any result, but with --device gpu the last bits.
    #[arg(long, value_name = "B|auto", default_value = "64", help_heading = "Everywhere")]
    pub(crate) batch_size: engine::BatchSize,
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
    /// Of a run of ddim train or a checkpoint of one, the average of this rate [default: the first of its ema.rates].
    #[arg(long, value_name = "RATE", conflicts_with = "raw")]
    pub(crate) ema: Option<f64>,
}

/// Height and width: N or HxW.
pub(crate) fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let (h, w) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
    match (h.trim().parse(), w.trim().parse()) {
        (Ok(h), Ok(w)) if h > 0 && w > 0 => Ok([h, w]),
        _ => Err(format!("{text:?}: expected N or HxW")),
    }
}

/// Flags of every verb that computes: where it does, and what is said of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Machine {
    /// Where networks run: cpu; in a build with the feature gpu also gpu, gpu:N, or auto for the first there is.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// What networks compute with on a device: f32, or f16, whose values have half the bytes and 3 digits. Sums, norms, what training keeps and FID's
    /// network are f32 all the same.
    #[arg(long, value_name = "f32|f16|bf16", default_value_t)]
    pub(crate) precision: engine::Precision,
    /// Processor threads [default: all]. Does not change any result.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What is said.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Output {
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress; warnings stay.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which timesteps are visited.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct TrajectoryArgs {
    /// How the S timesteps are chosen from the T of training [default: what the model's scheduler_config.json says]. The DDIM authors' uniform, range(0, T, T // S),
    /// and quadratic, int(linspace(0, sqrt(0.8 T), S)^2); quadratic-full, the paper's, up to T itself; diffusers' leading, trailing and linspace;
    /// power:P, levels T (1 - i/S)^P, of which 1.5 suits few steps; log-snr and karras:RHO (7), even in the log-SNR and in sigma^(1/RHO); tuned, what `ddim tune` found
    /// for this model, solver, S and guidance (for emoji and fashion ipndm, unipc and ddim at 5 and 10 steps, guided as `ddim sample` does), or tuned:FILE.
    #[arg(long, value_name = "KIND", value_parser = SpacingParser, hide_possible_values = true)]
    pub(crate) trajectory: Option<engine::Spacing>,
}

/// Reads a spacing, and tells shells which there are: those with a number or a file as well.
#[derive(Debug, Clone)]
pub(crate) struct SpacingParser;

impl TypedValueParser for SpacingParser {
    type Value = engine::Spacing;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        let parser = clap::builder::StringValueParser::new().try_map(|text| parse_item::<engine::Spacing>(&text));
        parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(engine::Spacing::ALL.into_iter().map(|spacing| PossibleValue::new(spacing.kind()))))
    }
}

/// How a step uses what the network said at the steps before.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SolverArgs {
    /// ddim, the paper's step; ipndm, unipc or dpmpp-2m, which need fewer steps (eta 0): for 10 or fewer take ipndm with --trajectory power:1.5; heun, two
    /// evaluations per step; or dpmpp-2m-sde, with any --eta.
    #[arg(long, value_name = "NAME", default_value = "ddim")]
    pub(crate) solver: engine::Solver,
}

/// How images are encoded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct InversionArgs {
    /// How steps upwards are solved. euler, the paper's Eq. 13 (Table 2), one evaluation per step; fixed-point:K, the latent that DDIM's own steps decode to the
    /// image, by up to K evaluations per step; anderson:K, the same in fewer and from fewer steps; bdia, exact to the bit, of a pair of states. Both take a tolerance,
    /// anderson:30:1e-4.
    #[arg(long, value_name = "HOW", default_value = "euler")]
    pub(crate) inversion: engine::Inversion,
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
    #[arg(long, value_name = "COLOUR", value_parser = engine::parse_colour, help_heading = "Data")]
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
    #[command(flatten)]
    pub(crate) choice: ClassChoice,
    #[command(flatten)]
    pub(crate) guidance: GuidanceArgs,
}

/// Which classes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ClassChoice {
    /// For models trained with classes, by number or name: one for all images, or several that they take in turn (0,2,cat); each, all
    /// classes in turn; random, by the seed and the number of the image; data, those of the images that are read (edit, encode, reconstruct, nll); reference,
    /// at random as often as the reference has them (sweep); none, for models trained with label dropout; or a text file with one per line. cat+dog and
    /// 0.3*cat+0.7*dog mix classes: weights are divided by their sum. --class is the same [default: of sample, consistency and tune those of the
    /// model's sampling.json, or each, but for --latents; of sweep reference or each; else none].
    #[arg(long, alias = "class", value_name = "K,...|each|random|data|FILE")]
    pub(crate) classes: Option<PathBuf>,
}

/// How far a network goes beyond what it says without a class.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct GuidanceArgs {
    /// Classifier-free guidance, for models trained with label dropout: 1 is the class alone, more exaggerates what sets it apart from no class, and takes two
    /// evaluations per step; diffusers' guidance_scale [default: 1; of sample, consistency and tune what the model's sampling.json says, but for --latents].
    #[arg(long, value_name = "W")]
    pub(crate) guidance: Option<f64>,
    #[command(flatten)]
    pub(crate) shape: GuidanceShape,
}

/// Where guidance acts, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct GuidanceShape {
    /// Guide at levels from A T to B T alone, with 0 the images and 1 the noise: the middle, as 0.1,0.7, keeps more variety [default: 0,1].
    #[arg(long, value_name = "A,B", value_parser = parse_interval, allow_hyphen_values = true)]
    pub(crate) guidance_interval: Option<[f64; 2]>,
    /// How much of each prediction's standard deviation is brought back to that without guidance, from 0 to 1: against colours that are too strong.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) guidance_rescale: f64,
}

/// One of a list; spaces around it are none of it.
pub(crate) fn parse_item<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

fn parse_interval(text: &str) -> Result<[f64; 2], String> {
    let ends = text.split_once(',').and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
    ends.ok_or_else(|| format!("{text:?}: expected two numbers from 0 to 1, as 0.1,0.7"))
}

impl GuidanceShape {
    /// With this scale, or the model's.
    fn of_scale(&self, scale: Option<f64>) -> engine::Guidance {
        engine::Guidance { scale, interval: self.guidance_interval.unwrap_or([0.0, 1.0]), rescale: self.guidance_rescale }
    }
}

impl Common {
    pub(crate) fn model(&self, classes: &ClassArgs) -> engine::Model {
        self.guided_model(&classes.choice, &classes.guidance.shape, classes.guidance.guidance)
    }

    pub(crate) fn guided_model(&self, classes: &ClassChoice, shape: &GuidanceShape, scale: Option<f64>) -> engine::Model {
        engine::Model {
            model: self.model.clone(),
            scheduler: self.choices.scheduler.clone(),
            raw: self.choices.raw,
            ema: self.choices.ema,
            size: self.size,
            classes: classes.classes.clone(),
            guidance: shape.of_scale(scale),
            batch_size: self.batch_size,
        }
    }
}

impl ModelArgs {
    /// A model whose size and classes do not matter.
    pub(crate) fn model(&self, model: &std::path::Path) -> engine::Model {
        engine::Model {
            model: model.to_owned(),
            scheduler: self.scheduler.clone(),
            raw: self.raw,
            ema: self.ema,
            ..engine::Model::default()
        }
    }
}

impl ClipArgs {
    pub(crate) fn clipping(&self) -> engine::Clipping {
        let clip = match (self.clip, self.no_clip) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        engine::Clipping { clip, rederive_epsilon: self.rederive_epsilon }
    }
}

impl PreparationArgs {
    pub(crate) fn preparing(&self) -> engine::Preparing {
        let fit = self.fit.map(|fit| match fit {
            FitArg::Crop => engine::Fitting::Crop,
            FitArg::Pad => engine::Fitting::Pad,
            FitArg::Stretch => engine::Fitting::Stretch,
        });
        engine::Preparing { fit, background: self.background, skip_bad_files: self.skip_bad_files }
    }
}
