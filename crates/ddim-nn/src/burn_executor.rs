//! The graph on [burn](https://burn.dev)'s tensors, with its autodiff: an independent check of what our kernels compute.

use crate::condition::Condition;
use crate::graph::{Conv, Features, Id, Index, Norm, Op};
use crate::plan::write_features;
use crate::unet::UNet;
use burn::tensor::activation::{gelu, mish, relu, silu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ddim_kernels::Activation;

/// A network whose parameters are tensors on a device.
pub struct BurnNetwork<'a> {
    unet: &'a UNet,
    /// Flat, in the order of [`UNet::parameters`].
    parameters: Vec<Tensor<1>>,
    device: Device,
}

/// Values: images are [n, c, h, w], rows [n, c, 1, 1].
type Values = Vec<Option<Tensor<4>>>;

impl<'a> BurnNetwork<'a> {
    /// Uploads a network to a device. For gradients, use a device with autodiff.
    pub fn new(unet: &'a UNet, device: &Device) -> Self {
        let tensor = |range: std::ops::Range<usize>| {
            let values = unet.values()[range].to_vec();
            let len = values.len();
            let tensor = Tensor::from_data(TensorData::new(values, [len]), device);
            if device.is_autodiff() { tensor.require_grad() } else { tensor }
        };
        Self { unet, parameters: unet.parameters().map(|(_, _, range)| tensor(range)).collect(), device: device.clone() }
    }

    /// Evaluates the network: images [n, c_in, h, w] -> [n, c_out, h, w], at `timesteps` (code timesteps, 0 to T-1) and under `condition`,
    /// n of each. Dropout is off.
    ///
    /// # Panics
    /// Panics on shapes, labels or timesteps that the network does not take.
    pub fn forward(&self, x: Tensor<4>, timesteps: &[f32], condition: &Condition) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let graph = self.unet.graph([h, w]);
        let mut values: Values = vec![None; graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            let of = |i: usize| -> Tensor<4> { values[node.inputs[i]].clone().expect("inputs come first") };
            let y = match &node.op {
                Op::Input => x.clone(),
                Op::Features(features, index) => self.features(*features, *index, timesteps, condition, node.shape[2]),
                Op::Embedding => match condition {
                    Condition::Embeddings(e) => self.rows(e.clone(), e.len() / node.shape[2]),
                    other => panic!("embeddings, not {other:?}"),
                },
                Op::Conv(conv) => self.conv(conv, of(0)),
                Op::Given(..) | Op::Channels(_) => unreachable!("plans make them"),
                Op::Pool(_) | Op::Mean => unreachable!("no U-Net has them"),
                Op::Norm(norm, with_silu) => {
                    let y = self.norm(norm, of(0));
                    if *with_silu { silu(y) } else { y }
                }
                Op::Activate(activation) => match activation {
                    Activation::Silu => silu(of(0)),
                    Activation::Mish => mish(of(0)),
                    Activation::Gelu => gelu(of(0)),
                    Activation::Relu => relu(of(0)),
                },
                Op::Attend(attend) => {
                    let [n, c, h, w] = of(0).dims();
                    let (heads, pixels) = (attend.heads, h * w);
                    // [n, heads, d, pixels]
                    let [q, k, v] = [0, 1, 2].map(|i| of(i).reshape([n, heads, c / heads, pixels]));
                    let weights = softmax(q.swap_dims(2, 3).matmul(k) * f64::from(attend.scale), 3);
                    v.matmul(weights.swap_dims(2, 3)).reshape([n, c, h, w])
                }
                Op::Enlarge => {
                    let [n, c, h, w] = of(0).dims();
                    let y: Tensor<6> = of(0).reshape([n, c, h, 1, w, 1]).expand([n, c, h, 2, w, 2]);
                    y.reshape([n, c, 2 * h, 2 * w])
                }
                Op::Halve => {
                    let [n, c, h, w] = of(0).dims();
                    let y: Tensor<6> = of(0).reshape([n, c, h / 2, 2, w / 2, 2]).mean_dim(3).mean_dim(5);
                    y.reshape([n, c, h / 2, w / 2])
                }
                Op::Add | Op::AddRows => of(0) + of(1),
                Op::Concat => Tensor::cat((0..node.inputs.len()).map(of).collect(), 1),
                Op::Affine { factor, summand } => of(0) * f64::from(*factor) + f64::from(*summand),
                Op::Dropout(_) => of(0),
                Op::ScaleShift => {
                    let mut parts = of(1).chunk(2, 1).into_iter();
                    let (scale, shift) = (parts.next().expect("two chunks"), parts.next().expect("two chunks"));
                    of(0) * (scale + 1.0) + shift
                }
                Op::DivideByTimestep => of(0) / self.rows(timesteps.to_vec(), timesteps.len()),
            };
            values[id] = Some(y);
        }
        values.pop().flatten().expect("the last is the output")
    }

    /// Returns the gradients of a number computed from the result of [`forward`](Self::forward), in the order of [`UNet::values`]. They are
    /// 0 where a parameter took no part.
    ///
    /// # Panics
    /// Panics on a device without autodiff.
    pub fn gradients(&self, of: &Tensor<1>) -> Vec<f32> {
        let mut found = of.backward();
        let gradient = |parameter: &Tensor<1>| match parameter.grad_remove(&mut found) {
            Some(gradient) => gradient.into_data().try_into_vec().expect("gradients are f32"),
            None => vec![0.0; parameter.dims()[0]],
        };
        self.parameters.iter().flat_map(gradient).collect()
    }

    fn rows(&self, values: Vec<f32>, n: usize) -> Tensor<4> {
        let width = values.len() / n;
        Tensor::from_data(TensorData::new(values, [n, width, 1, 1]), &self.device)
    }

    fn features(&self, features: Features, index: Index, timesteps: &[f32], condition: &Condition, width: usize) -> Tensor<4> {
        if let Features::Table(table) = features {
            let table: Tensor<2> = self.parameters[table].clone().reshape([-1, width as i64]);
            let mixed = index.rows(timesteps, condition).into_iter().map(|mixture| {
                let k = mixture.len();
                let rows: Vec<i64> = mixture.iter().map(|(row, _)| *row as i64).collect();
                let weights: Vec<f32> = mixture.iter().map(|(_, weight)| *weight as f32).collect();
                let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [k]), &self.device);
                let weights = Tensor::<2>::from_data(TensorData::new(weights, [1, k]), &self.device);
                weights.matmul(table.clone().select(0, rows))
            });
            return Tensor::cat(mixed.collect(), 0).reshape([-1, width as i64, 1, 1]);
        }
        let n = index.numbers(timesteps, condition).len();
        let mut out = vec![0.0; n * width];
        let table = |id: Id| &self.unet.values()[self.unet.definition().get(id).range.clone()];
        write_features(&features, index, timesteps, condition, table, out.chunks_exact_mut(width));
        self.rows(out, n)
    }

    fn conv(&self, layer: &Conv, x: Tensor<4>) -> Tensor<4> {
        let conv = layer.conv;
        let [outs, ins] = conv.channels;
        let weight: Tensor<4> = self.parameters[layer.weight].clone().reshape([outs, ins, conv.kernel[0], conv.kernel[1]]);
        let [[above, below], [left, right]] = conv.padding;
        let [n, c, h, w] = x.dims();
        let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &self.device);
        let strips = |before: usize, x: Tensor<4>, after: usize, dim: usize, shape: &dyn Fn(usize) -> [usize; 4]| {
            let mut parts = vec![x];
            (before > 0).then(|| parts.insert(0, zeros(shape(before))));
            (after > 0).then(|| parts.push(zeros(shape(after))));
            Tensor::cat(parts, dim)
        };
        let x = strips(above, x, below, 2, &|rows| [n, c, rows, w]);
        let x = strips(left, x, right, 3, &|columns| [n, c, h + above + below, columns]);
        conv2d(x, weight, Some(self.parameters[layer.bias].clone()), ConvOptions::new([conv.stride; 2], [0, 0], [1, 1], 1))
    }

    fn norm(&self, norm: &Norm, x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let grouped: Tensor<3> = x.reshape([n, norm.groups, c / norm.groups * h * w]);
        let centered = grouped.clone() - grouped.mean_dim(2);
        let variance = (centered.clone() * centered.clone()).mean_dim(2);
        let normal: Tensor<4> = (centered / (variance + f64::from(norm.eps)).sqrt()).reshape([n, c, h, w]);
        let [weight, bias] = [norm.weight, norm.bias].map(|id| self.parameters[id].clone().reshape([1, c, 1, 1]));
        normal * weight + bias
    }
}
