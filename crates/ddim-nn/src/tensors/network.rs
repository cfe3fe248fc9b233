//! Batches through a network on a device.

use super::forward::Inputs;
use super::sums::wide;
use super::weights::{Images, Weights, tensor};
use super::{backward, forward};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::executor::GraphModule;
use crate::graph::{INPUT, Node, Op};
use crate::precision::Precision;
use crate::training::Examples;
use burn::tensor::{Device, FloatDType, Tensor, Transaction};
use std::ops::Range;

/// Numbers of the largest value of all images that go through together: it fills any device.
const MOST_NUMBERS: usize = 1 << 26;

/// Numbers that are kept for the way back, of all images that go through together.
const MOST_KEPT: usize = 1 << 29;

/// A network whose parameters lie on a device.
pub struct TensorNetwork {
    weights: Weights,
    /// Numbers that a buffer of the device holds.
    most: usize,
    /// Images that go through together, in sampling and in training.
    together: [usize; 2],
}

impl TensorNetwork {
    /// The parameters are uploaded. Values are of `precision`, which the device has; `most` numbers of f32 fit into a buffer of it.
    ///
    /// # Errors
    /// Images, or weights of a layer, that do not fit.
    pub fn new(module: &GraphModule<'_>, device: &Device, precision: Precision, most: usize) -> Result<Self> {
        let dtype = match precision {
            Precision::F32 => FloatDType::F32,
            Precision::F16 => FloatDType::F16,
            Precision::Bf16 => FloatDType::BF16,
        };
        let graph = &module.graph;
        let numbers = |node: &Node| {
            let [h, w, c] = node.shape;
            match &node.op {
                Op::Attend(attend) => (h * w * c).max(attend.heads * (h * w).pow(2)),
                _ => h * w * c,
            }
        };
        let largest = graph.nodes.iter().map(numbers).max().unwrap_or(1);
        let weights = module.parameters.iter().map(|parameter| parameter.range.len()).max().unwrap_or(1);
        // Of one image; what a convolution's kernel sees is several times its input.
        let windows = |node: &Node| match &node.op {
            Op::Conv(layer) if layer.conv.kernel != [1, 1] => {
                let [h, w, _] = node.shape;
                h * w * layer.conv.kernel.iter().product::<usize>() * layer.conv.channels.into_iter().max().unwrap_or(1)
            }
            _ => 0,
        };
        let windows = graph.nodes.iter().map(windows).max().unwrap_or(1);
        let [needed, there] = [largest.max(weights).max(windows), most].map(|numbers| numbers.div_ceil(1 << 18));
        if needed > there {
            let [h, w, _] = graph.shape(INPUT);
            return Err(Error::device(format!(
                "images of {h}x{w} need a buffer of {needed} MiB: expected at most {there}, as the device has"
            )));
        }
        let all = graph.nodes.iter().map(numbers).sum::<usize>();
        let fitting = most.min(MOST_NUMBERS).max(largest) / largest;
        let together = [fitting, fitting.min(MOST_KEPT / all).max(1)];
        Ok(Self { weights: Weights::new(module, device, dtype), most, together })
    }

    /// How many images go through together, in sampling and in training; more go one part after the other.
    pub fn together(&self) -> [usize; 2] {
        self.together
    }

    /// Whether all parameters fit into one buffer, as training wants them.
    ///
    /// # Errors
    /// If they do not.
    pub fn check_training(&self) -> Result<()> {
        let [needed, there] = [self.weights.definition().len(), self.most].map(|numbers| numbers.div_ceil(1 << 18));
        if needed > there {
            let message = format!("training the network needs a buffer of {needed} MiB: expected at most {there}, as the device has");
            return Err(Error::device(message));
        }
        Ok(())
    }

    /// The numbers of all parameters are those of `flat`, which is on the device, in the order of [`UNet::values`](crate::UNet::values).
    pub fn set(&mut self, flat: &Tensor<1>) {
        self.weights.set(flat);
    }

    /// The numbers that training leaves as they are, among those of all parameters.
    pub fn fixed(&self) -> Vec<Range<usize>> {
        self.weights.definition().iter().filter(|parameter| !parameter.trained).map(|parameter| parameter.range.clone()).collect()
    }

    /// Images `x` [n, c_in, h, w] -> [n, c_out, h, w] in `out`, at `timesteps` (code timesteps, 0 to T-1) and under `condition`, n of each.
    ///
    /// # Errors
    /// What the device says, in its words.
    ///
    /// # Panics
    /// On shapes, labels or timesteps that the network does not take.
    pub fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()> {
        let n = timesteps.len();
        let dim = x.len() / n;
        let parts = (0..n).step_by(self.together[0]).map(|first| first..n.min(first + self.together[0]));
        // All are sent before the first is waited for.
        let found: Vec<Images> = parts
            .map(|range| {
                let inputs = Inputs {
                    x: self.images(&x[range.start * dim..range.end * dim], range.len()),
                    timesteps: &timesteps[range.clone()],
                    condition: &condition.of(range, n),
                    dropout: &[],
                };
                let y = forward::run(&self.weights, &inputs, false).pop().flatten().expect("the last is the output");
                wide(y).permute([0, 3, 1, 2])
            })
            .collect();
        let all = found.into_iter().fold(Transaction::default(), |transaction, y| transaction.register(y));
        let mut rest = out;
        for data in all.try_execute().map_err(Error::device)? {
            let found = data.try_into_vec::<f32>().map_err(|e| Error::device(format!("{e:?}")))?;
            let (part, behind) = rest.split_at_mut(found.len());
            part.copy_from_slice(&found);
            rest = behind;
        }
        debug_assert!(rest.is_empty(), "as many numbers as there is room for");
        Ok(())
    }

    /// The gradients of Σ weight · mean (prediction - target)² over the images, in the order of [`UNet::values`](crate::UNet::values), and the means [n]; both stay on the
    /// device, and are f32. On the way back gradients are `scale` times what they are, so that those of f16 neither vanish nor overflow: a power of two.
    ///
    /// # Panics
    /// On lengths that do not go together, or images that the network is not for.
    pub fn gradients(&self, examples: &Examples<'_>, scale: f32) -> (Tensor<1>, Tensor<1>) {
        let Examples { shape: [n, c, h, w], x, target, timesteps, weights, condition, dropout } = *examples;
        assert!([h, w] == self.weights.size() && x.len() == n * c * h * w && timesteps.len() == n && weights.len() == n);
        let timesteps: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
        let (dim, outputs) = (c * h * w, target.len() / n);
        let (mut sum, mut means) = (None, Vec::new());
        for first in (0..n).step_by(self.together[1]) {
            let range = first..n.min(first + self.together[1]);
            let inputs = Inputs {
                x: self.images(&x[range.start * dim..range.end * dim], range.len()),
                timesteps: &timesteps[range.clone()],
                condition: &condition.of(range.clone(), n),
                dropout: dropout.get(range.clone()).unwrap_or_default(),
            };
            let mut values = forward::run(&self.weights, &inputs, true);
            let y = wide(values.last().cloned().flatten().expect("the last is the output"));
            let difference = y - self.images(&target[range.start * outputs..range.end * outputs], range.len());
            means.push(difference.clone().square().reshape([range.len(), outputs]).mean_dim(1).reshape([range.len()]));
            let shares: Vec<f32> = weights[range.clone()].iter().map(|weight| 2.0 * weight / outputs as f32 * scale).collect();
            let dy = difference * tensor(&shares, [range.len(), 1, 1, 1], self.weights.device());
            let found = backward::run(&self.weights, &inputs, &mut values, dy);
            sum = Some(match sum {
                None => found,
                Some(sum) => found + sum,
            });
        }
        let sum = sum.expect("at least one image");
        let sum = if scale == 1.0 { sum } else { sum * f64::from(scale.recip()) };
        (sum, Tensor::cat(means, 0))
    }

    /// [n, c, h, w] as the graph has them.
    fn images(&self, x: &[f32], n: usize) -> Images {
        let [h, w] = self.weights.size();
        tensor(x, [n, x.len() / (n * h * w), h, w], self.weights.device()).permute([0, 2, 3, 1])
    }
}
