//! Group normalisation: the statistics. They are applied where the normalised images are read ([`Normal`](crate::Normal)).

use crate::images::Images;
use crate::scratch;
use crate::simd::{arch, load_into};
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

/// Channels and pixels whose moments are taken together; they stay in the first cache for the second look.
const CHANNELS: usize = 64;
const PIXELS: usize = 64;

impl GroupNorm<'_> {
    /// What the norm does to each channel of each image: `center` and `scale` of [`Normal`](crate::Normal), [n, c] each.
    ///
    /// Means and squared deviations of runs of 64 pixels, put together in f64: no cancellation, however large the mean.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn statistics(&self, x: &Images<'_>, center: &mut [f32], scale: &mut [f32]) {
        x.check();
        let [n, h, w, c] = x.shape;
        let pixels = h * w;
        assert!(self.weight.len() == c && self.bias.len() == c && c.is_multiple_of(self.groups), "{} groups of {c} channels", self.groups);
        assert!(center.len() == n * c && scale.len() == n * c);
        let (parts, runs) = (c.div_ceil(CHANNELS), pixels.div_ceil(PIXELS));
        // [image][part][run][mean or deviation][64]
        let mut moments = scratch::take(n * parts * runs * 2 * CHANNELS);
        moments.par_chunks_exact_mut(runs * 2 * CHANNELS).enumerate().for_each(|(i, out)| {
            let (image, first) = (i / parts, i % parts * CHANNELS);
            let (stride, x) = (x.stride, &x.data[image * pixels * x.stride + first..]);
            arch().dispatch(Moments { x, stride, channels: CHANNELS.min(c - first), pixels, out });
        });
        let per_group = c / self.groups;
        center.par_chunks_exact_mut(c).zip(scale.par_chunks_exact_mut(c)).enumerate().for_each(|(image, (center, scale))| {
            let moments = &moments[image * parts * runs * 2 * CHANNELS..];
            let at = |channel: usize, run: usize, which: usize| {
                f64::from(moments[((channel / CHANNELS * runs + run) * 2 + which) * CHANNELS + channel % CHANNELS])
            };
            let length = |run: usize| PIXELS.min(pixels - run * PIXELS) as f64;
            for group in 0..self.groups {
                let channels = group * per_group..(group + 1) * per_group;
                let count = (per_group * pixels) as f64;
                let each = || channels.clone().flat_map(|channel| (0..runs).map(move |run| (channel, run)));
                let mean = each().map(|(channel, run)| at(channel, run, 0) * length(run)).sum::<f64>() / count;
                let squares = each().map(|(channel, run)| at(channel, run, 1) + (at(channel, run, 0) - mean).powi(2) * length(run));
                let inverse = 1.0 / (squares.sum::<f64>() / count + f64::from(self.eps)).sqrt();
                for channel in channels {
                    center[channel] = mean as f32;
                    scale[channel] = (f64::from(self.weight[channel]) * inverse) as f32;
                }
            }
        });
    }
}

/// Mean and summed squared deviation of each of up to 64 channels, of each run of pixels.
struct Moments<'a> {
    x: &'a [f32],
    stride: usize,
    channels: usize,
    pixels: usize,
    out: &'a mut [f32],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, stride, channels, pixels, out } = self;
        for (run, out) in out.chunks_exact_mut(2 * CHANNELS).enumerate() {
            let first = run * PIXELS;
            let count = PIXELS.min(pixels - first);
            let x = &x[first * stride..];
            let mut channel = 0;
            while channel + 4 * S::F32_LANES <= channels {
                moments::<S, 4>(simd, &x[channel..], stride, count, &mut out[channel..]);
                channel += 4 * S::F32_LANES;
            }
            while channel + S::F32_LANES <= channels {
                moments::<S, 1>(simd, &x[channel..], stride, count, &mut out[channel..]);
                channel += S::F32_LANES;
            }
            for channel in channel..channels {
                let value = |p: usize| x[p * stride + channel];
                let mean = (0..count).map(value).sum::<f32>() / count as f32;
                out[channel] = mean;
                out[CHANNELS + channel] = (0..count).map(|p| (value(p) - mean) * (value(p) - mean)).sum();
            }
        }
    }
}

/// V vectors of channels; the deviations go 64 numbers behind the means.
#[inline(always)]
fn moments<S: Simd, const V: usize>(simd: S, x: &[f32], stride: usize, count: usize, out: &mut [f32]) {
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
    S::as_mut_simd_f32s(&mut out[..V * S::F32_LANES]).0.copy_from_slice(&means);
    S::as_mut_simd_f32s(&mut out[CHANNELS..CHANNELS + V * S::F32_LANES]).0.copy_from_slice(&squares);
}
