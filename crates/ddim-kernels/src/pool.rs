//! Pooling: the largest or the mean over windows of 3×3 pixels, and over whole images.

use crate::images::{Images, written};
use crate::simd::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// What a window becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Its largest number, or NaN where it has one.
    Max,
    /// The mean of those of its pixels that lie in the image: what pads is not counted.
    Average,
}

/// Windows of 3×3 pixels over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What a window becomes.
    pub pooling: Pooling,
    /// Step of the windows.
    pub stride: usize,
    /// Rows and columns by which windows may reach over every edge, 0 or 1.
    pub padding: usize,
}

/// Pixels along a side of a window.
const WINDOW: usize = 3;

impl Pool {
    /// The size of the output for an input of `size`.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|n| (n + 2 * self.padding - WINDOW) / self.stride + 1)
    }

    /// `x` [n, h, w, c] -> `out` [n, h', w', c], pixels `stride` apart.
    ///
    /// # Panics
    /// On slices that do not have these shapes, and images smaller than a window.
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
    fn with_simd<S: Simd>(self, _: S) {
        // Plain loops over channels, which the compiler makes vectors of under the dispatched features.
        let Self { pool, x, image, row, out, stride } = self;
        let [_, h, w, c] = x.shape;
        let inside =
            |at: usize, size: usize| (at * pool.stride).saturating_sub(pool.padding)..(at * pool.stride + WINDOW - pool.padding).min(size);
        let rows = inside(row, h);
        for (column, out) in out.chunks_mut(stride).enumerate() {
            let out = &mut out[..c];
            let columns = inside(column, w);
            let count = rows.len() * columns.len();
            let mut pixels =
                rows.clone().flat_map(|y| columns.clone().map(move |x| (y, x))).map(|(y, column)| x.pixel((image * h + y) * w + column));
            out.copy_from_slice(pixels.next().expect("a window lies in the image"));
            match pool.pooling {
                Pooling::Max => {
                    // Nothing is larger than NaN, so that it stays once it is there.
                    let larger = |out: f32, x: f32| if x > out || x.is_nan() { x } else { out };
                    pixels.for_each(|pixel| out.iter_mut().zip(pixel).for_each(|(out, x)| *out = larger(*out, *x)))
                }
                Pooling::Average => {
                    pixels.for_each(|pixel| out.iter_mut().zip(pixel).for_each(|(out, x)| *out += x));
                    out.iter_mut().for_each(|out| *out /= count as f32);
                }
            }
        }
    }
}

/// The mean over the pixels of each image: `out` [n, c].
///
/// # Panics
/// On slices that do not have these shapes.
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
