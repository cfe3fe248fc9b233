//! Subsets of large sets, for computations whose time grows with the square of the number of images.

use ddim::noise::{Draw, Key};

/// The most images of a set that KID, precision and recall use, because their time grows with the square of the number.
pub const MOST_COMPARED: usize = 10_000;

/// Returns the features [n, d] of at most [`MOST_COMPARED`] images, in their order: all, or a subset that is a function of the seed, the
/// number of images and `which` of two sets they are.
///
/// Folders are read in name order, often class after class, so the first images would all be of one class.
pub fn compared(features: &[f32], dim: usize, seed: u64, which: u64) -> Vec<f32> {
    let count = features.len() / dim;
    if count <= MOST_COMPARED {
        return features.to_vec();
    }
    compared_images(count, seed, which).into_iter().flat_map(|i| &features[i * dim..(i + 1) * dim]).copied().collect()
}

/// The numbers of the images whose features [`compared`] returns, of `count`.
pub(crate) fn compared_images(count: usize, seed: u64, which: u64) -> Vec<usize> {
    if count <= MOST_COMPARED { (0..count).collect() } else { chosen(count, MOST_COMPARED, seed, which) }
}

/// `size` of 0..count without replacement, from the least on.
fn chosen(count: usize, size: usize, seed: u64, which: u64) -> Vec<usize> {
    let mut stream = Key { seed, image: which, draw: Draw::Subset }.stream();
    let mut all: Vec<usize> = (0..count).collect();
    for i in 0..size {
        all.swap(i, i + stream.below((count - i) as u64) as usize);
    }
    all.truncate(size);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every part of a set is drawn from, each image once, by the seed.
    #[test]
    fn subsets_are_of_the_whole() {
        let found = chosen(50_000, MOST_COMPARED, 0, 0);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        for tenth in 0..10 {
            let n = found.iter().filter(|i| **i / 5_000 == tenth).count();
            // Four standard deviations of the hypergeometric.
            assert!((854..1146).contains(&n), "{n} of tenth {tenth}");
        }
        assert_ne!(found, chosen(50_000, MOST_COMPARED, 1, 0));
        assert_ne!(found, chosen(50_000, MOST_COMPARED, 0, 1));
        let few = [1f32, 2.0, 3.0, 4.0];
        assert_eq!(compared(&few, 2, 0, 0), few);
        let many: Vec<f32> = (0..MOST_COMPARED + 5).flat_map(|i| [i as f32; 2]).collect();
        let of_many = compared(&many, 2, 0, 0);
        assert!(of_many.len() == 2 * MOST_COMPARED && of_many.chunks(2).all(|row| row[0] == row[1]));
        assert_ne!(of_many, many[..2 * MOST_COMPARED]);
    }
}
