//! Improved precision and recall (arXiv 1904.06991): how many images of one set lie among those of the other. Also nearest images, and how
//! many are copies (following arXiv 2102.08921).

use crate::error::{Error, ErrorKind, Result};
use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Precision and recall as shares in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// The share of the judged images that lie within the reference's manifold.
    pub precision: f64,
    /// The share of the reference's images that lie within the manifold of the judged images.
    pub recall: f64,
}

/// The neighbour whose distance is an image's radius: the paper's k.
pub const NEIGHBOURS: usize = 3;

/// Rows of a task.
const ROWS: usize = 256;

/// Returns the precision and recall of `images` against `reference`, features [n, d] each.
///
/// A set's manifold is the union of the balls around its images, each reaching to the third nearest other image. Time, but not memory,
/// grows with the product of both numbers.
///
/// # Errors
/// Returns an error for fewer than 4 images.
///
/// ```
/// use ddim_eval::precision_recall;
///
/// let features = [0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0];
/// let same = precision_recall(&features, &features, 2)?;
/// assert_eq!((same.precision, same.recall), (1.0, 1.0));
/// let elsewhere = precision_recall(&features.map(|x| x + 9.0), &features, 2)?;
/// assert_eq!((elsewhere.precision, elsewhere.recall), (0.0, 0.0));
/// # Ok::<(), ddim_eval::Error>(())
/// ```
pub fn precision_recall(images: &[f32], reference: &[f32], dim: usize) -> Result<PrecisionRecall> {
    for set in [images, reference] {
        let n = set.len() / dim;
        if n <= NEIGHBOURS {
            return Err(Error::new(ErrorKind::Data, format!("{n} images: expected at least {}, for precision and recall", NEIGHBOURS + 1)));
        }
    }
    Ok(PrecisionRecall { precision: inside(images, reference, dim), recall: inside(reference, images, dim) })
}

/// The image of a reference that lies nearest to an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// Its index in the reference.
    pub index: usize,
    /// Its distance, in features.
    pub distance: f64,
    /// Its distance from the nearest other image of the reference; ∞ if there is none.
    pub radius: f64,
}

impl Nearest {
    /// Returns whether the image is closer to it than any other image of the reference is. If so, the image is not one of its own (Alaa et
    /// al., arXiv 2102.08921, who call the share of all others authenticity). If the reference has an image twice, nothing is closer.
    pub fn is_copy(&self) -> bool {
        self.distance < self.radius
    }
}

/// Finds, for each of `images` [n, d], the nearest image of `reference`, features [m, d].
///
/// # Panics
/// Panics on a reference without images.
///
/// ```
/// let reference = [0.0, 10.0, 11.0];
/// let found = ddim_eval::nearest(&[4.0, 10.4], &reference, 1);
/// assert_eq!((found[0].index, found[0].distance, found[0].radius), (0, 4.0, 10.0));
/// assert!(found[0].is_copy() && found[1].is_copy());
/// assert!(!ddim_eval::nearest(&[8.0], &reference, 1)[0].is_copy());
/// ```
pub fn nearest(images: &[f32], reference: &[f32], dim: usize) -> Vec<Nearest> {
    assert!(reference.len() >= dim, "a reference without images");
    let reference_squares = squares(reference, dim);
    let row = |i: usize| &reference[i * dim..(i + 1) * dim];
    // Which is nearest, by products of single precision; how far, by itself.
    let nearest_to = |rows: &[f32], other_than: &[Option<usize>]| -> Vec<Option<(usize, f64)>> {
        let distances = distances(rows, reference, &reference_squares, dim);
        let of = |(i, (x, not)): (usize, (&[f32], &Option<usize>))| {
            let others = (0..reference_squares.len()).filter(|j| Some(*j) != *not);
            let index = others.min_by(|&j, &k| distances[(j, i)].total_cmp(&distances[(k, i)]))?;
            let square: f64 = x.iter().zip(row(index)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            Some((index, square.sqrt()))
        };
        rows.chunks_exact(dim).zip(other_than).enumerate().map(of).collect()
    };
    let found = images.par_chunks(ROWS * dim).flat_map_iter(|rows| {
        let of_rows: Vec<(usize, f64)> = nearest_to(rows, &vec![None; rows.len() / dim]).into_iter().flatten().collect();
        let theirs: Vec<f32> = of_rows.iter().flat_map(|(index, _)| row(*index)).copied().collect();
        let themselves: Vec<Option<usize>> = of_rows.iter().map(|(index, _)| Some(*index)).collect();
        let radii = nearest_to(&theirs, &themselves);
        let both = of_rows.into_iter().zip(radii);
        both.map(|((index, distance), other)| Nearest { index, distance, radius: other.map_or(f64::INFINITY, |(_, radius)| radius) })
            .collect::<Vec<_>>()
    });
    found.collect()
}

/// The share of `points` within the manifold of `set`.
fn inside(points: &[f32], set: &[f32], dim: usize) -> f64 {
    let radii = radii(set, dim);
    let set_squares = squares(set, dim);
    let found: usize = points
        .par_chunks(ROWS * dim)
        .map(|rows| {
            let distances = distances(rows, set, &set_squares, dim);
            (0..rows.len() / dim).filter(|&i| radii.iter().enumerate().any(|(j, radius)| distances[(j, i)] <= *radius)).count()
        })
        .sum();
    found as f64 / (points.len() / dim) as f64
}

/// The squared distance of each point to its third nearest other one.
fn radii(set: &[f32], dim: usize) -> Vec<f32> {
    let set_squares = squares(set, dim);
    set.par_chunks(ROWS * dim)
        .enumerate()
        .flat_map_iter(|(block, rows)| {
            let distances = distances(rows, set, &set_squares, dim);
            let count = rows.len() / dim;
            (0..count)
                .map(|i| {
                    let mut others: Vec<f32> =
                        (0..set_squares.len()).filter(|&j| j != block * ROWS + i).map(|j| distances[(j, i)]).collect();
                    *others.select_nth_unstable_by(NEIGHBOURS - 1, f32::total_cmp).1
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn squares(set: &[f32], dim: usize) -> Vec<f64> {
    set.par_chunks(dim).map(|x| x.iter().map(|x| f64::from(*x).powi(2)).sum()).collect()
}

/// Squared distances [set, rows].
fn distances(rows: &[f32], set: &[f32], set_squares: &[f64], dim: usize) -> Mat<f32> {
    let (n, m) = (rows.len() / dim, set.len() / dim);
    let mut out = Mat::<f32>::zeros(m, n);
    let (x, y) = (MatRef::from_row_major_slice(rows, n, dim), MatRef::from_row_major_slice(set, m, dim));
    matmul(out.as_mut(), Accum::Replace, y, x.transpose(), 1.0, Par::Seq);
    for (i, row) in rows.chunks_exact(dim).enumerate() {
        let square: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
        for (j, set_square) in set_squares.iter().enumerate() {
            out[(j, i)] = (square + set_square - 2.0 * f64::from(out[(j, i)])) as f32;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line: a radius is the distance to the third nearest.
    #[test]
    fn on_a_line() {
        let reference = [0f32, 1.0, 2.0, 3.0, 4.0];
        // Radii 3, 2, 2, 2, 3: within are [-3, 7] and no more.
        let images = [-3.5f32, -2.9, 2.2, 6.9, 7.1, 50.0, 51.0, 52.0];
        let found = precision_recall(&images, &reference, 1).unwrap();
        assert_eq!(found.precision, 3.0 / 8.0);
        // Of the images: 2.2's third neighbour is 5.1 (at -2.9 and 7.1 or 6.9 ...), so all of the reference lies within.
        assert_eq!(found.recall, 1.0);
        assert!(precision_recall(&images[..3], &reference, 1).is_err());
        let same = precision_recall(&reference, &reference, 1).unwrap();
        assert_eq!((same.precision, same.recall), (1.0, 1.0));
    }

    /// The nearest of more points than a task takes, against the definition; points that lie twice, and one alone.
    #[test]
    fn the_nearest() {
        let dim = 5;
        let points = |n: usize, seed: u64| ddim::noise::Batch { seed, first: 0 }.latents::<f32>(dim, n);
        let (images, mut reference) = (points(600, 1), points(300, 2));
        reference.copy_within(..dim, 7 * dim);
        let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        let found = nearest(&images, &reference, dim);
        for (x, found) in images.chunks(dim).zip(&found) {
            let to = |x: &[f32], not: usize| {
                let all = reference.chunks(dim).enumerate().filter(|(j, _)| *j != not).map(|(_, y)| distance(x, y));
                all.fold(f64::INFINITY, f64::min)
            };
            let at = &reference[found.index * dim..][..dim];
            assert!((found.distance - to(x, usize::MAX)).abs() < 1e-4 && (found.distance - distance(x, at)).abs() < 1e-12);
            assert!((found.radius - to(at, found.index)).abs() < 1e-4, "{found:?}");
        }
        let copies = found.iter().filter(|found| found.is_copy()).count();
        assert!(copies > 100 && copies < 500, "{copies}");
        let itself = nearest(&reference, &reference, dim);
        assert!(itself.iter().enumerate().all(|(i, found)| found.distance == 0.0 && (found.index == i || [0, 7].contains(&i))));
        assert!(!itself[0].is_copy() && itself[0].radius == 0.0 && itself[1].is_copy());
        let alone = nearest(&images[..dim], &reference[..dim], dim)[0];
        assert!(alone.radius == f64::INFINITY && alone.is_copy());
    }

    /// More points than a task takes, in several dimensions, against the definition.
    #[test]
    fn the_definition() {
        let (n, dim) = (300, 3);
        let mut points = [vec![0f32; n * dim], vec![0f32; (n + 50) * dim]];
        for (k, points) in points.iter_mut().enumerate() {
            ddim::noise::Batch { seed: k as u64, first: 0 }.fill(points, dim, ddim::noise::Draw::Latent);
            points.iter_mut().for_each(|x| *x += k as f32);
        }
        let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let share = |points: &[f32], set: &[f32]| {
            let balls: Vec<f64> = set
                .chunks(dim)
                .map(|x| {
                    let mut all: Vec<f64> = set.chunks(dim).map(|y| distance(x, y)).collect();
                    all.sort_by(f64::total_cmp);
                    all[NEIGHBOURS]
                })
                .collect();
            let lies = |p: &&[f32]| set.chunks(dim).zip(&balls).any(|(x, ball)| distance(p, x) <= *ball);
            points.chunks(dim).filter(lies).count() as f64 / (points.len() / dim) as f64
        };
        let found = precision_recall(&points[0], &points[1], dim).unwrap();
        // A point on the edge of a ball may fall to either side by rounding.
        assert!((found.precision - share(&points[0], &points[1])).abs() < 2.5 / n as f64);
        assert!((found.recall - share(&points[1], &points[0])).abs() < 2.5 / n as f64);
        assert!(found.precision > 0.1 && found.precision < 0.9);
    }
}
