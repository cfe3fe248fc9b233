//! The geometry of convolutions, and the tiles that their output is computed in.

/// The geometry of a convolution, without its weights.
///
/// ```
/// use ddim_kernels::{Conv2d, Finish, Images};
///
/// // Each pixel becomes 0.5 more than the sum of the 3×3 around it.
/// let conv = Conv2d { channels: [1, 1], kernel: [3, 3], stride: 1, padding: [[1, 1]; 2], enlarge: false };
/// let (x, mut out) = ([1.0; 9], [0.0; 9]);
/// conv.run(&[1.0; 9], &[0.5], &Images::new(&x, [1, 3, 3, 1]), None, &Finish::default(), &mut out, 1);
/// assert_eq!(out, [4.5, 6.5, 4.5, 6.5, 9.5, 6.5, 4.5, 6.5, 4.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Output and input channels.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: usize,
    /// Rows of zeros above and below the image, and columns to its left and right.
    pub padding: [[usize; 2]; 2],
    /// Whether the input is first enlarged to twice its height and width, repeating each pixel four times.
    pub enlarge: bool,
}

impl Conv2d {
    /// A linear layer over the channels of each pixel.
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

    /// Number of values in the weights.
    pub fn weights(&self) -> usize {
        self.channels[0] * self.channels[1] * self.taps()
    }
}

/// The tiles of a batch of outputs, in bands: rows of tiles across an image.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    /// Of the output.
    pub(crate) size: [usize; 2],
    /// Of a tile.
    pub(crate) tile: [usize; 2],
    /// Bands of an image, tiles of a band.
    pub(crate) tiles: [usize; 2],
    pub(crate) images: usize,
}

impl Grid {
    pub(crate) fn new(images: usize, size: [usize; 2], tile: [usize; 2]) -> Self {
        Self { size, tile, tiles: [size[0].div_ceil(tile[0]), size[1].div_ceil(tile[1])], images }
    }

    pub(crate) fn bands(&self) -> usize {
        self.images * self.tiles[0]
    }

    /// The first output pixel of a band, of all images.
    pub(crate) fn first_pixel(&self, band: usize) -> usize {
        let [h, w] = self.size;
        band / self.tiles[0] * h * w + (band % self.tiles[0] * self.tile[0]).min(h) * w
    }
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
