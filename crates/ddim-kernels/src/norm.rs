//! Statistics of group normalisation. They are applied where the normalised images are read ([`Normal`](crate::Normal)).

use crate::activation::silu_slope;
use crate::images::{Images, written};
use crate::scratch;
use crate::simd::{arch, exp, load_into};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// A group norm with its affine part, over as many channels as `weight` has.
///
/// ```
/// use ddim_kernels::{GroupNorm, Images, Normal, normalised};
///
/// let norm = GroupNorm { weight: &[1.0; 2], bias: &[0.0; 2], groups: 1, eps: 0.0 };
/// let x = Images::new(&[1.0, 3.0, 1.0, 3.0], [1, 1, 2, 2]);
/// let [mut center, mut scale, mut inverse] = [[0.0; 2]; 3];
/// norm.statistics(&x, [&mut center, &mut scale, &mut inverse]);
/// let mut out = [0.0; 4];
/// normalised(&x, Normal { center: &center, scale: &scale, shift: norm.bias, silu: false }, &mut out);
/// assert_eq!(out, [-1.0, 1.0, -1.0, 1.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm<'a> {
    /// Factor of each channel.
    pub weight: &'a [f32],
    /// Offset of each channel.
    pub bias: &'a [f32],
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// Pixels whose moments are taken together; they stay in the cache for the second look.
const PIXELS: usize = 32;

impl GroupNorm<'_> {
    /// Computes what the norm does to each channel of each image: `center` and `scale` of [`Normal`](crate::Normal), and 1 / the standard deviation, each [n,
    /// c].
    ///
    /// Means and squared deviations of runs of 32 pixels are combined in f64, which avoids cancellation however large the mean is.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
    pub fn statistics(&self, x: &Images<'_>, [center, scale, inverse]: [&mut [f32]; 3]) {
        x.check();
        let [n, h, w, c] = x.shape;
        let pixels = h * w;
        assert!(self.weight.len() == c && self.bias.len() == c && c.is_multiple_of(self.groups), "{} groups of {c} channels", self.groups);
        assert!([&*center, &*scale, &*inverse].iter().all(|found| found.len() == n * c));
        let (padded, runs) = (c.next_multiple_of(16), pixels.div_ceil(PIXELS));
        // [image][run][mean, deviation][channel]
        let mut moments = scratch::take(n * runs * 2 * padded);
        moments.par_chunks_exact_mut(2 * padded).enumerate().with_min_len(4).for_each(|(i, out)| {
            let (image, first) = (i / runs, i % runs * PIXELS);
            let (stride, x) = (x.stride, &x.data[(image * pixels + first) * x.stride..]);
            let (mean, deviation) = out.split_at_mut(padded);
            arch().dispatch(Moments { x, stride, channels: c, pixels: PIXELS.min(pixels - first), mean, deviation });
        });
        let images = center.par_chunks_exact_mut(c).zip(scale.par_chunks_exact_mut(c)).zip(inverse.par_chunks_exact_mut(c));
        images.zip(moments.par_chunks_exact(runs * 2 * padded)).for_each(|(((center, scale), inverse), moments)| {
            arch().dispatch(PutTogether { norm: self, moments, padded, pixels, center, scale, inverse });
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
    inverse: &'a mut [f32],
}

impl WithSimd for PutTogether<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Plain loops over channels, which the compiler makes vectors of under the dispatched features.
        let Self { norm, moments, padded, pixels, center, scale, inverse: inverses } = self;
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
                inverses[channel] = inverse as f32;
            }
        }
    }
}

impl GroupNorm<'_> {
    /// Computes the gradients of the norm, and of the SiLU after it if there is one, from the gradient `dy` of the result.
    ///
    /// The gradient of `x` is written to `out`, with pixels `stride` apart, or added to what is there if `accumulate` is set. The gradients of the weight and
    /// the bias, summed over all images, are added to `weight` and `bias`. `mean` and `inverse` [n, c] are those that [`statistics`](Self::statistics)
    /// computed.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
    #[allow(clippy::too_many_arguments)] // all of one layer
    pub fn gradient(
        &self,
        x: &Images<'_>,
        [mean, inverse]: [&[f32]; 2],
        silu: bool,
        dy: &Images<'_>,
        (out, stride, accumulate): (&mut [f32], usize, bool),
        [weight, bias]: [&mut [f32]; 2],
    ) {
        let shape @ [n, h, w, c] = x.shape;
        let pixels = h * w;
        dy.check();
        x.check();
        assert!(dy.shape == x.shape && weight.len() == c && bias.len() == c && mean.len() == n * c && inverse.len() == n * c);
        let Some(len) = written(shape, stride) else { return };
        // Of each image: Σ dz and Σ dz x̂ over the pixels, where z is what the SiLU gets.
        let mut sums = scratch::take(n * 2 * c);
        let images = out[..len].par_chunks_mut(pixels * stride).zip(sums.par_chunks_exact_mut(2 * c)).enumerate();
        images.for_each(|(i, (out, sums))| {
            let (mean, inverse) = (&mean[i * c..(i + 1) * c], &inverse[i * c..(i + 1) * c]);
            let (x, dy) =
                (Images { data: &x.data[i * pixels * x.stride..], ..*x }, Images { data: &dy.data[i * pixels * dy.stride..], ..*dy });
            let mut run = scratch::take(2 * c);
            let mut dz = scratch::take(pixels * c);
            let mut totals = vec![0f64; 2 * c];
            for start in (0..pixels).step_by(PIXELS) {
                let range = start..(start + PIXELS).min(pixels);
                let (weight, bias) = (self.weight, self.bias);
                arch().dispatch(GradientSums {
                    x: &x,
                    dy: &dy,
                    mean,
                    inverse,
                    weight,
                    bias,
                    silu,
                    pixels: range,
                    dz: &mut dz,
                    sums: &mut run,
                });
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
            let (factor, slope, constant) = (&factor, &slope, &constant);
            arch().dispatch(GradientOfInput { x: &x, mean, factor, slope, constant, dz: &dz, pixels, out, stride, accumulate });
        });
        for (k, (weight, bias)) in weight.iter_mut().zip(bias).enumerate() {
            let over = |first: usize| sums.chunks_exact(2 * c).map(|sums| f64::from(sums[first + k])).sum::<f64>() as f32;
            *bias += over(0);
            *weight += over(c);
        }
    }
}

/// dz of some pixels of one image, and Σ dz and Σ dz x̂ over them.
struct GradientSums<'a> {
    x: &'a Images<'a>,
    dy: &'a Images<'a>,
    mean: &'a [f32],
    inverse: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    silu: bool,
    pixels: std::ops::Range<usize>,
    /// [pixel][c].
    dz: &'a mut [f32],
    /// [Σ dz, Σ dz x̂][c].
    sums: &'a mut [f32],
}

impl WithSimd for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.silu { self.run::<S, true>(simd) } else { self.run::<S, false>(simd) }
    }
}

impl GradientSums<'_> {
    #[inline(always)]
    fn run<S: Simd, const SILU: bool>(&mut self, simd: S) {
        let c = self.mean.len();
        // Sums stay in registers while a run of pixels is gone through, some vectors of channels after the others.
        let mut start = 0;
        while start + 2 * S::F32_LANES <= c {
            self.vectors::<S, 2, SILU>(simd, start);
            start += 2 * S::F32_LANES;
        }
        if start + S::F32_LANES <= c {
            self.vectors::<S, 1, SILU>(simd, start);
            start += S::F32_LANES;
        }
        if start < c {
            let range = start..c;
            let of = |x: &[f32]| simd.partial_load_f32s(&x[range.clone()]);
            let constants = [self.mean, self.inverse, self.weight, self.bias].map(of);
            let mut sums = [simd.splat_f32s(0.0); 2];
            for p in self.pixels.clone() {
                let dz = dz_of::<S, SILU>(simd, of(self.x.pixel(p)), of(self.dy.pixel(p)), constants, &mut sums);
                simd.partial_store_f32s(&mut self.dz[p * c..(p + 1) * c][range.clone()], dz);
            }
            let (plain, scaled) = self.sums.split_at_mut(c);
            simd.partial_store_f32s(&mut plain[range.clone()], sums[0]);
            simd.partial_store_f32s(&mut scaled[range], sums[1]);
        }
    }

    /// V vectors of channels from `start`.
    #[inline(always)]
    fn vectors<S: Simd, const V: usize, const SILU: bool>(&mut self, simd: S, start: usize) {
        let (c, range) = (self.mean.len(), start..start + V * S::F32_LANES);
        let mut constants = [[simd.splat_f32s(0.0); 4]; V];
        for (i, of) in [self.mean, self.inverse, self.weight, self.bias].into_iter().enumerate() {
            let of = S::as_simd_f32s(&of[range.clone()]).0;
            constants.iter_mut().zip(of).for_each(|(constants, v)| constants[i] = *v);
        }
        let mut sums = [[simd.splat_f32s(0.0); 2]; V];
        for p in self.pixels.clone() {
            let x = S::as_simd_f32s(&self.x.data[p * self.x.stride..][range.clone()]).0;
            let dy = S::as_simd_f32s(&self.dy.data[p * self.dy.stride..][range.clone()]).0;
            let dz = S::as_mut_simd_f32s(&mut self.dz[p * c..][range.clone()]).0;
            for v in 0..V {
                dz[v] = dz_of::<S, SILU>(simd, x[v], dy[v], constants[v], &mut sums[v]);
            }
        }
        let (plain, scaled) = self.sums.split_at_mut(c);
        let (plain, scaled) = (S::as_mut_simd_f32s(&mut plain[range.clone()]).0, S::as_mut_simd_f32s(&mut scaled[range]).0);
        for (v, sums) in sums.into_iter().enumerate() {
            [plain[v], scaled[v]] = sums;
        }
    }
}

/// The gradient of what the SiLU gets; it and its product with the normalised number are added to `sums`.
#[inline(always)]
fn dz_of<S: Simd, const SILU: bool>(
    simd: S,
    x: S::f32s,
    dy: S::f32s,
    [mean, inverse, weight, bias]: [S::f32s; 4],
    sums: &mut [S::f32s; 2],
) -> S::f32s {
    let normal = simd.mul_f32s(simd.sub_f32s(x, mean), inverse);
    let mut dz = dy;
    if SILU {
        let z = simd.mul_add_e_f32s(normal, weight, bias);
        let one = simd.splat_f32s(1.0);
        let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(z))));
        dz = simd.mul_f32s(dz, silu_slope(simd, z, sigmoid));
    }
    sums[0] = simd.add_f32s(sums[0], dz);
    sums[1] = simd.mul_add_e_f32s(dz, normal, sums[1]);
    dz
}

/// out = factor dz + slope (x - mean) + constant, or out + that.
struct GradientOfInput<'a> {
    x: &'a Images<'a>,
    mean: &'a [f32],
    factor: &'a [f32],
    slope: &'a [f32],
    constant: &'a [f32],
    dz: &'a [f32],
    pixels: usize,
    out: &'a mut [f32],
    stride: usize,
    accumulate: bool,
}

impl WithSimd for GradientOfInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, mean, factor, slope, constant, dz, pixels, out, stride, accumulate } = self;
        let c = mean.len();
        let ((means, mean), (factors, factor)) = (S::as_simd_f32s(mean), S::as_simd_f32s(factor));
        let ((slopes, slope), (constants, constant)) = (S::as_simd_f32s(slope), S::as_simd_f32s(constant));
        let y = |x, dz, out, [mean, factor, slope, constant]: [S::f32s; 4]| {
            let y = simd.mul_add_e_f32s(simd.sub_f32s(x, mean), slope, constant);
            let y = simd.mul_add_e_f32s(dz, factor, y);
            if accumulate { simd.add_f32s(out, y) } else { y }
        };
        for p in 0..pixels {
            let ((xs, x), (dzs, dz)) = (S::as_simd_f32s(x.pixel(p)), S::as_simd_f32s(&dz[p * c..][..c]));
            let (outs, out) = S::as_mut_simd_f32s(&mut out[p * stride..][..c]);
            let vectors = outs.iter_mut().zip(xs).zip(dzs).zip(means).zip(factors).zip(slopes).zip(constants);
            for ((((((out, &x), &dz), &mean), &factor), &slope), &constant) in vectors {
                *out = y(x, dz, *out, [mean, factor, slope, constant]);
            }
            if !out.is_empty() {
                let part = |of: &[f32]| simd.partial_load_f32s(of);
                let last = y(part(x), part(dz), part(out), [mean, factor, slope, constant].map(part));
                simd.partial_store_f32s(out, last);
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
