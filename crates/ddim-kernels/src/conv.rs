//! Convolutions, and linear layers as the convolutions of 1×1 images that they are.

use crate::direct;
use crate::gemm::{PANEL, width};
use crate::images::{Ending, Finish, Images, Normal, Place, written};
use crate::scratch;
use crate::simd::{arch, load};
use crate::transpose::Transpose;
use crate::winograd::{self, Grid, TILE};
use crate::winograd_line;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// What a convolution is, without its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels out and in.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step of the output over the input.
    pub stride: usize,
    /// Zeros before and after the image: rows above and below it, columns on the left and on the right.
    pub padding: [[usize; 2]; 2],
    /// Whether the input is first enlarged to twice its height and width, each pixel four times.
    pub enlarge: bool,
}

impl Conv2d {
    /// A linear layer over channels.
    pub fn pointwise(channels: [usize; 2]) -> Self {
        Self { channels, kernel: [1, 1], stride: 1, padding: [[0, 0]; 2], enlarge: false }
    }

    /// The size of the output for an input of `size`.
    pub fn output(&self, size: [usize; 2]) -> [usize; 2] {
        let along = |axis: usize| {
            let padded = size[axis] * if self.enlarge { 2 } else { 1 } + self.padding[axis].iter().sum::<usize>();
            (padded - self.kernel[axis]) / self.stride + 1
        };
        [along(0), along(1)]
    }

    /// Pixels under the kernel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The input pixel, of all images of `size`, under a tap of an output pixel.
    pub(crate) fn source(&self, size @ [h, w]: [usize; 2], pixel: usize, tap: usize) -> Option<usize> {
        let [out_h, out_w] = self.output(size);
        let (image, within) = (pixel / (out_h * out_w), pixel % (out_h * out_w));
        let y = (within / out_w * self.stride + tap / self.kernel[1]).checked_sub(self.padding[0][0])?;
        let x = (within % out_w * self.stride + tap % self.kernel[1]).checked_sub(self.padding[1][0])?;
        let (y, x) = if self.enlarge { (y / 2, x / 2) } else { (y, x) };
        (y < h && x < w).then_some((image * h + y) * w + x)
    }

    /// Numbers in the weights.
    pub fn weights(&self) -> usize {
        self.channels[0] * self.channels[1] * self.taps()
    }
}

/// In which order weights lie.
#[derive(Clone, Copy)]
pub(crate) enum Order<'a> {
    /// [out, in, taps], PyTorch's.
    OutIn(&'a [f32]),
    /// [in, out, taps], the taps from the last to the first: of the convolution that is the gradient of another.
    Turned(&'a [f32]),
}

impl Order<'_> {
    /// The weight of output channel `o`, input channel `i` and a tap of `conv`.
    fn at(&self, conv: &Conv2d, o: usize, i: usize, tap: usize) -> f32 {
        let ([outs, ins], taps) = (conv.channels, conv.taps());
        match *self {
            Self::OutIn(weight) => weight[(o * ins + i) * taps + tap],
            Self::Turned(weight) => weight[(i * outs + o) * taps + taps - 1 - tap],
        }
    }

    /// The weights of input channels `range` for `width` output channels from `first`, zero beyond the last: rows of `width`, those of two input
    /// channels and of two taps `apart`.
    pub(crate) fn pack(
        &self,
        [outs, ins]: [usize; 2],
        taps: usize,
        [first, width]: [usize; 2],
        range: Range<usize>,
        to: &mut [f32],
        apart: [usize; 2],
    ) {
        let count = width.min(outs - first);
        let row = |i: usize, tap: usize| i * apart[0] + tap * apart[1];
        let vectors = arch();
        match *self {
            Self::OutIn(weight) => {
                let (from, stride) = (&weight[(first * ins + range.start) * taps..], ins * taps);
                // Without a division where rows are all as far apart.
                let even = apart[0] == taps * apart[1];
                let to = |column: usize, o: usize, numbers: &[f32]| {
                    let row = if even { column * apart[1] } else { row(column / taps, column % taps) };
                    to[row + o..][..numbers.len()].copy_from_slice(numbers);
                };
                vectors.dispatch(Transpose { from, stride, rows: count, columns: range.len() * taps, to });
            }
            Self::Turned(weight) if taps == 1 => {
                for i in range.clone() {
                    to[row(i - range.start, 0)..][..count].copy_from_slice(&weight[i * outs + first..][..count]);
                }
            }
            Self::Turned(weight) => {
                for i in range.clone() {
                    let from = &weight[(i * outs + first) * taps..][..count * taps];
                    let to = |tap: usize, o: usize, numbers: &[f32]| {
                        to[row(i - range.start, taps - 1 - tap) + o..][..numbers.len()].copy_from_slice(numbers);
                    };
                    vectors.dispatch(Transpose { from, stride: taps, rows: count, columns: taps, to });
                }
            }
        }
        if count < width {
            for i in 0..range.len() {
                (0..taps).for_each(|tap| to[row(i, tap)..][count..width].fill(0.0));
            }
        }
    }
}

/// Numbers in the weights of [`direct::run`].
fn direct_len(conv: &Conv2d) -> usize {
    conv.channels[0].div_ceil(width()) * conv.taps() * conv.channels[1] * width()
}

/// Weights as [`direct::run`] reads them: [panel of a tile's width][tap][in][width].
fn pack_direct(conv: &Conv2d, order: Order<'_>, packed: &mut [f32]) {
    let (taps, channels_in, width) = (conv.taps(), conv.channels[1], width());
    packed.par_chunks_mut(taps * channels_in * width).enumerate().for_each(|(panel, packed)| {
        order.pack(conv.channels, taps, [panel * width, width], 0..channels_in, packed, [width, channels_in * width]);
    });
}

fn pack_line(conv: &Conv2d, axis: usize, order: Order<'_>) -> Vec<f32> {
    winograd_line::pack(conv, axis, |o, i, tap| order.at(conv, o, i, tap))
}

/// How the sums are computed, with the weights. It depends on the layer alone, never on the batch or the threads: so a result does not either.
enum Operand<'a> {
    /// [out / width][tap][in][width].
    Direct(&'a [f32]),
    Winograd(winograd::Operand<'a>),
    /// Along an axis; see [`winograd_line::pack`].
    Line(usize, &'a [f32]),
}

impl Conv2d {
    /// `x` [n, h, w, in] -> `out` [n, h', w', out], pixels `stride` apart, by `weight` [out, in, k, k] (PyTorch's order) that change from run to run.
    /// The same bits as those of a [`PackedConv2d`].
    ///
    /// # Panics
    /// On slices that do not have these shapes, or inputs smaller than the kernel.
    #[allow(clippy::too_many_arguments)] // all of one layer
    pub fn run(
        &self,
        weight: &[f32],
        bias: &[f32],
        x: &Images<'_>,
        normal: Option<Normal<'_>>,
        finish: &Finish<'_>,
        out: &mut [f32],
        stride: usize,
    ) {
        assert_eq!(weight.len(), self.weights(), "weights {self:?}");
        self.run_loose(Order::OutIn(weight), Some(bias), Pass { x, normal, finish, out, stride });
    }

    /// With weights that nobody packed.
    pub(crate) fn run_loose(&self, order: Order<'_>, bias: Option<&[f32]>, pass: Pass<'_>) {
        let size = [pass.x.shape[1], pass.x.shape[2]];
        if by_winograd(self, size) {
            return run(self, Operand::Winograd(winograd::Operand::Loose(order)), bias, pass);
        }
        if let Some(axis) = winograd_line::axis(self, size) {
            return run(self, Operand::Line(axis, &pack_line(self, axis, order)), bias, pass);
        }
        let mut packed = scratch::take(direct_len(self));
        pack_direct(self, order, &mut packed);
        run(self, Operand::Direct(&packed), bias, pass);
    }
}

/// What a convolution reads and writes, but for its weights.
pub(crate) struct Pass<'a> {
    pub(crate) x: &'a Images<'a>,
    pub(crate) normal: Option<Normal<'a>>,
    pub(crate) finish: &'a Finish<'a>,
    pub(crate) out: &'a mut [f32],
    /// Numbers from one pixel of `out` to the next.
    pub(crate) stride: usize,
}

fn run(conv: &Conv2d, operand: Operand<'_>, bias: Option<&[f32]>, Pass { x, normal, finish, out, stride }: Pass<'_>) {
    let [n, h, w, channels_in] = x.shape;
    assert_eq!(channels_in, conv.channels[1], "{conv:?}");
    x.check();
    let [out_h, out_w] = conv.output([h, w]);
    let shape = [n, out_h, out_w, conv.channels[0]];
    let Some(len) = written(shape, stride) else { return };
    let out = &mut out[..len];
    let ending = Ending::new(bias, finish, shape, stride);
    match operand {
        Operand::Winograd(weights) => run_winograd(conv, weights, x, normal, &ending, out),
        Operand::Line(axis, weights) => winograd_line::run(conv, axis, weights, x, normal, &ending, out),
        Operand::Direct(weights) => direct::run(conv, weights, x, normal, &ending, out),
    }
}

fn run_winograd(
    conv: &Conv2d,
    weights: winograd::Operand<'_>,
    x: &Images<'_>,
    normal: Option<Normal<'_>>,
    ending: &Ending<'_>,
    out: &mut [f32],
) {
    let channels = conv.channels;
    let grid = Grid::new(x.shape[0], conv.output([x.shape[1], x.shape[2]]));
    let (columns, threads) = (grid.tiles[1], rayon::current_num_threads());
    let held;
    let weights = match weights.for_tiles(channels, grid.bands() * columns) {
        Some(all) => {
            held = all;
            winograd::Operand::Transformed(&held)
        }
        None => weights,
    };
    let together = weights.bands_together(grid.bands(), columns, threads);
    let blocks = split(out, (0..grid.bands()).step_by(together).map(|band| grid.first_pixel(band) * ending.stride));
    let panels = channels[0].div_ceil(PANEL);
    // Enough blocks: each is one task. Else what a block does is spread as well.
    let spread = blocks.len() < threads;
    let run = |(block, out): (usize, &mut [f32])| {
        let bands = block * together..((block + 1) * together).min(grid.bands());
        let input = winograd::transform_input(x, conv, normal, &grid, bands.clone());
        let tiles = bands.len() * columns;
        let multiply = |panel: usize| winograd::multiply(weights, channels, panel, &input, tiles, spread);
        let finish = |bands: Range<usize>, panel: usize, sums: &winograd::Sums, out: &mut [f32]| {
            let first = bands.start - block * together;
            arch().dispatch(FinishBands { ending, grid: &grid, bands, first, channels: channels[0], panel, sums, out });
        };
        if spread {
            let sums: Vec<winograd::Sums> = (0..panels).into_par_iter().map(multiply).collect();
            let start = grid.first_pixel(bands.start);
            let parts = split(out, bands.clone().map(|band| (grid.first_pixel(band) - start) * ending.stride));
            parts.into_par_iter().zip(bands).for_each(|(out, band)| {
                sums.iter().enumerate().for_each(|(panel, sums)| finish(band..band + 1, panel, sums, out));
            });
        } else {
            // A panel's sums are still near when they are read.
            (0..panels).for_each(|panel| finish(bands.clone(), panel, &multiply(panel), out));
        }
    };
    blocks.into_par_iter().enumerate().for_each(run);
}

/// Packed weights.
enum Weights {
    Direct(Vec<f32>),
    Winograd(winograd::Weights),
    Line(usize, Vec<f32>),
}

/// A convolution with its weights packed for images of one size: made once, run on any number of them.
pub struct PackedConv2d {
    conv: Conv2d,
    size: [usize; 2],
    bias: Vec<f32>,
    weights: Weights,
}

/// Bytes of transformed weights that are kept for each tile of an image: where they are more, they would be read for too little.
const KEPT_A_TILE: usize = 2_400_000;

impl PackedConv2d {
    /// Packs `weight` [out, in, k, k] (PyTorch's order) for inputs of `size` [h, w].
    ///
    /// # Panics
    /// On slices that do not have these shapes, or inputs smaller than the kernel.
    pub fn new(conv: Conv2d, size: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), conv.weights(), "weights {conv:?}");
        let order = Order::OutIn(weight);
        let channels_out = conv.channels[0];
        let bias = bias.map_or_else(|| vec![0.0; channels_out], <[f32]>::to_vec);
        assert_eq!(bias.len(), channels_out, "a bias a channel");
        let weights = if by_winograd(&conv, size) {
            let grid = Grid::new(1, conv.output(size));
            let keep = winograd::transformed_bytes(conv.channels) <= grid.tiles[0] * grid.tiles[1] * KEPT_A_TILE;
            Weights::Winograd(winograd::Weights::new(conv.channels, keep, order))
        } else if let Some(axis) = winograd_line::axis(&conv, size) {
            Weights::Line(axis, pack_line(&conv, axis, order))
        } else {
            let mut packed = vec![0.0; direct_len(&conv)];
            pack_direct(&conv, order, &mut packed);
            Weights::Direct(packed)
        };
        Self { conv, size, bias, weights }
    }

    /// `x` [n, h, w, in] -> `out` [n, h', w', out], pixels `stride` apart.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn run(&self, x: &Images<'_>, normal: Option<Normal<'_>>, finish: &Finish<'_>, out: &mut [f32], stride: usize) {
        assert_eq!(x.shape[1..3], self.size, "{:?}", self.conv);
        let operand = match &self.weights {
            Weights::Winograd(weights) => Operand::Winograd(weights.operand()),
            Weights::Line(axis, weights) => Operand::Line(*axis, weights),
            Weights::Direct(weights) => Operand::Direct(weights),
        };
        run(&self.conv, operand, Some(&self.bias), Pass { x, normal, finish, out, stride });
    }
}

/// Winograd's tiles may reach over the image's edge; where that costs more than they save, sums are computed directly. So they are for few
/// input channels, where the transforms would be most of the work.
pub(crate) fn by_winograd(conv: &Conv2d, size: [usize; 2]) -> bool {
    let [h, w] = conv.output(size);
    let tiles = h.div_ceil(TILE) * w.div_ceil(TILE);
    let fits = conv.padding.iter().flatten().all(|&zeros| zeros <= 1);
    (conv.kernel, conv.stride, fits) == ([3, 3], 1, true) && conv.channels[1] >= 16 && h * w * 9 > tiles * winograd::POINTS * 4 / 3
}

/// `slice` cut at `starts`, of which the first is 0.
pub(crate) fn split(mut slice: &mut [f32], starts: impl Iterator<Item = usize> + Clone) -> Vec<&mut [f32]> {
    let lengths = starts.clone().zip(starts.skip(1)).map(|(a, b)| b - a);
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = slice.split_at_mut(length);
        parts.push(part);
        slice = rest;
    }
    parts.push(slice);
    parts
}

/// The products of a panel to the pixels of `bands`.
struct FinishBands<'a> {
    ending: &'a Ending<'a>,
    grid: &'a Grid,
    bands: Range<usize>,
    /// The first band's place in `sums`.
    first: usize,
    channels: usize,
    panel: usize,
    sums: &'a winograd::Sums,
    /// From the first pixel of `bands`.
    out: &'a mut [f32],
}

impl WithSimd for FinishBands<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let w = self.grid.size[1];
        let channel = self.panel * PANEL;
        let columns = PANEL.min(self.channels - channel);
        let start = self.grid.first_pixel(self.bands.start);
        for (index, band) in self.bands.clone().enumerate() {
            let first = self.grid.first_pixel(band);
            let lines = (self.grid.first_pixel(band + 1) - first) / w;
            let added = self.ending.of(band / self.grid.tiles[0], channel);
            for tile in 0..self.grid.tiles[1] {
                let (x, at) = (tile * TILE, (self.first + index) * self.grid.tiles[1] + tile);
                for column in (0..columns).step_by(S::F32_LANES) {
                    let place = Place {
                        pixel: first + x,
                        start,
                        line: w,
                        columns: w - x,
                        channel: channel + column,
                        count: S::F32_LANES.min(columns - column),
                    };
                    let rows = self.sums.outputs(simd, at, column);
                    self.ending.apply_tile(simd, &rows[..lines], load::<S>(&added[column..]), place, self.out);
                }
            }
        }
    }
}
