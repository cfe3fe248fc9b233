//! Images in memory: pixels one after the other, with the channels of a pixel contiguous.

use crate::scratch;
use crate::simd::{arch, load, silu, store};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// A view of n images [h, w, c] whose pixels are `stride` numbers apart, so that the channels may be a part of those of a wider image.
///
/// ```
/// use ddim_kernels::Images;
///
/// let wide = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];                      // two pixels of three channels
/// let whole = Images::new(&wide, [1, 1, 2, 3]);
/// let last = Images { data: &wide[2..], shape: [1, 1, 2, 1], stride: 3 }; // the third channel of both
/// assert_eq!((whole.stride, last.data[last.stride]), (3, 6.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Images<'a> {
    /// The data, at least from the first channel of the first pixel to the last channel of the last.
    pub data: &'a [f32],
    /// The shape, \[n, h, w, c\].
    pub shape: [usize; 4],
    /// Numbers from one pixel to the next, at least c.
    pub stride: usize,
}

impl<'a> Images<'a> {
    /// Creates a view of images without gaps.
    ///
    /// # Panics
    /// If the length of `data` is not that of `shape`.
    pub fn new(data: &'a [f32], shape: [usize; 4]) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "images {shape:?}");
        Self { data, shape, stride: shape[3] }
    }

    pub(crate) fn pixels(&self) -> usize {
        self.shape[..3].iter().product()
    }

    pub(crate) fn check(&self) {
        let [_, _, _, c] = self.shape;
        assert!(self.stride >= c, "{c} channels, pixels {} apart", self.stride);
        let least = self.pixels().checked_sub(1).map_or(0, |last| last * self.stride + c);
        assert!(self.data.len() >= least, "images {:?} of {} numbers", self.shape, self.data.len());
    }

    /// The channels of pixel `p`.
    #[inline(always)]
    pub(crate) fn pixel(&self, p: usize) -> &'a [f32] {
        &self.data[p * self.stride..][..self.shape[3]]
    }
}

/// An operation on the input of another as it is read: silu((x - center) · scale + shift), which applies a group norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal<'a> {
    /// Subtracted, [n, c].
    pub center: &'a [f32],
    /// Multiplied by, [n, c].
    pub scale: &'a [f32],
    /// Added, \[c\].
    pub shift: &'a [f32],
    /// Whether SiLU, x / (1 + e^-x), is applied last.
    pub silu: bool,
}

impl<'a> Normal<'a> {
    /// The part of image `i`.
    pub(crate) fn of(&self, i: usize) -> Self {
        let c = self.shift.len();
        Self { center: &self.center[i * c..(i + 1) * c], scale: &self.scale[i * c..(i + 1) * c], ..*self }
    }
}

/// An operation on the output of another before it is written: (y + rows + residual) · scale, then max(0, ·) if `relu` is set, or added to the existing output
/// if `accumulate` is set. NaN is propagated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finish<'a> {
    /// Added to all pixels of an image: one row per image, [n, c].
    pub rows: Option<&'a [f32]>,
    /// Added pixel by pixel.
    pub residual: Option<Images<'a>>,
    /// Factor of the sum; 1 leaves it unchanged.
    pub scale: f32,
    /// Whether to replace negative numbers by 0.
    pub relu: bool,
    /// Whether to add to what is in the output; not allowed with a residual or `relu`.
    pub accumulate: bool,
}

impl Default for Finish<'_> {
    fn default() -> Self {
        Self { rows: None, residual: None, scale: 1.0, relu: false, accumulate: false }
    }
}

/// Numbers from the first of the first pixel to the last of the last; none where there is no pixel.
pub(crate) fn written([n, h, w, c]: [usize; 4], stride: usize) -> Option<usize> {
    assert!(stride >= c, "{c} channels, pixels {stride} apart");
    Some((n * h * w).checked_sub(1)? * stride + c)
}

/// Where a vector of a tile belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The tile's first, of all images.
    pub(crate) pixel: usize,
    /// The first of what is written to.
    pub(crate) start: usize,
    /// Pixels from one line to the next.
    pub(crate) line: usize,
    /// Pixels of a line of the tile that are in the image.
    pub(crate) columns: usize,
    pub(crate) channel: usize,
    /// Channels, up to a whole vector.
    pub(crate) count: usize,
}

/// `x`, padded with zeros to a whole vector.
#[inline(always)]
fn load_part<S: Simd>(simd: S, x: &[f32]) -> S::f32s {
    if x.len() == S::F32_LANES { load::<S>(x) } else { simd.partial_load_f32s(x) }
}

/// What [`Finish`] and a bias make of a pixel.
pub(crate) struct Ending<'a> {
    /// [1 or n][width]: the bias and the image's row, where there are some.
    sums: scratch::Scratch,
    width: usize,
    finish: &'a Finish<'a>,
    /// Of an image.
    pub(crate) pixels: usize,
    /// Of the output.
    pub(crate) stride: usize,
}

/// Calls a method of an [`Ending`] that is compiled for what its [`Finish`] says: whether there is a residual, `relu` and `accumulate`.
macro_rules! as_finished {
    ($self:ident.$method:ident::<$S:ident $(, $N:ident)?>($($argument:expr),*)) => {
        match (&$self.finish.residual, $self.finish.relu) {
            (None, false) if $self.finish.accumulate => $self.$method::<$S, false, false, true $(, $N)?>($($argument),*),
            (None, false) => $self.$method::<$S, false, false, false $(, $N)?>($($argument),*),
            (None, true) => $self.$method::<$S, false, true, false $(, $N)?>($($argument),*),
            (Some(_), false) => $self.$method::<$S, true, false, false $(, $N)?>($($argument),*),
            (Some(_), true) => $self.$method::<$S, true, true, false $(, $N)?>($($argument),*),
        }
    };
}

impl<'a> Ending<'a> {
    pub(crate) fn new(bias: Option<&[f32]>, finish: &'a Finish<'a>, shape @ [n, h, w, c]: [usize; 4], stride: usize) -> Self {
        if let Some(residual) = &finish.residual {
            residual.check();
            assert_eq!(residual.shape, shape, "a residual like the output");
        }
        assert!(!finish.accumulate || finish.residual.is_none() && !finish.relu, "an output that is added to has no residual");
        // Whole vectors can be read from any channel.
        let width = c + 16;
        let mut sums = scratch::zeros(if finish.rows.is_some() { n } else { 1 } * width);
        for (i, sums) in sums.chunks_exact_mut(width).enumerate() {
            if let Some(bias) = bias {
                sums[..c].copy_from_slice(bias);
            }
            if let Some(rows) = finish.rows {
                assert_eq!(rows.len(), n * c, "a row an image");
                sums.iter_mut().zip(&rows[i * c..(i + 1) * c]).for_each(|(sum, row)| *sum += row);
            }
        }
        Self { sums, width, finish, pixels: h * w, stride }
    }

    /// What is added to channels from `channel` of all pixels of `image`.
    #[inline(always)]
    pub(crate) fn of(&self, image: usize, channel: usize) -> &[f32] {
        &self.sums[if self.finish.rows.is_some() { image * self.width } else { 0 } + channel..]
    }

    /// Channels from `channel` of pixel `pixel` of all images: `raw` and `sums`, readable up to the next multiple of 16, to `out`.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, simd: S, raw: &[f32], sums: &[f32], pixel: usize, channel: usize, out: &mut [f32]) {
        as_finished!(self.row::<S>(simd, raw, sums, pixel, channel, out));
    }

    /// A vector of channels of the pixels of a tile, in lines: what [`Self::apply`] does to them, without going through memory.
    #[inline(always)]
    pub(crate) fn apply_tile<S: Simd, const N: usize>(&self, simd: S, raw: &[[S::f32s; N]], sum: S::f32s, place: Place, out: &mut [f32]) {
        as_finished!(self.tile::<S, N>(simd, raw, sum, place, out));
    }

    #[inline(always)]
    fn row<S: Simd, const RESIDUAL: bool, const RELU: bool, const ADD: bool>(
        &self,
        simd: S,
        raw: &[f32],
        sums: &[f32],
        pixel: usize,
        channel: usize,
        out: &mut [f32],
    ) {
        let residual = self.residual::<RESIDUAL>(pixel, channel);
        let (raw, sums, residuals) = (S::as_simd_f32s(raw).0, S::as_simd_f32s(sums).0, S::as_simd_f32s(residual).0);
        let (vectors, rest) = S::as_mut_simd_f32s(out);
        let whole = vectors.len();
        let (raws, added) = (&raw[..whole], &sums[..whole]);
        let residuals = if RESIDUAL { &residuals[..whole] } else { residuals };
        for (i, out) in vectors.iter_mut().enumerate() {
            let residual = if RESIDUAL { residuals[i] } else { raws[i] };
            *out = self.finished::<S, RESIDUAL, RELU, ADD>(simd, raws[i], added[i], residual, *out);
        }
        if !rest.is_empty() {
            let residual = if RESIDUAL { &residual[whole * S::F32_LANES..] } else { residual };
            self.part::<S, RESIDUAL, RELU, ADD>(simd, raw[whole], sums[whole], residual, rest);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const RESIDUAL: bool, const RELU: bool, const ADD: bool, const N: usize>(
        &self,
        simd: S,
        raw: &[[S::f32s; N]],
        sum: S::f32s,
        Place { pixel, start, line, columns, channel, count }: Place,
        out: &mut [f32],
    ) {
        for (y, raw) in raw.iter().enumerate() {
            for (x, &raw) in raw.iter().take(columns).enumerate() {
                let pixel = pixel + y * line + x;
                let out = &mut out[(pixel - start) * self.stride + channel..][..count];
                self.part::<S, RESIDUAL, RELU, ADD>(simd, raw, sum, self.residual::<RESIDUAL>(pixel, channel), out);
            }
        }
    }

    /// The residual from `channel` of a pixel on; nothing where there is none.
    #[inline(always)]
    fn residual<const RESIDUAL: bool>(&self, pixel: usize, channel: usize) -> &[f32] {
        match &self.finish.residual {
            Some(residual) if RESIDUAL => &residual.data[pixel * residual.stride + channel..],
            _ => &[],
        }
    }

    /// Up to a vector of channels of a pixel, as many as `out` has.
    #[inline(always)]
    fn part<S: Simd, const RESIDUAL: bool, const RELU: bool, const ADD: bool>(
        &self,
        simd: S,
        raw: S::f32s,
        sum: S::f32s,
        residual: &[f32],
        out: &mut [f32],
    ) {
        let residual = if RESIDUAL { load_part(simd, &residual[..out.len()]) } else { raw };
        let held = if ADD { load_part(simd, out) } else { raw };
        let value = self.finished::<S, RESIDUAL, RELU, ADD>(simd, raw, sum, residual, held);
        if out.len() == S::F32_LANES { store::<S>(out, value) } else { simd.partial_store_f32s(out, value) }
    }

    /// A vector of sums with all that is done to it; `residual` and `held`, what is there, count where they are asked for.
    #[inline(always)]
    fn finished<S: Simd, const RESIDUAL: bool, const RELU: bool, const ADD: bool>(
        &self,
        simd: S,
        raw: S::f32s,
        sum: S::f32s,
        residual: S::f32s,
        held: S::f32s,
    ) -> S::f32s {
        let value = simd.add_f32s(raw, sum);
        let value = if RESIDUAL { simd.add_f32s(value, residual) } else { value };
        let value = self.scaled::<S, RELU>(simd, value);
        if ADD { simd.add_f32s(held, value) } else { value }
    }

    #[inline(always)]
    fn scaled<S: Simd, const RELU: bool>(&self, simd: S, y: S::f32s) -> S::f32s {
        let y = simd.mul_f32s(y, simd.splat_f32s(self.finish.scale));
        if !RELU {
            return y;
        }
        // A comparison, because what max makes of NaN depends on the processor.
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.less_than_f32s(y, zero), zero, y)
    }
}

/// A line of pixels, normalised as it is copied: `x`, pixels `stride` apart, to `out`, pixels `out_stride` apart.
pub(crate) struct CopyLine<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
    pub(crate) normal: Option<Normal<'a>>,
    /// Each pixel is written this often (nearest-neighbour enlarging).
    pub(crate) repeat: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) out_stride: usize,
}

impl WithSimd for CopyLine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, stride, channels, pixels, normal, repeat, out, out_stride } = self;
        for p in 0..pixels {
            let x = &x[p * stride..][..channels];
            let first = p * repeat * out_stride;
            let y = &mut out[first..first + channels];
            match normal {
                None => y.copy_from_slice(x),
                Some(n) if n.silu => normalise::<S, true>(simd, x, n, y),
                Some(n) => normalise::<S, false>(simd, x, n, y),
            }
            for again in 1..repeat {
                out.copy_within(first..first + channels, first + again * out_stride);
            }
        }
    }
}

#[inline(always)]
fn normalise<S: Simd, const SILU: bool>(simd: S, x: &[f32], n: Normal<'_>, out: &mut [f32]) {
    let c = x.len();
    let (xs, x_rest) = S::as_simd_f32s(x);
    let (centers, center_rest) = S::as_simd_f32s(&n.center[..c]);
    let (scales, scale_rest) = S::as_simd_f32s(&n.scale[..c]);
    let (shifts, shift_rest) = S::as_simd_f32s(&n.shift[..c]);
    let (outs, out_rest) = S::as_mut_simd_f32s(out);
    for ((((out, &x), &center), &scale), &shift) in outs.iter_mut().zip(xs).zip(centers).zip(scales).zip(shifts) {
        *out = affine::<S, SILU>(simd, x, center, scale, shift);
    }
    if !x_rest.is_empty() {
        let part = |s| simd.partial_load_f32s(s);
        let (x, center, scale, shift) = (part(x_rest), part(center_rest), part(scale_rest), part(shift_rest));
        simd.partial_store_f32s(out_rest, affine::<S, SILU>(simd, x, center, scale, shift));
    }
}

#[inline(always)]
fn affine<S: Simd, const SILU: bool>(simd: S, x: S::f32s, center: S::f32s, scale: S::f32s, shift: S::f32s) -> S::f32s {
    let y = simd.mul_add_e_f32s(simd.sub_f32s(x, center), scale, shift);
    if SILU { silu(simd, y) } else { y }
}

/// Writes the normalised images without gaps to `out` [n, h, w, c].
///
/// # Panics
/// If the slices do not have these shapes.
pub fn normalised(x: &Images<'_>, normal: Normal<'_>, out: &mut [f32]) {
    x.check();
    let [_, h, w, c] = x.shape;
    assert_eq!(out.len(), x.pixels() * c);
    let lines = out.par_chunks_exact_mut(w * c).enumerate();
    lines.with_min_len(LINES).for_each(|(line, out)| {
        let normal = Some(normal.of(line / h));
        let (stride, x) = (x.stride, &x.data[line * w * x.stride..]);
        arch().dispatch(CopyLine { x, stride, channels: c, pixels: w, normal, repeat: 1, out, out_stride: c });
    });
}

/// Lines of pixels that a task takes at least.
pub(crate) const LINES: usize = 4;
