//! Convolutions.

use crate::gemm::{Packed, SLACK, product};
use crate::scratch;

/// A square-kernel convolution. Weights are [out, in, kernel, kernel], as PyTorch's.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d<'a> {
    /// \[out, in, kernel, kernel\].
    pub weight: &'a [f32],
    /// One number an output channel.
    pub bias: Option<&'a [f32]>,
    /// Channels out and in.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step of the output over the input.
    pub stride: usize,
    /// Rows and columns of zeros before and after the image.
    pub padding: [usize; 2],
}

impl Conv2d<'_> {
    /// The size of the output for an input of `size`.
    pub fn output(&self, size: usize) -> usize {
        (size + self.padding[0] + self.padding[1] - self.kernel) / self.stride + 1
    }
}

/// A convolution with its weights packed: made once, run on any number of images.
pub struct PreparedConv2d<'a> {
    conv: Conv2d<'a>,
    packed: Packed,
}

impl<'a> PreparedConv2d<'a> {
    /// Packs the weights.
    ///
    /// # Panics
    /// On weights that do not have the shape [out, in, kernel, kernel].
    pub fn new(conv: Conv2d<'a>) -> Self {
        let [channels_out, channels_in] = conv.channels;
        let depth = channels_in * conv.kernel * conv.kernel;
        assert_eq!(conv.weight.len(), channels_out * depth, "weights [out, in, k, k]");
        Self { conv, packed: Packed::new(channels_out, depth, |m, k| conv.weight[m * depth + k]) }
    }

    /// One image `x` [in, h, w] -> `out` [out, h', w'].
    ///
    /// The input is laid out with its padding, split by the stride into phases (even and odd rows and columns), so that every tap of the
    /// kernel reads a contiguous row: of all outputs at once, those between the rows too, which are dropped.
    ///
    /// # Panics
    /// On slices that do not have these shapes, or an input smaller than the kernel.
    pub fn run(&self, x: &[f32], [h, w]: [usize; 2], out: &mut [f32]) {
        let conv = &self.conv;
        let [channels_out, channels_in] = conv.channels;
        let (kernel, stride) = (conv.kernel, conv.stride);
        assert_eq!(x.len(), channels_in * h * w, "an image of {channels_in} x {h} x {w}");
        let (out_h, out_w) = (conv.output(h), conv.output(w));
        assert_eq!(out.len(), channels_out * out_h * out_w, "an output of {channels_out} x {out_h} x {out_w}");

        // Phases [channel][row phase][column phase], each `rows` x `row`.
        let (rows, row) = (out_h + (kernel - 1) / stride, out_w + (kernel - 1) / stride);
        let plane = rows * row;
        let mut phases = scratch::zeros(channels_in * stride * stride * plane + SLACK + row);
        for (c, image) in x.chunks_exact(h * w).enumerate() {
            for (y, line) in image.chunks_exact(w).enumerate() {
                let y = y + conv.padding[0];
                if y / stride >= rows {
                    continue;
                }
                let at = |phase: usize| ((c * stride + y % stride) * stride + phase) * plane + y / stride * row;
                if stride == 1 {
                    let copied = w.min(row - conv.padding[0]);
                    phases[at(0) + conv.padding[0]..][..copied].copy_from_slice(&line[..copied]);
                    continue;
                }
                for (x, &value) in line.iter().enumerate() {
                    let x = x + conv.padding[0];
                    if x / stride < row {
                        phases[at(x % stride) + x / stride] = value;
                    }
                }
            }
        }
        let offsets: Vec<usize> = (0..channels_in * kernel * kernel)
            .map(|k| {
                let (c, tap) = (k / (kernel * kernel), k % (kernel * kernel));
                let (ky, kx) = (tap / kernel, tap % kernel);
                ((c * stride + ky % stride) * stride + kx % stride) * plane + ky / stride * row + kx / stride
            })
            .collect();
        product(&self.packed, &offsets, &phases, (out_h - 1) * row + out_w, conv.bias, out, |out, sums, stride| {
            for (out, sums) in out.chunks_exact_mut(out_h * out_w).zip(sums.chunks_exact(stride)) {
                copy_rows(out, out_w, sums, row, out_w);
            }
        });
        scratch::give_back(phases);
    }
}

/// A linear layer over channels with its weights packed.
pub struct PreparedPointwise<'a> {
    bias: Option<&'a [f32]>,
    packed: Packed,
    channels: [usize; 2],
}

impl<'a> PreparedPointwise<'a> {
    /// Packs `weight` [in, out], for [out, in] channels.
    ///
    /// # Panics
    /// On weights of another size.
    pub fn new(weight: &[f32], bias: Option<&'a [f32]>, [channels_out, channels_in]: [usize; 2]) -> Self {
        assert_eq!(weight.len(), channels_in * channels_out, "weights [in, out]");
        let packed = Packed::new(channels_out, channels_in, |m, k| weight[k * channels_out + m]);
        Self { bias, packed, channels: [channels_out, channels_in] }
    }

    /// `x` [in, pixels] -> [out, pixels].
    ///
    /// # Panics
    /// If `x` does not have that shape.
    pub fn run(&self, x: &[f32], pixels: usize) -> Vec<f32> {
        let [channels_out, channels_in] = self.channels;
        assert_eq!(x.len(), channels_in * pixels);
        let b = scratch::with_slack(x, SLACK);
        let offsets: Vec<usize> = (0..channels_in).map(|k| k * pixels).collect();
        let mut out = vec![0.0; channels_out * pixels];
        product(&self.packed, &offsets, &b, pixels, self.bias, &mut out, |out, sums, stride| copy_rows(out, pixels, sums, stride, pixels));
        scratch::give_back(b);
        out
    }
}

/// The first `columns` of each row of `rows`, `stride` apart, into rows of `out` that are `out_stride` apart. The last row may be short.
pub(crate) fn copy_rows(out: &mut [f32], out_stride: usize, rows: &[f32], stride: usize, columns: usize) {
    for (out, row) in out.chunks_exact_mut(out_stride).zip(rows.chunks(stride)) {
        out[..columns].copy_from_slice(&row[..columns]);
    }
}
