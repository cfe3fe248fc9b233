//! Compiles a graph to a plan: fused operations become one step, and values get buffers.

use super::layout::{Fused, Layout};
use super::lower;
use super::memory::fitting;
use super::steps::{Action, FinishWith, NormRef, Packed, Plan, PlannedConv, Purpose, Segment, Source, Step, Weights};
use super::view::View;
use crate::graph::{Features, Graph, INPUT, Id, Norm, Op, ParameterId, Parameters};
use crate::unet::UNet;
use ddim_kernels::{Conv2d, PackedConv2d};
use std::collections::HashMap;
use std::sync::Arc;

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
    pub(super) fn new(graph: &Graph, parameters: &Arc<Parameters>, purpose: Purpose) -> Self {
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
}
