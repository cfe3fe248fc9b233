//! Rewrites a graph for sampling before it is planned: dropout is removed, attention's layers are merged, and 1×1 convolutions that read
//! the same images become one.

use crate::graph::{Attend, Conv, Given, Graph, Id, Op, Parameters};
use ddim_kernels as kernels;
use ddim_kernels::Activation;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of numbers.
#[derive(Clone)]
struct Matrix {
    columns: usize,
    data: Vec<f32>,
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

/// A graph being rewritten.
struct Lowered<'a> {
    from: &'a Graph,
    parameters: &'a Parameters,
    values: &'a [f32],
    to: Graph,
    /// The new names of values.
    names: Vec<Option<Id>>,
}

/// A layer over channels alone.
fn linear(graph: &Graph, id: Id) -> Option<Conv> {
    match graph.nodes.get(id)?.op {
        Op::Conv(conv) if conv.conv == kernels::Conv2d::pointwise(conv.conv.channels) => Some(conv),
        _ => None,
    }
}

/// Layers that read the same images, each with the ReLU behind it, by what they read.
fn side_by_side(graph: &Graph, readers: &[Vec<Id>]) -> BTreeMap<Id, Vec<(Conv, Id)>> {
    let (of_images, mut found) = (graph.of_images(), BTreeMap::<Id, Vec<(Conv, Id)>>::new());
    for id in (0..graph.nodes.len()).filter(|&id| of_images[id]) {
        let (Some(layer), [reader]) = (linear(graph, id), readers[id].as_slice()) else { continue };
        let relu = graph.nodes.get(*reader).is_some_and(|node| matches!(node.op, Op::Activate(Activation::Relu)));
        // The last value stays the last.
        if relu && *reader != graph.output() {
            found.entry(graph.nodes[id].inputs[0]).or_default().push((layer, *reader));
        }
    }
    found.retain(|_, layers| layers.len() > 1);
    found
}

/// The graph that sampling plans, with these weights.
pub(crate) fn for_sampling(graph: &Graph, parameters: &Parameters, values: &[f32]) -> Graph {
    let readers = graph.readers();
    let only = |id: Id| if let [reader] = readers[id][..] { Some(reader) } else { None };
    let linear = |id: Id| linear(graph, id);
    // Layers before an attention that read the same value and are read by nothing else.
    let projections = |id: Id| {
        let inputs = &graph.nodes[id].inputs;
        let source = graph.nodes[inputs[0]].inputs.first()?;
        let own = |&i: &Id| linear(i).filter(|_| only(i) == Some(id) && graph.nodes[i].inputs == [*source]);
        Some((*source, [own(&inputs[0])?, own(&inputs[1])?, own(&inputs[2])?]))
    };
    let mut lowered = Lowered { from: graph, parameters, values, to: Graph { nodes: Vec::new() }, names: vec![None; graph.nodes.len()] };
    let mut merged = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Op::Attend(_) = node.op
            && projections(id).is_some()
        {
            node.inputs.iter().for_each(|&input| merged[input] = true);
        }
    }
    let beside = side_by_side(graph, &readers);
    for &(_, reader) in beside.values().flatten() {
        (merged[graph.nodes[reader].inputs[0]], merged[reader]) = (true, true);
    }
    for (id, node) in graph.nodes.iter().enumerate() {
        match &node.op {
            _ if merged[id] => {}
            Op::Dropout(_) => lowered.names[id] = lowered.names[node.inputs[0]],
            Op::Attend(attend) => match projections(id) {
                Some((source, layers)) => {
                    let out = only(id).and_then(|reader| Some((reader, linear(reader)?)));
                    let behind = lowered.attention(id, attend, source, layers, out.map(|(_, layer)| layer));
                    if let (true, Some((reader, _))) = (behind, out) {
                        merged[reader] = true;
                        lowered.names[reader] = lowered.names[id];
                    }
                }
                None => lowered.keep(id),
            },
            _ => lowered.keep(id),
        }
        if let Some(layers) = beside.get(&id) {
            lowered.side_by_side(id, layers);
        }
    }
    lowered.to
}

impl Lowered<'_> {
    fn keep(&mut self, id: Id) {
        let node = &self.from.nodes[id];
        let inputs = node.inputs.iter().map(|&input| self.name(input)).collect();
        self.names[id] = Some(self.to.push(node.op.clone(), inputs, node.shape));
    }

    fn name(&self, id: Id) -> Id {
        self.names[id].expect("inputs come first")
    }

    /// Weights [in, out] and bias of a layer.
    fn matrix(&self, layer: Conv) -> (Matrix, Vec<f32>) {
        let of = |id| self.values[self.parameters.get(id).range.clone()].to_vec();
        let [_, channels_in] = layer.conv.channels;
        (Matrix { columns: channels_in, data: of(layer.weight) }.transposed(), of(layer.bias))
    }

    /// 1×1 convolutions of one value, with the ReLU behind each, as one: the value is read once.
    fn side_by_side(&mut self, source: Id, layers: &[(Conv, Id)]) {
        let x = self.name(source);
        let [h, w, channels_in] = self.to.shape(x);
        let of = |id| &self.values[self.parameters.get(id).range.clone()];
        let all = |id: fn(&Conv) -> usize| layers.iter().flat_map(|(layer, _)| of(id(layer))).copied().collect::<Vec<f32>>();
        let given = Given { weight: all(|layer| layer.weight), bias: all(|layer| layer.bias) };
        let channels = given.bias.len();
        let conv = kernels::Conv2d::pointwise([channels, channels_in]);
        let wide = self.to.push(Op::Given(conv, Arc::new(given)), vec![x], [h, w, channels]);
        let wide = self.to.activate(Activation::Relu, wide);
        let mut first = 0;
        for (layer, relu) in layers {
            let count = layer.conv.channels[0];
            self.names[*relu] = Some(self.to.channels(wide, first, count));
            first += count;
        }
    }

    fn linear(&mut self, weight: Matrix, bias: Vec<f32>, x: Id) -> Id {
        let [h, w, channels_in] = self.to.shape(x);
        let columns = weight.columns;
        let given = Arc::new(Given { weight: weight.transposed().data, bias });
        self.to.push(Op::Given(kernels::Conv2d::pointwise([columns, channels_in]), given), vec![x], [h, w, columns])
    }

    /// With one head, softmax((x Q + q)(x K + k)ᵀ)(x V + v) O + o is softmax((x Q Kᵀ + q Kᵀ) xᵀ)(x V O) + v O + o: what is the same for all keys
    /// drops out of a softmax, and its weights sum to 1. Two products of matrices, made once, save two of the four layers. Whether the layer
    /// behind is in it.
    fn attention(&mut self, id: Id, attend: &Attend, source: Id, layers: [Conv; 3], out: Option<Conv>) -> bool {
        let (x, heads, scale) = (self.name(source), attend.heads, attend.scale);
        let [h, w, channels] = self.to.shape(x);
        let [(q, q_bias), (k, k_bias), (v, v_bias)] = layers.map(|layer| self.matrix(layer));
        let inner = q.columns;
        if let Some(out) = out.filter(|out| heads == 1 && inner == channels && out.conv.channels[0] == channels) {
            let (out, out_bias) = self.matrix(out);
            let row = |data: &[f32]| Matrix { columns: inner, data: data.to_vec() };
            let mut bias = row(&q_bias).times(&k.transposed()).data;
            bias.resize(2 * channels, 0.0);
            let layer = self.linear(Matrix::beside(&[&q.times(&k.transposed()), &v.times(&out)]), bias, x);
            let v_bias = row(&v_bias).times(&out).data;
            let bias = v_bias.iter().zip(&out_bias).map(|(v, out)| v + out).collect();
            let attend = Attend { first: [0, 0, channels], heads, scale, bias, saved: 2 * channels };
            self.names[id] = Some(self.to.push(Op::Attend(attend), vec![layer, x, layer], [h, w, channels]));
            return true;
        }
        let layer = self.linear(Matrix::beside(&[&q, &k, &v]), [q_bias, k_bias, v_bias].concat(), x);
        let attend = Attend { first: [0, inner, 2 * inner], heads, scale, bias: vec![0.0; inner], saved: 0 };
        self.names[id] = Some(self.to.push(Op::Attend(attend), vec![layer; 3], [h, w, inner]));
        false
    }
}
