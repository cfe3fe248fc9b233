//! `ddim fid`

use crate::error::Result;
use crate::flags::{InceptionArgs, Machine, PreparationArgs, parse_size};
use crate::front::{images, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use ddim_engine::plus_minus;
use std::path::PathBuf;

/// Compare two sets of images: FID, KID, precision and recall.
///
/// A set is a folder of images of one size, the files of CIFAR-10 or MNIST (a folder stands for its training images), a batch (.npy or
/// .npz: bytes [n, h, w, c] or f32 [n, c, h, w] in [-1, 1]), or statistics (.npz with mu and sigma, written by pytorch-fid or ddim).
///
/// FID is printed with its standard error over the images of A (by leave-one-out, with B taken as fixed). It equals pytorch-fid's: features
/// are taken from bytes, resized bilinearly to 299 x 299.
///
/// If both sets are images, KID is printed with its standard error, along with the precision and recall of A against B. These use at most
/// 10,000 images of each set, drawn by --seed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim fid samples/ cifar-10-batches-bin                against the 50,000 training images
  ddim fid cifar-10-batches-bin --save-stats train.npz  statistics that pytorch-fid also reads
  ddim fid samples/ train.npz --json
  ddim fid samples/ photos/ --nearest pairs.png         does the model copy its training images?
  ddim fid samples/ photos/ --size 64 --fit crop        both as a 64 x 64 model sees them
  ddim fid part1.npz --also part2.npz --save-stats all.npz")]
pub(crate) struct Flags {
    /// Set of images to evaluate.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Reference set; optional with --save-stats.
    #[arg(value_name = "B", required_unless_present = "save_stats")]
    pub(crate) b: Option<PathBuf>,
    /// Another part of A, combined with it; may be repeated.
    #[arg(long, value_name = "A2")]
    pub(crate) also: Vec<PathBuf>,
    /// Write the statistics of A in pytorch-fid's format.
    #[arg(long, value_name = "F.npz", help_heading = "Output")]
    pub(crate) save_stats: Option<PathBuf>,
    /// Write a picture of the 64 images of A that are closest to an image of B, and print the share of copies in A.
    ///
    /// Each image is shown next to its nearest image in B, closest pair first. An image of A is a copy if it is closer to an image of B
    /// than any other image of B is. Use this to compare a model's images with those it was trained on.
    #[arg(long, value_name = "F.png", help_heading = "Output")]
    pub(crate) nearest: Option<PathBuf>,
    /// Use only the first N images of each set.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) limit: Option<usize>,
    /// Prepare images as for a model of this size (N or HxW) instead of using them as they are.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Data")]
    pub(crate) size: Option<[usize; 2]>,
    #[command(flatten)]
    pub(crate) preparation: PreparationArgs,
    /// Compute only FID.
    ///
    /// Skips KID, precision and recall, which take time that grows with the square of the number of images.
    #[arg(long)]
    pub(crate) fid_only: bool,
    /// Seed for choosing the 10,000 images of a larger set that KID, precision and recall use.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Data")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) inception: InceptionArgs,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Fid {
        a: flags.a.clone(),
        b: flags.b.clone(),
        also: flags.also.clone(),
        save_stats: flags.save_stats.clone(),
        nearest: flags.nearest.clone(),
        limit: flags.limit,
        size: flags.size,
        preparation: flags.preparation.preparing(),
        fid_only: flags.fid_only,
        seed: flags.seed,
        inception: flags.inception.inception.clone(),
    };
    let found = work(&request, &flags.machine)?;
    let count = |n: Option<usize>| n.map_or("statistics".to_owned(), images);
    let mut human = String::new();
    match found.fid {
        Some(fid) => {
            let fid = plus_minus(fid, found.fid_error, 4);
            human += &format!("FID        {fid}   N = {} against {}\n", count(found.count_a), count(found.count_b));
        }
        None => human += &format!("{}\n", count(found.count_a)),
    }
    if let (Some(kid), Some([n, m])) = (found.kid, found.kid_counts) {
        human += &format!("KID        {}   N = {} against {}\n", plus_minus(kid, found.kid_error, 5), images(n), images(m));
    }
    if let (Some(precision), Some(recall)) = (found.precision, found.recall) {
        human += &format!("precision  {precision:.4}\nrecall     {recall:.4}\n");
    }
    if let Some(copies) = found.copies {
        human += &format!("copies     {copies:.4}\n");
    }
    if let Some(rate) = found.images_per_second {
        human += &format!("features of {} in {:.1} s, {rate:.1} images/s\n", images(found.images), found.seconds);
    }
    human += &lines(&found.files);
    report(&flags.machine.output, &found, &human)
}
