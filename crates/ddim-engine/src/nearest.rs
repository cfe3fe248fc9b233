//! Nearest images of another set: whether a model reproduces its training images.

use crate::error::{Error, Result};
use crate::job::Watch;
use ddim_data::ImageSet;
use ddim_eval::{Images, Nearest, nearest};
use ddim_nn::Inception;
use ddim_pictures::{Picture, grid};
use serde::Serialize;

/// Pairs in the picture.
const SHOWN: usize = 64;

/// Pairs side by side.
const COLUMNS: usize = 8;

/// Images that a thread looks up together: an end is heard in between.
const BLOCK: usize = 256;

/// An image of A and the image of B that is nearest to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NearestPair {
    /// Index of the image of A, from 0.
    pub a: usize,
    /// Index of the image of B, from 0.
    pub b: usize,
    /// Distance between their Inception features.
    pub distance: f64,
    /// Distance from the image of B to the nearest other image of B; `None` if B has only one image.
    pub radius: Option<f64>,
}

/// What is found of all images of A.
pub(crate) struct NearestImages {
    /// The share of A that lies closer to its image of B than any other image of B does.
    pub(crate) copies: f64,
    /// The closest first, at most [`SHOWN`].
    pub(crate) pairs: Vec<NearestPair>,
    /// The same, each image of A on the left.
    pub(crate) picture: Picture,
}

/// Whether there are images on both sides, of one size, as a picture wants them.
pub(crate) fn check(parts: &[Images], reference: Option<&Images>) -> Result<()> {
    let Some(reference) = reference else { return Err(Error::request("`nearest` without `b`: expected images to compare with")) };
    let mut sizes = Vec::new();
    for (which, images) in parts.iter().map(|part| ("A", part)).chain([("B", reference)]) {
        match images {
            Images::Set(set) => sizes.push(set.size()),
            Images::Statistics(_) => return Err(Error::field("nearest", format!("{which} is statistics: expected images"))),
        }
    }
    match sizes.iter().find(|size| **size != sizes[0]) {
        Some(other) => {
            let [a, b] = [sizes[0], *other].map(|[h, w]| format!("{w} x {h}"));
            Err(Error::field("nearest", format!("images of {a} and images of {b}: expected one size (give `size` to resize both)")))
        }
        None => Ok(()),
    }
}

/// Of images and their features [n, 2048]: those of A, a part after the other, among those of B.
pub(crate) fn nearest_images(a: (&[&ImageSet], &[f32]), b: (&ImageSet, &[f32]), watch: &Watch<'_>) -> Result<NearestImages> {
    let dim = Inception::FEATURES;
    watch.begin("nearest images", "images", a.1.len() / dim);
    let mut found: Vec<Nearest> = Vec::new();
    for rows in a.1.chunks(rayon::current_num_threads() * BLOCK * dim) {
        watch.check()?;
        found.extend(nearest(rows, b.1, dim));
        watch.advance(rows.len() / dim);
    }
    watch.end();
    let copies = found.iter().filter(|found| found.is_copy()).count() as f64 / found.len() as f64;
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|&i, &j| found[i].distance.total_cmp(&found[j].distance));
    order.truncate(SHOWN);
    let [h, w] = b.0.size();
    let mut pairs = Vec::new();
    // A pair is one image, twice as wide.
    let mut pictures: Vec<f32> = Vec::new();
    for i in order {
        let Nearest { index, distance, radius } = found[i];
        pairs.push(NearestPair { a: i, b: index, distance, radius: radius.is_finite().then_some(radius) });
        let [left, right] = [image_of(a.0, i)?, image_of(&[b.0], index)?];
        for c in 0..3 {
            for y in 0..h {
                let rows = [&left, &right].map(|image| image[y * w * 3..(y + 1) * w * 3].iter().skip(c).step_by(3));
                pictures.extend(rows.into_iter().flatten().map(|byte| f32::from(*byte) / 127.5 - 1.0));
            }
        }
    }
    let picture = grid(&pictures, [3, h, 2 * w], COLUMNS.min(pairs.len()))?;
    Ok(NearestImages { copies, pairs, picture })
}

/// The bytes [h, w, 3] of an image of several sets, one after the other.
fn image_of(sets: &[&ImageSet], mut at: usize) -> Result<Vec<u8>> {
    for set in sets {
        if at < set.len() {
            return Ok(set.read(at..at + 1)?);
        }
        at -= set.len();
    }
    unreachable!("an image of one of the sets")
}
