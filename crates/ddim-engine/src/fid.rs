//! Comparison of two sets of images by FID and related measures.

use crate::choices::Preparing;
use crate::error::{Error, Result};
use crate::inception::{counted, load_inception, reference_features};
use crate::inputs::say;
use crate::job::{Request, Within};
use crate::nearest::{self, NearestPair, nearest_images};
use crate::output::{OutputFile, check_paths, shown};
use crate::reports::DataReport;
use ddim_data::{ImageSet, Look};
use ddim_eval::{Images, MOST_COMPARED, Reference, Statistics, compared, features, few_images, kernel_distance, precision_recall};
use ddim_nn::Inception;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Sides of images that sets are made.
const SIZES: RangeInclusive<usize> = 1..=4096;

/// Computes FID, KID, precision and recall of one set of images against another, or the statistics of one set.
///
/// ```
/// use ddim_engine::{Control, Engine, Fid};
///
/// # let folder = tempfile::tempdir()?;
/// // Statistics, as pytorch-fid writes them; of folders of images, Inception's features are taken first.
/// let [a, b] = ["a.npz", "b.npz"].map(|name| folder.path().join(name));
/// let features: Vec<f32> = (0..40).map(|i| (i as f32).sin()).collect();
/// let moved: Vec<f32> = features.iter().map(|x| x + 1.0).collect();
/// std::fs::write(&a, ddim_eval::Statistics::of(&features, 2)?.to_npz())?;
/// std::fs::write(&b, ddim_eval::Statistics::of(&moved, 2)?.to_npz())?;
/// let request = Fid { a, b: Some(b), ..Fid::default() };
/// let found = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert!((found.fid.unwrap() - 2.0).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fid {
    /// A, the set to evaluate: a folder of images of one size, the files of a data set, a batch, or statistics (.npz).
    pub a: PathBuf,
    /// B, the reference set. If `None`, only statistics are computed.
    pub b: Option<PathBuf>,
    /// More sets to combine with A.
    pub also: Vec<PathBuf>,
    /// Write the statistics of A to this file, in pytorch-fid's format.
    pub save_stats: Option<PathBuf>,
    /// Write a picture (.png) of the images of A that are closest to an image of B, side by side with it.
    pub nearest: Option<PathBuf>,
    /// Use only the first `limit` images of each set.
    pub limit: Option<usize>,
    /// Resize images to [height, width], as for a model. If `None`, they are used as they are.
    pub size: Option<[usize; 2]>,
    /// How images are resized.
    pub preparation: Preparing,
    /// Skip KID, precision and recall.
    pub fid_only: bool,
    /// Seed of the subsets that KID, precision and recall use.
    pub seed: u64,
    /// Weights of the Inception network. By default, [`ddim_eval::load_inception`] finds them, or downloads them once.
    pub inception: Option<PathBuf>,
}

/// How similar the two sets are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "fid")]
pub struct FidReport {
    /// The set that was evaluated, A.
    pub a: String,
    /// Sets combined with it.
    pub also: Vec<String>,
    /// The reference set, B.
    pub b: Option<String>,
    /// Number of images of A, where known.
    pub count_a: Option<usize>,
    /// Number of images of B, where known.
    pub count_b: Option<usize>,
    /// The Fréchet distance (FID).
    pub fid: Option<f64>,
    /// Standard error of the FID over the images of A.
    pub fid_error: Option<f64>,
    /// The kernel distance (KID).
    pub kid: Option<f64>,
    /// Standard error of the KID.
    pub kid_error: Option<f64>,
    /// Numbers of images of A and B that the KID was computed from.
    pub kid_counts: Option<[usize; 2]>,
    /// Precision: the share of A that looks like B.
    pub precision: Option<f64>,
    /// Recall: the share of B that A covers.
    pub recall: Option<f64>,
    /// The share of A that is closer to an image of B than any other image of B is, if the nearest images were asked for.
    pub copies: Option<f64>,
    /// The images of A that are closest to an image of B, at most 64, in order of distance.
    pub nearest: Vec<NearestPair>,
    /// Seed of the subsets.
    pub seed: u64,
    /// Number of images whose features were computed.
    pub images: usize,
    /// Time spent computing features, in seconds.
    pub seconds: f64,
    /// Images per second; `None` if no features were computed.
    pub images_per_second: Option<f64>,
    /// What may mislead, one line each.
    pub warnings: Vec<String>,
    /// Files left out of each set of images.
    pub data: Vec<DataReport>,
    /// Files written.
    pub files: Vec<String>,
}

/// What was found of a part of a set: features where they were taken here, else statistics.
enum Found {
    Features(Vec<f32>),
    Statistics(Statistics),
}

/// One side: its statistics, and its features where all of them were taken here.
struct Side {
    statistics: Statistics,
    features: Option<Vec<f32>>,
}

impl Request for Fid {
    type Report = FidReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<FidReport> {
        let read = [("a", Some(&*self.a)), ("b", self.b.as_deref()), ("inception", self.inception.as_deref())];
        let also = self.also.iter().map(|path| ("also", Some(&**path)));
        check_paths(
            &read.into_iter().chain(also).collect::<Vec<_>>(),
            &[],
            &[("save_stats", self.save_stats.as_deref()), ("nearest", self.nearest.as_deref())],
        )?;
        let look = match self.size {
            Some([h, w]) if !SIZES.contains(&h) || !SIZES.contains(&w) => {
                return Err(Error::field("size", format!("{h}x{w}: expected N or HxW, {} to {}", SIZES.start(), SIZES.end())));
            }
            Some(size) => Look::Prepared { preparation: self.preparation.for_size(size), channels: 3 },
            None => Look::AsTheyAre { background: self.preparation.background },
        };
        if self.size.is_none() && self.preparation.fit.is_some() {
            return Err(Error::request("`fit` without `size`: expected the size to resize images to"));
        }
        if self.limit == Some(0) {
            return Err(Error::field("limit", "0: expected 1 or more"));
        }
        let reports = RefCell::new(Vec::new());
        let open = |path: &Path| -> Result<Images> {
            let images = Images::open(path, look, self.limit, self.preparation.bad_files(), &[])?;
            if let Images::Set(set) = &images {
                say(set.report(), watch);
                reports.borrow_mut().push(DataReport::from(set.report()));
            }
            Ok(images)
        };
        let paths_of_a: Vec<&Path> = std::iter::once(&self.a).chain(&self.also).map(PathBuf::as_path).collect();
        let parts = paths_of_a.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let reference = self.b.as_deref().map(open).transpose()?;
        check_counts("A", &paths_of_a, &parts)?;
        if let (Some(path), Some(reference)) = (&self.b, &reference) {
            check_counts("B", &[path], std::slice::from_ref(reference))?;
        }
        if self.nearest.is_some() {
            nearest::check(&parts, reference.as_ref())?;
        }
        let [file, pairs_file] = [&self.save_stats, &self.nearest].map(|path| OutputFile::create_optional(path.as_ref()));
        let (file, pairs_file) = (file?, pairs_file?);
        let mut warnings = Vec::new();
        let mut warn = |warning: String| {
            watch.warn(&*warning);
            warnings.push(warning);
        };
        misleading(self, &parts, reference.as_ref()).into_iter().for_each(&mut warn);

        let sides = paths_of_a.iter().copied().zip(&parts).chain(self.b.as_deref().zip(reference.as_ref()));
        // Statistics alone may be of any features.
        if sides.clone().any(|(_, images)| set_len(images).is_some()) {
            sides.into_iter().try_for_each(|(path, images)| images.check_features(path))?;
        }
        let to_do: usize = parts.iter().chain(&reference).filter_map(set_len).sum();
        // Only where there are images to look at.
        let network = (to_do > 0).then(|| load_inception(self.inception.as_deref(), watch)).transpose()?;
        watch.begin("features", "images", to_do);
        let mut unturned = 0;
        let mut unkept = Vec::new();
        let mut look = |images: &Images, is_reference: bool| -> ddim_eval::Result<Found> {
            match (images, &network) {
                (Images::Set(set), Some(inception)) => {
                    let found = match is_reference {
                        true => reference_features(inception, set, watch, &mut |warning| unkept.push(warning))?,
                        false => features(inception, set, &mut counted(watch))?,
                    };
                    unturned += set.unturned();
                    Ok(Found::Features(found))
                }
                (Images::Statistics(statistics), _) => Ok(Found::Statistics(statistics.clone())),
                (Images::Set(_), None) => unreachable!("there are images to look at"),
            }
        };
        // Errors say of which set they are.
        let of = |which: &'static str| move |error: ddim_eval::Error| Error::from(error).of(which);
        let a = parts.iter().map(|part| look(part, false)).collect::<ddim_eval::Result<Vec<_>>>().and_then(side).map_err(of("A"))?;
        let b = reference.as_ref().map(|images| look(images, true).and_then(|found| side(vec![found]))).transpose().map_err(of("B"))?;
        let looked = watch.end();
        unkept.into_iter().for_each(&mut warn);
        if unturned > 0 {
            let many = images(unturned);
            warn(format!(
                "{many} with an EXIF orientation were read as stored, as pytorch-fid does (with a size, they are turned upright)"
            ));
        }

        let fid = b.as_ref().map(|b| -> Result<(f64, Option<f64>)> {
            watch.check()?;
            let reference = Reference::new(b.statistics.clone()).map_err(of("B"))?;
            let error = a.features.as_ref().map(|features| reference.error(&a.statistics, features)).transpose()?.flatten();
            Ok((reference.distance(&a.statistics)?, error))
        });
        let fid = fid.transpose()?;
        let both = a.features.as_ref().zip(b.as_ref().and_then(|b| b.features.as_ref()));
        let pair = both.filter(|_| !self.fid_only);
        let kid = pair.map(|(a, b)| kernel_distance(a, b, Inception::FEATURES, self.seed)).transpose()?;
        let judged = pair.filter(|(a, b)| a.len().min(b.len()) > ddim_eval::NEIGHBOURS * Inception::FEATURES);
        let judged = judged.map(|(a, b)| {
            let [a, b] = [(a, 0), (b, 1)].map(|(features, which)| compared(features, Inception::FEATURES, self.seed, which));
            precision_recall(&a, &b, Inception::FEATURES)
        });
        let judged = judged.transpose()?;
        let sets: Vec<&ImageSet> = parts.iter().chain(&reference).filter_map(set_of).collect();
        let near = match (pairs_file, sets.split_last(), both) {
            (Some(file), Some((set_b, sets_a)), Some((of_a, of_b))) => {
                let near = nearest_images((sets_a, of_a), (set_b, of_b), watch)?;
                let [a, b] = [Some(&*self.a), self.b.as_deref()].map(|path| path.map_or(String::new(), path_text));
                let caption = format!("images of {a} that are closest to one of {b}");
                Some((file.commit(&near.picture.to_png(&caption))?, near))
            }
            _ => None,
        };
        let (pairs_file, near) = near.unzip();
        let file = file.map(|file| file.commit(&a.statistics.to_npz())).transpose()?;

        let counts = [Some(&a), b.as_ref()].map(|side| side.map(|side| side.statistics.count).filter(|n| *n > 0));
        Ok(FidReport {
            a: path_text(&self.a),
            also: shown(&self.also),
            b: self.b.as_deref().map(path_text),
            count_a: counts[0],
            count_b: counts[1],
            fid: fid.map(|fid| fid.0),
            fid_error: fid.and_then(|fid| fid.1),
            kid: kid.map(|kid| kid.distance),
            kid_error: kid.and_then(|kid| kid.error),
            kid_counts: kid.map(|kid| kid.counts),
            precision: judged.map(|found| found.precision),
            recall: judged.map(|found| found.recall),
            copies: near.as_ref().map(|near| near.copies),
            nearest: near.map_or_else(Vec::new, |near| near.pairs),
            seed: self.seed,
            images: to_do,
            seconds: looked,
            images_per_second: (to_do > 0).then(|| to_do as f64 / looked),
            warnings,
            data: reports.into_inner(),
            files: shown(&file.into_iter().chain(pairs_file).collect::<Vec<_>>()),
        })
    }
}

fn images(n: usize) -> String {
    format!("{n} image{}", if n == 1 { "" } else { "s" })
}

/// Whether a set has enough images for a covariance: together, and each part that is put together with statistics.
fn check_counts(which: &str, paths: &[&Path], parts: &[Images]) -> Result<()> {
    let whole: Option<usize> = parts.iter().map(set_len).sum();
    let few = |n: usize| format!("{}: expected at least 2, for a covariance", images(n));
    match whole {
        Some(n @ ..2) => Err(Error::failure(format!("{which}: {} has {}", paths[0].display(), few(n)))),
        Some(_) => Ok(()),
        None => match paths.iter().zip(parts).find_map(|(path, part)| set_len(part).filter(|n| *n < 2).map(|n| (path, n))) {
            Some((path, n)) => Err(Error::failure(format!("{which}: {} has {}", path.display(), few(n)))),
            None => Ok(()),
        },
    }
}

/// Puts the parts of a set together: their features, or their statistics where those of one are all there is.
fn side(parts: Vec<Found>) -> ddim_eval::Result<Side> {
    if parts.iter().all(|part| matches!(part, Found::Features(_))) {
        let all = parts.into_iter().flat_map(|part| if let Found::Features(features) = part { features } else { Vec::new() });
        let features: Vec<f32> = all.collect();
        return Ok(Side { statistics: Statistics::of(&features, Inception::FEATURES)?, features: Some(features) });
    }
    let statistics = parts.into_iter().map(|part| match part {
        Found::Features(features) => Statistics::of(&features, Inception::FEATURES),
        Found::Statistics(statistics) => Ok(statistics),
    });
    let mut statistics = statistics.collect::<ddim_eval::Result<Vec<_>>>()?.into_iter();
    let first = statistics.next().expect("a set has a part");
    Ok(Side { statistics: statistics.try_fold(first, |whole, part| whole.merged(&part))?, features: None })
}

fn set_of(images: &Images) -> Option<&ImageSet> {
    match images {
        Images::Set(set) => Some(set),
        Images::Statistics(_) => None,
    }
}

fn set_len(images: &Images) -> Option<usize> {
    set_of(images).map(ImageSet::len)
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// What may mislead, in words.
fn misleading(request: &Fid, parts: &[Images], reference: Option<&Images>) -> Vec<String> {
    let whole: Option<usize> = parts.iter().map(Images::count).sum();
    let counts = [whole, reference.and_then(Images::count)];
    let mut warnings: Vec<String> = counts.iter().zip(["A", "B"]).filter_map(|(count, which)| few_images(which, (*count)?)).collect();
    if let [Some(a), Some(b)] = counts
        && a != b
    {
        warnings.push(format!("A has {} and B has {b}: FID depends on both", images(a)));
    }
    if reference.is_some() && parts.iter().any(|part| set_len(part).is_none()) {
        warnings.push("A is statistics: without its images the error of FID is unknown".to_owned());
    }
    let sets: Option<Vec<usize>> = [parts.iter().map(set_len).sum(), reference.and_then(set_len)].into_iter().collect();
    if let Some(sets) = sets.filter(|sets| !request.fid_only && sets.iter().any(|n| *n > MOST_COMPARED)) {
        let larger = ["A", "B"].iter().zip(sets).filter(|(_, n)| *n > MOST_COMPARED).map(|(which, _)| *which).collect::<Vec<_>>();
        let larger = larger.join(" and ");
        warnings.push(format!("KID, precision and recall use {MOST_COMPARED} images of {larger}, chosen with seed {}", request.seed));
    }
    let sizes: Vec<[usize; 2]> =
        parts.iter().chain(reference).filter_map(|images| if let Images::Set(set) = images { Some(set.size()) } else { None }).collect();
    if let Some(other) = sizes.iter().find(|size| **size != sizes[0]) {
        let [a, b] = [sizes[0], *other].map(|[h, w]| format!("{w} x {h}"));
        warnings.push(format!(
            "images of {a} against images of {b} pixels: FID depends on how images are resized (give a size to resize both alike)"
        ));
    }
    warnings
}
