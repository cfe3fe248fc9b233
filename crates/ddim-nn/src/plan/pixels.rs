//! Operations on single pixels.

use super::view::View;
use ddim_kernels::Images;
use rayon::prelude::*;

/// [n, c, h, w] to [n, h, w, c], or back.
pub(super) fn transpose(from: &[f32], n: usize, [h, w, c]: [usize; 3], to: &mut [f32], to_pixels: bool) {
    let len = h * w * c;
    for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(len)).take(n) {
        for channel in 0..c {
            for pixel in 0..h * w {
                let (plane, woven) = (channel * h * w + pixel, pixel * c + channel);
                if to_pixels { to[woven] = from[plane] } else { to[plane] = from[woven] }
            }
        }
    }
}

pub(super) fn pixel<'a>(x: &Images<'a>, p: usize) -> &'a [f32] {
    &x.data[p * x.stride..][..x.shape[3]]
}

pub(super) fn combine(out: &mut [f32], x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = f(x, y);
    }
}

/// Calls `f` with the index and the channels of each pixel of `n` images.
pub(super) fn each_pixel(out: &mut [f32], view: View, f: impl Fn(usize, &mut [f32]) + Sync, n: usize) {
    let [h, w, c] = view.shape;
    let pixels = n * h * w;
    let len = out.len().min(pixels * view.stride);
    out[..len].par_chunks_mut(view.stride).with_min_len(256).enumerate().for_each(|(p, out)| f(p, &mut out[..c]));
}
