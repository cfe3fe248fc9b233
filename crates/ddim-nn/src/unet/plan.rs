//! A network compiled for sampling: a list of fused steps over a few buffers that are used again and again.
//!
//! Made from what the modules did to a [`Tracer`], so that there is one definition of the network. A group norm goes into the convolution
//! that reads it; the time embedding, the residual and its scale into the convolution that they follow; an enlargement into the reading of
//! the next convolution; and what is concatenated is written side by side from the start.

use super::names::Activation;
use super::trace::{Attend, INPUT, Id, Node, Norm, Op, Tracer, Weights, values};
use burn::tensor::{Tensor, TensorData};
use ddim_kernels::{Attention, Conv2d, Finish, Images, Normal, PackedConv2d, normalised};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Where a value lies: in buffer `buffer`, pixels `stride` numbers apart.
#[derive(Debug, Clone, Copy)]
struct View {
    buffer: usize,
    offset: usize,
    stride: usize,
    /// \[h, w, c\].
    shape: [usize; 3],
}

impl View {
    /// `count` of the channels.
    fn channels(self, first: usize, count: usize) -> Self {
        let [h, w, _] = self.shape;
        Self { offset: self.offset + first, shape: [h, w, count], ..self }
    }

    /// Where image `i` begins in the buffer.
    fn start(&self, i: usize) -> usize {
        self.offset + i * self.shape[0] * self.shape[1] * self.stride
    }

    /// The images `range` of the batch.
    fn images<'a>(&self, range: &Range<usize>, buffers: &'a [Vec<f32>]) -> Images<'a> {
        let [h, w, c] = self.shape;
        Images { data: &buffers[self.buffer][self.start(range.start)..], shape: [range.len(), h, w, c], stride: self.stride }
    }
}

/// What a step does to `x`.
enum Action {
    Conv {
        conv: Box<PackedConv2d>,
        normal: Option<(Norm, bool)>,
        finish: FinishWith,
    },
    /// `x` are the queries.
    Attend {
        attend: Attend,
        keys: View,
        values: View,
        finish: FinishWith,
    },
    Normalise {
        norm: Norm,
        silu: bool,
    },
    Activate(Activation),
    Enlarge,
    Halve,
    Add(View),
    Copy,
    Affine {
        factor: f32,
        summand: f32,
    },
    AddRows(usize),
    ScaleShift(usize),
    DivideByTimestep,
}

/// [`Finish`], of rows and views.
struct FinishWith {
    rows: Option<usize>,
    residual: Option<View>,
    scale: f32,
}

struct Step {
    action: Action,
    x: View,
    out: View,
}

/// Tiles of 4×4 pixels that keep one thread's kernels busy (their register tiles full, their weights used often enough).
const TILES_TOGETHER: usize = 64;

/// A compiled network for images of one size. Buffers hold a number an image for each number here: the batch is chosen at every run.
pub(crate) struct Plan {
    steps: Vec<Step>,
    /// Numbers an image of each buffer.
    buffers: Vec<usize>,
    input: View,
    output: View,
    projections: Vec<(PackedConv2d, Activation)>,
}

/// The memory of one run. Kept between runs, it is not allocated again.
#[derive(Default)]
pub(crate) struct Arena {
    buffers: Vec<Vec<f32>>,
    /// [n, c] of each projection of the embedding.
    rows: Vec<Vec<f32>>,
    center: Vec<f32>,
    scale: Vec<f32>,
}

/// Where the time of evaluations went.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// One a kind of operation, in the order of their first use.
    pub shares: Vec<Share>,
}

/// What one kind of operation took.
#[derive(Debug, Clone)]
pub struct Share {
    /// Its name.
    pub kind: &'static str,
    /// Wall time.
    pub time: Duration,
    /// Multiply-adds as the operation's definition counts them, whatever the algorithm saved; 0 for all but convolutions and attention.
    pub multiply_adds: u64,
}

impl Profile {
    fn add(&mut self, kind: &'static str, time: Duration, multiply_adds: u64) {
        let index = self.shares.iter().position(|share| share.kind == kind).unwrap_or_else(|| {
            self.shares.push(Share { kind, time: Duration::ZERO, multiply_adds: 0 });
            self.shares.len() - 1
        });
        self.shares[index].time += time;
        self.shares[index].multiply_adds += multiply_adds;
    }
}

/// What a run is told of its images.
pub(crate) struct Inputs<'a> {
    /// [n, c, h, w].
    pub(crate) x: &'a [f32],
    /// One embedding a kind of image.
    pub(crate) embeddings: Tensor<2>,
    /// The row of `embeddings` of each image.
    pub(crate) kinds: &'a [usize],
    /// The timestep of each image.
    pub(crate) timesteps: &'a [f32],
}

fn pack(conv: Conv2d, size: [usize; 2], weights: &Weights) -> PackedConv2d {
    match weights {
        Weights::Conv(weight, bias) => PackedConv2d::new(conv, size, &values(weight), bias.as_ref().map(values).as_deref()),
        Weights::Linear(weight, bias) => PackedConv2d::linear(conv.channels, size, &weight.data, Some(bias)),
    }
}

/// A convolution or an attention with what is fused into it, found before anything is emitted.
struct Fused {
    /// The value that is read.
    source: Id,
    normal: Option<Id>,
    enlarge: bool,
    rows: Option<usize>,
    residual: Option<Id>,
    scale: f32,
    /// The value that is written.
    end: Id,
}

impl Fused {
    fn of(id: Id, nodes: &[Node], readers: &[Vec<Id>], gone: &mut [bool]) -> Self {
        let only = |id: Id| if let [reader] = readers[id][..] { Some(reader) } else { None };
        let mut fused = Self { source: nodes[id].inputs[0], normal: None, enlarge: false, rows: None, residual: None, scale: 1.0, end: id };
        let conv = matches!(nodes[id].op, Op::Conv(..));
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
        while let Some(reader) = only(fused.end).filter(|&r| r < nodes.len() && !gone[r] && fused.scale == 1.0) {
            match nodes[reader].op {
                Op::AddRows(rows) if fused.rows.is_none() && fused.residual.is_none() => fused.rows = Some(rows),
                Op::Add if fused.residual.is_none() && nodes[reader].inputs[0] != nodes[reader].inputs[1] => {
                    fused.residual = nodes[reader].inputs.iter().copied().find(|&id| id != fused.end);
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
struct Layout {
    views: Vec<Option<View>>,
    /// Numbers an image of each buffer.
    buffers: Vec<usize>,
    /// The concatenation that a value is written into, and its first channel there.
    within: Vec<Option<(Id, usize)>>,
}

impl Layout {
    fn place(&mut self, id: Id, nodes: &[Node]) -> View {
        if let Some(view) = self.views[id] {
            return view;
        }
        let shape @ [h, w, c] = nodes[id].shape;
        let view = match self.within[id] {
            Some((concat, first)) => View { offset: first, shape, ..self.place(concat, nodes) },
            None => {
                self.buffers.push(h * w * c);
                View { buffer: self.buffers.len() - 1, offset: 0, stride: c, shape }
            }
        };
        self.views[id] = Some(view);
        view
    }
}

impl Plan {
    /// The steps that compute `out`.
    pub(crate) fn new(tracer: Tracer, out: Id) -> Self {
        let Tracer { mut nodes, projections } = tracer;
        let mut readers = vec![Vec::new(); nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input].push(id));
        }
        readers[out].push(nodes.len()); // whoever called
        let mut gone = vec![false; nodes.len()];
        // What is fused is emitted where its end is: all that it adds is there by then.
        let mut ends: HashMap<Id, (Id, Fused)> = HashMap::new();
        for id in (0..nodes.len()).filter(|&id| matches!(nodes[id].op, Op::Conv(..) | Op::Attend(_))) {
            let fused = Fused::of(id, &nodes, &readers, &mut gone);
            ends.insert(fused.end, (id, fused));
        }

        let mut layout = Layout { views: vec![None; nodes.len()], buffers: Vec::new(), within: vec![None; nodes.len()] };
        for (id, node) in nodes.iter().enumerate() {
            if let Op::Concat = node.op {
                let mut first = 0;
                for &input in &node.inputs {
                    // A value that is to lie in two places is copied.
                    let once = node.inputs.iter().filter(|&&i| i == input).count() == 1;
                    if once && input != INPUT && layout.within[input].is_none() && !matches!(nodes[input].op, Op::Concat) {
                        layout.within[input] = Some((id, first));
                    }
                    first += nodes[input].shape[2];
                }
            }
        }
        let input = layout.place(INPUT, &nodes);
        let mut steps = Vec::new();
        for id in 1..nodes.len() {
            if let Some((begin, fused)) = ends.remove(&id) {
                let (x, out) = (layout.place(fused.source, &nodes), layout.place(id, &nodes));
                let residual = fused.residual.map(|id| layout.place(id, &nodes));
                let finish = FinishWith { rows: fused.rows, residual, scale: fused.scale };
                let step = match std::mem::replace(&mut nodes[begin].op, Op::Input) {
                    Op::Conv(mut geometry, weights) => {
                        geometry.enlarge = fused.enlarge;
                        let conv = Box::new(pack(geometry, [x.shape[0], x.shape[1]], &weights));
                        let normal = fused.normal.map(|norm| match std::mem::replace(&mut nodes[norm].op, Op::Input) {
                            Op::Norm(norm, activation) => (norm, activation.is_some()),
                            _ => unreachable!("a norm"),
                        });
                        Step { action: Action::Conv { conv, normal, finish }, x, out }
                    }
                    Op::Attend(attend) => {
                        let places =
                            [0, 1, 2].map(|i| layout.place(nodes[begin].inputs[i], &nodes).channels(attend.first[i], attend.bias.len()));
                        let [x, keys, values] = places;
                        Step { action: Action::Attend { attend, keys, values, finish }, x, out }
                    }
                    _ => unreachable!("nothing else is fused"),
                };
                steps.push(step);
                continue;
            }
            if gone[id] {
                continue;
            }
            let inputs: Vec<View> = nodes[id].inputs.iter().map(|&input| layout.place(input, &nodes)).collect();
            let out = layout.place(id, &nodes);
            let action = match std::mem::replace(&mut nodes[id].op, Op::Input) {
                Op::Input | Op::Conv(..) | Op::Attend(_) => unreachable!("emitted already"),
                Op::Concat => {
                    let mut first = 0;
                    for (x, &input) in inputs.iter().zip(&nodes[id].inputs) {
                        if layout.within[input] != Some((id, first)) {
                            let out = View { offset: out.offset + first, shape: x.shape, ..out };
                            steps.push(Step { action: Action::Copy, x: *x, out });
                        }
                        first += x.shape[2];
                    }
                    continue;
                }
                Op::Norm(norm, activation) => Action::Normalise { norm, silu: activation.is_some() },
                Op::Activate(activation) => Action::Activate(activation),
                Op::Enlarge => Action::Enlarge,
                Op::Halve => Action::Halve,
                Op::Add => Action::Add(inputs[1]),
                Op::Affine { factor, summand } => Action::Affine { factor, summand },
                Op::AddRows(rows) => Action::AddRows(rows),
                Op::ScaleShift(rows) => Action::ScaleShift(rows),
                Op::DivideByTimestep => Action::DivideByTimestep,
            };
            steps.push(Step { action, x: inputs[0], out });
        }
        let output = layout.place(out, &nodes);
        let projections = projections.iter().map(|p| (pack(Conv2d::pointwise(p.channels), [1, 1], &p.weights), p.activation)).collect();
        let mut plan = Self { steps, buffers: layout.buffers, input, output, projections };
        plan.share_buffers();
        plan
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
                // The smallest that is large enough, else the largest, which grows.
                let fits = free.iter().copied().filter(|&s| slots[s] >= len).min_by_key(|&s| slots[s]);
                let slot = fits.or_else(|| free.iter().copied().max_by_key(|&s| slots[s])).unwrap_or_else(|| {
                    slots.push(0);
                    slots.len() - 1
                });
                free.retain(|&s| s != slot);
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

    /// Multiply-adds of one image, as a convolution's definition counts them.
    pub(crate) fn multiply_adds(&self) -> u64 {
        self.steps.iter().map(Step::multiply_adds).sum()
    }

    /// One evaluation: `out` [n, c, h, w].
    pub(crate) fn run(&self, inputs: &Inputs<'_>, arena: &mut Arena, mut profile: Option<&mut Profile>, out: &mut [f32]) {
        let n = inputs.kinds.len();
        arena.buffers.resize_with(self.buffers.len(), Vec::new);
        for (buffer, len) in arena.buffers.iter_mut().zip(&self.buffers) {
            if buffer.len() < n * len {
                buffer.resize(n * len, 0.0);
            }
        }
        self.project(inputs, arena);
        transpose(inputs.x, n, self.input.shape, &mut arena.buffers[self.input.buffer], true);
        for step in &self.steps {
            // Some images at once: what their statistics read is then in the cache when they are normalised.
            let together = if step.norm().is_some() { step.images_together() } else { n };
            for first in (0..n).step_by(together) {
                step.run_timed(first..n.min(first + together), inputs, arena, &mut profile);
            }
        }
        transpose(&arena.buffers[self.output.buffer], n, self.output.shape, out, false);
    }

    /// The rows that are added to images or scale them, one an image.
    fn project(&self, inputs: &Inputs<'_>, arena: &mut Arena) {
        let [kinds, dim] = inputs.embeddings.dims();
        let mut activated: HashMap<Activation, Vec<f32>> = HashMap::new();
        arena.rows.resize_with(self.projections.len(), Vec::new);
        for ((linear, activation), rows) in self.projections.iter().zip(&mut arena.rows) {
            let embeddings = activated.entry(*activation).or_insert_with(|| values(&activation.apply(inputs.embeddings.clone())));
            let channels = linear.conv().channels[0];
            let mut projected = vec![0.0; kinds * channels];
            linear.run(&Images::new(embeddings, [kinds, 1, 1, dim]), None, &Finish::default(), &mut projected, channels);
            rows.clear();
            rows.extend(inputs.kinds.iter().flat_map(|kind| &projected[kind * channels..(kind + 1) * channels]));
        }
    }
}

/// [n, c, h, w] to [n, h, w, c], or back.
fn transpose(from: &[f32], n: usize, [h, w, c]: [usize; 3], to: &mut [f32], to_pixels: bool) {
    let len = h * w * c;
    for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(len)).take(n) {
        for channel in 0..c {
            for pixel in 0..h * w {
                let (plane, woven) = (channel * h * w + pixel, pixel * c + channel);
                if to_pixels { to[woven] = from[plane] } else { to[plane] = from[woven] }
            }
        }
    }
}

impl Step {
    fn reads(&self) -> impl Iterator<Item = View> + use<> {
        let others = match &self.action {
            Action::Conv { finish, .. } => [finish.residual, None, None],
            Action::Attend { keys, values, finish, .. } => [finish.residual, Some(*keys), Some(*values)],
            Action::Add(view) => [Some(*view), None, None],
            _ => [None; 3],
        };
        others.into_iter().flatten().chain([self.x])
    }

    fn kind(&self) -> &'static str {
        match &self.action {
            Action::Conv { conv, .. } => match (conv.conv().kernel, conv.conv().stride, conv.conv().enlarge) {
                ([1, 1], ..) => "linear and 1x1",
                (_, 1, false) => "3x3",
                (_, 1, true) => "3x3, enlarging",
                _ => "3x3, stride 2",
            },
            Action::Attend { .. } => "attention",
            _ => "other",
        }
    }

    fn multiply_adds(&self) -> u64 {
        let [h, w, c] = self.out.shape;
        let per_number = match &self.action {
            Action::Conv { conv, .. } => conv.conv().weights() / conv.conv().channels[0],
            Action::Attend { attend, .. } => 2 * h * w + attend.saved,
            _ => 0,
        };
        (h * w * c * per_number) as u64
    }

    /// The norm of what it reads.
    fn norm(&self) -> Option<&Norm> {
        match &self.action {
            Action::Conv { normal: Some((norm, _)), .. } | Action::Normalise { norm, .. } => Some(norm),
            _ => None,
        }
    }

    /// Images that keep the kernels busy.
    fn images_together(&self) -> usize {
        let [h, w, _] = self.out.shape;
        (TILES_TOGETHER * rayon::current_num_threads()).div_ceil(h.div_ceil(4) * w.div_ceil(4))
    }

    fn run_timed(&self, images: Range<usize>, inputs: &Inputs<'_>, arena: &mut Arena, profile: &mut Option<&mut Profile>) {
        let mut start = Instant::now();
        if let Some(norm) = self.norm() {
            let Arena { buffers, center, scale, .. } = &mut *arena;
            let len = images.len() * norm.weight.len();
            center.resize(len, 0.0);
            scale.resize(len, 0.0);
            norm.kernel().statistics(&self.x.images(&images, buffers), center, scale);
            if let Some(profile) = profile {
                profile.add("group norm's statistics", start.elapsed(), 0);
            }
            start = Instant::now();
        }
        // A step never reads the buffer that it writes, but for what other steps wrote into it.
        let mut written = std::mem::take(&mut arena.buffers[self.out.buffer]);
        self.run(&images, inputs, arena, &mut written);
        arena.buffers[self.out.buffer] = written;
        if let Some(profile) = profile {
            profile.add(self.kind(), start.elapsed(), images.len() as u64 * self.multiply_adds());
        }
    }

    /// Runs on some images of the batch; `written` is the buffer of `self.out`.
    fn run(&self, range: &Range<usize>, inputs: &Inputs<'_>, arena: &mut Arena, written: &mut [f32]) {
        let n = range.len();
        let Arena { buffers, rows, center, scale } = arena;
        let buffers: &[Vec<f32>] = buffers;
        let images = |view: &View| view.images(range, buffers);
        let x = images(&self.x);
        let out = &mut written[self.out.start(range.start)..];
        let rows = |index: usize| {
            let width = rows[index].len() / inputs.kinds.len();
            &rows[index][range.start * width..range.end * width]
        };
        let [h, w, c] = self.out.shape;
        let stride = self.out.stride;
        match &self.action {
            Action::Conv { conv, normal, finish } => {
                let normal = normal.as_ref().map(|(norm, silu)| Normal { center, scale, shift: &norm.bias, silu: *silu });
                conv.run(&x, normal, &finish.of(rows, images), out, stride);
            }
            Action::Attend { attend, keys, values, finish } => {
                let attention =
                    Attention { queries: x, keys: images(keys), values: images(values), heads: attend.heads, scale: attend.scale };
                attention.run(&attend.bias, &finish.of(rows, images), out, stride);
            }
            Action::Normalise { norm, silu } => {
                let mut y = vec![0.0; n * h * w * c];
                normalised(&x, Normal { center, scale, shift: &norm.bias, silu: *silu }, &mut y);
                each_pixel(out, self.out, |pixel, out| out.copy_from_slice(&y[pixel * c..(pixel + 1) * c]), n);
            }
            Action::Activate(activation) => {
                let all: Vec<f32> = (0..n * h * w).flat_map(|p| pixel(&x, p)).copied().collect();
                let y = values(&activation.apply(Tensor::<1>::from_data(TensorData::new(all, [n * h * w * c]), &crate::cpu())));
                each_pixel(out, self.out, |pixel, out| out.copy_from_slice(&y[pixel * c..(pixel + 1) * c]), n);
            }
            Action::Enlarge => {
                let source = |p: usize| (p / (h * w) * (h / 2) + p % (h * w) / w / 2) * (w / 2) + p % w / 2;
                each_pixel(out, self.out, |p, out| out.copy_from_slice(pixel(&x, source(p))), n);
            }
            Action::Halve => {
                let [_, _, wide, _] = x.shape;
                let first = |p: usize| (p / (h * w) * x.shape[1] + p % (h * w) / w * 2) * wide + p % w * 2;
                let mean = |p: usize, out: &mut [f32]| {
                    let corners = [0, 1, wide, wide + 1].map(|offset| pixel(&x, first(p) + offset));
                    for (c, out) in out.iter_mut().enumerate() {
                        *out = corners.iter().map(|corner| corner[c]).sum::<f32>() / 4.0;
                    }
                };
                each_pixel(out, self.out, mean, n);
            }
            Action::Add(y) => {
                let y = images(y);
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&y, p), |x, y| x + y), n);
            }
            Action::Copy => each_pixel(out, self.out, |p, out| out.copy_from_slice(pixel(&x, p)), n),
            Action::Affine { factor, summand } => {
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&x, p), |x, _| x * factor + summand), n);
            }
            Action::AddRows(row) => {
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), &rows(*row)[p / (h * w) * c..], |x, y| x + y), n);
            }
            Action::ScaleShift(row) => {
                let scale_shift = |p: usize, out: &mut [f32]| {
                    let (scale, shift) = rows(*row)[p / (h * w) * 2 * c..][..2 * c].split_at(c);
                    combine(out, pixel(&x, p), scale, |x, scale| x * (scale + 1.0));
                    out.iter_mut().zip(shift).for_each(|(out, shift)| *out += shift);
                };
                each_pixel(out, self.out, scale_shift, n);
            }
            Action::DivideByTimestep => {
                let timestep = |p: usize| inputs.timesteps[range.start + p / (h * w)];
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&x, p), |x, _| x / timestep(p)), n);
            }
        }
    }
}

impl FinishWith {
    fn of<'a>(&self, rows: impl Fn(usize) -> &'a [f32], images: impl Fn(&View) -> Images<'a>) -> Finish<'a> {
        Finish { rows: self.rows.map(rows), residual: self.residual.as_ref().map(images), scale: self.scale, relu: false }
    }
}

fn pixel<'a>(x: &Images<'a>, p: usize) -> &'a [f32] {
    &x.data[p * x.stride..][..x.shape[3]]
}

fn combine(out: &mut [f32], x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = f(x, y);
    }
}

/// Calls `f` with the index and the channels of each pixel of `n` images.
fn each_pixel(out: &mut [f32], view: View, f: impl Fn(usize, &mut [f32]) + Sync, n: usize) {
    let [h, w, c] = view.shape;
    let pixels = n * h * w;
    let len = out.len().min(pixels * view.stride);
    out[..len].par_chunks_mut(view.stride).with_min_len(256).enumerate().for_each(|(p, out)| f(p, &mut out[..c]));
}
