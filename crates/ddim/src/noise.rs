//! Keyed Gaussian noise: every (seed, image, draw) has its own stream, so results do not depend on batch size, order or threads.
//!
//! A stream is ChaCha8 under the [`Key`], through the ziggurat of `rand_distr`. [`Draw`] is the single list of what is drawn and under
//! which number.

use crate::real::Real;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// What random numbers are drawn for: the registry of all streams. Code that draws a new kind of number adds a variant here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Draw {
    /// The initial latent x_T.
    Latent,
    /// The fresh noise of the sampling step that leaves this level, 1 to T.
    Step(usize),
    /// The noise of the marginal q(x_t|x_0) at this level, in Monte-Carlo estimates of objectives and at the start of an edit.
    Marginal(usize),
    /// The order of training images in an epoch; the key's image is the epoch's number.
    Order,
    /// A training example's timestep and mirroring.
    Example,
    /// A training example's ε.
    TrainingNoise,
    /// A training example's crop and dequantisation.
    Jitter,
    /// The seed of a training example's dropout masks.
    Dropout,
    /// Which images are held out from training.
    HeldOut,
    /// The noise of held-out images.
    Evaluation,
    /// Initial weights; the key's image is the parameter.
    InitialWeights,
    /// Which images of a larger set are compared; the key's image is the side of the comparison.
    Subset,
    /// The random class of an image.
    Class,
    /// The noise of known pixels at this level, after a number of jumps back up.
    Known {
        /// The level.
        level: usize,
        /// The number of jumps before.
        jumps: u16,
    },
    /// The noise of a jump up to this level, after a number of earlier jumps.
    Jump {
        /// The level.
        level: usize,
        /// The number of jumps before.
        jumps: u16,
    },
    /// As [`Draw::Step`], but after at least one jump back up.
    StepAgain {
        /// The level.
        level: usize,
        /// The number of jumps before.
        jumps: u16,
    },
    /// Part of a dropout mask, under a seed drawn by [`Draw::Dropout`]; the key's image is the layer.
    DropoutMask(usize),
}

impl Draw {
    /// The number that goes into the key. Levels are below 2^32: [`MOST_LEVELS`](crate::MOST_LEVELS).
    const fn number(self) -> u64 {
        match self {
            Self::Latent => 0,
            Self::Step(level) => level as u64,
            Self::Marginal(level) => (1 << 32) + level as u64,
            Self::Order => 1 << 40,
            Self::Example => 2 << 40,
            Self::TrainingNoise => 3 << 40,
            Self::Jitter => 4 << 40,
            Self::Dropout => 5 << 40,
            Self::HeldOut => 6 << 40,
            Self::Evaluation => 7 << 40,
            Self::InitialWeights => 8 << 40,
            Self::Subset => 9 << 40,
            Self::Class => 10 << 40,
            Self::Known { level, jumps } => (1 << 48) + ((jumps as u64) << 32) + level as u64,
            Self::Jump { level, jumps } => (2 << 48) + ((jumps as u64) << 32) + level as u64,
            Self::StepAgain { level, jumps } => (3 << 48) + ((jumps as u64) << 32) + level as u64,
            // Its seeds are random numbers of 64 bits, which nobody else uses.
            Self::DropoutMask(part) => part as u64,
        }
    }
}

/// The key that determines a stream of random numbers.
///
/// ```
/// use ddim::noise::{Draw, Key};
///
/// let key = Key { seed: 7, image: 3, draw: Draw::Latent };
/// let mut latent = [0.0f32; 12];
/// key.fill(&mut latent);
/// assert_eq!(f64::from(latent[0]), f64::from(key.stream().normal() as f32)); // a key's stream is always the same
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The user's seed.
    pub seed: u64,
    /// The number of the image among all images of the seed.
    pub image: u64,
    /// What is drawn.
    pub draw: Draw,
}

impl Key {
    /// Returns the stream of this key, from its start.
    pub fn stream(self) -> Stream {
        let mut key = [0; 32];
        for (word, value) in key.chunks_exact_mut(8).zip([self.seed, self.image, self.draw.number()]) {
            word.copy_from_slice(&value.to_le_bytes());
        }
        Stream(ChaCha8Rng::from_seed(key))
    }

    /// Fills one image with draws from N(0, 1).
    pub fn fill<T: Real>(self, out: &mut [T]) {
        let mut stream = self.stream();
        for x in out {
            *x = T::from_f64(stream.normal());
        }
    }
}

/// Which images a batch holds: `first`, `first + 1`, … of a seed. The numbers wrap around at 2^64.
///
/// ```
/// use ddim::noise::{Batch, Draw, Key};
///
/// let latents: Vec<f32> = Batch { seed: 7, first: 10 }.latents(4, 2); // of images 10 and 11, 4 numbers each
/// let mut eleven = [0.0; 4];
/// Key { seed: 7, image: 11, draw: Draw::Latent }.fill(&mut eleven);
/// assert_eq!(latents[4..], eleven);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    /// The user's seed.
    pub seed: u64,
    /// The number of the first image.
    pub first: u64,
}

impl Batch {
    /// Returns the key of image `i` of the batch.
    pub fn key(self, i: usize, draw: Draw) -> Key {
        Key { seed: self.seed, image: self.first.wrapping_add(i as u64), draw }
    }

    /// Fills a batch of images of `dim` elements each with draws from N(0, 1).
    ///
    /// # Panics
    /// Panics if `out` is not a whole number of images.
    pub fn fill<T: Real>(self, out: &mut [T], dim: usize, draw: Draw) {
        assert!(dim > 0 && out.len() % dim == 0, "{} elements: not a whole number of images of {dim}", out.len());
        for (i, image) in out.chunks_mut(dim).enumerate() {
            self.key(i, draw).fill(image);
        }
    }

    /// Draws the latents x_T of `n` images of `dim` elements each.
    pub fn latents<T: Real>(self, dim: usize, n: usize) -> Vec<T> {
        let mut x = vec![T::from_f64(0.0); dim * n];
        if dim > 0 {
            self.fill(&mut x, dim, Draw::Latent);
        }
        x
    }
}

/// The stream of random numbers of one key.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Draws from N(0, 1).
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Draws uniformly from [0, 1).
    pub fn unit(&mut self) -> f64 {
        // The 53 bits that an f64 holds.
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Draws uniformly from 0..n, or returns 0 for n = 0: the high half of a product, without a noticeable bias below n = 2^32.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_does_not_depend_on_its_batch() {
        let mut batch = [0f32; 5 * 7];
        Batch { seed: 3, first: 10 }.fill(&mut batch, 7, Draw::Step(2));
        for i in 0..5 {
            let mut one = [0f32; 7];
            Key { seed: 3, image: 10 + i as u64, draw: Draw::Step(2) }.fill(&mut one);
            assert_eq!(one, batch[i * 7..(i + 1) * 7]);
        }
    }

    #[test]
    fn keys_do_not_collide() {
        let numbers = |seed, image, draw| {
            let mut x = [0f64; 2];
            Key { seed, image, draw }.fill(&mut x);
            x.map(f64::to_bits)
        };
        let levels = [1, 2, 3, crate::MOST_LEVELS];
        let mut draws = vec![Draw::Latent, Draw::Order, Draw::Example, Draw::TrainingNoise, Draw::Jitter, Draw::Dropout, Draw::HeldOut];
        draws.extend([Draw::Evaluation, Draw::InitialWeights, Draw::Subset, Draw::Class]);
        draws.extend(levels.map(Draw::Step).into_iter().chain(levels.map(Draw::Marginal)));
        for jumps in [0, 1, 255, 256, u16::MAX] {
            draws.extend(levels.map(|level| Draw::Known { level, jumps }));
            draws.extend(levels.map(|level| Draw::Jump { level, jumps }));
            draws.extend(levels.map(|level| Draw::StepAgain { level, jumps }));
        }
        let mut seen = std::collections::HashSet::new();
        for seed in 0..8 {
            for image in 0..8 {
                assert!(draws.iter().all(|&draw| seen.insert(numbers(seed, image, draw))));
            }
        }
    }

    #[test]
    fn the_stream_is_pinned() {
        // A change here changes every picture of every seed: say so in the changelog.
        let mut x = [0f64; 3];
        Key { seed: 0, image: 0, draw: Draw::Latent }.fill(&mut x);
        assert_eq!(x, PINNED);
    }
    const PINNED: [f64; 3] = [1.3776972067507913, 0.4053468246470284, -1.196268893387068];

    #[test]
    fn uniform_draws_are_uniform() {
        let mut stream = Key { seed: 0, image: 0, draw: Draw::Step(1) }.stream();
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
        Batch { seed: 1, first: 0 }.fill(&mut x, 256, Draw::Step(5));
        let n = x.len() as f64;
        let moment = |k: i32| x.iter().map(|v| v.powi(k)).sum::<f64>() / n;
        // Five standard errors of each sample moment.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - expected).abs() < 5.0 * (variance / n as f64).sqrt(), "moment {k}: {}", moment(k));
        }
    }
}
