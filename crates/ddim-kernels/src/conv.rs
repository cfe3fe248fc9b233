//! Convolutions, and linear layers as the convolutions of 1×1 images that they are.

use crate::direct;
use crate::gemm::{PANEL, width};
use crate::images::{Ending, Finish, Images, Normal, written};
use crate::simd::arch;
use crate::winograd::{self, Grid, TILE};
use crate::winograd_line;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

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

/// How the sums are computed. It depends on the layer alone, never on the batch or the threads: so a result does not either.
enum Weights {
    /// [out / width][tap][in][width].
    Direct(Vec<f32>),
    Winograd(winograd::Weights),
    /// Along an axis; see [`winograd_line::pack`].
    Line(usize, Vec<f32>),
}

/// A convolution with its weights packed for images of one size: made once, run on any number of them.
pub struct PackedConv2d {
    conv: Conv2d,
    size: [usize; 2],
    bias: Vec<f32>,
    weights: Weights,
}

/// In which order weights lie that are to be packed.
#[derive(Clone, Copy)]
pub(crate) enum Order<'a> {
    /// [out, in, taps], PyTorch's.
    OutIn(&'a [f32]),
    /// [in, out], of a linear layer.
    InOut(&'a [f32]),
    /// [in, out, taps], the taps from the last to the first: of the convolution that is the gradient of another.
    Turned(&'a [f32]),
}

impl Order<'_> {
    /// The weight of output channel `o`, input channel `i` and a tap of `conv`.
    fn at(&self, conv: &Conv2d, o: usize, i: usize, tap: usize) -> f32 {
        let ([outs, ins], taps) = (conv.channels, conv.taps());
        match *self {
            Self::OutIn(weight) => weight[(o * ins + i) * taps + tap],
            Self::InOut(weight) => weight[i * outs + o],
            Self::Turned(weight) => weight[(i * outs + o) * taps + taps - 1 - tap],
        }
    }

    /// Input channel `i`'s weights for `width` output channels from `first`: [tap][width], zero beyond the last channel, the rows of two taps
    /// `row` apart.
    pub(crate) fn pack(&self, [outs, ins]: [usize; 2], taps: usize, [first, width]: [usize; 2], i: usize, to: &mut [f32], row: usize) {
        let count = width.min(outs - first);
        match *self {
            Self::OutIn(weight) => {
                for o in 0..count {
                    let from = &weight[((first + o) * ins + i) * taps..][..taps];
                    for (tap, w) in from.iter().enumerate() {
                        to[tap * row + o] = *w;
                    }
                }
            }
            Self::InOut(weight) => to[..count].copy_from_slice(&weight[i * outs + first..][..count]),
            Self::Turned(weight) => {
                let from = &weight[(i * outs + first) * taps..][..count * taps];
                for (o, from) in from.chunks_exact(taps).enumerate() {
                    for (tap, w) in from.iter().rev().enumerate() {
                        to[tap * row + o] = *w;
                    }
                }
            }
        }
        if count < width {
            (0..taps).for_each(|tap| to[tap * row + count..][..width - count].fill(0.0));
        }
    }
}

/// Weights as [panel of a tile's width][tap][in][width].
fn pack_direct(conv: &Conv2d, order: Order<'_>, packed: &mut [f32]) {
    let (taps, channels_in, width) = (conv.taps(), conv.channels[1], width());
    packed.par_chunks_mut(taps * channels_in * width).enumerate().for_each(|(panel, packed)| {
        for i in 0..channels_in {
            order.pack(conv.channels, taps, [panel * width, width], i, &mut packed[i * width..], channels_in * width);
        }
    });
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
        Self::from_order(conv, size, bias, Order::OutIn(weight), Self::keeps(&conv, size))
    }

    /// The same, of a linear layer with `weight` [in, out].
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn linear(channels: [usize; 2], size: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), channels[0] * channels[1], "weights [in, out] of {channels:?}");
        Self::from_order(Conv2d::pointwise(channels), size, bias, Order::InOut(weight), false)
    }

    /// From weights that lie in some order.
    pub(crate) fn from_order(conv: Conv2d, size: [usize; 2], bias: Option<&[f32]>, order: Order<'_>, keep: bool) -> Self {
        let [channels_out, channels_in] = conv.channels;
        let bias = bias.map_or_else(|| vec![0.0; channels_out], <[f32]>::to_vec);
        assert_eq!(bias.len(), channels_out, "a bias a channel");
        let weights = if by_winograd(&conv, size) {
            Weights::Winograd(winograd::Weights::new(conv.channels, keep, order))
        } else if let Some(axis) = winograd_line::axis(&conv, size) {
            Weights::Line(axis, winograd_line::pack(&conv, axis, |o, i, tap| order.at(&conv, o, i, tap)))
        } else {
            let mut packed = vec![0.0; channels_out.div_ceil(width()) * conv.taps() * channels_in * width()];
            pack_direct(&conv, order, &mut packed);
            Weights::Direct(packed)
        };
        Self { conv, size, bias, weights }
    }

    /// Whether transformed weights are worth their memory for images of this size.
    fn keeps(conv: &Conv2d, size: [usize; 2]) -> bool {
        let grid = Grid::new(1, conv.output(size));
        winograd::transformed_bytes(conv.channels) <= grid.tiles[0] * grid.tiles[1] * KEPT_A_TILE
    }

    /// [`new`](Self::new) for weights that change at every step: they are kept as they are and transformed where they are used. The same bits.
    ///
    /// # Panics
    /// As `new`.
    pub fn changing(conv: Conv2d, size: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), conv.weights(), "weights {conv:?}");
        Self::from_order(conv, size, bias, Order::OutIn(weight), false)
    }

    /// Takes other weights [out, in, k, k], without new memory.
    ///
    /// # Panics
    /// As `new`.
    pub fn repack(&mut self, weight: &[f32], bias: &[f32]) {
        assert_eq!(weight.len(), self.conv.weights(), "weights {:?}", self.conv);
        self.bias.copy_from_slice(bias);
        self.repack_in(Order::OutIn(weight));
    }

    pub(crate) fn repack_in(&mut self, order: Order<'_>) {
        match &mut self.weights {
            Weights::Direct(packed) => pack_direct(&self.conv, order, packed),
            Weights::Line(axis, packed) => *packed = winograd_line::pack(&self.conv, *axis, |o, i, tap| order.at(&self.conv, o, i, tap)),
            Weights::Winograd(weights) => weights.repack(self.conv.channels, order),
        }
    }

    /// What it computes.
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        let (Weights::Direct(all)
        | Weights::Line(_, all)
        | Weights::Winograd(winograd::Weights::Transformed(all) | winograd::Weights::Raw(all))) = &self.weights;
        (all.len() + self.bias.len()) * size_of::<f32>()
    }

    /// `x` [n, h, w, in] -> `out` [n, h', w', out], pixels `stride` apart.
    ///
    /// # Panics
    /// On slices that do not have these shapes.
    pub fn run(&self, x: &Images<'_>, normal: Option<Normal<'_>>, finish: &Finish<'_>, out: &mut [f32], stride: usize) {
        let [n, h, w, channels_in] = x.shape;
        assert_eq!([h, w, channels_in], [self.size[0], self.size[1], self.conv.channels[1]], "{:?}", self.conv);
        x.check();
        let [out_h, out_w] = self.conv.output(self.size);
        let shape = [n, out_h, out_w, self.conv.channels[0]];
        let Some(len) = written(shape, stride) else { return };
        let out = &mut out[..len];
        let ending = Ending::new(&self.bias, finish, shape, stride);
        match &self.weights {
            Weights::Winograd(weights) => self.run_winograd(weights, x, normal, &ending, out),
            Weights::Line(axis, weights) => winograd_line::run(&self.conv, *axis, weights, x, normal, &ending, out),
            Weights::Direct(weights) => direct::run(&self.conv, weights, x, normal, &ending, out),
        }
    }

    fn run_winograd(&self, weights: &winograd::Weights, x: &Images<'_>, normal: Option<Normal<'_>>, ending: &Ending<'_>, out: &mut [f32]) {
        let channels = self.conv.channels;
        let grid = Grid::new(x.shape[0], self.conv.output(self.size));
        let columns = grid.tiles[1];
        let threads = rayon::current_num_threads();
        let together = (winograd::tiles_together(weights, grid.bands() * columns, threads) / columns).max(1);
        let blocks = split(out, (0..grid.bands()).step_by(together).map(|band| grid.first_pixel(band) * ending.stride));
        let panels = channels[0].div_ceil(PANEL);
        // Enough blocks: each is one task. Else the panels and bands of a block are.
        let inner = blocks.len() < threads;
        let run = |(block, out): (usize, &mut [f32])| {
            let bands = block * together..((block + 1) * together).min(grid.bands());
            let input = winograd::transform_input(x, &self.conv, normal, &grid, bands.clone());
            let tiles = bands.len() * columns;
            let width = |panel: usize| PANEL.min(channels[0] - panel * PANEL);
            let multiply = |panel: usize| winograd::multiply(weights, channels[1], panel, width(panel), &input, tiles);
            let finish = |bands: std::ops::Range<usize>, sums: &[winograd::Sums], out: &mut [f32]| {
                let first = bands.start - block * together;
                arch().dispatch(FinishBands { ending, grid: &grid, bands, first, channels: channels[0], sums, out });
            };
            if inner {
                let sums: Vec<winograd::Sums> = (0..panels).into_par_iter().map(multiply).collect();
                let start = grid.first_pixel(bands.start);
                let parts = split(out, bands.clone().map(|band| (grid.first_pixel(band) - start) * ending.stride));
                parts.into_par_iter().zip(bands).for_each(|(out, band)| finish(band..band + 1, &sums, out));
            } else {
                let sums: Vec<winograd::Sums> = (0..panels).map(multiply).collect();
                finish(bands, &sums, out);
            }
        };
        if inner {
            blocks.into_iter().enumerate().for_each(run);
        } else {
            blocks.into_par_iter().enumerate().for_each(run);
        }
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

/// The products of all panels to the pixels of `bands`.
struct FinishBands<'a> {
    ending: &'a Ending<'a>,
    grid: &'a Grid,
    bands: std::ops::Range<usize>,
    /// The first band's place in `sums`.
    first: usize,
    channels: usize,
    sums: &'a [winograd::Sums],
    /// From the first pixel of `bands`.
    out: &'a mut [f32],
}

impl WithSimd for FinishBands<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { ending, grid, .. } = self;
        let w = grid.size[1];
        let start = grid.first_pixel(self.bands.start);
        let mut raw = [0.0; TILE * TILE * PANEL];
        for (index, band) in self.bands.enumerate() {
            let first = grid.first_pixel(band);
            let lines = (grid.first_pixel(band + 1) - first) / w;
            for tile in 0..grid.tiles[1] {
                for (panel, sums) in self.sums.iter().enumerate() {
                    let channel = panel * PANEL;
                    let columns = PANEL.min(self.channels - channel);
                    let added = ending.of(band / grid.tiles[0], channel);
                    sums.outputs(simd, (self.first + index) * grid.tiles[1] + tile, columns, &mut raw);
                    for y in 0..lines {
                        for x in tile * TILE..w.min((tile + 1) * TILE) {
                            let pixel = first + y * w + x;
                            let out = &mut self.out[(pixel - start) * ending.stride + channel..][..columns];
                            ending.apply(simd, &raw[(y * TILE + x % TILE) * PANEL..][..PANEL], added, pixel, channel, out);
                        }
                    }
                }
            }
        }
    }
}
