//! The Inception network of 2015-12-05 that FID looks through, over our kernels: images in, 2048 features each out.
//!
//! It differs from torchvision's `inception_v3` in three places, as pytorch-fid's does: averages over windows do not count what pads, the
//! last block's pooling branch takes the largest number, and batch norms have no scale.

use crate::error::{Error, Result};
use ddim_kernels::{Conv2d, Finish, Images, PackedConv2d, Pool, Pooling, mean_of_pixels};
use ddim_weights::{StateDict, parse_safetensors, read_pickle};
use rayon::prelude::*;
use std::ops::Range;
use std::path::Path;

/// One layer of a branch.
enum Layer {
    /// A convolution without bias, a batch norm, max(0, x): name, channels out, kernel, stride and what pads every edge.
    Conv(&'static str, usize, [usize; 2], usize, [usize; 2]),
    Pool(Pool),
    /// Two convolutions of the same input, one beside the other.
    Fork(Box<[Layer; 2]>),
}

/// Branches that look at the same input; their outputs lie side by side.
struct Block {
    name: &'static str,
    branches: Vec<Vec<Layer>>,
}

/// A convolution whose output is as large as its input.
fn same(name: &'static str, channels: usize, kernel: [usize; 2]) -> Layer {
    Layer::Conv(name, channels, kernel, 1, kernel.map(|k| k / 2))
}

fn pointwise(name: &'static str, channels: usize) -> Layer {
    same(name, channels, [1, 1])
}

/// A 3×3 convolution that stays within the image.
fn valid(name: &'static str, channels: usize, stride: usize) -> Layer {
    Layer::Conv(name, channels, [3, 3], stride, [0, 0])
}

fn shrinking_pool() -> Layer {
    Layer::Pool(Pool { pooling: Pooling::Max, stride: 2, padding: 0 })
}

fn pool(pooling: Pooling) -> Layer {
    Layer::Pool(Pool { pooling, stride: 1, padding: 1 })
}

/// Rows first, then columns, and the other way round.
const ROW: [usize; 2] = [1, 7];
const COLUMN: [usize; 2] = [7, 1];

fn block_a(name: &'static str, pooled: usize) -> Block {
    let branches = vec![
        vec![pointwise("branch1x1", 64)],
        vec![pointwise("branch5x5_1", 48), same("branch5x5_2", 64, [5, 5])],
        vec![pointwise("branch3x3dbl_1", 64), same("branch3x3dbl_2", 96, [3, 3]), same("branch3x3dbl_3", 96, [3, 3])],
        vec![pool(Pooling::Average), pointwise("branch_pool", pooled)],
    ];
    Block { name, branches }
}

fn block_c(name: &'static str, c: usize) -> Block {
    let branches = vec![
        vec![pointwise("branch1x1", 192)],
        vec![pointwise("branch7x7_1", c), same("branch7x7_2", c, ROW), same("branch7x7_3", 192, COLUMN)],
        vec![
            pointwise("branch7x7dbl_1", c),
            same("branch7x7dbl_2", c, COLUMN),
            same("branch7x7dbl_3", c, ROW),
            same("branch7x7dbl_4", c, COLUMN),
            same("branch7x7dbl_5", 192, ROW),
        ],
        vec![pool(Pooling::Average), pointwise("branch_pool", 192)],
    ];
    Block { name, branches }
}

fn block_e(name: &'static str, pooling: Pooling) -> Block {
    let fork = |row: &'static str, column: &'static str| Layer::Fork(Box::new([same(row, 384, [1, 3]), same(column, 384, [3, 1])]));
    let branches = vec![
        vec![pointwise("branch1x1", 320)],
        vec![pointwise("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")],
        vec![pointwise("branch3x3dbl_1", 448), same("branch3x3dbl_2", 384, [3, 3]), fork("branch3x3dbl_3a", "branch3x3dbl_3b")],
        vec![pool(pooling), pointwise("branch_pool", 192)],
    ];
    Block { name, branches }
}

/// The network up to its last average. Names are torchvision's.
fn architecture() -> Vec<Block> {
    let stem = vec![
        valid("Conv2d_1a_3x3", 32, 2),
        valid("Conv2d_2a_3x3", 32, 1),
        same("Conv2d_2b_3x3", 64, [3, 3]),
        shrinking_pool(),
        pointwise("Conv2d_3b_1x1", 80),
        valid("Conv2d_4a_3x3", 192, 1),
        shrinking_pool(),
    ];
    let block_b = vec![
        vec![valid("branch3x3", 384, 2)],
        vec![pointwise("branch3x3dbl_1", 64), same("branch3x3dbl_2", 96, [3, 3]), valid("branch3x3dbl_3", 96, 2)],
        vec![shrinking_pool()],
    ];
    let block_d = vec![
        vec![pointwise("branch3x3_1", 192), valid("branch3x3_2", 320, 2)],
        vec![
            pointwise("branch7x7x3_1", 192),
            same("branch7x7x3_2", 192, ROW),
            same("branch7x7x3_3", 192, COLUMN),
            valid("branch7x7x3_4", 192, 2),
        ],
        vec![shrinking_pool()],
    ];
    vec![
        Block { name: "", branches: vec![stem] },
        block_a("Mixed_5b", 32),
        block_a("Mixed_5c", 64),
        block_a("Mixed_5d", 64),
        Block { name: "Mixed_6a", branches: block_b },
        block_c("Mixed_6b", 128),
        block_c("Mixed_6c", 160),
        block_c("Mixed_6d", 160),
        block_c("Mixed_6e", 192),
        Block { name: "Mixed_7a", branches: block_d },
        block_e("Mixed_7b", Pooling::Average),
        block_e("Mixed_7c", Pooling::Max),
    ]
}

/// Height and width of what the network sees.
const SIZE: usize = 299;
/// Added to the variances of batch norms.
const EPS: f64 = 1e-3;
/// Images that go through the network together. Their features do not depend on it.
const TOGETHER: usize = 16;
/// Numbers of input that go through a block together, so that what lies between its layers stays in the last cache.
const CACHED: usize = 1 << 20;

/// A layer with its weights.
enum Ready {
    Conv(PackedConv2d),
    Pool(Pool),
    Fork(Box<[PackedConv2d; 2]>),
}

/// A block with its weights.
struct ReadyBlock {
    /// The 1×1 convolutions at the beginning of branches as one of more channels: the input is read once. Where there is one alone, it stays
    /// in its branch.
    entry: Option<PackedConv2d>,
    branches: Vec<ReadyBranch>,
    /// \[h, w, c\] of the output.
    shape: [usize; 3],
}

/// A branch with its weights.
struct ReadyBranch {
    /// The channels of the block's entry that it begins with.
    entry: Option<Range<usize>>,
    layers: Vec<Ready>,
}

/// The network with its weights.
pub struct Inception {
    blocks: Vec<ReadyBlock>,
    checksum: u32,
}

impl Inception {
    /// Features of an image.
    pub const FEATURES: usize = 2048;

    /// Reads weights under torchvision's names: safetensors, or the `.pth` that pytorch-fid publishes (nothing in it is executed). Its last
    /// layer, which FID does not use, may be there or not.
    ///
    /// # Errors
    /// A file that cannot be read, or of another network: torchvision's own weights are refused as well.
    pub fn load(path: &Path) -> Result<Self> {
        let pickled = path.extension().is_some_and(|e| ["pth", "pt", "bin"].iter().any(|known| e.eq_ignore_ascii_case(known)));
        let state = if pickled {
            // Counters of training, whole numbers.
            read_pickle(path, |name| !name.ends_with("num_batches_tracked"))?
        } else {
            let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
            parse_safetensors(&bytes, path)?
        };
        let mut shape = [SIZE, SIZE, 3];
        let mut blocks = Vec::new();
        for block in architecture() {
            let (ready, after) = block.ready(shape, &state).map_err(|e| Error::weights(path, format!("{e}: expected {EXPECTED}")))?;
            blocks.push(ready);
            shape = after;
        }
        Ok(Self { blocks, checksum: checksum(&state) })
    }

    /// A checksum (CRC-32C) of the weights that features come from, whatever file they were in: by which they are known again.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The features [n, 2048] of n images of bytes, RGB, interleaved rows ([n, h, w, 3]), as pytorch-fid computes them: resized to 299×299
    /// (bilinear, not antialiased), to [-1, 1], the last average. Those of an image do not depend on the others.
    ///
    /// # Panics
    /// If `pixels` does not hold whole images of at least one pixel.
    pub fn features(&self, pixels: &[u8], [h, w]: [usize; 2]) -> Vec<f32> {
        assert!(h * w > 0 && pixels.len().is_multiple_of(h * w * 3), "{} bytes for images of {h} x {w} x 3", pixels.len());
        let mut features = vec![0.0; pixels.len() / (h * w * 3) * Self::FEATURES];
        let mut spare = Spare::default();
        for (pixels, features) in pixels.chunks(TOGETHER * h * w * 3).zip(features.chunks_mut(TOGETHER * Self::FEATURES)) {
            let n = pixels.len() / (h * w * 3);
            let mut x = spare.take(n * SIZE * SIZE * 3);
            resize(pixels, [h, w], &mut x);
            let mut shape = [SIZE, SIZE, 3];
            for block in &self.blocks {
                let [h, w, c] = block.shape;
                let (from, to) = (shape.iter().product::<usize>(), h * w * c);
                let together = (CACHED / from).clamp(1, n);
                let mut out = spare.take(n * to);
                for (x, out) in x[..n * from].chunks(together * from).zip(out.chunks_mut(together * to)) {
                    block.run(x, x.len() / from, shape, &mut spare, out);
                }
                spare.give(std::mem::replace(&mut x, out));
                shape = block.shape;
            }
            mean_of_pixels(&images(&x, n, shape), features);
            spare.give(x);
        }
        features
    }
}

/// Of the tensors in the order of their names, without the layers behind the features.
fn checksum(state: &StateDict) -> u32 {
    let used = state.iter().filter(|(name, _)| !name.starts_with("fc.") && !name.starts_with("AuxLogits."));
    used.fold(0, |sum, (name, array)| {
        let bytes: Vec<u8> = array.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        crc32c::crc32c_append(crc32c::crc32c_append(sum, name.as_bytes()), &bytes)
    })
}

/// What a weights file should hold.
const EXPECTED: &str = "the weights of FID's Inception (2015-12-05)";

impl Block {
    /// The block with its weights, for an input of `shape`, and the shape of its output.
    fn ready(self, shape: [usize; 3], state: &StateDict) -> std::result::Result<(ReadyBlock, [usize; 3]), String> {
        let prefix = if self.name.is_empty() { String::new() } else { format!("{}.", self.name) };
        let [h, w, c] = shape;
        let begins = |branch: &Vec<Layer>| matches!(branch[0], Layer::Conv(_, _, [1, 1], 1, [0, 0]));
        let merged = self.branches.iter().filter(|branch| begins(branch)).count() > 1;
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        let mut out = [0; 3];
        let mut branches = Vec::new();
        for branch in self.branches {
            let mut at = shape;
            let (mut entry, mut layers) = (None, Vec::new());
            let begins = merged && begins(&branch);
            for (i, layer) in branch.into_iter().enumerate() {
                match layer {
                    Layer::Conv(name, channels, ..) if i == 0 && begins => {
                        let (more, shifts) = folded(&format!("{prefix}{name}"), &Conv2d::pointwise([channels, c]), state)?;
                        entry = Some(bias.len()..bias.len() + channels);
                        weight.extend(more);
                        bias.extend(shifts);
                        at[2] = channels;
                    }
                    layer => {
                        let (layer, after) = layer.ready(&prefix, at, state)?;
                        layers.push(layer);
                        at = after;
                    }
                }
            }
            out = [at[0], at[1], out[2] + at[2]];
            branches.push(ReadyBranch { entry, layers });
        }
        let entry = merged.then(|| PackedConv2d::new(Conv2d::pointwise([bias.len(), c]), [h, w], &weight, Some(&bias)));
        Ok((ReadyBlock { entry, branches, shape: out }, out))
    }
}

impl Layer {
    fn ready(self, prefix: &str, [h, w, c]: [usize; 3], state: &StateDict) -> std::result::Result<(Ready, [usize; 3]), String> {
        match self {
            Self::Conv(name, channels, kernel, stride, padding) => {
                let conv = Conv2d { channels: [channels, c], kernel, stride, padding: padding.map(|p| [p, p]), enlarge: false };
                let [out_h, out_w] = conv.output([h, w]);
                let (weight, bias) = folded(&format!("{prefix}{name}"), &conv, state)?;
                Ok((Ready::Conv(PackedConv2d::new(conv, [h, w], &weight, Some(&bias))), [out_h, out_w, channels]))
            }
            Self::Pool(pool) => {
                let [out_h, out_w] = pool.output([h, w]);
                Ok((Ready::Pool(pool), [out_h, out_w, c]))
            }
            Self::Fork(layers) => {
                let [a, b] = layers.map(|layer| layer.ready(prefix, [h, w, c], state));
                match (a?, b?) {
                    ((Ready::Conv(a), [.., c_a]), (Ready::Conv(b), [.., c_b])) => Ok((Ready::Fork(Box::new([a, b])), [h, w, c_a + c_b])),
                    _ => unreachable!("forks are convolutions"),
                }
            }
        }
    }
}

/// Weights and bias of a convolution and the batch norm behind it, as one: the norm's factor goes into the weights.
fn folded(name: &str, conv: &Conv2d, state: &StateDict) -> std::result::Result<(Vec<f32>, Vec<f32>), String> {
    let [outs, ins] = conv.channels;
    let tensor = |field: &str, shape: &[usize]| {
        let name = format!("{name}.{field}");
        let array = state.get(&name).ok_or_else(|| format!("tensor {name} is missing"))?;
        if array.shape != shape {
            return Err(format!("tensor {name} has shape {:?}, not {shape:?}", array.shape));
        }
        if array.data.iter().any(|v| !v.is_finite()) {
            return Err(format!("tensor {name} is not finite"));
        }
        Ok(array.data.as_slice())
    };
    if state.contains_key(&format!("{name}.bn.weight")) && tensor("bn.weight", &[outs])?.iter().any(|&scale| scale != 1.0) {
        return Err(format!("tensor {name}.bn.weight is not all 1, as in torchvision's inception_v3"));
    }
    let (mean, variance, shift) = (tensor("bn.running_mean", &[outs])?, tensor("bn.running_var", &[outs])?, tensor("bn.bias", &[outs])?);
    let scale: Vec<f64> = variance.iter().map(|v| (f64::from(*v) + EPS).sqrt().recip()).collect();
    let weight = tensor("conv.weight", &[outs, ins, conv.kernel[0], conv.kernel[1]])?;
    let per_channel = weight.len() / outs;
    let weight: Vec<f32> = weight.iter().enumerate().map(|(i, w)| (f64::from(*w) * scale[i / per_channel]) as f32).collect();
    let bias: Vec<f32> = (0..outs).map(|o| (f64::from(shift[o]) - f64::from(mean[o]) * scale[o]) as f32).collect();
    Ok((weight, bias))
}

impl ReadyBlock {
    /// `x` [n, h, w, c] through the block, to `out` [n, h', w', c'].
    fn run(&self, x: &[f32], n: usize, shape: [usize; 3], spare: &mut Spare, out: &mut [f32]) {
        let channels = self.shape[2];
        let entry = self.entry.as_ref().map(|conv| {
            let width = conv.conv().channels[0];
            let mut y = spare.take(n * shape[0] * shape[1] * width);
            conv.run(&images(x, n, shape), None, &RELU, &mut y, width);
            (y, width)
        });
        let mut channel = 0;
        for ReadyBranch { entry: part, layers } in &self.branches {
            let (mut at, mut x) = (shape, images(x, n, shape));
            if let Some((part, (y, width))) = part.clone().zip(entry.as_ref()) {
                at[2] = part.len();
                x = Images { data: &y[part.start..], shape: [n, at[0], at[1], at[2]], stride: *width };
            }
            if layers.is_empty() {
                copy(&x, &mut out[channel..], channels);
                channel += at[2];
            }
            let mut held: Option<Vec<f32>> = None;
            for (i, layer) in layers.iter().enumerate() {
                let after = layer.output(at);
                let x = held.as_deref().map_or(x, |x| images(x, n, at));
                if i + 1 == layers.len() {
                    layer.run(&x, &mut out[channel..], channels);
                    channel += after[2];
                } else {
                    let mut y = spare.take(n * after.iter().product::<usize>());
                    layer.run(&x, &mut y, after[2]);
                    held.replace(y).into_iter().for_each(|old| spare.give(old));
                }
                at = after;
            }
            held.into_iter().for_each(|old| spare.give(old));
        }
        entry.into_iter().for_each(|(old, _)| spare.give(old));
    }
}

/// What follows every convolution.
const RELU: Finish<'_> = Finish { rows: None, residual: None, scale: 1.0, relu: true, accumulate: false };

/// The channels of `x` to `out`, pixels `stride` apart.
fn copy(x: &Images<'_>, out: &mut [f32], stride: usize) {
    let [n, h, w, c] = x.shape;
    let last = n * h * w - 1;
    out[..last * stride + c].par_chunks_mut(w * stride).enumerate().for_each(|(line, out)| {
        for (i, out) in out.chunks_mut(stride).enumerate() {
            out[..c].copy_from_slice(&x.data[(line * w + i) * x.stride..][..c]);
        }
    });
}

impl Ready {
    fn output(&self, [h, w, c]: [usize; 3]) -> [usize; 3] {
        let ([h, w], c) = match self {
            Self::Conv(conv) => (conv.conv().output([h, w]), conv.conv().channels[0]),
            Self::Pool(pool) => (pool.output([h, w]), c),
            Self::Fork(convs) => ([h, w], convs.iter().map(|conv| conv.conv().channels[0]).sum()),
        };
        [h, w, c]
    }

    fn run(&self, x: &Images<'_>, out: &mut [f32], stride: usize) {
        match self {
            Self::Conv(conv) => conv.run(x, None, &RELU, out, stride),
            Self::Pool(pool) => pool.run(x, out, stride),
            Self::Fork(convs) => {
                convs[0].run(x, None, &RELU, out, stride);
                convs[1].run(x, None, &RELU, &mut out[convs[0].conv().channels[0]..], stride);
            }
        }
    }
}

fn images(x: &[f32], n: usize, [h, w, c]: [usize; 3]) -> Images<'_> {
    Images::new(&x[..n * h * w * c], [n, h, w, c])
}

/// Buffers that are used again.
#[derive(Default)]
struct Spare(Vec<Vec<f32>>);

impl Spare {
    /// A buffer of at least `len` numbers: the smallest that is large enough, else the largest, enlarged.
    fn take(&mut self, len: usize) -> Vec<f32> {
        let fits = (0..self.0.len()).filter(|&i| self.0[i].len() >= len).min_by_key(|&i| self.0[i].len());
        let index = fits.or_else(|| (0..self.0.len()).max_by_key(|&i| self.0[i].len()));
        let mut buffer = index.map(|i| self.0.swap_remove(i)).unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        buffer
    }

    fn give(&mut self, buffer: Vec<f32>) {
        self.0.push(buffer);
    }
}

/// Where an output row or column lies in the input, for PyTorch's bilinear interpolation (align_corners=False): two places and the second's
/// weight, in f32 as PyTorch has it.
fn places(from: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / SIZE as f32;
    let place = |i: usize| {
        let at = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
        let first = (at as usize).min(from - 1);
        (first, (first + 1).min(from - 1), (at - first as f32).clamp(0.0, 1.0))
    };
    (0..SIZE).map(place).collect()
}

/// Output lines that a task takes.
const LINES: usize = 23;

/// Bytes [n, h, w, 3] to [n, 299, 299, 3] in [-1, 1].
fn resize(pixels: &[u8], [h, w]: [usize; 2], out: &mut [f32]) {
    let (rows, columns) = (places(h), places(w));
    let n = pixels.len() / (h * w * 3);
    out[..n * SIZE * SIZE * 3].par_chunks_exact_mut(LINES * SIZE * 3).enumerate().for_each(|(task, out)| {
        // An input line at the width of the output serves several lines of an image that is enlarged.
        let mut lines = [0; 2].map(|_| (usize::MAX, vec![0.0; SIZE * 3]));
        for (line, out) in (task * LINES..).zip(out.chunks_exact_mut(SIZE * 3)) {
            let image = line / SIZE;
            let (upper, lower, below) = rows[line % SIZE];
            for y in [upper, lower] {
                let (held, line) = &mut lines[y % 2];
                if *held == image * h + y {
                    continue;
                }
                *held = image * h + y;
                let bytes = &pixels[*held * w * 3..][..w * 3];
                let value = |byte: u8| f32::from(byte) / 255.0;
                for (out, &(left, right, beyond)) in line.chunks_exact_mut(3).zip(&columns) {
                    let ends = bytes[left * 3..][..3].iter().zip(&bytes[right * 3..][..3]);
                    out.iter_mut().zip(ends).for_each(|(out, (&a, &b))| *out = value(a) * (1.0 - beyond) + value(b) * beyond);
                }
            }
            let (upper, lower) = (&lines[upper % 2].1, &lines[lower % 2].1);
            for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
                *out = 2.0 * (upper * (1.0 - below) + lower * below) - 1.0;
            }
        }
    });
}
