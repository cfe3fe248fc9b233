//! Which operations are computed together, and which buffers values get.

use super::view::View;
use crate::graph::{Graph, INPUT, Id, Op};
use ddim_kernels::Activation;

/// A convolution or an attention with what is fused into it, found before anything is emitted.
pub(super) struct Fused {
    /// The value that is read.
    pub(super) source: Id,
    pub(super) normal: Option<Id>,
    pub(super) enlarge: bool,
    pub(super) rows: Option<Id>,
    pub(super) residual: Option<Id>,
    pub(super) scale: f32,
    pub(super) relu: bool,
    /// The value that is written.
    pub(super) end: Id,
}

impl Fused {
    /// What can be fused with node `id`, and ReLU where `relu` says so; marks as `gone` what needs no step of its own.
    pub(super) fn of(id: Id, graph: &Graph, readers: &[Vec<Id>], relu: bool, gone: &mut [bool]) -> Self {
        let nodes = &graph.nodes;
        let only = |id: Id| if let [reader] = readers[id][..] { Some(reader) } else { None };
        let source = nodes[id].inputs[0];
        let mut fused = Self { source, normal: None, enlarge: false, rows: None, residual: None, scale: 1.0, relu: false, end: id };
        let conv = !matches!(nodes[id].op, Op::Attend(_));
        if conv && matches!(nodes[fused.source].op, Op::Enlarge) && only(fused.source).is_some() {
            gone[fused.source] = true;
            fused.enlarge = true;
            fused.source = nodes[fused.source].inputs[0];
        }
        if conv && matches!(nodes[fused.source].op, Op::Norm(..)) && only(fused.source).is_some() {
            gone[fused.source] = true;
            fused.normal = Some(fused.source);
            fused.source = nodes[fused.source].inputs[0];
        }
        while let Some(reader) = only(fused.end).filter(|&r| r < nodes.len() && !gone[r] && !fused.relu) {
            let inputs = &nodes[reader].inputs;
            match nodes[reader].op {
                Op::Activate(Activation::Relu) if relu => fused.relu = true,
                _ if fused.scale != 1.0 => break,
                Op::AddRows if fused.rows.is_none() && fused.residual.is_none() && inputs[0] == fused.end => fused.rows = Some(inputs[1]),
                Op::Add if fused.residual.is_none() && inputs[0] != inputs[1] => {
                    fused.residual = inputs.iter().copied().find(|&id| id != fused.end);
                }
                Op::Affine { factor, summand: 0.0 } => fused.scale = factor,
                _ => break,
            }
            // Whoever reads the end finds this operation's result there.
            gone[fused.end] = true;
            gone[reader] = true;
            fused.end = reader;
        }
        gone[fused.end] = true;
        fused
    }
}

/// Places values in buffers while steps are emitted.
pub(super) struct Layout<'a> {
    graph: &'a Graph,
    pub(super) views: Vec<Option<View>>,
    /// Numbers an image of each buffer.
    pub(super) buffers: Vec<usize>,
    /// Of rows: buffers of their own.
    pub(super) rows: Vec<usize>,
    /// Whether a value is of images, not of rows.
    pub(super) of_images: Vec<bool>,
    /// The concatenation that a value is written into, and its first channel there.
    pub(super) within: Vec<Option<(Id, usize)>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        let nodes = &graph.nodes;
        let mut within: Vec<Option<(Id, usize)>> = vec![None; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            if let Op::Concat = node.op {
                let mut first = 0;
                for &input in &node.inputs {
                    // A value that is to lie in two places is copied.
                    let once = node.inputs.iter().filter(|&&i| i == input).count() == 1;
                    if once && input != INPUT && within[input].is_none() && !matches!(nodes[input].op, Op::Concat) {
                        within[input] = Some((id, first));
                    }
                    first += nodes[input].shape[2];
                }
            }
        }
        let (views, of_images) = (vec![None; nodes.len()], graph.of_images());
        Self { graph, views, buffers: Vec::new(), rows: Vec::new(), of_images, within }
    }

    pub(super) fn place(&mut self, id: Id) -> View {
        if let Some(view) = self.views[id] {
            return view;
        }
        let shape @ [h, w, c] = self.graph.nodes[id].shape;
        let node = &self.graph.nodes[id];
        let view = match (self.within[id], &node.op) {
            (Some((concat, first)), _) => View { offset: first, shape, ..self.place(concat) },
            (None, Op::Channels(first)) => self.place(node.inputs[0]).channels(*first, c),
            (None, _) => {
                let buffers = if self.of_images[id] { &mut self.buffers } else { &mut self.rows };
                buffers.push(h * w * c);
                View { buffer: buffers.len() - 1, offset: 0, stride: c, shape }
            }
        };
        self.views[id] = Some(view);
        view
    }
}
