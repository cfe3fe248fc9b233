//! Pooling: the maximum or the mean over windows of 3×3 pixels, and the mean over whole images.

use crate::images::{Images, written};
use crate::simd::{arch, load};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// How a window is reduced to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The maximum, or NaN if there is one in the window.
    Max,
    /// The mean of those pixels of the window that lie in the image; padding is not counted.
    Average,
}

/// Pooling over windows of 3×3 pixels.
///
/// ```
/// use ddim_kernels::{Images, Pool, Pooling};
///
/// let x: Vec<f32> = (0..9).map(|i| i as f32).collect();
/// let mut out = [0.0];
/// Pool { pooling: Pooling::Average, stride: 1, padding: 0 }.run(&Images::new(&x, [1, 3, 3, 1]), &mut out, 1);
/// assert_eq!(out, [4.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// How a window is reduced to a number.
    pub pooling: Pooling,
    /// Stride of the windows.
    pub stride: usize,
    /// Rows and columns by which windows may extend beyond every edge, 0 or 1.
    pub padding: usize,
}

/// Pixels along a side of a window.
const WINDOW: usize = 3;

impl Pool {
    /// The size of the output for an input of `size`.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|n| (n + 2 * self.padding - WINDOW) / self.stride + 1)
    }

    /// Computes `x` [n, h, w, c] -> `out` [n, h', w', c], with pixels `stride` apart.
    ///
    /// # Panics
    /// If the slices do not have these shapes, or images are smaller than a window.
    pub fn run(&self, x: &Images<'_>, out: &mut [f32], stride: usize) {
        x.check();
        let [n, h, w, c] = x.shape;
        let [out_h, out_w] = self.output([h, w]);
        let Some(len) = written([n, out_h, out_w, c], stride) else { return };
        out[..len].par_chunks_mut(out_w * stride).enumerate().for_each(|(line, out)| {
            arch().dispatch(Line { pool: self, x, image: line / out_h, row: line % out_h, out, stride });
        });
    }
}

/// One line of windows.
struct Line<'a> {
    pool: &'a Pool,
    x: &'a Images<'a>,
    image: usize,
    row: usize,
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pool, x, image, row, out, stride } = self;
        let [_, h, w, c] = x.shape;
        let inside =
            |at: usize, size: usize| (at * pool.stride).saturating_sub(pool.padding)..(at * pool.stride + WINDOW - pool.padding).min(size);
        let rows = inside(row, h);
        for (column, out) in out.chunks_mut(stride).enumerate() {
            let columns = inside(column, w);
            let mut pixels: [&[f32]; WINDOW * WINDOW] = [&[]; WINDOW * WINDOW];
            let mut count = 0;
            for y in rows.clone() {
                for column in columns.clone() {
                    pixels[count] = x.pixel((image * h + y) * w + column);
                    count += 1;
                }
            }
            let (pixels, out) = (&pixels[..count], &mut out[..c]);
            match pool.pooling {
                Pooling::Max => window::<S, true>(simd, pixels, out),
                Pooling::Average => window::<S, false>(simd, pixels, out),
            }
        }
    }
}

/// The largest or the mean of `pixels`, channel by channel.
#[inline(always)]
fn window<S: Simd, const MAX: bool>(simd: S, pixels: &[&[f32]], out: &mut [f32]) {
    let (vectors, rest) = S::as_mut_simd_f32s(out);
    let counts = simd.splat_f32s(pixels.len() as f32);
    let done = vectors.len() * S::F32_LANES;
    for (i, out) in vectors.iter_mut().enumerate() {
        let mut found = load::<S>(&pixels[0][i * S::F32_LANES..]);
        for pixel in &pixels[1..] {
            found = together::<S, MAX>(simd, found, load::<S>(&pixel[i * S::F32_LANES..]));
        }
        *out = if MAX { found } else { simd.div_f32s(found, counts) };
    }
    if !rest.is_empty() {
        let mut found = simd.partial_load_f32s(&pixels[0][done..]);
        for pixel in &pixels[1..] {
            found = together::<S, MAX>(simd, found, simd.partial_load_f32s(&pixel[done..]));
        }
        simd.partial_store_f32s(rest, if MAX { found } else { simd.div_f32s(found, counts) });
    }
}

/// The larger number, or the sum. NaN stays once it is there.
#[inline(always)]
fn together<S: Simd, const MAX: bool>(simd: S, found: S::f32s, x: S::f32s) -> S::f32s {
    if !MAX {
        return simd.add_f32s(found, x);
    }
    // Comparisons, because what max makes of NaN depends on the processor.
    let is_number = simd.less_than_or_equal_f32s(found, found);
    let keep = simd.or_m32s(simd.less_than_or_equal_f32s(x, found), simd.not_m32s(is_number));
    simd.select_f32s(keep, found, x)
}

/// Computes the mean over the pixels of each image: `out` [n, c].
///
/// # Panics
/// If the slices do not have these shapes.
pub fn mean_of_pixels(x: &Images<'_>, out: &mut [f32]) {
    x.check();
    let [n, h, w, c] = x.shape;
    assert_eq!(out.len(), n * c);
    for (image, out) in out.chunks_exact_mut(c).enumerate() {
        let mut sums = vec![0f64; c];
        for p in 0..h * w {
            sums.iter_mut().zip(x.pixel(image * h * w + p)).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (sum / (h * w) as f64) as f32);
    }
}
