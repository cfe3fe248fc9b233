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
    /// Model to use: a built-in name, a folder, or a model on the Hugging Face Hub.
    ///
    /// The built-in models are emoji, fashion and cifar10. A folder can be a diffusers pipeline (model_index.json, unet/, scheduler/), a
    /// run of `ddim train`, a U-Net on its own, a checkpoint-N saved by accelerate's scripts, or a model's folder in the Hub's cache.
    ///
    /// A model on the Hub is named like google/ddpm-cifar10-32, with @REVISION added for a revision other than main. It is downloaded once,
    /// into the Hub's own cache.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME", default_value = engine::DEFAULT_MODEL, help_heading = "Everywhere")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    /// Height and width of the images (N or HxW), if different from the model's own.
    ///
    /// Both must be multiples of the network's downsampling factor.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Everywhere")]
    pub(crate) size: Option<[usize; 2]>,
    /// Number of images in memory at once, or auto for as many as the GPU has memory for.
    ///
    /// On the CPU, auto means 64, and the batch size does not change any result. On a GPU it may change the last bits.
    #[arg(long, value_name = "B|auto", default_value = "64", help_heading = "Everywhere")]
    pub(crate) batch_size: engine::BatchSize,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// What the files of a model leave open.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct ModelArgs {
    /// Use this scheduler_config.json, or the one in this folder, instead of the model's own.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) scheduler: Option<PathBuf>,
    /// Use the raw weights instead of the averaged (EMA) ones.
    ///
    /// For models that have both: a run of `ddim train`, a checkpoint-N, or a checkpoint of the DDIM authors' code.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Use the average (EMA) of the weights with this rate [default: the first of the run's ema.rates].
    ///
    /// For runs of `ddim train` and their checkpoints.
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
    /// Device to run networks on: cpu or, in builds with the gpu feature, gpu, gpu:N or auto.
    ///
    /// gpu is the first GPU, gpu:N is GPU number N, and auto is the first GPU if there is one and the CPU otherwise. `ddim info --devices`
    /// lists them.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Number format that networks compute in: f32, or f16 on a GPU that supports it.
    ///
    /// With f16, values take half the memory and have about 3 significant digits. Sums, norms, the training state and FID's network stay in
    /// f32. No device supports bf16 yet.
    #[arg(long, value_name = "f32|f16|bf16", default_value_t)]
    pub(crate) precision: engine::Precision,
    /// Number of CPU threads [default: all]. Does not change any result.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What is said.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Output {
    /// Print a single JSON object on standard output, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Hide progress; notes and warnings are still shown.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which timesteps are visited.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct TrajectoryArgs {
    /// How to choose the S timesteps from the T training timesteps [default: as in the model's scheduler_config.json]
    ///
    ///   uniform         range(0, T, T // S), as in the DDIM authors' code
    ///   quadratic       int(linspace(0, sqrt(0.8 T), S)^2), as in the DDIM authors' code
    ///   quadratic-full  the paper's quadratic, up to T itself
    ///   leading         as in diffusers
    ///   trailing        as in diffusers
    ///   linspace        as in diffusers
    ///   power:P         levels T (1 - i/S)^P; the default P, 1.5, suits few steps
    ///   log-snr         evenly spaced in log-SNR
    ///   karras:RHO      evenly spaced in sigma^(1/RHO); RHO is 7 by default
    ///   tuned           found by `ddim tune` for this model, solver, S and guidance
    ///   tuned:FILE      the same, from a file that `ddim tune` wrote
    ///
    /// The built-in emoji and fashion models come with tuned timesteps for ipndm, unipc and ddim at 5 and 10 steps, under the default guidance of `ddim sample`.
    #[arg(long, verbatim_doc_comment, value_name = "KIND", value_parser = SpacingParser, hide_possible_values = true)]
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
    /// Solver for the sampling steps
    ///
    ///   ddim          the paper's step; any eta
    ///   ipndm         needs fewer steps; eta 0 only
    ///   unipc         needs fewer steps; eta 0 only
    ///   dpmpp-2m      needs fewer steps; eta 0 only
    ///   heun          two network evaluations per step; eta 0 only
    ///   dpmpp-2m-sde  dpmpp-2m with noise; any eta
    ///
    /// For 10 steps or fewer, use ipndm with --trajectory power:1.5.
    #[arg(long, verbatim_doc_comment, value_name = "NAME", default_value = "ddim")]
    pub(crate) solver: engine::Solver,
}

/// How images are encoded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct InversionArgs {
    /// How to invert the sampling steps when encoding
    ///
    ///   euler          the paper's Eq. 13 (Table 2): one evaluation per step
    ///   fixed-point:K  find the latent that DDIM's own steps decode to the image,
    ///                  with up to K evaluations per step (10 by default)
    ///   anderson:K     the same in fewer evaluations, and with fewer steps
    ///                  (K is 30 by default)
    ///   bdia           bit-exact; encodes to a pair of states, so not for `ddim encode`
    ///
    /// Both fixed-point and anderson also take a tolerance, as in anderson:30:1e-4.
    #[arg(long, verbatim_doc_comment, value_name = "HOW", default_value = "euler")]
    pub(crate) inversion: engine::Inversion,
}

/// Clipping of the predicted image.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ClipArgs {
    /// Clip the predicted x_0 to the model's clip_sample_range at every step [default: as in the model's scheduler_config.json].
    #[arg(long, overrides_with = "no_clip")]
    pub(crate) clip: bool,
    /// Do not clip or threshold the predicted x_0.
    #[arg(long, overrides_with = "clip")]
    pub(crate) no_clip: bool,
    /// After clipping, recompute the noise from the clipped x_0 (diffusers' use_clipped_model_output).
    #[arg(long)]
    pub(crate) rederive_epsilon: bool,
}

/// How images of other sizes become those of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitArg {
    /// Resize to cover, then crop to the centre.
    Crop,
    /// Resize to fit, never enlarging, then pad with the background.
    Pad,
    /// Resize to the exact size, ignoring the aspect ratio.
    Stretch,
}

/// How images become those of the model: as for training. Each flag names its heading: that of a flattened struct would go on to what
/// follows it.
#[derive(Debug, Args)]
pub(crate) struct PreparationArgs {
    /// How to fit images of other sizes, as in `ddim train`.
    ///
    /// The default is crop for `ddim sweep`, and for `ddim fid` if a size is given. Elsewhere, images must have the right size unless this
    /// flag is given.
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Data")]
    pub(crate) fit: Option<FitArg>,
    /// Colour behind transparent pixels and around padded images: #rrggbb, white or black [default: white, if images are fitted].
    #[arg(long, value_name = "COLOUR", value_parser = engine::parse_colour, help_heading = "Data")]
    pub(crate) background: Option<[u8; 3]>,
    /// Skip files that cannot be read, and name them.
    #[arg(long, help_heading = "Data")]
    pub(crate) skip_bad_files: bool,
}

/// The network that FID looks through.
#[derive(Debug, Args)]
pub(crate) struct InceptionArgs {
    /// Weights of FID's Inception network (2015-12-05): safetensors, or pytorch-fid's .pth.
    ///
    /// The default is the file named by the environment variable DDIM_INCEPTION or, if that is unset, the cached copy, which is downloaded
    /// once.
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
    /// Class of each image, for models trained with classes
    ///
    ///   K,...      numbers or names, such as 0,2,cat; images take them in turn
    ///   each       all classes in turn
    ///   random     drawn at random, from the seed and the number of the image
    ///   data       the classes of the input images (edit, encode, reconstruct, nll)
    ///   reference  drawn at random, as often as in the reference (sweep)
    ///   none       no class, for models trained with label dropout
    ///   FILE       a text file with one class per line
    ///
    /// Mix classes as in cat+dog or 0.3*cat+0.7*dog; weights are divided by their sum.
    ///
    /// The default is the list in the model's sampling.json, or else each, for sample (without latents), consistency and tune; reference, or else each, for sweep; and none for the other verbs.
    ///
    /// This flag can also be written as --class.
    #[arg(long, verbatim_doc_comment, alias = "class", value_name = "K,...|each|random|data|FILE")]
    pub(crate) classes: Option<PathBuf>,
}

/// How far a network goes beyond what it says without a class.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct GuidanceArgs {
    /// Scale of classifier-free guidance, for models trained with label dropout [default: 1, or as in the model's sampling.json].
    ///
    /// A scale of 1 uses the class alone. Larger scales exaggerate what sets the class apart from no class. Any scale but 1 takes two
    /// evaluations per step. This is diffusers' guidance_scale.
    ///
    /// Only sample (without latents), consistency and tune read sampling.json; the default of the other verbs is 1.
    #[arg(long, value_name = "W")]
    pub(crate) guidance: Option<f64>,
    #[command(flatten)]
    pub(crate) shape: GuidanceShape,
}

/// Where guidance acts, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct GuidanceShape {
    /// Guide only at noise levels from A to B, as fractions of T [default: 0,1, or as in the model's sampling.json].
    ///
    /// 0 is the image and 1 is noise. Leaving out the noisiest levels, as with 0,0.6, keeps more variety. sampling.json is read where
    /// --guidance says.
    #[arg(long, value_name = "A,B", value_parser = parse_interval, allow_hyphen_values = true)]
    pub(crate) guidance_interval: Option<[f64; 2]>,
    /// How far to rescale guided predictions to their standard deviation without guidance, from 0 to 1.
    ///
    /// Counteracts oversaturated colours.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) guidance_rescale: f64,
}

/// One of a list; spaces around it are none of it.
pub(crate) fn parse_item<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

fn parse_interval(text: &str) -> Result<[f64; 2], String> {
    let ends = text.split_once(',').and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
    ends.ok_or_else(|| format!("{text:?}: expected two numbers from 0 to 1, such as 0.1,0.7"))
}

impl GuidanceShape {
    /// With this scale, or the model's.
    fn of_scale(&self, scale: Option<f64>) -> engine::Guidance {
        engine::Guidance { scale, interval: self.guidance_interval, rescale: self.guidance_rescale }
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
