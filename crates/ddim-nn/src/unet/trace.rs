//! The operations of a network written down instead of run.

use super::names::Activation;
use super::ops::Ops;
use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{Dropout, GroupNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;
use ddim_kernels as kernels;
use rayon::prelude::*;

/// A value: the node that computes it.
pub(crate) type Id = usize;

/// The node of the network's input.
pub(crate) const INPUT: Id = 0;

/// What a node does to its inputs.
#[allow(clippy::large_enum_variant)] // one a layer
pub(crate) enum Op {
    Input,
    /// A convolution, or a linear layer over channels.
    Conv(kernels::Conv2d, Weights),
    Norm(Norm, Option<Activation>),
    Activate(Activation),
    /// Of queries, keys and values.
    Attend(Attend),
    Enlarge,
    Halve,
    Add,
    Concat,
    Affine {
        factor: f32,
        summand: f32,
    },
    AddRows(usize),
    ScaleShift(usize),
    DivideByTimestep,
}

/// Where a convolution's weights come from: shared with the module, read when the plan is made.
#[allow(clippy::large_enum_variant)] // one a layer
pub(crate) enum Weights {
    /// [out, in, k, k] and bias.
    Conv(Tensor<4>, Option<Tensor<1>>),
    /// [in, out] and bias.
    Linear(Matrix, Vec<f32>),
}

/// Rows of numbers.
#[derive(Clone)]
pub(crate) struct Matrix {
    columns: usize,
    pub(crate) data: Vec<f32>,
}

impl Matrix {
    fn rows(&self) -> usize {
        self.data.len() / self.columns
    }

    fn transposed(&self) -> Self {
        let data = (0..self.data.len()).map(|i| self.data[i % self.rows() * self.columns + i / self.rows()]).collect();
        Self { columns: self.rows(), data }
    }

    /// The product, summed in f64.
    fn times(&self, other: &Self) -> Self {
        let mut data = vec![0.0; self.rows() * other.columns];
        data.par_chunks_exact_mut(other.columns).zip(self.data.par_chunks_exact(self.columns)).for_each(|(out, row)| {
            let mut sums = vec![0f64; other.columns];
            for (&a, b) in row.iter().zip(other.data.chunks_exact(other.columns)) {
                sums.iter_mut().zip(b).for_each(|(sum, &b)| *sum += f64::from(a) * f64::from(b));
            }
            out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = *sum as f32);
        });
        Self { columns: other.columns, data }
    }

    /// The columns of each, side by side.
    fn beside(matrices: &[&Self]) -> Self {
        let rows = 0..matrices[0].rows();
        let data =
            rows.flat_map(|r| matrices.iter().flat_map(move |m| m.data[r * m.columns..(r + 1) * m.columns].iter().copied())).collect();
        Self { columns: matrices.iter().map(|m| m.columns).sum(), data }
    }
}

/// [`kernels::Attention`] without its images.
pub(crate) struct Attend {
    /// The first channel of queries, keys and values in what holds them.
    pub(crate) first: [usize; 3],
    pub(crate) heads: usize,
    pub(crate) scale: f32,
    pub(crate) bias: Vec<f32>,
    /// Multiply-adds a number of output that were saved before: see [`Tracer::attention`].
    pub(crate) saved: usize,
}

/// A group norm's parameters.
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) groups: usize,
    pub(crate) eps: f32,
}

impl Norm {
    pub(crate) fn kernel(&self) -> kernels::GroupNorm<'_> {
        kernels::GroupNorm { weight: &self.weight, bias: &self.bias, groups: self.groups, eps: self.eps }
    }
}

/// A layer of the embedding.
pub(crate) struct Projection {
    pub(crate) weights: Weights,
    pub(crate) channels: [usize; 2],
    pub(crate) activation: Activation,
}

pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Id>,
    /// [h, w, c] of the value.
    pub(crate) shape: [usize; 3],
}

/// Writes down what it is asked to do.
pub(crate) struct Tracer {
    pub(crate) nodes: Vec<Node>,
    pub(crate) projections: Vec<Projection>,
}

impl Tracer {
    /// For images [h, w, c].
    pub(crate) fn new(shape: [usize; 3]) -> Self {
        Self { nodes: vec![Node { op: Op::Input, inputs: Vec::new(), shape }], projections: Vec::new() }
    }

    fn push(&mut self, op: Op, inputs: Vec<Id>, shape: [usize; 3]) -> Id {
        self.nodes.push(Node { op, inputs, shape });
        self.nodes.len() - 1
    }

    /// A node whose value has the shape of its first input.
    fn same(&mut self, op: Op, inputs: Vec<Id>) -> Id {
        let shape = self.nodes[inputs[0]].shape;
        self.push(op, inputs, shape)
    }

    fn linear(&mut self, weight: Matrix, bias: Vec<f32>, x: Id) -> Id {
        let [h, w, channels_in] = self.nodes[x].shape;
        let conv = kernels::Conv2d::pointwise([weight.columns, channels_in]);
        let shape = [h, w, weight.columns];
        self.push(Op::Conv(conv, Weights::Linear(weight, bias)), vec![x], shape)
    }
}

/// The weights [in, out] and the bias of a layer.
fn matrix(linear: &Linear) -> (Matrix, Vec<f32>) {
    let columns = linear.weight.dims()[1];
    let bias = linear.bias.as_ref().map_or_else(|| vec![0.0; columns], |bias| values(&bias.val()));
    (Matrix { columns, data: values(&linear.weight.val()) }, bias)
}

/// A convolution without its weights.
pub(crate) fn geometry(conv: &Conv2d) -> kernels::Conv2d {
    let padding = match conv.padding {
        PaddingConfig2d::Explicit(top, left, bottom, right) => [[top, bottom], [left, right]],
        _ => [[0, 0]; 2],
    };
    let [channels_out, channels_in, height, width] = conv.weight.dims();
    kernels::Conv2d { channels: [channels_out, channels_in], kernel: [height, width], stride: conv.stride[0], padding, enlarge: false }
}

/// The numbers of a tensor.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("the network is f32")
}

impl Ops for Tracer {
    type Image = Id;
    type Rows = usize;

    fn conv2d(&mut self, conv: &Conv2d, x: Id) -> Id {
        let [h, w, _] = self.nodes[x].shape;
        let plan = geometry(conv);
        let [out_h, out_w] = plan.output([h, w]);
        let weights = Weights::Conv(conv.weight.val(), conv.bias.as_ref().map(Param::val));
        self.push(Op::Conv(plan, weights), vec![x], [out_h, out_w, plan.channels[0]])
    }

    fn norm(&mut self, norm: &GroupNorm, activation: Option<Activation>, x: Id) -> Id {
        let affine = |param: &Option<Param<Tensor<1>>>| values(&param.as_ref().expect("our norms are affine").val());
        let (weight, bias) = (affine(&norm.gamma), affine(&norm.beta));
        let norm = Norm { weight, bias, groups: norm.num_groups, eps: norm.epsilon as f32 };
        match activation {
            Some(activation) if activation != Activation::Silu => {
                let x = self.same(Op::Norm(norm, None), vec![x]);
                self.activate(activation, x)
            }
            _ => self.same(Op::Norm(norm, activation), vec![x]),
        }
    }

    fn activate(&mut self, activation: Activation, x: Id) -> Id {
        self.same(Op::Activate(activation), vec![x])
    }

    /// With one head, softmax((x Q + q)(x K + k)ᵀ)(x V + v) O + o is softmax((x Q Kᵀ + q Kᵀ) xᵀ)(x V O) + v O + o: what is the same for all keys
    /// drops out of a softmax, and its weights sum to 1. Two products of matrices, made once, save two of the four layers.
    fn attention(&mut self, [to_q, to_k, to_v, to_out]: [&Linear; 4], heads: usize, x: Id) -> Id {
        let shape @ [_, _, channels] = self.nodes[x].shape;
        let [(q, q_bias), (k, k_bias), (v, v_bias), (out, out_bias)] = [to_q, to_k, to_v, to_out].map(matrix);
        let inner = q.columns;
        let scale = ((inner / heads) as f32).sqrt().recip();
        if heads == 1 && inner == channels {
            let row = |data: &[f32]| Matrix { columns: inner, data: data.to_vec() };
            let mut bias = row(&q_bias).times(&k.transposed()).data;
            bias.resize(2 * channels, 0.0);
            let layer = self.linear(Matrix::beside(&[&q.times(&k.transposed()), &v.times(&out)]), bias, x);
            let v_bias = row(&v_bias).times(&out).data;
            let bias = v_bias.iter().zip(&out_bias).map(|(v, out)| v + out).collect();
            let attend = Attend { first: [0, 0, channels], heads, scale, bias, saved: 2 * channels };
            return self.push(Op::Attend(attend), vec![layer, x, layer], shape);
        }
        let layer = self.linear(Matrix::beside(&[&q, &k, &v]), [q_bias, k_bias, v_bias].concat(), x);
        let attend = Attend { first: [0, inner, 2 * inner], heads, scale, bias: vec![0.0; inner], saved: 0 };
        let attended = self.push(Op::Attend(attend), vec![layer, layer, layer], [shape[0], shape[1], inner]);
        self.linear(out, out_bias, attended)
    }

    fn enlarge(&mut self, x: Id) -> Id {
        let [h, w, c] = self.nodes[x].shape;
        self.push(Op::Enlarge, vec![x], [2 * h, 2 * w, c])
    }

    fn halve(&mut self, x: Id) -> Id {
        let [h, w, c] = self.nodes[x].shape;
        self.push(Op::Halve, vec![x], [h / 2, w / 2, c])
    }

    fn add(&mut self, x: Id, y: Id) -> Id {
        self.same(Op::Add, vec![x, y])
    }

    fn concat(&mut self, x: Id, y: Id) -> Id {
        let [h, w, c] = self.nodes[x].shape;
        let channels = c + self.nodes[y].shape[2];
        self.push(Op::Concat, vec![x, y], [h, w, channels])
    }

    fn affine(&mut self, x: Id, factor: f64, summand: f64) -> Id {
        self.same(Op::Affine { factor: factor as f32, summand: summand as f32 }, vec![x])
    }

    /// Plans are for sampling: nothing is dropped.
    fn dropout(&mut self, _: &Dropout, x: Id) -> Id {
        x
    }

    fn project_embedding(&mut self, linear: &Linear, activation: Activation) -> usize {
        let [channels_in, channels_out] = linear.weight.dims();
        let (weight, bias) = matrix(linear);
        self.projections.push(Projection { weights: Weights::Linear(weight, bias), channels: [channels_out, channels_in], activation });
        self.projections.len() - 1
    }

    fn add_rows(&mut self, x: Id, rows: usize) -> Id {
        self.same(Op::AddRows(rows), vec![x])
    }

    fn scale_shift(&mut self, x: Id, rows: usize) -> Id {
        self.same(Op::ScaleShift(rows), vec![x])
    }

    fn divide_by_timestep(&mut self, x: Id) -> Id {
        self.same(Op::DivideByTimestep, vec![x])
    }
}
