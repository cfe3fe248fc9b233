//! Convolutions, and linear layers as convolutions of 1×1 images.

use crate::direct;
use crate::geometry::{Conv2d, Grid};
use crate::images::{Ending, Finish, Images, Normal, written};
use crate::order::Order;
use crate::scratch;
use crate::winograd::{self, TILE};
use crate::winograd_line;

/// How the sums are computed, with the weights. It depends on the layer alone, never on the batch or the threads: so a result does not either.
enum Operand<'a> {
    /// [out / width][tap][in][width].
    Direct(&'a [f32]),
    Winograd(winograd::Operand<'a>),
    /// Along an axis; see [`winograd_line::pack`].
    Line(usize, &'a [f32]),
}

impl Conv2d {
    /// Computes `x` [n, h, w, in] -> `out` [n, h', w', out], with pixels `stride` apart, by `weight` [out, in, k, k] (PyTorch's order), for weights that change
    /// from run to run. The result has the same bits as that of a [`PackedConv2d`].
    ///
    /// # Panics
    /// If the slices do not have these shapes, or inputs are smaller than the kernel.
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
            return run(self, Operand::Line(axis, &winograd_line::pack(self, axis, order)), bias, pass);
        }
        let mut packed = scratch::take(direct::len(self));
        direct::pack(self, order, &mut packed);
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
        Operand::Winograd(weights) => winograd::run(conv, weights, x, normal, &ending, out),
        Operand::Line(axis, weights) => winograd_line::run(conv, axis, weights, x, normal, &ending, out),
        Operand::Direct(weights) => direct::run(conv, weights, x, normal, &ending, out),
    }
}

/// Packed weights.
enum Weights {
    Direct(Vec<f32>),
    Winograd(winograd::Weights),
    Line(usize, Vec<f32>),
}

/// A convolution whose weights are packed for images of one size: created once, run on any number of them.
///
/// ```
/// use ddim_kernels::{Conv2d, Finish, Images, PackedConv2d};
///
/// // A linear layer, 2 channels to 1, over images of one pixel.
/// let layer = PackedConv2d::new(Conv2d::pointwise([1, 2]), [1, 1], &[2.0, 3.0], Some(&[1.0]));
/// let mut out = [0.0; 3];
/// layer.run(&Images::new(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [3, 1, 1, 2]), None, &Finish::default(), &mut out, 1);
/// assert_eq!(out, [3.0, 4.0, 6.0]);
/// ```
pub struct PackedConv2d {
    conv: Conv2d,
    size: [usize; 2],
    bias: Vec<f32>,
    weights: Weights,
}

impl std::fmt::Debug for PackedConv2d {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedConv2d").field("conv", &self.conv).field("size", &self.size).finish_non_exhaustive()
    }
}

/// Bytes of transformed weights that are kept for each tile of an image: where they are more, they would be read for too little.
const KEPT_A_TILE: usize = 2_400_000;

impl PackedConv2d {
    /// Packs `weight` [out, in, k, k] (PyTorch's order) for inputs of `size` [h, w].
    ///
    /// # Panics
    /// If the slices do not have these shapes, or inputs are smaller than the kernel.
    pub fn new(conv: Conv2d, size: [usize; 2], weight: &[f32], bias: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), conv.weights(), "weights {conv:?}");
        let order = Order::OutIn(weight);
        let channels_out = conv.channels[0];
        let bias = bias.map_or_else(|| vec![0.0; channels_out], <[f32]>::to_vec);
        assert_eq!(bias.len(), channels_out, "a bias a channel");
        let weights = if by_winograd(&conv, size) {
            let grid = Grid::new(1, conv.output(size), [TILE; 2]);
            let keep = winograd::transformed_bytes(conv.channels) <= grid.tiles[0] * grid.tiles[1] * KEPT_A_TILE;
            Weights::Winograd(winograd::Weights::new(conv.channels, keep, order))
        } else if let Some(axis) = winograd_line::axis(&conv, size) {
            Weights::Line(axis, winograd_line::pack(&conv, axis, order))
        } else {
            let mut packed = vec![0.0; direct::len(&conv)];
            direct::pack(&conv, order, &mut packed);
            Weights::Direct(packed)
        };
        Self { conv, size, bias, weights }
    }

    /// Computes `x` [n, h, w, in] -> `out` [n, h', w', out], with pixels `stride` apart.
    ///
    /// # Panics
    /// If the slices do not have these shapes.
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
