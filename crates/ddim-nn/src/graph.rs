//! A network as a list of operations over named parameters. The modules of a network declare their parameters and record their operations;
//! executors run the list: a plan for sampling, a plan for training, and, with the feature `burn`, burn's operations.

use crate::condition::Condition;
use ddim::noise::{Draw, Key};
use ddim_kernels::{self as kernels, Activation};
use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

/// A parameter: its place in the list of all.
pub(crate) type ParameterId = usize;

/// What a parameter is before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    Zeros,
    Ones,
    /// Uniform with variance 2 / (fan in + fan out), as DDPM's.
    Uniform,
    /// Normal with this deviation.
    Normal(f64),
}

/// A parameter without its numbers.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    /// In PyTorch's state dict.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Its numbers among those of all parameters.
    pub(crate) range: Range<usize>,
    pub(crate) initial: Initial,
    /// Whether training changes it.
    pub(crate) trained: bool,
}

/// The parameters of a network, in the order of their declaration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// All of them.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.0.iter()
    }

    /// The numbers of all.
    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| last.range.end)
    }

    pub(crate) fn get(&self, id: ParameterId) -> &Parameter {
        &self.0[id]
    }

    /// The numbers of all before training: a function of the seed.
    pub(crate) fn initial(&self, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        for (i, parameter) in self.0.iter().enumerate() {
            let mut stream = Key { seed, image: i as u64, draw: Draw::InitialWeights }.stream();
            let values = &mut values[parameter.range.clone()];
            match parameter.initial {
                Initial::Zeros => {}
                Initial::Ones => values.fill(1.0),
                Initial::Normal(deviation) => values.iter_mut().for_each(|v| *v = (deviation * stream.normal()) as f32),
                Initial::Uniform => {
                    let [out, ins, window @ ..] = parameter.shape.as_slice() else { unreachable!("a matrix or a window's") };
                    let bound = (6.0 / ((out + ins) * window.iter().product::<usize>()) as f64).sqrt();
                    values.iter_mut().for_each(|v| *v = ((2.0 * stream.unit() - 1.0) * bound) as f32);
                }
            }
        }
        values
    }
}

/// Where modules declare parameters: those under a name, as `down_blocks.0.resnets.1`.
pub(crate) struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The outermost.
    pub(crate) fn new(parameters: &'a mut Parameters) -> Self {
        Self { parameters, prefix: String::new() }
    }

    /// What lies under `name` here.
    pub(crate) fn under(&mut self, name: impl Display) -> Scope<'_> {
        Scope { prefix: format!("{}{name}.", self.prefix), parameters: self.parameters }
    }

    pub(crate) fn declare(&mut self, name: &str, shape: &[usize], initial: Initial) -> ParameterId {
        let (first, len) = (self.parameters.len(), shape.iter().product::<usize>());
        let name = format!("{}{name}", self.prefix);
        self.parameters.0.push(Parameter { name, shape: shape.to_vec(), range: first..first + len, initial, trained: true });
        self.parameters.0.len() - 1
    }

    /// A parameter that training leaves as it is.
    pub(crate) fn declare_fixed(&mut self, name: &str, shape: &[usize], initial: Initial) -> ParameterId {
        let id = self.declare(name, shape, initial);
        self.parameters.0[id].trained = false;
        id
    }

    /// A convolution's weight [out, in, k, k] and bias.
    pub(crate) fn conv(&mut self, name: &str, conv: kernels::Conv2d, initial: Initial) -> Conv {
        let [channels_out, channels_in] = conv.channels;
        let mut scope = self.under(name);
        let weight = scope.declare("weight", &[channels_out, channels_in, conv.kernel[0], conv.kernel[1]], initial);
        Conv { conv, weight, bias: scope.declare("bias", &[channels_out], Initial::Zeros) }
    }

    /// A linear layer's weight [out, in] and bias.
    pub(crate) fn linear(&mut self, name: impl Display, channels @ [channels_out, channels_in]: [usize; 2], initial: Initial) -> Conv {
        let mut scope = self.under(name);
        let weight = scope.declare("weight", &[channels_out, channels_in], initial);
        Conv { conv: kernels::Conv2d::pointwise(channels), weight, bias: scope.declare("bias", &[channels_out], Initial::Zeros) }
    }

    pub(crate) fn norm(&mut self, name: &str, channels: usize, groups: usize, eps: f64) -> Norm {
        let mut scope = self.under(name);
        let weight = scope.declare("weight", &[channels], Initial::Ones);
        Norm { weight, bias: scope.declare("bias", &[channels], Initial::Zeros), groups, eps: eps as f32 }
    }
}

/// A convolution with its parameters; a linear layer is one over single pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    pub(crate) conv: kernels::Conv2d,
    pub(crate) weight: ParameterId,
    pub(crate) bias: ParameterId,
}

/// A group norm with its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) weight: ParameterId,
    pub(crate) bias: ParameterId,
    pub(crate) groups: usize,
    pub(crate) eps: f32,
}

/// What features are computed from, one number per image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// The timestep.
    Timestep,
    /// The class.
    Label,
}

impl Index {
    /// The numbers themselves.
    ///
    /// # Panics
    /// On a condition without labels, where these are asked for; whoever took the condition checked it.
    pub(crate) fn numbers<'a>(self, timesteps: &'a [f32], condition: &Condition) -> Cow<'a, [f32]> {
        match (self, condition) {
            (Self::Timestep, _) => timesteps.into(),
            (Self::Label, Condition::Labels(labels)) => labels.iter().map(|&label| label as f32).collect(),
            (Self::Label, condition) => unreachable!("labels, not {condition:?}"),
        }
    }

    /// The same as rows of a table, with their weights.
    ///
    /// # Panics
    /// As [`numbers`](Self::numbers).
    pub(crate) fn rows(self, timesteps: &[f32], condition: &Condition) -> Vec<Vec<(usize, f64)>> {
        match (self, condition) {
            (Self::Label, Condition::Mixtures(mixtures)) => mixtures.clone(),
            _ => self.numbers(timesteps, condition).iter().map(|&number| vec![(number as usize, 1.0)]).collect(),
        }
    }
}

/// A number to features.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Features {
    /// diffusers' `Timesteps`: sines and cosines of exp(-ln 1e4 · i/(half - freq_shift)) · t.
    Sinusoid { flip_sin_to_cos: bool, freq_shift: f64 },
    /// diffusers' `GaussianFourierProjection` with `log`: sines and cosines of 2π w ln t, of the weights w.
    Fourier(ParameterId),
    /// A row of a table.
    Table(ParameterId),
}

/// A value: the node that computes it.
pub(crate) type Id = usize;

/// The node of the network's input.
pub(crate) const INPUT: Id = 0;

/// What a node does to its inputs. Embeddings are images of one pixel.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// The images.
    Input,
    /// Features of a number that comes with each image.
    Features(Features, Index),
    /// The embedding that comes with each image in the place of a class.
    Embedding,
    /// A convolution, or a linear layer over channels.
    Conv(Conv),
    /// One whose weights are no parameters of the network: a plan made them.
    Given(kernels::Conv2d, Arc<Given>),
    /// A group norm and, where it is true, SiLU behind it.
    Norm(Norm, bool),
    Activate(Activation),
    /// softmax(scale · q kᵀ) v + bias of queries, keys and values.
    Attend(Attend),
    /// Twice the height and width, each pixel four times.
    Enlarge,
    /// Half the height and width, by means.
    Halve,
    Add,
    /// The channels of the first input, then those of the second, and so on.
    Concat,
    /// Some of the channels, from this one.
    Channels(usize),
    /// The largest or the mean over windows.
    Pool(kernels::Pool),
    /// The mean over all pixels.
    Mean,
    /// factor · x + summand.
    Affine {
        factor: f32,
        summand: f32,
    },
    /// In training, zero for a share of the numbers, and the others so much larger.
    Dropout(f64),
    /// The second input's channels added to every pixel of the first.
    AddRows,
    /// x · (scale + 1) + shift, where the second input holds the scale of every channel and then the shifts.
    ScaleShift,
    /// Each image divided by its timestep.
    DivideByTimestep,
}

/// Weights [out, in, k, k] and bias of a convolution.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// [`kernels::Attention`] without its images.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// The first channel of queries, keys and values in what holds them.
    pub(crate) first: [usize; 3],
    pub(crate) heads: usize,
    pub(crate) scale: f32,
    /// Added to the result; as many numbers as it has channels.
    pub(crate) bias: Vec<f32>,
    /// Multiply-adds a number of output that a plan saved before.
    pub(crate) saved: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Id>,
    /// [h, w, c] of the value, of one image.
    pub(crate) shape: [usize; 3],
}

/// Operations in an order in which they can be run; the last is the network's output.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    /// For images [h, w, c].
    pub(crate) fn new(shape: [usize; 3]) -> Self {
        Self { nodes: vec![Node { op: Op::Input, inputs: Vec::new(), shape }] }
    }

    /// The network's output.
    pub(crate) fn output(&self) -> Id {
        self.nodes.len() - 1
    }

    pub(crate) fn shape(&self, id: Id) -> [usize; 3] {
        self.nodes[id].shape
    }

    pub(crate) fn push(&mut self, op: Op, inputs: Vec<Id>, shape: [usize; 3]) -> Id {
        self.nodes.push(Node { op, inputs, shape });
        self.nodes.len() - 1
    }

    /// A node whose value has the shape of its first input.
    fn same(&mut self, op: Op, inputs: Vec<Id>) -> Id {
        let shape = self.shape(inputs[0]);
        self.push(op, inputs, shape)
    }

    /// The readers of each value, in order; the output has one more, whoever runs the graph, with the number of nodes for its name.
    pub(crate) fn readers(&self) -> Vec<Vec<Id>> {
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input].push(id));
        }
        readers[self.output()].push(self.nodes.len());
        readers
    }

    /// Whether each value depends on the images; those that do not are rows, of the timestep and the class alone.
    pub(crate) fn of_images(&self) -> Vec<bool> {
        let mut found: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            found.push(id == INPUT || node.inputs.iter().any(|&input| found[input]));
        }
        found
    }

    /// Multiply-adds of one image, as the definitions of convolution, linear layer and attention count them; those of rows are none to speak of.
    pub(crate) fn multiply_adds(&self) -> u64 {
        let per_number = |node: &Node| match &node.op {
            Op::Conv(layer) => layer.conv.weights() / layer.conv.channels[0],
            Op::Attend(_) => 2 * node.shape[0] * node.shape[1],
            _ => 0,
        };
        let of_images = self.nodes.iter().zip(self.of_images()).filter(|(_, of_images)| *of_images);
        of_images.map(|(node, _)| (node.shape.iter().product::<usize>() * per_number(node)) as u64).sum()
    }

    pub(crate) fn features(&mut self, features: Features, index: Index, width: usize) -> Id {
        self.push(Op::Features(features, index), Vec::new(), [1, 1, width])
    }

    pub(crate) fn embedding(&mut self, width: usize) -> Id {
        self.push(Op::Embedding, Vec::new(), [1, 1, width])
    }

    pub(crate) fn conv(&mut self, conv: &Conv, x: Id) -> Id {
        let [h, w, _] = self.shape(x);
        let [out_h, out_w] = conv.conv.output([h, w]);
        self.push(Op::Conv(*conv), vec![x], [out_h, out_w, conv.conv.channels[0]])
    }

    /// A group norm and, where one is given, the activation behind it.
    pub(crate) fn norm(&mut self, norm: &Norm, activation: Option<Activation>, x: Id) -> Id {
        match activation {
            Some(activation) if activation != Activation::Silu => {
                let x = self.same(Op::Norm(*norm, false), vec![x]);
                self.activate(activation, x)
            }
            _ => self.same(Op::Norm(*norm, activation.is_some()), vec![x]),
        }
    }

    pub(crate) fn activate(&mut self, activation: Activation, x: Id) -> Id {
        self.same(Op::Activate(activation), vec![x])
    }

    /// Attention of queries over keys and values, all of the same shape, whose heads' channels lie together.
    pub(crate) fn attend(&mut self, [q, k, v]: [Id; 3], heads: usize) -> Id {
        let inner = self.shape(q)[2];
        let scale = ((inner / heads) as f32).sqrt().recip();
        self.same(Op::Attend(Attend { first: [0; 3], heads, scale, bias: vec![0.0; inner], saved: 0 }), vec![q, k, v])
    }

    pub(crate) fn enlarge(&mut self, x: Id) -> Id {
        let [h, w, c] = self.shape(x);
        self.push(Op::Enlarge, vec![x], [2 * h, 2 * w, c])
    }

    pub(crate) fn halve(&mut self, x: Id) -> Id {
        let [h, w, c] = self.shape(x);
        self.push(Op::Halve, vec![x], [h / 2, w / 2, c])
    }

    pub(crate) fn add(&mut self, x: Id, y: Id) -> Id {
        self.same(Op::Add, vec![x, y])
    }

    pub(crate) fn concat(&mut self, inputs: Vec<Id>) -> Id {
        let [h, w, _] = self.shape(inputs[0]);
        let channels = inputs.iter().map(|&input| self.shape(input)[2]).sum();
        self.push(Op::Concat, inputs, [h, w, channels])
    }

    /// `count` channels from `first`.
    pub(crate) fn channels(&mut self, x: Id, first: usize, count: usize) -> Id {
        let [h, w, _] = self.shape(x);
        self.push(Op::Channels(first), vec![x], [h, w, count])
    }

    pub(crate) fn pool(&mut self, pool: kernels::Pool, x: Id) -> Id {
        let [h, w, c] = self.shape(x);
        let [out_h, out_w] = pool.output([h, w]);
        self.push(Op::Pool(pool), vec![x], [out_h, out_w, c])
    }

    pub(crate) fn mean(&mut self, x: Id) -> Id {
        let [_, _, c] = self.shape(x);
        self.push(Op::Mean, vec![x], [1, 1, c])
    }

    pub(crate) fn affine(&mut self, x: Id, factor: f64, summand: f64) -> Id {
        self.same(Op::Affine { factor: factor as f32, summand: summand as f32 }, vec![x])
    }

    pub(crate) fn dropout(&mut self, probability: f64, x: Id) -> Id {
        if probability > 0.0 { self.same(Op::Dropout(probability), vec![x]) } else { x }
    }

    pub(crate) fn add_rows(&mut self, x: Id, rows: Id) -> Id {
        self.same(Op::AddRows, vec![x, rows])
    }

    pub(crate) fn scale_shift(&mut self, x: Id, rows: Id) -> Id {
        self.same(Op::ScaleShift, vec![x, rows])
    }

    pub(crate) fn divide_by_timestep(&mut self, x: Id) -> Id {
        self.same(Op::DivideByTimestep, vec![x])
    }
}
