//! The backward pass through the steps of a training plan: from the gradient of its output to those of all parameters.

use super::clock::Instant;
use super::dropout::dropout_mask;
use super::memory::{Arena, take};
use super::pixels::{combine, each_pixel, pixel, transpose};
use super::profile::{Profile, note};
use super::run::Inputs;
use super::steps::{Action, FinishWith, Plan, Source, Step, Weights};
use super::view::View;
use crate::graph::Features;
use crate::unet::UNet;
use ddim_kernels::{Attention, Images, sum_of_pixels};
use std::ops::Range;

/// A plan for training, and the memory of its runs.
pub(crate) struct Backward {
    plan: Plan,
    first_uses: Vec<Vec<usize>>,
    arena: Arena,
    found: Gradients,
}

/// The gradients of images and of rows.
#[derive(Default)]
struct Gradients {
    images: Found,
    rows: Found,
}

/// The gradients of values, where the values lie in their own buffers: those that are there.
#[derive(Default)]
struct Found {
    buffers: Vec<Vec<f32>>,
    /// The channels of each buffer that have been written.
    written: Vec<Vec<Range<usize>>>,
    /// Memory that is used again.
    spare: Vec<Vec<f32>>,
    /// Numbers of each buffer.
    lens: Vec<usize>,
}

impl Found {
    fn reset(&mut self, lens: &[usize], n: usize) {
        self.buffers.resize_with(lens.len(), Vec::new);
        self.written.resize_with(lens.len(), Vec::new);
        (0..lens.len()).for_each(|buffer| self.release(buffer));
        self.lens = lens.iter().map(|len| n * len).collect();
    }

    /// Forgets the gradient of a buffer.
    fn release(&mut self, buffer: usize) {
        self.written[buffer].clear();
        let memory = std::mem::take(&mut self.buffers[buffer]);
        self.put_back(memory);
    }

    fn put_back(&mut self, memory: Vec<f32>) {
        if !memory.is_empty() {
            self.spare.push(memory);
        }
    }

    /// At least `len` numbers, whatever was there before.
    fn memory(&mut self, len: usize) -> Vec<f32> {
        take(&mut self.spare, len)
    }

    /// Makes a view readable: what nobody wrote is 0. Whether anybody wrote any of it.
    fn settle(&mut self, view: View, n: usize) -> bool {
        let channels = view.offset..view.offset + view.shape[2];
        let missing: Vec<usize> =
            channels.clone().filter(|c| !self.written[view.buffer].iter().any(|written| written.contains(c))).collect();
        if missing.is_empty() || missing.len() == channels.len() {
            return missing.is_empty();
        }
        let pixels = n * view.shape[0] * view.shape[1];
        for p in 0..pixels {
            missing.iter().for_each(|c| self.buffers[view.buffer][p * view.stride + c] = 0.0);
        }
        self.written[view.buffer].push(channels);
        true
    }

    /// Takes a buffer out, for a gradient to be written into a view of it, or to be added where there is one.
    fn take(&mut self, view: View, n: usize) -> (Vec<f32>, bool) {
        let channels = view.offset..view.offset + view.shape[2];
        let accumulate = self.written[view.buffer].iter().any(|w| w.start < channels.end && channels.start < w.end);
        if accumulate {
            self.settle(view, n);
        } else {
            self.written[view.buffer].push(channels);
        }
        let memory = std::mem::take(&mut self.buffers[view.buffer]);
        (if memory.is_empty() { self.memory(self.lens[view.buffer]) } else { memory }, accumulate)
    }

    fn give(&mut self, view: View, buffer: Vec<f32>) {
        self.buffers[view.buffer] = buffer;
    }

    /// Writes `f(pixel, channels)` as the gradient of a view, or adds it.
    fn contribute(&mut self, view: View, n: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
        let (mut buffer, accumulate) = self.take(view, n);
        let c = view.shape[2];
        each_pixel(
            &mut buffer[view.offset..],
            view,
            |p, out| {
                if accumulate {
                    let mut held = vec![0.0; c];
                    f(p, &mut held);
                    out.iter_mut().zip(&held).for_each(|(out, v)| *out += v);
                } else {
                    f(p, out);
                }
            },
            n,
        );
        self.give(view, buffer);
    }

    /// The same, of images.
    fn contribute_images(&mut self, view: View, from: &Images<'_>) {
        let (mut buffer, accumulate) = self.take(view, from.shape[0]);
        each_pixel(
            &mut buffer[view.offset..],
            view,
            |p, out| {
                let from = pixel(from, p);
                if accumulate { out.iter_mut().zip(from).for_each(|(out, v)| *out += v) } else { out.copy_from_slice(from) }
            },
            from.shape[0],
        );
        self.give(view, buffer);
    }
}

impl Backward {
    pub(crate) fn new(unet: &UNet, size: [usize; 2], checkpoint: bool) -> Self {
        let plan = Plan::for_training(unet, size, checkpoint);
        let first_uses = plan.first_uses();
        Self { plan, first_uses, arena: Arena::default(), found: Gradients::default() }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Adds the gradients of Σ share · mean (prediction - target)² over the images to `gradients`, in the order of all parameters, whose numbers are
    /// `values`; what the sum is.
    pub(crate) fn squared_error(
        &mut self,
        values: &[f32],
        inputs: &Inputs<'_>,
        target: &[f32],
        shares: &[f32],
        gradients: &mut [f32],
        mut profile: Option<&mut Profile>,
    ) -> f64 {
        let Self { plan, first_uses, arena, found } = self;
        let weights = Weights::Parameters(values);
        let (n, view) = (inputs.kinds.len(), plan.output);
        plan.forward(weights, inputs, arena, profile.as_deref_mut());
        found.images.reset(&plan.buffers, n);
        found.rows.reset(&plan.row_buffers, n);
        // The output lies alone in its buffer.
        let len = view.shape.iter().product::<usize>();
        let (mut dy, _) = found.images.take(view, n);
        transpose(target, n, view.shape, &mut dy, true);
        let y = &arena.buffers[view.buffer];
        let mut total = 0.0;
        for ((dy, y), share) in dy.chunks_exact_mut(len).zip(y.chunks_exact(len)).zip(shares) {
            let slope = 2.0 * share / len as f32;
            let mut sum = 0.0;
            for (dy, y) in dy.iter_mut().zip(y) {
                let difference = y - *dy;
                sum += f64::from(difference) * f64::from(difference);
                *dy = slope * difference;
            }
            total += f64::from(*share) * sum / len as f64;
        }
        found.images.give(view, dy);
        for segment in plan.segments.iter().rev() {
            if !segment.inner.is_empty() {
                plan.again(segment, weights, inputs, arena, &mut profile);
            }
            for index in segment.steps.clone().rev() {
                Run { plan, weights, inputs, arena, of_images: true, n }.step(&plan.steps[index], found, gradients, &mut profile);
                // Nothing before it knows of these.
                first_uses[index].iter().for_each(|&buffer| found.images.release(buffer));
            }
            arena.forget(segment);
        }
        for step in plan.row_steps.iter().rev() {
            Run { plan, weights, inputs, arena, of_images: false, n }.step(step, found, gradients, &mut profile);
        }
        total
    }
}

impl Step {
    /// The kinds of its gradients in a profile: of weights and of the input.
    fn kinds_backward(&self, plan: &Plan) -> [&'static str; 2] {
        match self.kind(plan) {
            "3x3" => ["3x3, weight gradient", "3x3, input gradient"],
            "3x3, enlarging" => ["3x3, enlarging, weight gradient", "3x3, enlarging, input gradient"],
            "3x3, stride 2" => ["3x3, stride 2, weight gradient", "3x3, stride 2, input gradient"],
            "other kernels" => ["other kernels, weight gradient", "other kernels, input gradient"],
            _ => ["linear and 1x1, weight gradient", "linear and 1x1, input gradient"],
        }
    }
}

/// What all steps of one run need.
struct Run<'a> {
    plan: &'a Plan,
    weights: Weights<'a>,
    inputs: &'a Inputs<'a>,
    arena: &'a Arena,
    /// Whether the step is of images, not of rows.
    of_images: bool,
    n: usize,
}

impl Run<'_> {
    /// The gradients of the kind of values that the step is of.
    fn own<'g>(&self, found: &'g mut Gradients) -> &'g mut Found {
        if self.of_images { &mut found.images } else { &mut found.rows }
    }

    fn step(&self, step: &Step, found: &mut Gradients, gradients: &mut [f32], profile: &mut Option<&mut Profile>) {
        let own = self.own(found);
        if !own.settle(step.out, self.n) {
            return;
        }
        let buffer = step.out.buffer;
        // Where a step reads of the buffer that it writes, the gradient is copied before others are written.
        let shared = step.reads().any(|view| view.buffer == buffer);
        let held = if shared { own.buffers[buffer].clone() } else { std::mem::take(&mut own.buffers[buffer]) };
        self.contribute(step, &step.out.of(&(0..self.n), &held), found, gradients, profile);
        if !shared {
            self.own(found).buffers[buffer] = held;
        }
    }

    fn contribute(&self, step: &Step, dy: &Images<'_>, found: &mut Gradients, gradients: &mut [f32], profile: &mut Option<&mut Profile>) {
        let start = Instant::now();
        let (n, all) = (self.n, 0..self.n);
        let [h, w, c] = step.out.shape;
        let values = if self.of_images { &self.arena.buffers } else { &self.arena.row_buffers };
        let parameter = |id: usize| self.plan.parameters.get(id).range.clone();
        match &step.action {
            Action::Conv { conv, finish, .. } => {
                let mut held = Vec::new();
                let dy = times(dy, finish.scale, &mut held);
                let of_rows = self.finish(finish, &dy, found);
                let planned = &self.plan.convs[*conv];
                let Source::Parameters([weight, bias]) = planned.weights else { unreachable!("training has parameters alone") };
                match of_rows {
                    // The sums of each image are there already.
                    Some(sums) => {
                        let bias = &mut gradients[parameter(bias)];
                        sums.chunks_exact(c).for_each(|row| bias.iter_mut().zip(row).for_each(|(bias, v)| *bias += v));
                    }
                    None => sum_of_pixels(&dy, &mut gradients[parameter(bias)]),
                }
                let [of_weights, of_input] = step.kinds_backward(self.plan);
                let multiply_adds = n as u64 * step.multiply_adds(self.plan);
                let start = note(profile, "residuals and biases, backward", start, 0);
                let x = step.x.images(&all, values);
                let normal = step.normal(&all, self.plan, self.weights, self.arena);
                planned.conv.weight_gradient(&x, normal, &dy, &mut gradients[parameter(weight)]);
                let start = note(profile, of_weights, start, multiply_adds);
                // The images themselves need no gradient.
                if self.of_images && step.x.buffer == self.plan.input.buffer {
                    return;
                }
                let weight = self.plan.parameter(weight, self.weights);
                let own = self.own(found);
                if normal.is_none() {
                    let (mut out, accumulate) = own.take(step.x, n);
                    planned.conv.input_gradient(weight, planned.size, &dy, &mut out[step.x.offset..], step.x.stride, accumulate);
                    note(profile, of_input, start, multiply_adds);
                    return own.give(step.x, out);
                }
                let len = n * step.x.shape.iter().product::<usize>();
                let mut of_normal = own.memory(len);
                planned.conv.input_gradient(weight, planned.size, &dy, &mut of_normal, step.x.shape[2], false);
                let start = note(profile, of_input, start, multiply_adds);
                self.norm(step, &Images::new(&of_normal[..len], x.shape), own, gradients);
                own.put_back(of_normal);
                note(profile, "group norm, backward", start, 0);
            }
            Action::Attend { attend, keys, values: of_values, finish } => {
                let mut held = Vec::new();
                let dy = times(dy, finish.scale, &mut held);
                self.finish(finish, &dy, found);
                let own = self.own(found);
                let [queries, keys_in, values_in] = [step.x, *keys, *of_values].map(|view| view.images(&all, values));
                let attention = Attention { queries, keys: keys_in, values: values_in, heads: attend.heads, scale: attend.scale };
                let mut of_inputs = [(); 3].map(|()| own.memory(n * h * w * c));
                attention.gradient(&dy, of_inputs.each_mut().map(|of_input| &mut of_input[..n * h * w * c]));
                for (view, of_input) in [step.x, *keys, *of_values].into_iter().zip(of_inputs) {
                    own.contribute_images(view, &Images::new(&of_input[..n * h * w * c], [n, h, w, c]));
                    own.put_back(of_input);
                }
                note(profile, "attention, backward", start, 2 * n as u64 * step.multiply_adds(self.plan));
            }
            Action::Normalise(_) => {
                self.norm(step, dy, self.own(found), gradients);
                note(profile, "group norm, backward", start, 0);
            }
            Action::AddRows(row) => {
                self.add_rows(*row, &sums_of_images(dy), c, 0, found);
                found.images.contribute_images(step.x, dy);
            }
            Action::ScaleShift(row) => {
                let x = step.x.images(&all, values);
                self.add_rows(*row, &products(dy, &x), c, 0, found);
                self.add_rows(*row, &sums_of_images(dy), c, c, found);
                let rows = &self.arena.rows[*row];
                let scale = |p: usize| &rows[p / (h * w) * 2 * c..][..c];
                found.images.contribute(step.x, n, |p, out| combine(out, pixel(dy, p), scale(p), |dy, scale| dy * (scale + 1.0)));
            }
            Action::Features(Features::Table(table), index) => {
                let rows = index.rows(self.inputs.timesteps, self.inputs.condition);
                let table = &mut gradients[parameter(*table)];
                for (i, (row, weight)) in rows.iter().enumerate().flat_map(|(i, rows)| rows.iter().map(move |row| (i, row))) {
                    table[row * c..(row + 1) * c].iter_mut().zip(pixel(dy, i)).for_each(|(sum, v)| *sum += *weight as f32 * v);
                }
            }
            Action::Features(..) | Action::Embedding => {}
            Action::Activate(activation) => {
                let (x, activation) = (step.x.images(&all, values), *activation);
                self.own(found).contribute(step.x, n, |p, out| activation.gradient(pixel(&x, p), pixel(dy, p), out));
            }
            Action::Add(other) => {
                let own = self.own(found);
                own.contribute_images(step.x, dy);
                own.contribute_images(*other, dy);
            }
            Action::Pool(_) | Action::Mean => unreachable!("no network that is trained has them"),
            Action::Copy => found.images.contribute_images(step.x, dy),
            Action::Enlarge => {
                let [small_h, small_w, _] = step.x.shape;
                let first = |p: usize| (p / (small_h * small_w) * h + p % (small_h * small_w) / small_w * 2) * w + p % small_w * 2;
                found.images.contribute(step.x, n, |p, out| {
                    out.fill(0.0);
                    for offset in [0, 1, w, w + 1] {
                        out.iter_mut().zip(pixel(dy, first(p) + offset)).for_each(|(out, v)| *out += v);
                    }
                });
            }
            Action::Halve => {
                let [large_h, large_w, _] = step.x.shape;
                let source = |p: usize| (p / (large_h * large_w) * h + p % (large_h * large_w) / large_w / 2) * w + p % large_w / 2;
                found.images.contribute(step.x, n, |p, out| {
                    let dy = pixel(dy, source(p));
                    combine(out, dy, dy, |dy, _| dy / 4.0);
                });
            }
            Action::Affine { factor, .. } => {
                found.images.contribute(step.x, n, |p, out| combine(out, pixel(dy, p), pixel(dy, p), |dy, _| dy * factor));
            }
            Action::Dropout { kept, layer } => {
                if self.inputs.dropout.is_empty() {
                    return found.images.contribute_images(step.x, dy);
                }
                let mask = dropout_mask(self.inputs.dropout, *layer, *kept, h * w * c);
                found.images.contribute(step.x, n, |p, out| combine(out, pixel(dy, p), &mask[p * c..], |dy, m| dy * m));
            }
            Action::DivideByTimestep => {
                let timestep = |p: usize| self.inputs.timestep(p / (h * w));
                found.images.contribute(step.x, n, |p, out| combine(out, pixel(dy, p), pixel(dy, p), |dy, _| dy / timestep(p)));
            }
        }
    }

    /// The gradients of what a [`FinishWith`] adds, for the gradient of the sum; those of rows [n, c], where there are some.
    fn finish(&self, finish: &FinishWith, dy: &Images<'_>, found: &mut Gradients) -> Option<Vec<f32>> {
        if let Some(residual) = finish.residual {
            self.own(found).contribute_images(residual, dy);
        }
        finish.rows.map(|row| {
            let sums = sums_of_images(dy);
            self.add_rows(row, &sums, dy.shape[3], 0, found);
            sums
        })
    }

    /// Adds `rows` [n, c] to the gradients of a buffer of rows, at channels from `first`.
    fn add_rows(&self, buffer: usize, rows: &[f32], c: usize, first: usize, found: &mut Gradients) {
        let view = View { buffer, offset: first, stride: self.plan.row_buffers[buffer], shape: [1, 1, c] };
        found.rows.contribute_images(view, &Images::new(rows, [self.n, 1, 1, c]));
    }

    /// The gradient of the norm in a step, for that of its result.
    fn norm(&self, step: &Step, dy: &Images<'_>, own: &mut Found, gradients: &mut [f32]) {
        let all = 0..self.n;
        let normal = step.norm().expect("it has a norm");
        let norm = self.plan.norms[normal.norm];
        let c = step.x.shape[2];
        let [mean, _, inverse] = self.arena.statistics[normal.statistics].each_ref().map(|kept| &kept[..self.n * c]);
        let x = step.x.images(&all, &self.arena.buffers);
        let (mut out, accumulate) = own.take(step.x, self.n);
        // Weight and bias were declared one after the other.
        let [weight, bias] = [norm.weight, norm.bias].map(|id| self.plan.parameters.get(id).range.clone());
        assert_eq!(weight.end, bias.start);
        let (weight, bias) = gradients[weight.start..bias.end].split_at_mut(c);
        let kernel = self.plan.norm(normal, self.weights);
        kernel.gradient(&x, [mean, inverse], normal.silu, dy, (&mut out[step.x.offset..], step.x.stride, accumulate), [weight, bias]);
        own.give(step.x, out);
    }
}

/// Images times a number; `held` has them where they are not the same.
fn times<'a>(x: &Images<'a>, factor: f32, held: &'a mut Vec<f32>) -> Images<'a> {
    if factor == 1.0 {
        return *x;
    }
    let pixels = x.shape[..3].iter().product::<usize>();
    held.extend((0..pixels).flat_map(|p| pixel(x, p)).map(|v| v * factor));
    Images::new(held, x.shape)
}

/// The sums over the pixels of each image: [n, c].
fn sums_of_images(dy: &Images<'_>) -> Vec<f32> {
    let [n, h, w, c] = dy.shape;
    let mut sums = vec![0.0; n * c];
    for (i, sums) in sums.chunks_exact_mut(c).enumerate() {
        sum_of_pixels(&Images { data: &dy.data[i * h * w * dy.stride..], shape: [1, h, w, c], stride: dy.stride }, sums);
    }
    sums
}

/// The sums over the pixels of each image of dy · x: [n, c].
fn products(dy: &Images<'_>, x: &Images<'_>) -> Vec<f32> {
    let [n, h, w, c] = dy.shape;
    let mut totals = vec![0f64; n * c];
    for p in 0..n * h * w {
        for ((total, dy), x) in totals[p / (h * w) * c..][..c].iter_mut().zip(pixel(dy, p)).zip(pixel(x, p)) {
            *total += f64::from(*dy) * f64::from(*x);
        }
    }
    totals.into_iter().map(|total| total as f32).collect()
}
