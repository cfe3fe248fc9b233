//! The gradients of a convolution.

use crate::conv::{Pass, by_winograd};
use crate::gemm::{Product, width};
use crate::geometry::Conv2d;
use crate::images::{Finish, Images, Normal, normalised, written};
use crate::order::Order;
use crate::scratch;
use crate::simd::arch;
use crate::transpose::Transpose;
use crate::winograd;
use rayon::prelude::*;

impl Conv2d {
    /// Computes the gradient of the input [n, h, w, in] of `size` [h, w] from the gradient `dy` of the output [n, h', w', out].
    ///
    /// It is written to `out`, with pixels `stride` apart, or added to what is there if `accumulate` is set. It is a convolution by the `weight` [out, in, k,
    /// k] turned around.
    ///
    /// # Panics
    /// If the slices do not have these shapes; for kernels other than 1×1 without padding and 3×3 with at most one row and column of padding before.
    pub fn input_gradient(
        &self,
        weight: &[f32],
        size @ [h, w]: [usize; 2],
        dy: &Images<'_>,
        out: &mut [f32],
        stride: usize,
        accumulate: bool,
    ) {
        let Self { channels: [channels_out, channels_in], kernel: [kernel, other], padding: [[before, _], [left, _]], enlarge, .. } = *self;
        assert_eq!(weight.len(), self.weights(), "weights {self:?}");
        assert!((kernel, before) == (other, left) && before <= kernel / 2 && kernel <= 3 && kernel != 2, "{self:?}");
        let padding = [[kernel / 2; 2]; 2];
        let turned = Self { channels: [channels_in, channels_out], kernel: self.kernel, stride: 1, padding, enlarge: false };
        let run = |dy: &Images<'_>, accumulate: bool, out: &mut [f32], stride: usize| {
            let finish = &Finish { accumulate, ..Finish::default() };
            turned.run_loose(Order::Turned(weight), None, Pass { x: dy, normal: None, finish, out, stride });
        };
        dy.check();
        let n = dy.shape[0];
        let [out_h, out_w] = self.output(size);
        assert_eq!(dy.shape, [n, out_h, out_w, channels_out]);
        let Some(len) = written([n, h, w, channels_in], stride) else { return };
        let large @ [large_h, large_w] = if enlarge { [2 * h, 2 * w] } else { size };
        let held;
        let mut dy = *dy;
        let (step, offset) = (self.stride, kernel / 2 - before);
        if (step, offset, [out_h, out_w]) != (1, 0, large) {
            // Spread over the input's pixels.
            let mut spread = scratch::zeros(n * large_h * large_w * channels_out);
            spread.par_chunks_exact_mut(large_w * channels_out).enumerate().for_each(|(line, spread)| {
                let (image, y) = (line / large_h, (line % large_h).checked_sub(offset));
                let Some(y) = y.filter(|y| y % step == 0 && y / step < out_h) else { return };
                for x in 0..out_w {
                    let pixel = dy.pixel((image * out_h + y / step) * out_w + x);
                    spread[(x * step + offset) * channels_out..][..channels_out].copy_from_slice(pixel);
                }
            });
            held = spread;
            dy = Images::new(&held, [n, large_h, large_w, channels_out]);
        }
        if !enlarge {
            return run(&dy, accumulate, out, stride);
        }
        let mut found = scratch::take(n * large_h * large_w * channels_in);
        run(&dy, false, &mut found, channels_in);
        out[..len].par_chunks_mut(w * stride).enumerate().for_each(|(line, out)| {
            let (upper, lower) = found[line * 4 * w * channels_in..][..4 * w * channels_in].split_at(2 * w * channels_in);
            for (x, out) in out.chunks_mut(stride).enumerate() {
                let four = [upper, lower].map(|line| line[2 * x * channels_in..][..2 * channels_in].split_at(channels_in));
                let [(a, b), (c, d)] = four;
                for (i, out) in out[..channels_in].iter_mut().enumerate() {
                    let sum = (a[i] + b[i]) + (c[i] + d[i]);
                    *out = if accumulate { *out + sum } else { sum };
                }
            }
        });
    }

    /// Computes the gradient of the weights [out, in, k, k], summed over all images, and adds it to `out`. `normal` is applied to the input as the convolution
    /// reads it.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
    pub fn weight_gradient(&self, x: &Images<'_>, normal: Option<Normal<'_>>, dy: &Images<'_>, out: &mut [f32]) {
        let [channels_out, channels_in] = self.channels;
        x.check();
        dy.check();
        let size = [x.shape[1], x.shape[2]];
        let [out_h, out_w] = self.output(size);
        assert_eq!(x.shape[3], channels_in);
        assert_eq!(dy.shape, [x.shape[0], out_h, out_w, channels_out]);
        assert_eq!(out.len(), self.weights());
        if dy.pixels() == 0 {
            return;
        }
        if by_winograd(self, size) {
            return winograd::weight_gradient(x, self, normal, dy, out);
        }
        let held;
        let mut x = *x;
        if let Some(normal) = normal {
            let mut copy = scratch::take(x.pixels() * channels_in);
            normalised(&x, normal, &mut copy);
            held = copy;
            x = Images::new(&held, x.shape);
        }
        let (taps, pixels, tile) = (self.taps(), dy.pixels(), width());
        let columns = channels_out.next_multiple_of(16);
        // Rows a power of two apart would meet in the same lines of the cache: the gradient goes into panels, [block][out / width][pixel][width], and
        // the input gets gaps.
        let block = channels_out.div_ceil(tile) * GATHERED * tile;
        let mut gradient = scratch::take(pixels.div_ceil(GATHERED) * block);
        gradient.par_chunks_exact_mut(block).enumerate().for_each(|(block, gradient)| {
            let start = block * GATHERED;
            for p in 0..GATHERED.min(pixels - start) {
                for (panel, dy) in dy.pixel(start + p).chunks(tile).enumerate() {
                    let to = &mut gradient[(panel * GATHERED + p) * tile..][..tile];
                    to[..dy.len()].copy_from_slice(dy);
                    to[dy.len()..].fill(0.0);
                }
            }
        });
        // [tap][in][out]; each task sums some input channels under one tap.
        let mut sums = scratch::take(taps * channels_in * columns);
        let tasks: Vec<(usize, usize, &mut [f32])> = sums
            .chunks_exact_mut(channels_in * columns)
            .enumerate()
            .flat_map(|(tap, sums)| sums.chunks_mut(ROWS * columns).enumerate().map(move |(part, sums)| (tap, part * ROWS, sums)))
            .collect();
        tasks.into_par_iter().for_each(|(tap, first, sums)| {
            let rows = sums.len() / columns;
            let apart = rows + 16;
            let mut read = scratch::take(GATHERED * apart);
            for (start, gradient) in (0..pixels).step_by(GATHERED).zip(gradient.chunks_exact(block)) {
                let count = GATHERED.min(pixels - start);
                for (i, read) in read.chunks_exact_mut(apart).take(count).enumerate() {
                    match self.source(size, start + i, tap) {
                        Some(pixel) => read[..rows].copy_from_slice(&x.pixel(pixel)[first..first + rows]),
                        None => read[..rows].fill(0.0),
                    }
                }
                for (panel, gradient) in gradient.chunks_exact(GATHERED * tile).enumerate() {
                    let column = panel * tile;
                    arch().dispatch(Product {
                        a: &read,
                        a_stride: apart,
                        transposed: true,
                        b: gradient,
                        b_stride: tile,
                        c: &mut sums[column..],
                        c_stride: columns,
                        rows,
                        columns: tile.min(channels_out - column),
                        k: count,
                        accumulate: start > 0,
                    });
                }
            }
        });
        let row = channels_in * taps;
        out.par_chunks_mut(tile * row).enumerate().for_each(|(panel, out)| {
            for (tap, sums) in sums.chunks_exact(channels_in * columns).enumerate() {
                let to = |o: usize, first: usize, numbers: &[f32]| {
                    let out = &mut out[o * row..][..row];
                    if taps == 1 {
                        out[first..].iter_mut().zip(numbers).for_each(|(out, number)| *out += number);
                    } else {
                        out[first * taps + tap..].iter_mut().step_by(taps).zip(numbers).for_each(|(out, number)| *out += number);
                    }
                };
                let (from, count) = (&sums[panel * tile..], tile.min(channels_out - panel * tile));
                arch().dispatch(Transpose { from, stride: columns, rows: channels_in, columns: count, to });
            }
        });
    }
}

/// Pixels that are gathered together.
const GATHERED: usize = 256;

/// Pixels of a run whose sum is taken in f32.
const PIXELS: usize = 128;

/// Input channels of a task.
const ROWS: usize = 128;

/// Adds the sum of a gradient over all pixels of all images to `out` \[c\]: the gradient of a bias.
///
/// # Panics
/// If the slices do not have these shapes.
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
        *out += runs.iter().map(|run| f64::from(run[channel])).sum::<f64>() as f32;
    }
}
