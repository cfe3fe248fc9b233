//! `ddim fid`

use crate::args::Fid;
use crate::error::{Error, Result};
use crate::inputs::{as_json, preparation, say};
use crate::output::{OutputFile, report};
use crate::progress::Progress;
use crate::session::{load_inception, use_threads};
use ddim_data::Look;
use ddim_eval::{
    Images, MOST_COMPARED, Reference, Statistics, compared, features, few_images, kernel_distance, plus_minus, precision_recall,
};
use ddim_nn::Inception;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

pub(crate) fn run(args: &Fid) -> Result<()> {
    use_threads(args.threads)?;
    let size = args.size.as_deref().map(parse_size).transpose()?;
    let look = match size {
        Some(size) => Look::Prepared(preparation(&args.preparation, size)),
        None => Look::AsTheyAre { background: args.preparation.background },
    };
    if size.is_none() && args.preparation.fit.is_some() {
        return Err(Error::usage("--fit without --size: expected the size that images are made"));
    }
    if args.limit == Some(0) {
        return Err(Error::flag("--limit", "0: expected 1 or more"));
    }
    let reports = RefCell::new(Vec::new());
    let open = |path: &Path| -> Result<Images> {
        let images = Images::open(path, look, args.limit, args.preparation.bad_files(), &[])?;
        if let Images::Set(set) = &images {
            say(set.report());
            reports.borrow_mut().push(as_json(set.report()));
        }
        Ok(images)
    };
    let paths_of_a: Vec<&Path> = std::iter::once(&args.a).chain(&args.also).map(PathBuf::as_path).collect();
    let parts = paths_of_a.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let reference = args.b.as_deref().map(open).transpose()?;
    check_counts("A", &paths_of_a, &parts)?;
    if let (Some(path), Some(reference)) = (&args.b, &reference) {
        check_counts("B", &[path], std::slice::from_ref(reference))?;
    }
    let file = OutputFile::create_optional(args.save_stats.as_ref())?;
    let mut warnings = Vec::new();
    let mut warn = |warning: String| {
        if !args.quiet {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
        warnings.push(warning);
    };
    misleading(args, &parts, reference.as_ref()).into_iter().for_each(&mut warn);

    let sides = paths_of_a.iter().copied().zip(&parts).chain(args.b.as_deref().zip(reference.as_ref()));
    // Statistics alone may be of any features.
    if sides.clone().any(|(_, images)| set_len(images).is_some()) {
        sides.into_iter().try_for_each(|(path, images)| images.check_features(path))?;
    }
    let to_do: usize = parts.iter().chain(&reference).filter_map(set_len).sum();
    // Only where there are images to look at.
    let network = (to_do > 0).then(|| load_inception(&args.inception, args.quiet)).transpose()?;
    let progress = Progress::counting("images", "features", to_do, args.quiet);
    let begin = Instant::now();
    let unturned = Cell::new(0);
    let look = |images: Images| -> ddim_eval::Result<Found> {
        match (images, &network) {
            (Images::Set(set), Some(inception)) => {
                let found = features(inception, &set, &mut |n| {
                    progress.advance(n);
                    Ok(())
                })?;
                unturned.set(unturned.get() + set.unturned());
                Ok(Found::Features(found))
            }
            (Images::Statistics(statistics), _) => Ok(Found::Statistics(statistics)),
            (Images::Set(_), None) => unreachable!("there are images to look at"),
        }
    };
    // Errors say of which set they are.
    let of = |which: &'static str| move |error: ddim_eval::Error| Error::from(error).of(which);
    let a = parts.into_iter().map(&look).collect::<ddim_eval::Result<Vec<_>>>().and_then(side).map_err(of("A"))?;
    let b = reference.map(|images| look(images).and_then(|found| side(vec![found]))).transpose().map_err(of("B"))?;
    let looked = begin.elapsed().as_secs_f64();
    progress.finish();
    if unturned.get() > 0 {
        let many = images(unturned.get());
        warn(format!(
            "{many} with an EXIF orientation were taken as they lie in their files, as pytorch-fid does (--size turns them upright)"
        ));
    }

    let fid = b.as_ref().map(|b| -> Result<(f64, Option<f64>)> {
        let reference = Reference::new(b.statistics.clone()).map_err(of("B"))?;
        let error = a.features.as_ref().map(|features| reference.error(&a.statistics, features)).transpose()?.flatten();
        Ok((reference.distance(&a.statistics)?, error))
    });
    let fid = fid.transpose()?;
    let pair = a.features.as_ref().zip(b.as_ref().and_then(|b| b.features.as_ref())).filter(|_| !args.fid_only);
    let kid = pair.map(|(a, b)| kernel_distance(a, b, Inception::FEATURES, args.seed)).transpose()?;
    let judged = pair.filter(|(a, b)| a.len().min(b.len()) > ddim_eval::NEIGHBOURS * Inception::FEATURES);
    let judged = judged.map(|(a, b)| {
        let [a, b] = [(a, 0), (b, 1)].map(|(features, which)| compared(features, Inception::FEATURES, args.seed, which));
        precision_recall(&a, &b, Inception::FEATURES)
    });
    let judged = judged.transpose()?;
    let file = file.map(|file| file.commit(&a.statistics.to_npz())).transpose()?;

    let counts = [Some(&a), b.as_ref()].map(|side| side.map(|side| side.statistics.count).filter(|n| *n > 0));
    let object = json!({
        "command": "fid", "a": shown(&args.a), "also": args.also.iter().map(shown).collect::<Vec<_>>(), "b": args.b.as_ref().map(shown),
        "count_a": counts[0], "count_b": counts[1], "fid": fid.map(|fid| fid.0), "fid_error": fid.and_then(|fid| fid.1),
        "kid": kid.map(|kid| kid.distance), "kid_error": kid.and_then(|kid| kid.error), "kid_counts": kid.map(|kid| kid.counts),
        "precision": judged.map(|p| p.precision), "recall": judged.map(|p| p.recall), "seed": args.seed, "images": to_do, "seconds": looked,
        "images_per_second": (to_do > 0).then(|| to_do as f64 / looked), "warnings": warnings, "data": reports.into_inner(), "files": file.iter().map(shown).collect::<Vec<_>>(),
    });
    let count = |n: Option<usize>| n.map_or("statistics".to_owned(), images);
    let mut human = String::new();
    match fid {
        Some((fid, error)) => {
            human += &format!("FID        {}   N = {} against {}\n", plus_minus(fid, error, 4), count(counts[0]), count(counts[1]));
        }
        None => human += &format!("{}\n", count(counts[0])),
    }
    if let Some(kid) = kid {
        let [n, m] = kid.counts;
        human += &format!("KID        {}   N = {} against {}\n", plus_minus(kid.distance, kid.error, 5), images(n), images(m));
    }
    if let Some(found) = judged {
        human += &format!("precision  {:.4}\nrecall     {:.4}\n", found.precision, found.recall);
    }
    if to_do > 0 {
        human += &format!("features of {} in {looked:.1} s, {:.1} images/s\n", images(to_do), to_do as f64 / looked);
    }
    file.iter().for_each(|f| human += &format!("{}\n", f.display()));
    report(args.json, &object, &human)
}

/// A path as text, whatever its bytes.
fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
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

fn set_len(images: &Images) -> Option<usize> {
    match images {
        Images::Set(set) => Some(set.len()),
        Images::Statistics(_) => None,
    }
}

/// What may mislead, in words.
fn misleading(args: &Fid, parts: &[Images], reference: Option<&Images>) -> Vec<String> {
    let whole: Option<usize> = parts.iter().map(Images::count).sum();
    let counts = [whole, reference.and_then(Images::count)];
    let mut warnings: Vec<String> = counts.iter().zip(["A", "B"]).filter_map(|(count, which)| few_images(which, (*count)?)).collect();
    if let [Some(a), Some(b)] = counts
        && a != b
    {
        warnings.push(format!("A has {} and B has {b}: FID depends on both", images(a)));
    }
    if reference.is_some() && parts.iter().any(|part| set_len(part).is_none()) {
        warnings.push("A is statistics: without its images the error of FID is not known".to_owned());
    }
    let sets: Option<Vec<usize>> = [parts.iter().map(set_len).sum(), reference.and_then(set_len)].into_iter().collect();
    if let Some(sets) = sets.filter(|sets| !args.fid_only && sets.iter().any(|n| *n > MOST_COMPARED)) {
        let larger = ["A", "B"].iter().zip(sets).filter(|(_, n)| *n > MOST_COMPARED).map(|(which, _)| *which).collect::<Vec<_>>();
        let larger = larger.join(" and ");
        warnings.push(format!("KID, precision and recall are of {MOST_COMPARED} images of {larger}, drawn by --seed {}", args.seed));
    }
    let sizes: Vec<[usize; 2]> =
        parts.iter().chain(reference).filter_map(|images| if let Images::Set(set) = images { Some(set.size()) } else { None }).collect();
    if let Some(other) = sizes.iter().find(|size| **size != sizes[0]) {
        let [a, b] = [sizes[0], *other].map(|[h, w]| format!("{w} x {h}"));
        warnings.push(format!("images of {a} against images of {b} pixels: FID sees how they were resized (--size makes both the same)"));
    }
    warnings
}

fn parse_size(text: &str) -> Result<[usize; 2]> {
    let parsed = match text.split_once(['x', 'X']) {
        Some((h, w)) => h.parse().ok().zip(w.parse().ok()).map(|(h, w)| [h, w]),
        None => text.parse().ok().map(|n| [n, n]),
    };
    parsed
        .filter(|[h, w]| (1..=4096).contains(h) && (1..=4096).contains(w))
        .ok_or_else(|| Error::flag("--size", format!("{text}: expected N or HxW, 1 to 4096")))
}
