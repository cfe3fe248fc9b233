//! Direct convolutions, as sums over the lines of the kernel: the pixels under a line are contiguous in memory, as one row of a product.

use crate::gemm::{PackedProduct, parts, width, width_of};
use crate::geometry::Conv2d;
use crate::images::{CopyLine, Ending, Images, Normal};
use crate::order::Order;
use crate::scratch::{self, Scratch};
use crate::simd::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Most pixels that are computed together: their sums and what they read stay in the second cache.
const PIXELS: usize = 96;

/// Numbers of input that stay in the second cache beside what else is used.
const READ: usize = 64 << 10;

/// Rows of a register tile.
const ROWS: usize = 6;

/// Depth of the product that is computed at once where lines of the kernel are shorter: sums stay in registers from line to line.
const DEPTH: usize = 256;

/// Numbers in the weights of [`run`].
pub(crate) fn len(conv: &Conv2d) -> usize {
    conv.channels[0].div_ceil(width()) * conv.taps() * conv.channels[1] * width()
}

/// Weights as [`run`] reads them: [out / width][tap][in][width].
pub(crate) fn pack(conv: &Conv2d, order: Order<'_>, packed: &mut [f32]) {
    let (taps, channels_in, width) = (conv.taps(), conv.channels[1], width());
    packed.par_chunks_mut(taps * channels_in * width).enumerate().for_each(|(panel, packed)| {
        order.pack(conv.channels, taps, [panel * width, width], 0..channels_in, packed, [width, channels_in * width]);
    });
}

/// `x` [n, h, w, in] by weights from [`pack`], to `out` [n, h', w', out].
pub(crate) fn run(conv: &Conv2d, weights: &[f32], x: &Images<'_>, normal: Option<Normal<'_>>, ending: &Ending<'_>, out: &mut [f32]) {
    let total = x.shape[0] * ending.pixels;
    let blocks = total.div_ceil(PIXELS).next_multiple_of(rayon::current_num_threads());
    let together = total.div_ceil(blocks).next_multiple_of(ROWS);
    out.par_chunks_mut(together * ending.stride).enumerate().for_each(|(block, out)| {
        let pixels = block * together..((block + 1) * together).min(total);
        let mut starts = Vec::with_capacity(pixels.len());
        let strip;
        let lies = normal.is_none() && !conv.enlarge && conv.padding == [[0; 2]; 2] && (conv.kernel[1] == 1 || x.stride == x.shape[3]);
        let (a, line) = if lies {
            let [_, h, w, _] = x.shape;
            each_pixel(conv, x, pixels.clone(), |image, row, column| {
                starts.push(((image * h + row * conv.stride) * w + column * conv.stride) * x.stride);
            });
            (x.data, w * x.stride)
        } else {
            let line;
            (strip, line) = copy(conv, x, normal, pixels.clone(), &mut starts);
            (&*strip, line)
        };
        arch().dispatch(Block { conv, weights, a, line, starts: &starts, ending, pixels, out });
    });
}

/// Calls `f(image, row, column)` for output pixels.
fn each_pixel(conv: &Conv2d, x: &Images<'_>, pixels: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
    let [_, h, w, _] = x.shape;
    let [out_h, out_w] = conv.output([h, w]);
    let (mut image, within) = (pixels.start / (out_h * out_w), pixels.start % (out_h * out_w));
    let (mut row, mut column) = (within / out_w, within % out_w);
    for _ in pixels {
        f(image, row, column);
        column += 1;
        if column == out_w {
            (row, column) = (row + 1, 0);
        }
        if row == out_h {
            (image, row) = (image + 1, 0);
        }
    }
}

/// The lines of input that `pixels` read, normalised, enlarged and with the zeros around them; numbers from one line to the next. `starts`
/// gets the place of the first number under each pixel.
fn copy(conv: &Conv2d, x: &Images<'_>, normal: Option<Normal<'_>>, pixels: Range<usize>, starts: &mut Vec<usize>) -> (Scratch, usize) {
    let [_, h, w, c] = x.shape;
    let repeat = if conv.enlarge { 2 } else { 1 };
    let [[above, _], [left, right]] = conv.padding;
    let line = (left + w * repeat + right) * c;
    // For each image the lines from the first that its first pixel reads.
    let mut parts: Vec<(usize, Range<usize>)> = Vec::new();
    let mut before = 0;
    each_pixel(conv, x, pixels, |image, row, column| {
        let lines = row * conv.stride..row * conv.stride + conv.kernel[0];
        match parts.last_mut() {
            Some((last, known)) if *last == image => known.end = lines.end,
            last => {
                before += last.map_or(0, |(_, known)| known.len());
                parts.push((image, lines.clone()));
            }
        }
        let first = parts.last().map_or(0, |(_, known)| known.start);
        starts.push((before + lines.start - first) * line + column * conv.stride * c);
    });
    let count: usize = parts.iter().map(|(_, lines)| lines.len()).sum();
    let mut strip = scratch::take(count * line);
    let lines = parts.into_iter().flat_map(|(image, lines)| lines.map(move |y| (image, y)));
    for ((image, y), strip) in lines.zip(strip.chunks_exact_mut(line)) {
        let y = y.wrapping_sub(above);
        if y >= h * repeat {
            strip.fill(0.0);
            continue;
        }
        let (zeros, rest) = strip.split_at_mut(left * c);
        let (out, more) = rest.split_at_mut(w * repeat * c);
        zeros.fill(0.0);
        more.fill(0.0);
        let normal = normal.map(|n| n.of(image));
        let (x, stride) = (&x.data[(image * h + y / repeat) * w * x.stride..], x.stride);
        arch().dispatch(CopyLine { x, stride, channels: c, pixels: w, normal, repeat, out, out_stride: c });
    }
    (strip, line)
}

/// A range of output pixels, of all output channels.
struct Block<'a> {
    conv: &'a Conv2d,
    weights: &'a [f32],
    /// Lines of pixels, `line` numbers apart.
    a: &'a [f32],
    line: usize,
    /// What lies under the first tap of each pixel.
    starts: &'a [usize],
    ending: &'a Ending<'a>,
    pixels: Range<usize>,
    out: &'a mut [f32],
}

/// Part of the lines of a kernel: all of some, or some of one.
struct Part {
    lines: Range<usize>,
    numbers: Range<usize>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [channels_out, channels_in] = self.conv.channels;
        let [lines, columns] = self.conv.kernel;
        let (depth, width) = (columns * channels_in, width_of::<S>());
        let stride = channels_out.next_multiple_of(16);
        let mut sums = scratch::take(self.starts.len() * stride);
        let together = (DEPTH / depth.max(1)).clamp(1, lines);
        let group = move |first: usize| first..(first + together).min(lines);
        let all: Vec<Part> =
            (0..lines).step_by(together).flat_map(|first| parts(depth).map(move |numbers| Part { lines: group(first), numbers })).collect();
        let read = self.starts.len() * channels_in * self.conv.stride * self.conv.stride;
        let round = if read <= READ { all.len() } else { 1 };
        for round in all.chunks(round.max(1)) {
            let whole = lines * depth * width;
            for (panel, first) in (0..self.weights.len()).step_by(whole).enumerate() {
                for Part { lines, numbers } in round {
                    let at = first + (lines.start * depth + numbers.start) * width;
                    let len = lines.len() * numbers.len() * width;
                    // The next part of this panel, or the same part of the next panel.
                    let next = at + if round.len() == 1 { whole } else { len };
                    let next = next.min(self.weights.len())..(next + len).min(self.weights.len());
                    let product = PackedProduct {
                        a: &self.a[lines.start * self.line + numbers.start..],
                        starts: self.starts,
                        lines: lines.len(),
                        a_line: self.line,
                        k: numbers.len(),
                        b: &self.weights[at..],
                        b_line: depth * width,
                        c: &mut sums[panel * width..],
                        c_stride: stride,
                        columns: width.min(channels_out - panel * width),
                        accumulate: lines.start > 0 || numbers.start > 0,
                        next: &self.weights[next],
                    };
                    product.with_simd(simd);
                }
            }
        }
        for (row, sums) in sums.chunks_exact(stride).enumerate() {
            let pixel = self.pixels.start + row;
            let out = &mut self.out[row * self.ending.stride..][..channels_out];
            self.ending.apply(simd, sums, self.ending.of(pixel / self.ending.pixels, 0), pixel, 0, out);
        }
    }
}
