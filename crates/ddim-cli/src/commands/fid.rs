//! `ddim fid`

use crate::args::Fid;
use crate::error::{Error, Result};
use crate::inputs::{preparation, say};
use crate::output::{OutputFile, report};
use crate::progress::Progress;
use crate::session::{load_inception, use_threads};
use ddim_data::Look;
use ddim_eval::{Images, Reference, Statistics, features, kernel_distance, precision_recall};
use ddim_nn::Inception;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Below this the covariance of 2048 features is singular.
const FEW: usize = 2048;

/// Images of each set whose neighbours are looked for: time grows with the square.
const MOST_NEIGHBOURS: usize = 10_000;

/// One side: its statistics, and its features where they were taken here.
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
    let open = |path: &Path| Images::open(path, look, args.limit, args.preparation.bad_files());
    let parts = std::iter::once(&args.a).chain(&args.also).map(|path| open(path)).collect::<ddim_eval::Result<Vec<_>>>()?;
    let reference = args.b.as_deref().map(open).transpose()?;
    let file = OutputFile::create_optional(args.save_stats.as_ref())?;
    let warnings = warnings(&parts, reference.as_ref());
    if !args.quiet {
        for warning in &warnings {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
    }

    let sides = std::iter::once(&args.a).chain(&args.also).zip(&parts).chain(args.b.iter().zip(&reference));
    // Statistics alone may be of any features.
    if sides.clone().any(|(_, images)| set_len(images).is_some()) {
        sides.into_iter().try_for_each(|(path, images)| images.check_features(path))?;
    }
    let to_do: usize = parts.iter().chain(&reference).filter_map(set_len).sum();
    // Only where there are images to look at.
    let network = (to_do > 0).then(|| load_inception(&args.inception, args.quiet)).transpose()?;
    let progress = Progress::counting("images", "features", to_do, args.quiet);
    let begin = Instant::now();
    let side = |images: Images| -> Result<Side> {
        match (images, &network) {
            (Images::Set(set), Some(inception)) => {
                let features = features(inception, &set, &mut |n| {
                    progress.advance(n);
                    Ok(())
                })?;
                Ok(Side { statistics: Statistics::of(&features, Inception::FEATURES)?, features: Some(features) })
            }
            (Images::Statistics(statistics), _) => Ok(Side { statistics, features: None }),
            (Images::Set(_), None) => unreachable!("there are images to look at"),
        }
    };
    let mut a: Option<Side> = None;
    for part in parts {
        let part = side(part)?;
        a = Some(match a {
            None => part,
            Some(mut whole) => {
                whole.statistics = whole.statistics.merged(&part.statistics)?;
                whole.features = whole.features.zip(part.features).map(|(a, b)| [a, b].concat());
                whole
            }
        });
    }
    let a = a.expect("there is one part at least");
    let b = reference.map(side).transpose()?;
    let looked = begin.elapsed().as_secs_f64();
    progress.finish();

    let fid = b.as_ref().map(|b| Reference::new(b.statistics.clone())?.distance(&a.statistics)).transpose()?;
    let pair = a.features.as_ref().zip(b.as_ref().and_then(|b| b.features.as_ref())).filter(|_| !args.fid_only);
    let kid = pair.map(|(a, b)| kernel_distance(a, b, Inception::FEATURES)).transpose()?;
    let first = |features: &[f32]| features.len().min(MOST_NEIGHBOURS * Inception::FEATURES);
    let judged = pair.filter(|(a, b)| a.len().min(b.len()) > ddim_eval::NEIGHBOURS * Inception::FEATURES);
    let judged = judged.map(|(a, b)| precision_recall(&a[..first(a)], &b[..first(b)], Inception::FEATURES)).transpose()?;
    let file = file.map(|file| file.commit(&a.statistics.to_npz())).transpose()?;

    let counts = [Some(&a), b.as_ref()].map(|side| side.map(|side| side.statistics.count).filter(|n| *n > 0));
    let object = json!({
        "command": "fid", "a": args.a, "also": args.also, "b": args.b, "count_a": counts[0], "count_b": counts[1], "fid": fid,
        "kid": kid.map(|kid| kid.mean), "kid_std": kid.map(|kid| kid.std), "kid_subset_size": kid.map(|kid| kid.subset_size),
        "precision": judged.map(|p| p.precision), "recall": judged.map(|p| p.recall), "images": to_do, "seconds": looked,
        "images_per_second": (to_do > 0).then(|| to_do as f64 / looked), "warnings": warnings, "files": file.iter().collect::<Vec<_>>(),
    });
    let count = |n: Option<usize>| n.map_or("statistics".to_owned(), |n| format!("{n} images"));
    let mut human = String::new();
    match (fid, args.b.as_ref()) {
        (Some(fid), Some(_)) => human += &format!("FID        {fid:.4}   {} against {}\n", count(counts[0]), count(counts[1])),
        _ => human += &format!("{}\n", count(counts[0])),
    }
    if let Some(kid) = kid {
        human += &format!("KID        {:.5} ± {:.5}   100 subsets of {}\n", kid.mean, kid.std, kid.subset_size);
    }
    if let Some(found) = judged {
        human += &format!("precision  {:.4}\nrecall     {:.4}\n", found.precision, found.recall);
    }
    if to_do > 0 {
        human += &format!("features of {to_do} images in {looked:.1} s, {:.1} images/s\n", to_do as f64 / looked);
    }
    file.iter().for_each(|f| human += &format!("{}\n", f.display()));
    report(args.json, &object, &human)
}

fn set_len(images: &Images) -> Option<usize> {
    match images {
        Images::Set(set) => Some(set.len()),
        Images::Statistics(_) => None,
    }
}

/// What may mislead, in words.
fn warnings(parts: &[Images], reference: Option<&Images>) -> Vec<String> {
    let mut warnings = Vec::new();
    let whole: Option<usize> = parts.iter().map(Images::count).sum();
    let counts = [whole, reference.and_then(Images::count)];
    for (count, which) in counts.iter().zip(["A", "B"]) {
        if let Some(n) = count.filter(|n| *n < FEW) {
            warnings.push(format!("{which} has {n} images: FID falls with their number, compare only with the same; the usual is 50000"));
        }
    }
    if let [Some(a), Some(b)] = counts
        && a != b
    {
        warnings.push(format!("A has {a} images and B has {b}: FID depends on both"));
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
