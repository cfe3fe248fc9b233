//! The gradients of a convolution.

use crate::conv::{Conv2d, PackedConv2d, by_winograd};
use crate::gemm::{PANEL, Product};
use crate::images::{Finish, Images};
use crate::scratch;
use crate::simd::arch;
use crate::winograd;
use rayon::prelude::*;

impl Conv2d {
    /// The gradient of the input [n, h, w, in], for the gradient `dy` of the output: a convolution of `dy`, spread over the input's pixels,
    /// with the kernel turned around.
    ///
    /// # Panics
    /// On slices that do not have these shapes, and for kernels other than 1×1 without padding and 3×3 with up to one row and column before.
    pub fn input_gradient(&self, size @ [h, w]: [usize; 2], weight: &[f32], dy: &Images<'_>, out: &mut [f32]) {
        let Self { channels: [channels_out, channels_in], kernel: [kernel, other], stride, padding: [[before, _], [left, _]], enlarge } =
            *self;
        dy.check();
        let n = dy.shape[0];
        let [out_h, out_w] = self.output(size);
        assert_eq!(dy.shape, [n, out_h, out_w, channels_out]);
        assert!((kernel, before) == (other, left) && before <= kernel / 2 && kernel <= 3 && kernel != 2, "{self:?}");
        assert_eq!(out.len(), n * h * w * channels_in);
        if enlarge {
            let mut large = scratch::take(4 * out.len());
            Self { enlarge: false, ..*self }.input_gradient([2 * h, 2 * w], weight, dy, &mut large);
            out.par_chunks_exact_mut(w * channels_in).enumerate().for_each(|(line, out)| {
                let (upper, lower) = large[line * 4 * w * channels_in..][..4 * w * channels_in].split_at(2 * w * channels_in);
                for (x, out) in out.chunks_exact_mut(channels_in).enumerate() {
                    let four = [upper, lower].map(|line| line[2 * x * channels_in..][..2 * channels_in].split_at(channels_in));
                    let [(a, b), (c, d)] = four;
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = (a[i] + b[i]) + (c[i] + d[i]);
                    }
                }
            });
            return;
        }
        let taps = self.taps();
        let padding = [[kernel / 2; 2]; 2];
        let turned = Self { channels: [channels_in, channels_out], kernel: self.kernel, stride: 1, padding, enlarge: false };
        let packed = PackedConv2d::from_fn(turned, size, None, |o, i, tap| weight[(i * channels_in + o) * taps + taps - 1 - tap]);
        let run = |dy: &Images<'_>, out: &mut [f32]| packed.run(dy, None, &Finish::default(), out, channels_in);
        let offset = kernel / 2 - before;
        if (stride, offset, [out_h, out_w]) == (1, 0, size) {
            return run(dy, out);
        }
        let mut spread = scratch::zeros(n * h * w * channels_out);
        spread.par_chunks_exact_mut(w * channels_out).enumerate().for_each(|(line, spread)| {
            let (image, y) = (line / h, (line % h).checked_sub(offset));
            let Some(y) = y.filter(|y| y % stride == 0 && y / stride < out_h) else { return };
            for x in 0..out_w {
                let pixel = dy.pixel((image * out_h + y / stride) * out_w + x);
                spread[(x * stride + offset) * channels_out..][..channels_out].copy_from_slice(pixel);
            }
        });
        run(&Images::new(&spread, [n, h, w, channels_out]), out);
    }

    /// The gradient of the weights [out, in, k, k], summed over all images.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn weight_gradient(&self, x: &Images<'_>, dy: &Images<'_>, out: &mut [f32]) {
        let [channels_out, channels_in] = self.channels;
        x.check();
        dy.check();
        let size = [x.shape[1], x.shape[2]];
        let [out_h, out_w] = self.output(size);
        assert_eq!(x.shape[3], channels_in);
        assert_eq!(dy.shape, [x.shape[0], out_h, out_w, channels_out]);
        assert_eq!(out.len(), self.weights());
        if by_winograd(self, size) {
            return winograd::weight_gradient(x, self, dy, out);
        }
        let (taps, pixels) = (self.taps(), dy.pixels());
        let columns = channels_out.next_multiple_of(16);
        // [tap][in][out]; each task sums some input channels under one tap.
        let mut sums = scratch::take(taps * channels_in * columns);
        let tasks: Vec<(usize, usize, &mut [f32])> = sums
            .chunks_exact_mut(channels_in * columns)
            .enumerate()
            .flat_map(|(tap, sums)| sums.chunks_mut(ROWS * columns).enumerate().map(move |(part, sums)| (tap, part * ROWS, sums)))
            .collect();
        tasks.into_par_iter().for_each(|(tap, first, sums)| {
            let rows = sums.len() / columns;
            // Rows of many channels, a power of two apart, would meet in the same lines of the cache: the gradient goes into panels.
            let (mut read, mut gradient) = (scratch::take(PIXELS * rows), scratch::take(PIXELS * columns.next_multiple_of(PANEL)));
            for start in (0..pixels).step_by(PIXELS) {
                let count = PIXELS.min(pixels - start);
                for (i, read) in read.chunks_exact_mut(rows).take(count).enumerate() {
                    match self.source(size, start + i, tap) {
                        Some(pixel) => read.copy_from_slice(&x.pixel(pixel)[first..first + rows]),
                        None => read.fill(0.0),
                    }
                }
                for (panel, gradient) in gradient.chunks_exact_mut(PIXELS * PANEL).enumerate() {
                    let column = panel * PANEL;
                    let width = PANEL.min(channels_out - column);
                    for (i, gradient) in gradient.chunks_exact_mut(PANEL).take(count).enumerate() {
                        gradient[..width].copy_from_slice(&dy.pixel(start + i)[column..][..width]);
                        gradient[width..].fill(0.0);
                    }
                    arch().dispatch(Product {
                        a: &read,
                        a_stride: rows,
                        transposed: true,
                        b: gradient,
                        b_stride: PANEL,
                        c: &mut sums[column..],
                        c_stride: columns,
                        rows,
                        columns: width,
                        k: count,
                        accumulate: start > 0,
                    });
                }
            }
        });
        out.par_chunks_exact_mut(channels_in * taps).enumerate().for_each(|(o, out)| {
            for (index, out) in out.iter_mut().enumerate() {
                *out = sums[(index % taps * channels_in + index / taps) * columns + o];
            }
        });
    }
}

/// Pixels that are gathered together.
const PIXELS: usize = 128;

/// Input channels of a task.
const ROWS: usize = 128;

/// The sum of a gradient over all pixels of all images: what a bias gets, \[c\].
///
/// # Panics
/// On slices that do not have these shapes.
pub fn sum_of_pixels(dy: &Images<'_>, out: &mut [f32]) {
    dy.check();
    let c = dy.shape[3];
    assert_eq!(out.len(), c);
    // Runs in f32, their sums in f64.
    let runs: Vec<Vec<f32>> = (0..dy.pixels().div_ceil(PIXELS))
        .into_par_iter()
        .map(|run| {
            let mut sums = vec![0.0; c];
            for pixel in run * PIXELS..((run + 1) * PIXELS).min(dy.pixels()) {
                sums.iter_mut().zip(dy.pixel(pixel)).for_each(|(sum, v)| *sum += v);
            }
            sums
        })
        .collect();
    for (channel, out) in out.iter_mut().enumerate() {
        *out = runs.iter().map(|run| f64::from(run[channel])).sum::<f64>() as f32;
    }
}
