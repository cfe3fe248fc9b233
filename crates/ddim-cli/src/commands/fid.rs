//! `ddim fid`

use crate::error::Result;
use crate::flags::{InceptionArgs, Machine, PreparationArgs, parse_size};
use crate::front::{images, lines, report, work};
use clap::Args;
use ddim_engine as engine;
use ddim_engine::plus_minus;
use std::path::PathBuf;

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
  ddim fid samples/ photos/ --nearest pairs.png          does the model draw what it was trained on?
  ddim fid samples/ photos/ --size 64 --fit crop         both as a model of 64 x 64 sees them
  ddim fid part1.npz --also part2.npz --save-stats all.npz")]
pub(crate) struct Flags {
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
    /// Write a picture of the 64 images of A that lie closest to one of B, each beside that one, closest first; and say how many of A lie closer to an
    /// image of B than any other of B does, which are copies rather than images of their own. For a model's images against those it was trained on.
    #[arg(long, value_name = "F.png", help_heading = "Output")]
    pub(crate) nearest: Option<PathBuf>,
    /// Only the first N images of each set.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) limit: Option<usize>,
    /// Prepare images as those of a model of this size, N or HxW, instead of taking them as they are.
    #[arg(long, value_name = "N|HxW", value_parser = parse_size, help_heading = "Data")]
    pub(crate) size: Option<[usize; 2]>,
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
