//! A network compiled for our kernels: a list of fused steps over a few buffers.
//!
//! A group norm goes into the convolution that reads it; the time embedding, the residual, its scale and ReLU into the convolution that they follow;
//! an enlargement into the reading of the next convolution; and what is concatenated is written side by side from the start. For sampling,
//! buffers are used again and again; for training every value is kept, and [`backward`] goes through the steps from the last to the first.

mod backward;
mod clock;
mod layout;
mod lower;
mod run;

use crate::graph::{Attend, Features, Given, Graph, INPUT, Id, Index, Norm, Op, ParameterId, Parameters};
use crate::unet::UNet;
pub(crate) use backward::Backward;
use ddim_kernels::Activation;
use ddim_kernels::{Conv2d, GroupNorm, PackedConv2d, Pool};
use layout::{Fused, Layout, View, fitting};
#[cfg(feature = "burn")]
pub(crate) use run::write_features;
pub(crate) use run::{Arenas, Inputs};
pub use run::{Profile, Share};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What a step does to `x`.
#[derive(Debug)]
enum Action {
    Conv {
        /// Of [`Plan::convs`].
        conv: usize,
        normal: Option<NormRef>,
        finish: FinishWith,
    },
    /// `x` are the queries.
    Attend {
        attend: Attend,
        keys: View,
        values: View,
        finish: FinishWith,
    },
    Normalise(NormRef),
    Activate(Activation),
    Enlarge,
    Halve,
    Add(View),
    Copy,
    Pool(Pool),
    /// Over all pixels.
    Mean,
    Affine {
        factor: f32,
        summand: f32,
    },
    /// A share of the numbers is kept, under the seeds of the images; the layer that draws.
    Dropout {
        kept: f64,
        layer: u64,
    },
    /// Of a buffer of rows.
    AddRows(usize),
    ScaleShift(usize),
    DivideByTimestep,
    /// Of numbers that come with each image.
    Features(Features, Index),
    Embedding,
}

/// A norm in front of a convolution, or by itself.
#[derive(Debug, Clone, Copy)]
struct NormRef {
    /// Of [`Plan::norms`].
    norm: usize,
    silu: bool,
    /// Where the statistics are kept.
    statistics: usize,
}

/// [`ddim_kernels::Finish`], of rows and views.
#[derive(Debug)]
struct FinishWith {
    rows: Option<usize>,
    residual: Option<View>,
    scale: f32,
    relu: bool,
}

#[derive(Debug)]
struct Step {
    action: Action,
    x: View,
    out: View,
}

/// A convolution of the plan, without its weights.
#[derive(Debug)]
struct PlannedConv {
    conv: Conv2d,
    /// [h, w] of what it reads.
    size: [usize; 2],
    weights: Source,
}

/// Where weights come from.
#[derive(Debug)]
enum Source {
    /// Weight and bias, by their places among the parameters.
    Parameters([ParameterId; 2]),
    Given(Arc<Given>),
    /// They are packed already.
    Packed,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Sampling,
    Training,
}

/// Consecutive steps, and the buffers that only they use.
#[derive(Debug)]
struct Segment {
    steps: Range<usize>,
    inner: Vec<usize>,
}

/// A compiled network for images of one size, without its weights. Buffers hold a number an image for each number here: the batch is chosen at
/// every run.
#[derive(Debug)]
pub(crate) struct Plan {
    purpose: Purpose,
    parameters: Arc<Parameters>,
    /// What is computed of timesteps and classes.
    row_steps: Vec<Step>,
    steps: Vec<Step>,
    /// All steps, in parts whose inner buffers are released once the part has run.
    segments: Vec<Segment>,
    convs: Vec<PlannedConv>,
    norms: Vec<Norm>,
    /// Numbers an image of each buffer.
    buffers: Vec<usize>,
    row_buffers: Vec<usize>,
    /// The buffers of rows that images are given, for each image.
    read_rows: Vec<usize>,
    /// Channels of each norm's statistics.
    statistics: Vec<usize>,
    input: View,
    output: View,
}

/// Weights packed for the kernels of a plan.
pub(crate) struct Packed {
    convs: Vec<PackedConv2d>,
    /// The parameters of norms, and tables of features.
    others: HashMap<ParameterId, Vec<f32>>,
}

/// The weights that a plan runs with.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    Packed(&'a Packed),
    /// The numbers of all parameters, which change.
    Parameters(&'a [f32]),
}

impl Plan {
    /// For running a network forward alone, with these numbers of its parameters.
    pub(crate) fn for_sampling(graph: &Graph, parameters: &Arc<Parameters>, values: &[f32]) -> (Self, Packed) {
        let graph = lower::for_sampling(graph, parameters, values);
        let mut plan = Self::new(&graph, parameters, Purpose::Sampling);
        plan.share_buffers();
        let packed = plan.pack(values);
        (plan, packed)
    }

    /// For training, with any weights. Where `checkpoint` says so, what lies within a residual block is released and computed again on the way back.
    pub(crate) fn for_training(unet: &UNet, size: [usize; 2], checkpoint: bool) -> Self {
        let mut plan = Self::new(&unet.graph(size), unet.definition(), Purpose::Training);
        if checkpoint {
            plan.segments = plan.residual_blocks();
        }
        plan
    }

    /// The steps in parts that end with the sum of a residual block each.
    fn residual_blocks(&self) -> Vec<Segment> {
        let ends = self.steps.iter().enumerate().filter(|(_, step)| step.is_residual_sum()).map(|(at, _)| at + 1);
        let mut segments: Vec<Segment> = Vec::new();
        for end in ends.chain([self.steps.len()]) {
            let start = segments.last().map_or(0, |segment| segment.steps.end);
            if start < end {
                segments.push(Segment { steps: start..end, inner: Vec::new() });
            }
        }
        // The first part that uses a buffer, and whether no other does. The way back begins with the last part, which keeps all.
        let mut needed: Vec<Option<usize>> = vec![None; self.buffers.len()];
        let mut alone = vec![true; self.buffers.len()];
        [self.input, self.output].iter().for_each(|view| alone[view.buffer] = false);
        for (index, segment) in segments.iter().enumerate() {
            for buffer in self.steps[segment.steps.clone()].iter().flat_map(|step| step.reads().chain([step.out])).map(|view| view.buffer) {
                alone[buffer] &= *needed[buffer].get_or_insert(index) == index;
            }
        }
        for (buffer, index) in needed.into_iter().enumerate() {
            if let Some(index) = index.filter(|&index| alone[buffer] && index + 1 < segments.len()) {
                segments[index].inner.push(buffer);
            }
        }
        segments
    }

    /// The steps that compute the graph's output.
    fn new(graph: &Graph, parameters: &Arc<Parameters>, purpose: Purpose) -> Self {
        let nodes = &graph.nodes;
        let readers = graph.readers();
        let mut gone = vec![false; nodes.len()];
        // What is fused is emitted where its end is: all that it adds is there by then.
        let mut ends: HashMap<Id, (Id, Fused)> = HashMap::new();
        for id in (0..nodes.len()).filter(|&id| matches!(nodes[id].op, Op::Conv(_) | Op::Given(..) | Op::Attend(_))) {
            let fused = Fused::of(id, graph, &readers, purpose == Purpose::Sampling, &mut gone);
            ends.insert(fused.end, (id, fused));
        }
        let mut layout = Layout::new(graph);
        let input = layout.place(INPUT);
        let (mut convs, mut norms, mut read_rows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut row_steps, mut steps, mut statistics, mut drawn) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut rows_of = |layout: &mut Layout<'_>, id: Id| {
            let buffer = layout.place(id).buffer;
            if !read_rows.contains(&buffer) {
                read_rows.push(buffer);
            }
            buffer
        };
        let mut norm_of = |norm: &Norm, silu: bool, channels: usize| {
            norms.push(*norm);
            // A sampler forgets statistics when they were used.
            if purpose == Purpose::Training || statistics.is_empty() {
                statistics.push(channels);
            }
            let last = statistics.len() - 1;
            statistics[last] = statistics[last].max(channels);
            NormRef { norm: norms.len() - 1, silu, statistics: last }
        };
        for id in 1..nodes.len() {
            let mut emit = |layout: &Layout<'_>, step| if layout.of_images[id] { steps.push(step) } else { row_steps.push(step) };
            if let Some((begin, fused)) = ends.remove(&id) {
                let (x, out) = (layout.place(fused.source), layout.place(id));
                let residual = fused.residual.map(|id| layout.place(id));
                let rows = fused.rows.map(|rows| rows_of(&mut layout, rows));
                let finish = FinishWith { rows, residual, scale: fused.scale, relu: fused.relu };
                let normal = fused.normal.map(|norm| match &nodes[norm].op {
                    Op::Norm(norm, silu) => norm_of(norm, *silu, x.shape[2]),
                    _ => unreachable!("a norm"),
                });
                let mut planned = |geometry: &Conv2d, weights| {
                    let conv = Conv2d { enlarge: fused.enlarge, ..*geometry };
                    convs.push(PlannedConv { conv, size: [x.shape[0], x.shape[1]], weights });
                    convs.len() - 1
                };
                let step = match &nodes[begin].op {
                    Op::Conv(layer) => {
                        let conv = planned(&layer.conv, Source::Parameters([layer.weight, layer.bias]));
                        Step { action: Action::Conv { conv, normal, finish }, x, out }
                    }
                    Op::Given(geometry, given) => {
                        Step { action: Action::Conv { conv: planned(geometry, Source::Given(given.clone())), normal, finish }, x, out }
                    }
                    Op::Attend(attend) => {
                        let [x, keys, values] =
                            [0, 1, 2].map(|i| layout.place(nodes[begin].inputs[i]).channels(attend.first[i], attend.bias.len()));
                        Step { action: Action::Attend { attend: attend.clone(), keys, values, finish }, x, out }
                    }
                    _ => unreachable!("nothing else is fused"),
                };
                emit(&layout, step);
                continue;
            }
            if gone[id] {
                continue;
            }
            let inputs: Vec<View> = nodes[id].inputs.iter().map(|&input| layout.place(input)).collect();
            let out = layout.place(id);
            let action = match &nodes[id].op {
                Op::Input | Op::Conv(_) | Op::Given(..) | Op::Attend(_) => unreachable!("emitted already"),
                Op::Concat => {
                    let mut first = 0;
                    for (x, &input) in inputs.iter().zip(&nodes[id].inputs) {
                        if layout.within[input] != Some((id, first)) {
                            let out = View { offset: out.offset + first, shape: x.shape, ..out };
                            emit(&layout, Step { action: Action::Copy, x: *x, out });
                        }
                        first += x.shape[2];
                    }
                    continue;
                }
                Op::Channels(first) => {
                    // Where it is not to lie elsewhere, it is a view.
                    if layout.within[id].is_none() {
                        continue;
                    }
                    let x = inputs[0].channels(*first, out.shape[2]);
                    emit(&layout, Step { action: Action::Copy, x, out });
                    continue;
                }
                Op::Pool(pool) => Action::Pool(*pool),
                Op::Mean => Action::Mean,
                Op::Norm(norm, silu) => Action::Normalise(norm_of(norm, *silu, inputs[0].shape[2])),
                Op::Activate(activation) => Action::Activate(*activation),
                Op::Enlarge => Action::Enlarge,
                Op::Halve => Action::Halve,
                Op::Add => Action::Add(inputs[1]),
                Op::Affine { factor, summand } => Action::Affine { factor: *factor, summand: *summand },
                Op::Dropout(probability) => {
                    drawn += 1;
                    Action::Dropout { kept: 1.0 - probability, layer: drawn }
                }
                Op::AddRows => Action::AddRows(rows_of(&mut layout, nodes[id].inputs[1])),
                Op::ScaleShift => Action::ScaleShift(rows_of(&mut layout, nodes[id].inputs[1])),
                Op::DivideByTimestep => Action::DivideByTimestep,
                Op::Features(features, index) => Action::Features(*features, *index),
                Op::Embedding => Action::Embedding,
            };
            // What has no input reads nothing of what it writes over.
            let x = inputs.first().copied().unwrap_or(out);
            emit(&layout, Step { action, x, out });
        }
        let output = layout.place(graph.output());
        assert!(output.offset == 0 && output.stride == output.shape[2], "the output lies alone in its buffer");
        let (buffers, row_buffers, parameters) = (layout.buffers, layout.rows, parameters.clone());
        let segments = vec![Segment { steps: 0..steps.len(), inner: Vec::new() }];
        Self { purpose, parameters, row_steps, steps, segments, convs, norms, buffers, row_buffers, read_rows, statistics, input, output }
    }

    /// Gives the same memory to values that are not needed at the same time.
    fn share_buffers(&mut self) {
        let count = self.buffers.len();
        let (mut first, mut last) = (vec![usize::MAX; count], vec![0; count]);
        first[self.input.buffer] = 0;
        last[self.output.buffer] = usize::MAX;
        for (at, step) in self.steps.iter().enumerate() {
            for view in step.reads().chain([step.out]) {
                first[view.buffer] = first[view.buffer].min(at);
                last[view.buffer] = last[view.buffer].max(at);
            }
        }
        let (mut slots, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut slot_of = vec![0; count];
        for at in 0..self.steps.len() {
            for buffer in (0..count).filter(|&b| first[b] == at) {
                let len = self.buffers[buffer];
                let slot = fitting(free.iter().map(|&slot| slots[slot]), len).map(|i| free.remove(i)).unwrap_or_else(|| {
                    slots.push(0);
                    slots.len() - 1
                });
                slots[slot] = slots[slot].max(len);
                slot_of[buffer] = slot;
            }
            free.extend((0..count).filter(|&b| last[b] == at && first[b] <= at).map(|b| slot_of[b]));
        }
        let moved = |view: &mut View| view.buffer = slot_of[view.buffer];
        for step in &mut self.steps {
            moved(&mut step.x);
            moved(&mut step.out);
            match &mut step.action {
                Action::Conv { finish, .. } => finish.residual.as_mut().into_iter().for_each(moved),
                Action::Attend { keys, values, finish, .. } => [keys, values].into_iter().chain(&mut finish.residual).for_each(moved),
                Action::Add(view) => moved(view),
                _ => {}
            }
        }
        moved(&mut self.input);
        moved(&mut self.output);
        self.buffers = slots;
    }

    /// The weights that the plan needs of a network's; no others are kept.
    fn pack(&mut self, values: &[f32]) -> Packed {
        let of = |id: ParameterId| self.parameter(id, Weights::Parameters(values));
        let convs = self.convs.iter().map(|planned| match &planned.weights {
            Source::Parameters([weight, bias]) => PackedConv2d::new(planned.conv, planned.size, of(*weight), Some(of(*bias))),
            Source::Given(given) => PackedConv2d::new(planned.conv, planned.size, &given.weight, Some(&given.bias)),
            Source::Packed => unreachable!("a plan is packed once"),
        });
        let convs = convs.collect();
        let tables = self.row_steps.iter().filter_map(|step| match step.action {
            Action::Features(Features::Fourier(id) | Features::Table(id), _) => Some(id),
            _ => None,
        });
        let others = self.norms.iter().flat_map(|norm| [norm.weight, norm.bias]).chain(tables).map(|id| (id, of(id).to_vec()));
        let packed = Packed { convs, others: others.collect() };
        self.convs.iter_mut().for_each(|planned| planned.weights = Source::Packed);
        packed
    }

    /// The numbers of a parameter, but not of a convolution's that is packed.
    fn parameter<'a>(&self, id: ParameterId, weights: Weights<'a>) -> &'a [f32] {
        match weights {
            Weights::Packed(packed) => &packed.others[&id],
            Weights::Parameters(values) => &values[self.parameters.get(id).range.clone()],
        }
    }

    /// For each step the buffers that no step before it reads or writes.
    fn first_uses(&self) -> Vec<Vec<usize>> {
        let mut known = vec![false; self.buffers.len()];
        let of = |step: &Step| {
            let buffers = step.reads().chain([step.out]).map(|view| view.buffer);
            buffers.filter(|&buffer| !std::mem::replace(&mut known[buffer], true)).collect()
        };
        self.steps.iter().map(of).collect()
    }

    /// Multiply-adds of one image, as a convolution's definition counts them.
    pub(crate) fn multiply_adds(&self) -> u64 {
        self.steps.iter().map(|step| step.multiply_adds(self)).sum()
    }

    /// Whether the statistics of all norms and images are kept.
    fn keeps_statistics(&self) -> bool {
        self.purpose == Purpose::Training
    }

    fn norm<'a>(&self, normal: NormRef, weights: Weights<'a>) -> GroupNorm<'a> {
        let Norm { groups, eps, weight, bias } = self.norms[normal.norm];
        GroupNorm { weight: self.parameter(weight, weights), bias: self.parameter(bias, weights), groups, eps }
    }
}

impl Step {
    /// The views that it reads, in the buffers of images or, of rows, in those of rows.
    fn reads(&self) -> impl Iterator<Item = View> + use<> {
        let others = match &self.action {
            Action::Conv { finish, .. } => [finish.residual, None, None],
            Action::Attend { keys, values, finish, .. } => [finish.residual, Some(*keys), Some(*values)],
            Action::Add(view) => [Some(*view), None, None],
            _ => [None; 3],
        };
        others.into_iter().flatten().chain([self.x])
    }

    /// Whether it adds another value of the graph to what it computes.
    fn is_residual_sum(&self) -> bool {
        match &self.action {
            Action::Conv { finish, .. } | Action::Attend { finish, .. } => finish.residual.is_some(),
            Action::Add(_) => true,
            _ => false,
        }
    }

    fn multiply_adds(&self, plan: &Plan) -> u64 {
        let [h, w, c] = self.out.shape;
        let per_number = match &self.action {
            Action::Conv { conv, .. } => plan.convs[*conv].conv.weights() / plan.convs[*conv].conv.channels[0],
            Action::Attend { attend, .. } => 2 * h * w + attend.saved,
            _ => 0,
        };
        (h * w * c * per_number) as u64
    }

    /// The norm of what it reads.
    fn norm(&self) -> Option<NormRef> {
        match &self.action {
            Action::Conv { normal, .. } => *normal,
            Action::Normalise(normal) => Some(*normal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arenas, Inputs, Plan, Purpose, Weights};
    use crate::condition::Condition;
    use crate::graph::{Graph, INPUT, Initial, Op, Parameters, Scope};
    use crate::unet::{UNet, UNetConfig};
    use ddim_kernels::Activation;
    use ddim_kernels::{Conv2d, Pool, Pooling};
    use std::sync::Arc;

    /// Where activations are checkpointed, most of them are released: all within blocks, and nothing that lies in a concatenation.
    #[test]
    fn checkpoints_release_most_activations() {
        let unet = UNet::initialised(&UNetConfig::preset("small").unwrap(), 1).unwrap();
        let plan = Plan::for_training(&unet, [32, 32], true);
        let inner: Vec<usize> = plan.segments.iter().flat_map(|segment| &segment.inner).copied().collect();
        let size = |buffers: &mut dyn Iterator<Item = usize>| buffers.map(|buffer| plan.buffers[buffer]).sum::<usize>() as f64;
        let share = size(&mut inner.iter().copied()) / size(&mut (0..plan.buffers.len()));
        assert!((0.4..0.8).contains(&share), "{share}");
        let (last, others) = plan.segments.split_last().unwrap();
        assert!(last.inner.is_empty() && others.iter().all(|segment| !segment.inner.is_empty()));
        let parts = plan.steps.iter().filter(|step| step.out.stride > step.out.shape[2]);
        assert!(parts.chain([&plan.steps[0]]).all(|step| !inner.contains(&step.out.buffer)) && !inner.contains(&plan.output.buffer));
        assert!(Plan::for_training(&unet, [32, 32], false).segments.iter().all(|segment| segment.inner.is_empty()));
    }

    /// What is fused, joined and seen through views is what the operations say, one by one: 1×1 layers with ReLU that read one value, one read by two;
    /// a third layer of it whose value is read before its ReLU as well; pools, parts of channels and means.
    #[test]
    fn what_is_joined_and_fused_changes_nothing() {
        let mut parameters = Parameters::default();
        let mut scope = Scope::new(&mut parameters);
        let mut layer = |name: &str, channels, kernel: usize, stride| {
            let conv = Conv2d { channels, kernel: [kernel; 2], stride, padding: [[kernel / 2; 2]; 2], enlarge: false };
            scope.conv(name, conv, Initial::Normal(0.2))
        };
        let [stem, a, b, c] = [("stem", [20, 3]), ("a", [7, 20]), ("b", [18, 20]), ("c", [5, 20])].map(|(n, ch)| layer(n, ch, 1, 1));
        let [wide, after] = [layer("wide", [9, 18], 3, 1), layer("after", [6, 20], 3, 2)];
        let size = [9, 8];
        let mut g = Graph::new([size[0], size[1], 3]);
        let relu = Activation::Relu;
        let x = g.conv(&stem, INPUT);
        let x = g.activate(relu, x);
        let [from_a, from_b] = [&a, &b].map(|layer| {
            let y = g.conv(layer, x);
            g.activate(relu, y)
        });
        let plain = g.conv(&c, x);
        let positive = g.activate(relu, plain);
        let from_b = [g.conv(&wide, from_b), from_b];
        let pooled = g.pool(Pool { pooling: Pooling::Max, stride: 1, padding: 1 }, x);
        let all = g.concat(vec![from_a, positive, from_b[0], pooled, from_b[1], plain]);
        let reduced = g.conv(&after, x);
        let part = g.channels(all, 3, 40);
        let [part, reduced] = [g.mean(part), g.mean(reduced)];
        g.concat(vec![reduced, part]);
        let values = parameters.initial(3);
        let parameters = Arc::new(parameters);
        let n = 3;
        let x: Vec<f32> = (0..n * 3 * size[0] * size[1]).map(|i| (i as f32 * 0.7).sin()).collect();
        let run = |plan: &Plan, weights: Weights<'_>| {
            let mut out = vec![0.0; n * plan.output.shape.iter().product::<usize>()];
            let inputs = Inputs { x: &x, interleaved: true, timesteps: &[], condition: &Condition::None, kinds: &vec![0; n], dropout: &[] };
            Arenas::default().run(|arena| plan.run(weights, &inputs, arena, None, &mut out));
            out
        };
        let (planned, packed) = Plan::for_sampling(&g, &parameters, &values);
        // A plan for training fuses no ReLU and joins nothing.
        let plain = Plan::new(&g, &parameters, Purpose::Training);
        let relus = |plan: &Plan| plan.steps.iter().filter(|step| matches!(step.action, super::Action::Activate(_))).count();
        assert_eq!([relus(&planned), relus(&plain)], [1, 4]);
        assert_eq!(planned.convs.len() + 1, plain.convs.len(), "{} nodes", g.nodes.iter().filter(|n| matches!(n.op, Op::Conv(_))).count());
        let (found, expected) = (run(&planned, Weights::Packed(&packed)), run(&plain, Weights::Parameters(&values)));
        assert_eq!(found.len(), n * 46);
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-6 && expected.iter().any(|v| v.abs() > 0.1), "{worst:.1e}");
    }
}
