//! Group normalisation, with SiLU fused where it follows.

use crate::simd::{arch, silu};
use pulp::{Simd, WithSimd};

/// A group norm with its affine part. Channels are those of `weight`.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a> {
    /// One factor a channel.
    pub weight: &'a [f32],
    /// One summand a channel.
    pub bias: &'a [f32],
    /// A divisor of the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Whether x / (1 + e^-x) follows.
    pub silu: bool,
}

/// Normalises each image of `x` [n, channels, pixels] in place.
///
/// # Panics
/// On slices that do not have these shapes.
pub fn group_norm(norm: &GroupNorm<'_>, x: &mut [f32], pixels: usize) {
    let channels = norm.weight.len();
    assert_eq!(norm.bias.len(), channels);
    assert_eq!(channels % norm.groups, 0, "{} groups of {channels} channels", norm.groups);
    assert_eq!(x.len() % (channels * pixels), 0);
    let per_group = channels / norm.groups;
    let vectors = arch();
    for (i, x) in x.chunks_exact_mut(per_group * pixels).enumerate() {
        let at = i % norm.groups * per_group;
        let (weight, bias) = (&norm.weight[at..at + per_group], &norm.bias[at..at + per_group]);
        vectors.dispatch(Group { x, pixels, weight, bias, eps: norm.eps, silu: norm.silu });
    }
}

struct Group<'a> {
    x: &'a mut [f32],
    pixels: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    silu: bool,
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len() as f64;
        let mean = (sum::<S, false>(simd, self.x, 0.0) / n) as f32;
        // Two passes: E[x²] - E[x]² would cancel for a large mean.
        let inverse = 1.0 / (sum::<S, true>(simd, self.x, mean) / n + f64::from(self.eps)).sqrt();
        for ((channel, &weight), &bias) in self.x.chunks_exact_mut(self.pixels).zip(self.weight).zip(self.bias) {
            let scale = simd.splat_f32s((f64::from(weight) * inverse) as f32);
            let (mean, bias) = (simd.splat_f32s(mean), simd.splat_f32s(bias));
            let (vectors, rest) = S::as_mut_simd_f32s(channel);
            for x in vectors {
                *x = apply(simd, *x, mean, scale, bias, self.silu);
            }
            if !rest.is_empty() {
                let x = simd.partial_load_f32s(rest);
                simd.partial_store_f32s(rest, apply(simd, x, mean, scale, bias, self.silu));
            }
        }
    }
}

// Functions, not closures: only what is sure to be inlined is compiled for the processor that `dispatch` found.

#[inline(always)]
fn apply<S: Simd>(simd: S, x: S::f32s, mean: S::f32s, scale: S::f32s, bias: S::f32s, activate: bool) -> S::f32s {
    let y = simd.mul_add_e_f32s(simd.sub_f32s(x, mean), scale, bias);
    if activate { silu(simd, y) } else { y }
}

/// Vectors whose sum is kept in f32; sums of such runs are added in f64.
const RUN: usize = 64;

/// Σ (x - mean), or Σ (x - mean)² where `SQUARE`.
#[inline(always)]
fn sum<S: Simd, const SQUARE: bool>(simd: S, x: &[f32], mean: f32) -> f64 {
    let (vectors, rest) = S::as_simd_f32s(x);
    let means = simd.splat_f32s(mean);
    let mut total = 0.0;
    for run in vectors.chunks(RUN) {
        let mut sums = [simd.splat_f32s(0.0); 2];
        for pair in run.chunks(2) {
            for (sum, &x) in sums.iter_mut().zip(pair) {
                let d = simd.sub_f32s(x, means);
                *sum = if SQUARE { simd.mul_add_e_f32s(d, d, *sum) } else { simd.add_f32s(*sum, d) };
            }
        }
        total += f64::from(simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1])));
    }
    for &x in rest {
        let d = f64::from(x - mean);
        total += if SQUARE { d * d } else { d };
    }
    total
}
