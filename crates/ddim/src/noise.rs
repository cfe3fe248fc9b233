//! Keyed Gaussian noise: every (seed, sample, step) has a stream of its own, so a result does not depend on batch size, order or threads.
//!
//! A stream is ChaCha8 under the key (seed, sample, step), through the ziggurat of `rand_distr`.

use crate::denoiser::Real;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// The step of the initial latent x_T. Sampling steps use the level that they leave, which is at least 1.
pub const LATENT: u64 = 0;

/// Fills one sample with N(0, 1).
pub fn fill<T: Real>(out: &mut [T], seed: u64, sample: u64, step: u64) {
    let mut key = [0; 32];
    for (word, value) in key.chunks_exact_mut(8).zip([seed, sample, step]) {
        word.copy_from_slice(&value.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    for x in out {
        let z: f64 = StandardNormal.sample(&mut rng);
        *x = T::from_f64(z);
    }
}

/// Fills a batch of samples `first`, `first + 1`, … of `dim` elements each.
pub fn fill_batch<T: Real>(out: &mut [T], dim: usize, seed: u64, first: u64, step: u64) {
    for (i, sample) in out.chunks_mut(dim).enumerate() {
        fill(sample, seed, first + i as u64, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_does_not_depend_on_its_batch() {
        let mut batch = [0f32; 5 * 7];
        fill_batch(&mut batch, 7, 3, 10, 2);
        for i in 0..5 {
            let mut one = [0f32; 7];
            fill(&mut one, 3, 10 + i as u64, 2);
            assert_eq!(one, batch[i * 7..(i + 1) * 7]);
        }
    }

    #[test]
    fn keys_do_not_collide() {
        let draw = |seed, sample, step| {
            let mut x = [0f64; 2];
            fill(&mut x, seed, sample, step);
            x.map(f64::to_bits)
        };
        let mut seen = std::collections::HashSet::new();
        for seed in 0..8 {
            for sample in 0..8 {
                for step in 0..8 {
                    assert!(seen.insert(draw(seed, sample, step)));
                }
            }
        }
    }

    #[test]
    fn the_stream_is_pinned() {
        // A change here changes every picture of every seed: say so in the changelog.
        let mut x = [0f64; 3];
        fill(&mut x, 0, 0, LATENT);
        assert_eq!(x, PINNED);
    }
    const PINNED: [f64; 3] = [1.3776972067507913, 0.4053468246470284, -1.196268893387068];

    #[test]
    fn moments_are_those_of_a_normal() {
        let mut x = vec![0f64; 1 << 20];
        fill_batch(&mut x, 256, 1, 0, 5);
        let n = x.len() as f64;
        let moment = |k: i32| x.iter().map(|v| v.powi(k)).sum::<f64>() / n;
        // Five standard errors of each sample moment.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - expected).abs() < 5.0 * (variance / n as f64).sqrt(), "moment {k}: {}", moment(k));
        }
    }
}
