//! Which values dropout keeps.

use ddim::noise::{Draw, Key};
use rayon::prelude::*;

/// Numbers of one stream.
const RUN: usize = 1 << 14;

/// For each image of `len` numbers: 0 for a share of them, and for the others what keeps their mean. A function of the image's seed, the layer and
/// the number's place in the image, not of what else runs.
pub(crate) fn dropout_mask(seeds: &[u64], layer: u64, kept: f64, len: usize) -> Vec<f32> {
    let scale = (1.0 / kept) as f32;
    let mut mask = vec![0.0; seeds.len() * len];
    mask.par_chunks_mut(len.max(1)).zip(seeds).for_each(|(image, &seed)| {
        image.par_chunks_mut(RUN).enumerate().for_each(|(i, part)| {
            let mut stream = Key { seed, image: layer, draw: Draw::DropoutMask(i) }.stream();
            part.iter_mut().for_each(|m| *m = if stream.unit() < kept { scale } else { 0.0 });
        });
    });
    mask
}

#[cfg(test)]
mod tests {
    use super::{RUN, dropout_mask};

    /// A share is dropped, the mean stays, and what is drawn is a function of an image's seed and the layer, not of the batch.
    #[test]
    fn dropout_is_keyed() {
        let mask = |seeds: &[u64], layer| dropout_mask(seeds, layer, 0.9, 32 * 32 * 24);
        let first = mask(&[1], 1);
        let kept = first.iter().filter(|m| **m > 0.0).count() as f64 / first.len() as f64;
        assert!((kept - 0.9).abs() < 0.01 && first.iter().all(|m| *m == 0.0 || (*m - 1.0 / 0.9).abs() < 1e-6), "{kept}");
        assert!(first == mask(&[1], 1) && first != mask(&[1], 2) && first != mask(&[2], 1));
        assert!(first[..1024] != first[RUN..RUN + 1024]);
        assert!(mask(&[3, 1, 2], 1) == [mask(&[3], 1), first, mask(&[2], 1)].concat());
    }
}
