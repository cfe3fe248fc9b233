//! Batches through a network on a device.

use super::device::TensorDevice;
use super::forward::Inputs;
use super::sums::wide;
use super::weights::{Images, Weights, tensor};
use super::{backward, forward};
use crate::condition::Condition;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::GraphModule;
use crate::graph::{INPUT, Id, Index, Node, Op};
use crate::training::Examples;
use burn::tensor::Tensor;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers of the largest value of all images that go through together: it fills any device.
const MOST_NUMBERS: usize = 1 << 26;

/// Numbers that are kept for the way back, of all images that go through together.
const MOST_KEPT: usize = 1 << 29;

/// Which of `n` images go through together, no more than so many: parts that are as even as can be.
fn parts(n: usize, together: usize) -> impl Iterator<Item = Range<usize>> {
    let each = n.div_ceil(n.div_ceil(together).max(1)).max(1);
    (0..n).step_by(each).map(move |first| first..n.min(first + each))
}

/// A network whose parameters lie on a device.
pub struct TensorNetwork {
    weights: Weights,
    device: TensorDevice,
    /// Images that go through together, in sampling and in training.
    together: [AtomicUsize; 2],
}

impl TensorNetwork {
    /// Uploads the parameters.
    ///
    /// # Errors
    /// Returns an error if images, or the weights of a layer, do not fit.
    pub fn new(module: &GraphModule<'_>, device: &TensorDevice) -> Result<Self> {
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
        let [needed, there] = [largest.max(weights).max(windows), device.most].map(|numbers| numbers.div_ceil(1 << 18));
        if needed > there {
            let [h, w, _] = graph.shape(INPUT);
            return Err(Error::device(format!(
                "images of {h}x{w} need a buffer of {needed} MiB: expected at most {there}, the limit of the device"
            )));
        }
        let all = graph.nodes.iter().map(numbers).sum::<usize>();
        let fitting = device.most.min(MOST_NUMBERS).max(largest) / largest;
        let together = [fitting, fitting.min(MOST_KEPT / all).max(1)].map(AtomicUsize::new);
        let weights = device.guarded(|| {
            let weights = Weights::new(module, &device.device, device.dtype());
            device.sync().map(|()| weights)
        })?;
        Ok(Self { weights, device: device.clone(), together })
    }

    /// Returns how many images go through together, in sampling and in training; larger batches are processed in parts.
    pub fn together(&self) -> [usize; 2] {
        [0, 1].map(|i| self.together[i].load(Ordering::Relaxed))
    }

    /// Limits the images that go through together in training to `n` from here on.
    pub fn limit_training(&self, n: usize) {
        self.together[1].fetch_min(n.max(1), Ordering::Relaxed);
    }

    /// Checks that all parameters fit into one buffer, as training requires.
    ///
    /// # Errors
    /// Returns an error if they do not.
    pub fn check_training(&self) -> Result<()> {
        let [needed, there] = [self.weights.definition().len(), self.device.most].map(|numbers| numbers.div_ceil(1 << 18));
        if needed > there {
            let message = format!("training the network needs a buffer of {needed} MiB: expected at most {there}, the limit of the device");
            return Err(Error::device(message));
        }
        Ok(())
    }

    /// Sets the values of all parameters to those of `flat`, which is on the device, in the order of [`UNet::values`](crate::UNet::values).
    pub fn set(&mut self, flat: &Tensor<1>) {
        self.weights.set(flat);
    }

    /// Returns which of the parameters' values training leaves unchanged, as ranges among the values of all.
    pub fn fixed(&self) -> Vec<Range<usize>> {
        self.weights.definition().iter().filter(|parameter| !parameter.trained).map(|parameter| parameter.range.clone()).collect()
    }

    /// Evaluates the network: images `x` [n, c_in, h, w] -> [n, c_out, h, w] in `out`, at `timesteps` (code timesteps, 0 to T-1) and under
    /// `condition`, n of each.
    ///
    /// # Errors
    /// Returns the device's errors with its own message, and [`ErrorKind::Memory`] with the number of images that there is memory for.
    ///
    /// # Panics
    /// Panics on shapes, labels or timesteps that the network does not take.
    pub fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()> {
        let n = timesteps.len().min(self.together()[0]);
        let error = match self.evaluated(x, timesteps, condition, out, || Ok(())) {
            Err(error) if error.kind() == ErrorKind::Memory && n > 1 => error,
            other => return other,
        };
        let fitting = self.prepare(n / 2, &mut |_, _| Ok(()))?;
        let images = if fitting == 1 { "image" } else { "images" };
        Err(Error::memory(format!("{error} with {n} images at once: it has memory for {fitting} {images}")))
    }

    /// See [`Executor::prepare`](crate::Executor::prepare).
    ///
    /// # Errors
    /// As there.
    pub fn prepare(&self, n: usize, tell: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<usize> {
        let graph = self.weights.graph();
        let each = |id: Id| graph.shape(id).iter().product::<usize>();
        let (dim, outputs, all) = (each(INPUT), each(graph.output()), graph.nodes.len());
        let mut n = n.clamp(1, self.together()[0]);
        loop {
            let (condition, mut done) = (self.any_condition(n), 0);
            let after = || {
                // A kernel is compiled before it runs.
                self.device.sync()?;
                done += 1;
                tell(done, all)
            };
            match self.evaluated(&vec![0.0; n * dim], &vec![1.0; n], &condition, &mut vec![0.0; n * outputs], after) {
                Err(error) if error.kind() == ErrorKind::Memory && n > 1 => {
                    n /= 2;
                    self.together[0].fetch_min(n, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Memory => {
                    return Err(Error::memory(format!("{error}, even with one image")));
                }
                other => return other.map(|()| n),
            }
        }
    }

    /// One that the network takes.
    fn any_condition(&self, n: usize) -> Condition {
        let kinds = self.weights.graph().nodes.iter().map(|node| match node.op {
            Op::Embedding => Condition::Embeddings(vec![0.0; n * node.shape[2]]),
            Op::Features(_, Index::Label) => Condition::Labels(vec![0; n]),
            _ => Condition::None,
        });
        kinds.into_iter().find(|condition| *condition != Condition::None).unwrap_or_default()
    }

    /// The outputs, part by part; `after` is called after each operation. Where memory runs out, what is left of it is given back.
    fn evaluated(
        &self,
        x: &[f32],
        timesteps: &[f32],
        condition: &Condition,
        out: &mut [f32],
        mut after: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let (n, together) = (timesteps.len(), self.together()[0]);
        let dim = x.len() / n;
        let parts = parts(n, together);
        let found = self.device.guarded(|| {
            // All are sent before the first is waited for.
            let sent: Result<Vec<Tensor<1>>> = parts
                .map(|range| {
                    let inputs = Inputs {
                        x: self.images(&x[range.start * dim..range.end * dim], range.len()),
                        timesteps: &timesteps[range.clone()],
                        condition: &condition.of(range, n),
                        dropout: &[],
                    };
                    let y = forward::run(&self.weights, &inputs, false, &mut after)?.pop().flatten().expect("the last is the output");
                    Ok(wide(y).permute([0, 3, 1, 2]).flatten(0, 3))
                })
                .collect();
            self.device.fetch(sent?)
        })?;
        let mut rest = out;
        for found in found {
            let (part, behind) = rest.split_at_mut(found.len());
            part.copy_from_slice(&found);
            rest = behind;
        }
        debug_assert!(rest.is_empty(), "as many numbers as there is room for");
        Ok(())
    }

    /// Computes the gradients of Σ weight · mean (prediction - target)² over the images, in the order of
    /// [`UNet::values`](crate::UNet::values), and the means \[n\]. Both stay on the device, and are f32. During the backward pass gradients
    /// are multiplied by `scale`, a power of two, so that f16 gradients neither vanish nor overflow.
    ///
    /// # Panics
    /// Panics if lengths do not match, or if the network is not for these images.
    pub fn gradients(&self, examples: &Examples<'_>, scale: f32) -> (Tensor<1>, Tensor<1>) {
        let Examples { shape: [n, c, h, w], x, target, timesteps, weights, condition, dropout } = *examples;
        assert!([h, w] == self.weights.size() && x.len() == n * c * h * w && timesteps.len() == n && weights.len() == n);
        let timesteps: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
        let (dim, outputs) = (c * h * w, target.len() / n);
        let together = self.together()[1];
        let (mut sum, mut means) = (None, Vec::new());
        for range in parts(n, together) {
            let inputs = Inputs {
                x: self.images(&x[range.start * dim..range.end * dim], range.len()),
                timesteps: &timesteps[range.clone()],
                condition: &condition.of(range.clone(), n),
                dropout: dropout.get(range.clone()).unwrap_or_default(),
            };
            let mut values = forward::run(&self.weights, &inputs, true, || Ok(())).expect("nothing is waited for");
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
