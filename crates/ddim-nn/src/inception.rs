//! The Inception network of 2015-12-05 that FID uses, as a graph over our kernels: images in, 2048 features out for each.
//!
//! It differs from torchvision's `inception_v3` in three places, as pytorch-fid's does: averages over windows do not count the padding, the
//! pooling branch of the last block takes the maximum, and batch norms have no scale.

use crate::condition::Condition;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::executor::{GraphModule, Planned, Runner};
use crate::graph::{Conv, Graph, INPUT, Id, Initial, ParameterId, Parameters, Scope};
use crate::plan::{Inputs, Weights};
use ddim_kernels::Activation;
use ddim_kernels::{Conv2d, Pool, Pooling};
use ddim_weights::{StateDict, read_pickle, read_safetensors};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// One layer of a branch.
enum Layer {
    /// A convolution without bias, a batch norm, max(0, x): name, channels out, kernel, stride and what pads every edge.
    Conv(&'static str, usize, [usize; 2], usize, [usize; 2]),
    Pool(Pool),
    /// A 1×1 convolution of averages over 3×3 pixels: name and channels out.
    OfAverages(&'static str, usize),
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

const AVERAGES: Pool = Pool { pooling: Pooling::Average, stride: 1, padding: 1 };

/// Rows first, then columns, and the other way round.
const ROW: [usize; 2] = [1, 7];
const COLUMN: [usize; 2] = [7, 1];

fn block_a(name: &'static str, pooled: usize) -> Block {
    let branches = vec![
        vec![pointwise("branch1x1", 64)],
        vec![pointwise("branch5x5_1", 48), same("branch5x5_2", 64, [5, 5])],
        vec![pointwise("branch3x3dbl_1", 64), same("branch3x3dbl_2", 96, [3, 3]), same("branch3x3dbl_3", 96, [3, 3])],
        vec![Layer::OfAverages("branch_pool", pooled)],
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
        vec![Layer::OfAverages("branch_pool", 192)],
    ];
    Block { name, branches }
}

fn block_e(name: &'static str, pooled: Vec<Layer>) -> Block {
    let fork = |row: &'static str, column: &'static str| Layer::Fork(Box::new([same(row, 384, [1, 3]), same(column, 384, [3, 1])]));
    let branches = vec![
        vec![pointwise("branch1x1", 320)],
        vec![pointwise("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")],
        vec![pointwise("branch3x3dbl_1", 448), same("branch3x3dbl_2", 384, [3, 3]), fork("branch3x3dbl_3a", "branch3x3dbl_3b")],
        pooled,
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
        block_e("Mixed_7b", vec![Layer::OfAverages("branch_pool", 192)]),
        // As the network was published, and not as it was meant.
        block_e("Mixed_7c", vec![Layer::Pool(Pool { pooling: Pooling::Max, ..AVERAGES }), pointwise("branch_pool", 192)]),
    ]
}

/// Height and width of what the network sees.
const SIZE: usize = 299;
/// Added to the variances of batch norms.
const EPS: f64 = 1e-3;
/// Images that go through the network together: what lies between two layers stays in the last cache. Their features do not depend on it.
const TOGETHER: usize = 2;
/// The same on another device, which takes what it has room for at a time.
const TOGETHER_ELSEWHERE: usize = 64;

/// A convolution with the batch norm behind it: its bias is the norm's, once the statistics are folded in.
struct BatchNormed {
    conv: Conv,
    mean: ParameterId,
    variance: ParameterId,
}

/// The network while it is written down.
struct Definition {
    parameters: Parameters,
    graph: Graph,
    convs: Vec<BatchNormed>,
}

impl Definition {
    fn block(&mut self, block: &Block, x: Id) -> Id {
        let mut outputs = Vec::new();
        for branch in &block.branches {
            let mut values = vec![x];
            for layer in branch {
                let [x] = values[..] else { unreachable!("a fork is a branch's last layer") };
                values = self.layer(block.name, layer, x);
            }
            outputs.extend(values);
        }
        if let [x] = outputs[..] { x } else { self.graph.concat(outputs) }
    }

    /// What a layer makes of a value: one more, or two that lie side by side.
    fn layer(&mut self, block: &str, layer: &Layer, x: Id) -> Vec<Id> {
        match layer {
            Layer::Pool(pool) => vec![self.graph.pool(*pool, x)],
            Layer::Fork(layers) => layers.iter().flat_map(|layer| self.layer(block, layer, x)).collect(),
            Layer::Conv(name, channels, kernel, stride, padding) => {
                let channels = [*channels, self.graph.shape(x)[2]];
                let conv = Conv2d { channels, kernel: *kernel, stride: *stride, padding: padding.map(|p| [p, p]), enlarge: false };
                let y = self.conv(block, name, conv, x);
                vec![self.graph.activate(Activation::Relu, y)]
            }
            Layer::OfAverages(name, channels) => {
                // Averaging commutes with a 1×1 convolution and its bias, and there are fewer channels after it.
                let y = self.conv(block, name, Conv2d::pointwise([*channels, self.graph.shape(x)[2]]), x);
                let y = self.graph.pool(AVERAGES, y);
                vec![self.graph.activate(Activation::Relu, y)]
            }
        }
    }

    /// A convolution and the batch norm behind it.
    fn conv(&mut self, block: &str, name: &str, conv: Conv2d, x: Id) -> Id {
        let [channels, channels_in] = conv.channels;
        let [height, width] = conv.kernel;
        let mut scope = Scope::new(&mut self.parameters);
        let mut scope = if block.is_empty() { scope } else { scope.under(block) };
        let mut scope = scope.under(name);
        let weight = scope.declare("conv.weight", &[channels, channels_in, height, width], Initial::Zeros);
        let [mean, variance, bias] =
            ["bn.running_mean", "bn.running_var", "bn.bias"].map(|name| scope.declare(name, &[channels], Initial::Zeros));
        let conv = Conv { conv, weight, bias };
        self.convs.push(BatchNormed { conv, mean, variance });
        self.graph.conv(&conv, x)
    }
}

/// The network with its weights.
///
/// ```no_run
/// use ddim_nn::Inception;
///
/// let inception = Inception::load("pt_inception-2015-12-05-6726825d.pth".as_ref())?;
/// let gray = vec![128; 2 * 32 * 32 * 3];
/// assert_eq!(inception.features(&gray, [32, 32])?.len(), 2 * Inception::FEATURES);
/// # Ok::<(), ddim_nn::Error>(())
/// ```
pub struct Inception {
    runner: Runner,
    checksum: u32,
}

impl std::fmt::Debug for Inception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inception").field("checksum", &self.checksum).finish_non_exhaustive()
    }
}

impl Inception {
    /// The number of features of an image.
    pub const FEATURES: usize = 2048;

    /// Reads weights under torchvision's names: safetensors, or the `.pth` that pytorch-fid publishes (nothing in it is executed). The last
    /// layer, which FID does not use, may be present or absent.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is of another network; torchvision's own weights are rejected as well.
    pub fn load(path: &Path) -> Result<Self> {
        Self::run_by(path, |module| Ok(Runner::here(module)))
    }

    /// Reads weights for evaluation on a device other than the processor.
    ///
    /// # Errors
    /// As [`load`](Self::load), and an error if the device has no room for the network.
    pub fn load_on(path: &Path, device: &dyn Device) -> Result<Self> {
        Self::run_by(path, |module| Ok(Runner::Elsewhere(device.executor(module)?)))
    }

    fn run_by(path: &Path, runner: impl FnOnce(&GraphModule<'_>) -> Result<Runner>) -> Result<Self> {
        let pickled = path.extension().is_some_and(|e| ["pth", "pt", "bin"].iter().any(|known| e.eq_ignore_ascii_case(known)));
        // Without counters of training, whole numbers.
        let is_kept = |name: &str| !name.ends_with("num_batches_tracked");
        let state = if pickled { read_pickle(path, is_kept)? } else { read_safetensors(path, is_kept)? };
        let mut definition = Definition { parameters: Parameters::default(), graph: Graph::new([SIZE, SIZE, 3]), convs: Vec::new() };
        let x = architecture().iter().fold(INPUT, |x, block| definition.block(block, x));
        definition.graph.mean(x);
        let Definition { parameters, graph, convs } = definition;
        let values = folded(&parameters, &convs, &state).map_err(|e| Error::weights(path, format!("{e}: expected {EXPECTED}")))?;
        let checksum = checksum(&state);
        drop(state);
        let runner = runner(&GraphModule { graph, parameters: Arc::new(parameters), values: &values })?;
        Ok(Self { runner, checksum })
    }

    /// Returns a checksum (CRC-32C) of the weights that the features depend on, whatever file they came from, by which they can be
    /// recognised.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Computes the features [n, 2048] of n images, RGB bytes in interleaved rows ([n, h, w, 3]), as pytorch-fid does.
    ///
    /// Images are resized to 299×299 (bilinear, not antialiased) and scaled to [-1, 1]; the features are the last average. Those of an
    /// image do not depend on the others.
    ///
    /// # Errors
    /// Returns the device's errors if a device other than the processor evaluates the network.
    ///
    /// # Panics
    /// Panics if `pixels` does not hold whole images of at least one pixel.
    pub fn features(&self, pixels: &[u8], [h, w]: [usize; 2]) -> Result<Vec<f32>> {
        assert!(h * w > 0 && pixels.len().is_multiple_of(h * w * 3), "{} bytes for images of {h} x {w} x 3", pixels.len());
        let mut features = vec![0.0; pixels.len() / (h * w * 3) * Self::FEATURES];
        let together = match self.runner {
            Runner::Here(_) => TOGETHER.max(rayon::current_num_threads()),
            Runner::Elsewhere(_) => TOGETHER_ELSEWHERE,
        };
        let mut x = Vec::new();
        for (pixels, features) in pixels.chunks(together * h * w * 3).zip(features.chunks_mut(together * Self::FEATURES)) {
            let n = pixels.len() / (h * w * 3);
            x.resize(n * SIZE * SIZE * 3, 0.0);
            resize(pixels, [h, w], &mut x);
            match &self.runner {
                Runner::Here(planned) => {
                    let Planned { plan, packed, arenas } = &**planned;
                    let kinds = vec![0; n];
                    let inputs =
                        Inputs { x: &x, interleaved: true, timesteps: &[], condition: &Condition::None, kinds: &kinds, dropout: &[] };
                    arenas.run(|arena| plan.run(Weights::Packed(packed), &inputs, arena, None, features));
                }
                Runner::Elsewhere(executor) => executor.evaluate(&planar(&x), &vec![0.0; n], &Condition::None, features)?,
            }
        }
        Ok(features)
    }
}

/// [n, h, w, 3] -> [n, 3, h, w], as executors elsewhere take images.
fn planar(x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_exact_mut(SIZE * SIZE).enumerate().for_each(|(plane, out)| {
        let image = &x[plane / 3 * 3 * SIZE * SIZE..][..3 * SIZE * SIZE];
        out.iter_mut().zip(image.iter().skip(plane % 3).step_by(3)).for_each(|(out, x)| *out = *x);
    });
    out
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

/// The numbers of all parameters, with the batch norms folded into the convolutions before them: the factor into the weights, the rest into the bias.
fn folded(parameters: &Parameters, convs: &[BatchNormed], state: &StateDict) -> std::result::Result<Vec<f32>, String> {
    let tensor = |name: &str, shape: &[usize]| {
        let array = state.get(name).ok_or_else(|| format!("tensor {name} is missing"))?;
        if array.shape != shape {
            return Err(format!("tensor {name} has shape {:?}, not {shape:?}", array.shape));
        }
        if array.data.iter().any(|v| !v.is_finite()) {
            return Err(format!("tensor {name} is not finite"));
        }
        Ok(array.data.as_slice())
    };
    let mut values = Vec::with_capacity(parameters.len());
    for parameter in parameters.iter() {
        values.extend_from_slice(tensor(&parameter.name, &parameter.shape)?);
    }
    for BatchNormed { conv, mean, variance } in convs {
        let bias = parameters.get(conv.bias);
        let scale = format!("{}.weight", bias.name.strip_suffix(".bias").expect("a batch norm's"));
        if state.contains_key(&scale) && tensor(&scale, &bias.shape)?.iter().any(|&scale| scale != 1.0) {
            return Err(format!("tensor {scale} is not all 1, as in torchvision's inception_v3"));
        }
        let of = |id: ParameterId| parameters.get(id).range.clone();
        let scales: Vec<f64> = values[of(*variance)].iter().map(|v| (f64::from(*v) + EPS).sqrt().recip()).collect();
        let per_channel = of(conv.weight).len() / scales.len();
        for (weight, scale) in values[of(conv.weight)].chunks_exact_mut(per_channel).zip(&scales) {
            weight.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        }
        let means = values[of(*mean)].to_vec();
        for ((bias, mean), scale) in values[of(conv.bias)].iter_mut().zip(means).zip(&scales) {
            *bias = (f64::from(*bias) - f64::from(mean) * scale) as f32;
        }
    }
    Ok(values)
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
