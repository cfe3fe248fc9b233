//! Keyed Gaussian noise: every (seed, sample, step) has a stream of its own, so a result does not depend on batch size, order or threads.
//!
//! A stream is ChaCha8 under the key (seed, sample, step), through the ziggurat of `rand_distr`.

use crate::denoiser::Real;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// The step of the initial latent x_T. Sampling steps use the level that they leave, which is at least 1.
pub const LATENT: u64 = 0;

/// The random numbers of one (seed, sample, step).
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// From its start.
    pub fn new(seed: u64, sample: u64, step: u64) -> Self {
        let mut key = [0; 32];
        for (word, value) in key.chunks_exact_mut(8).zip([seed, sample, step]) {
            word.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A draw of N(0, 1).
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Uniform over [0, 1).
    pub fn unit(&mut self) -> f64 {
        // The 53 bits that an f64 holds.
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform over 0..n, and 0 for n = 0: the high half of a product, without a bias that could be seen below n = 2^32.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

/// Fills one sample with N(0, 1).
pub fn fill<T: Real>(out: &mut [T], seed: u64, sample: u64, step: u64) {
    let mut stream = Stream::new(seed, sample, step);
    for x in out {
        *x = T::from_f64(stream.normal());
    }
}

/// Fills a batch of samples `first`, `first + 1`, … of `dim` elements each. The numbers of samples go round after 2^64.
///
/// # Panics
/// If `out` is not a whole number of samples.
pub fn fill_batch<T: Real>(out: &mut [T], dim: usize, seed: u64, first: u64, step: u64) {
    assert!(dim > 0 && out.len().is_multiple_of(dim), "{} elements: not a whole number of samples of {dim}", out.len());
    for (i, sample) in out.chunks_mut(dim).enumerate() {
        fill(sample, seed, first.wrapping_add(i as u64), step);
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
    fn uniform_draws_are_uniform() {
        let mut stream = Stream::new(0, 0, 1);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        let mean = (0..10_000).map(|_| stream.unit()).inspect(|u| assert!((0.0..1.0).contains(u))).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }

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
