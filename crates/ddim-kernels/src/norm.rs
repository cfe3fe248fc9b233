//! Group normalisation: the statistics. They are applied where the normalised images are read ([`Normal`](crate::Normal)).

use crate::images::Images;
use crate::scratch;
use crate::simd::{arch, exp, load_into};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

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
}

/// Pixels whose moments are taken together; they stay in the cache for the second look.
const PIXELS: usize = 32;

impl GroupNorm<'_> {
    /// What the norm does to each channel of each image: `center` and `scale` of [`Normal`](crate::Normal), [n, c] each.
    ///
    /// Means and squared deviations of runs of 32 pixels, put together in f64: no cancellation, however large the mean.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn statistics(&self, x: &Images<'_>, center: &mut [f32], scale: &mut [f32]) {
        x.check();
        let [n, h, w, c] = x.shape;
        let pixels = h * w;
        assert!(self.weight.len() == c && self.bias.len() == c && c.is_multiple_of(self.groups), "{} groups of {c} channels", self.groups);
        assert!(center.len() == n * c && scale.len() == n * c);
        let (padded, runs) = (c.next_multiple_of(16), pixels.div_ceil(PIXELS));
        // [image][run][mean, deviation][channel]
        let mut moments = scratch::take(n * runs * 2 * padded);
        moments.par_chunks_exact_mut(2 * padded).enumerate().with_min_len(4).for_each(|(i, out)| {
            let (image, first) = (i / runs, i % runs * PIXELS);
            let (stride, x) = (x.stride, &x.data[(image * pixels + first) * x.stride..]);
            let (mean, deviation) = out.split_at_mut(padded);
            arch().dispatch(Moments { x, stride, channels: c, pixels: PIXELS.min(pixels - first), mean, deviation });
        });
        let images = center.par_chunks_exact_mut(c).zip(scale.par_chunks_exact_mut(c));
        images.zip(moments.par_chunks_exact(runs * 2 * padded)).for_each(|((center, scale), moments)| {
            arch().dispatch(PutTogether { norm: self, moments, padded, pixels, center, scale });
        });
    }
}

/// The moments of one image to what its norm does.
struct PutTogether<'a> {
    norm: &'a GroupNorm<'a>,
    moments: &'a [f32],
    padded: usize,
    pixels: usize,
    center: &'a mut [f32],
    scale: &'a mut [f32],
}

impl WithSimd for PutTogether<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Plain loops over channels, which the compiler makes vectors of under the dispatched features.
        let Self { norm, moments, padded, pixels, center, scale } = self;
        let c = center.len();
        let per_group = c / norm.groups;
        let count = (per_group * pixels) as f64;
        let (mut means, mut squares) = (vec![0f64; c], vec![0f64; c]);
        let length = |run: usize| PIXELS.min(pixels - run * PIXELS) as f64;
        for (run, moments) in moments.chunks_exact(2 * padded).enumerate() {
            let length = length(run);
            for (mean, &m) in means.iter_mut().zip(moments) {
                *mean += f64::from(m) * length;
            }
        }
        for means in means.chunks_exact_mut(per_group) {
            let mean = means.iter().sum::<f64>() / count;
            means.fill(mean);
        }
        for (run, moments) in moments.chunks_exact(2 * padded).enumerate() {
            let length = length(run);
            let (of_means, of_squares) = moments.split_at(padded);
            for (((square, &mean), &m), &s) in squares.iter_mut().zip(&means).zip(of_means).zip(of_squares) {
                let d = f64::from(m) - mean;
                *square += f64::from(s) + d * d * length;
            }
        }
        for (group, squares) in squares.chunks_exact(per_group).enumerate() {
            let inverse = 1.0 / (squares.iter().sum::<f64>() / count + f64::from(norm.eps)).sqrt();
            for channel in group * per_group..(group + 1) * per_group {
                center[channel] = means[channel] as f32;
                scale[channel] = (f64::from(norm.weight[channel]) * inverse) as f32;
            }
        }
    }
}

impl GroupNorm<'_> {
    /// The gradients of the norm, and of the SiLU behind it where there is one: of `x` into `dx` [n, h, w, c] without gaps, and of the weight and
    /// the bias, summed over all images.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn gradient(&self, x: &Images<'_>, silu: bool, dy: &Images<'_>, dx: &mut [f32], weight: &mut [f32], bias: &mut [f32]) {
        let [n, h, w, c] = x.shape;
        let pixels = h * w;
        dy.check();
        assert!(dy.shape == x.shape && dx.len() == n * pixels * c && weight.len() == c && bias.len() == c);
        let (mut mean, mut inverse) = (vec![0.0; n * c], vec![0.0; n * c]);
        let ones = vec![1.0; c];
        GroupNorm { weight: &ones, ..*self }.statistics(x, &mut mean, &mut inverse);
        // Of each image: Σ dz and Σ dz x̂ over the pixels, where z is what the SiLU gets.
        let mut sums = vec![0.0; n * 2 * c];
        let images = dx.par_chunks_exact_mut(pixels * c).zip(sums.par_chunks_exact_mut(2 * c)).enumerate();
        images.for_each(|(i, (dx, sums))| {
            let (mean, inverse) = (&mean[i * c..(i + 1) * c], &inverse[i * c..(i + 1) * c]);
            let (x, dy) =
                (Images { data: &x.data[i * pixels * x.stride..], ..*x }, Images { data: &dy.data[i * pixels * dy.stride..], ..*dy });
            let mut run = scratch::take(2 * c);
            let mut totals = vec![0f64; 2 * c];
            for start in (0..pixels).step_by(PIXELS) {
                run.fill(0.0);
                let range = start..(start + PIXELS).min(pixels);
                let (weight, bias) = (self.weight, self.bias);
                arch().dispatch(GradientSums { x: &x, dy: &dy, mean, inverse, weight, bias, silu, pixels: range, dx, sums: &mut run });
                totals.iter_mut().zip(run.iter()).for_each(|(total, run)| *total += f64::from(*run));
            }
            sums.iter_mut().zip(&totals).for_each(|(sum, total)| *sum = *total as f32);
            // dx = (γ dz - (Σ γ dz + x̂ Σ γ dz x̂) / N) / deviation, sums over the group.
            let per_group = c / self.groups;
            let (mut constant, mut slope, mut factor) = (scratch::take(c), scratch::take(c), scratch::take(c));
            for group in 0..self.groups {
                let channels = group * per_group..(group + 1) * per_group;
                let over = |first: usize| channels.clone().map(|k| f64::from(self.weight[k]) * totals[first + k]).sum::<f64>();
                let count = (per_group * pixels) as f64;
                let (plain, scaled) = (over(0) / count, over(c) / count);
                for k in channels {
                    let inverse = f64::from(inverse[k]);
                    factor[k] = (f64::from(self.weight[k]) * inverse) as f32;
                    slope[k] = (-scaled * inverse * inverse) as f32;
                    constant[k] = (-plain * inverse) as f32;
                }
            }
            arch().dispatch(GradientOfInput { x: &x, mean, factor: &factor, slope: &slope, constant: &constant, dx });
        });
        for (k, (weight, bias)) in weight.iter_mut().zip(bias).enumerate() {
            let over = |first: usize| sums.chunks_exact(2 * c).map(|sums| f64::from(sums[first + k])).sum::<f64>() as f32;
            (*bias, *weight) = (over(0), over(c));
        }
    }
}

/// dz of some pixels of one image into `dx`; adds to Σ dz and Σ dz x̂.
struct GradientSums<'a> {
    x: &'a Images<'a>,
    dy: &'a Images<'a>,
    mean: &'a [f32],
    inverse: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    silu: bool,
    pixels: std::ops::Range<usize>,
    dx: &'a mut [f32],
    /// [Σ dz, Σ dz x̂][c].
    sums: &'a mut [f32],
}

impl WithSimd for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let c = self.mean.len();
        let (plain, scaled) = self.sums.split_at_mut(c);
        let one = simd.splat_f32s(1.0);
        for p in self.pixels.clone() {
            let (x, dy) = (self.x.pixel(p), self.dy.pixel(p));
            let dx = &mut self.dx[p * c..(p + 1) * c];
            for start in (0..c).step_by(S::F32_LANES) {
                let range = start..c.min(start + S::F32_LANES);
                let normal =
                    simd.mul_f32s(simd.sub_f32s(part(simd, x, &range), part(simd, self.mean, &range)), part(simd, self.inverse, &range));
                let mut dz = part(simd, dy, &range);
                if self.silu {
                    let z = simd.mul_add_e_f32s(normal, part(simd, self.weight, &range), part(simd, self.bias, &range));
                    // d/dz z σ(z) = σ (1 + z (1 - σ))
                    let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(z))));
                    let slope = simd.mul_f32s(sigmoid, simd.mul_add_e_f32s(z, simd.sub_f32s(one, sigmoid), one));
                    dz = simd.mul_f32s(dz, slope);
                }
                let end = c.min(start + S::F32_LANES);
                simd.partial_store_f32s(&mut dx[start..end], dz);
                let sum = simd.add_f32s(part(simd, plain, &range), dz);
                let sum_scaled = simd.mul_add_e_f32s(dz, normal, part(simd, scaled, &range));
                simd.partial_store_f32s(&mut plain[start..end], sum);
                simd.partial_store_f32s(&mut scaled[start..end], sum_scaled);
            }
        }
    }
}

/// dx = factor dz + slope (x - mean) + constant, where `dx` holds dz.
struct GradientOfInput<'a> {
    x: &'a Images<'a>,
    mean: &'a [f32],
    factor: &'a [f32],
    slope: &'a [f32],
    constant: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for GradientOfInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let c = self.mean.len();
        for (p, dx) in self.dx.chunks_exact_mut(c).enumerate() {
            let x = self.x.pixel(p);
            for start in (0..c).step_by(S::F32_LANES) {
                let end = c.min(start + S::F32_LANES);
                let range = start..end;
                let deviation = simd.sub_f32s(part(simd, x, &range), part(simd, self.mean, &range));
                let y = simd.mul_add_e_f32s(deviation, part(simd, self.slope, &range), part(simd, self.constant, &range));
                let y = simd.mul_add_e_f32s(part(simd, dx, &range), part(simd, self.factor, &range), y);
                simd.partial_store_f32s(&mut dx[start..end], y);
            }
        }
    }
}

/// Mean and summed squared deviation of each channel over a run of pixels.
struct Moments<'a> {
    x: &'a [f32],
    stride: usize,
    channels: usize,
    pixels: usize,
    mean: &'a mut [f32],
    deviation: &'a mut [f32],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, stride, channels, pixels, mean, deviation } = self;
        let mut channel = 0;
        while channel + 4 * S::F32_LANES <= channels {
            moments::<S, 4>(simd, &x[channel..], stride, pixels, &mut mean[channel..], &mut deviation[channel..]);
            channel += 4 * S::F32_LANES;
        }
        while channel + S::F32_LANES <= channels {
            moments::<S, 1>(simd, &x[channel..], stride, pixels, &mut mean[channel..], &mut deviation[channel..]);
            channel += S::F32_LANES;
        }
        for channel in channel..channels {
            let value = |p: usize| x[p * stride + channel];
            let m = (0..pixels).map(value).sum::<f32>() / pixels as f32;
            mean[channel] = m;
            deviation[channel] = (0..pixels).map(|p| (value(p) - m) * (value(p) - m)).sum();
        }
    }
}

/// Up to a vector of `x`.
#[inline(always)]
fn part<S: Simd>(simd: S, x: &[f32], range: &std::ops::Range<usize>) -> S::f32s {
    let x = &x[range.clone()];
    if x.len() == S::F32_LANES { S::as_simd_f32s(x).0[0] } else { simd.partial_load_f32s(x) }
}

/// V vectors of channels.
#[inline(always)]
fn moments<S: Simd, const V: usize>(simd: S, x: &[f32], stride: usize, count: usize, mean: &mut [f32], deviation: &mut [f32]) {
    let zero = simd.splat_f32s(0.0);
    let (mut values, mut means, mut squares) = ([zero; V], [zero; V], [zero; V]);
    for p in 0..count {
        load_into::<S, V>(&x[p * stride..], &mut values);
        for (mean, &value) in means.iter_mut().zip(&values) {
            *mean = simd.add_f32s(*mean, value);
        }
    }
    let count_f32 = simd.splat_f32s(count as f32);
    for mean in &mut means {
        *mean = simd.div_f32s(*mean, count_f32);
    }
    for p in 0..count {
        load_into::<S, V>(&x[p * stride..], &mut values);
        for ((square, &mean), &value) in squares.iter_mut().zip(&means).zip(&values) {
            let d = simd.sub_f32s(value, mean);
            *square = simd.mul_add_e_f32s(d, d, *square);
        }
    }
    S::as_mut_simd_f32s(&mut mean[..V * S::F32_LANES]).0.copy_from_slice(&means);
    S::as_mut_simd_f32s(&mut deviation[..V * S::F32_LANES]).0.copy_from_slice(&squares);
}
