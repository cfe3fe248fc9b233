//! The forward pass through the steps of a plan.

use super::clock::Instant;
use super::dropout::dropout_mask;
use super::features::write_features;
use super::memory::{Arena, at_least};
use super::pixels::{combine, each_pixel, pixel, transpose};
use super::profile::{Profile, note};
use super::steps::{Action, FinishWith, NormRef, Plan, Purpose, Segment, Source, Step, Weights};
use super::view::View;
use crate::condition::Condition;
use ddim_kernels::{Attention, Finish, Images, Normal, mean_of_pixels, normalised};
use std::ops::Range;

/// Tiles of 4×4 pixels that keep one thread's kernels busy (their register tiles full, their weights used often enough).
const TILES_TOGETHER: usize = 64;

/// What a run is told of its images.
pub(crate) struct Inputs<'a> {
    /// [n, c, h, w], or [n, h, w, c] where they are interleaved.
    pub(crate) x: &'a [f32],
    pub(crate) interleaved: bool,
    /// The timestep of each kind of image.
    pub(crate) timesteps: &'a [f32],
    /// The condition of each kind.
    pub(crate) condition: &'a Condition,
    /// The kind of each image.
    pub(crate) kinds: &'a [usize],
    /// Seeds of what dropout drops, one an image; none for no dropout.
    pub(crate) dropout: &'a [u64],
}

impl Inputs<'_> {
    /// That of an image.
    pub(super) fn timestep(&self, image: usize) -> f32 {
        self.timesteps[self.kinds[image]]
    }
}

impl Plan {
    /// One evaluation: `out` [n, c, h, w].
    pub(crate) fn run(&self, weights: Weights<'_>, inputs: &Inputs<'_>, arena: &mut Arena, profile: Option<&mut Profile>, out: &mut [f32]) {
        self.forward(weights, inputs, arena, profile);
        transpose(&arena.buffers[self.output.buffer], inputs.kinds.len(), self.output.shape, out, false);
    }

    /// Leaves the output among the buffers.
    pub(super) fn forward(&self, weights: Weights<'_>, inputs: &Inputs<'_>, arena: &mut Arena, mut profile: Option<&mut Profile>) {
        let (n, kinds) = (inputs.kinds.len(), inputs.timesteps.len());
        arena.buffers.resize_with(self.buffers.len(), Vec::new);
        arena.row_buffers.resize_with(self.row_buffers.len(), Vec::new);
        arena.row_buffers.iter_mut().zip(&self.row_buffers).for_each(|(buffer, len)| at_least(buffer, kinds * len));
        let inner = |buffer: &usize| self.segments.iter().any(|segment| segment.inner.contains(buffer));
        for buffer in (0..self.buffers.len()).filter(|buffer| !inner(buffer)) {
            at_least(&mut arena.buffers[buffer], n * self.buffers[buffer]);
        }
        arena.statistics.resize_with(self.statistics.len(), Default::default);
        let mut row_buffers = std::mem::take(&mut arena.row_buffers);
        for step in &self.row_steps {
            step.run_on(0..kinds, self, weights, inputs, &mut row_buffers, arena);
        }
        arena.row_buffers = row_buffers;
        arena.rows.resize_with(self.row_buffers.len(), Vec::new);
        for &buffer in &self.read_rows {
            let (width, of_kinds, rows) = (self.row_buffers[buffer], &arena.row_buffers[buffer], &mut arena.rows[buffer]);
            rows.clear();
            rows.extend(inputs.kinds.iter().flat_map(|kind| &of_kinds[kind * width..(kind + 1) * width]));
        }
        let input = &mut arena.buffers[self.input.buffer];
        if inputs.interleaved {
            input[..inputs.x.len()].copy_from_slice(inputs.x);
        } else {
            transpose(inputs.x, n, self.input.shape, input, true);
        }
        for segment in &self.segments {
            arena.hold(segment, &self.buffers, n);
            let mut buffers = std::mem::take(&mut arena.buffers);
            for step in &self.steps[segment.steps.clone()] {
                // Some images at once: what their statistics read is then in the cache when they are normalised.
                let together = if step.norm().is_some() && self.purpose == Purpose::Sampling { step.images_together() } else { n };
                for first in (0..n).step_by(together) {
                    let images = first..n.min(first + together);
                    let mut start = Instant::now();
                    if let Some(normal) = step.norm() {
                        step.find_statistics(normal, &images, self, weights, &buffers, arena);
                        start = note(&mut profile, "group norm's statistics", start, 0);
                    }
                    let multiply_adds = images.len() as u64 * step.multiply_adds(self);
                    step.run_on(images, self, weights, inputs, &mut buffers, arena);
                    note(&mut profile, step.kind(self), start, multiply_adds);
                }
            }
            arena.buffers = buffers;
            arena.forget(segment);
        }
    }

    /// Computes the inner buffers of a part again; statistics are still there.
    pub(super) fn again(
        &self,
        segment: &Segment,
        weights: Weights<'_>,
        inputs: &Inputs<'_>,
        arena: &mut Arena,
        profile: &mut Option<&mut Profile>,
    ) {
        let (n, start) = (inputs.kinds.len(), Instant::now());
        arena.hold(segment, &self.buffers, n);
        let mut buffers = std::mem::take(&mut arena.buffers);
        let mut multiply_adds = 0;
        for step in self.steps[segment.steps.clone()].iter().filter(|step| segment.inner.contains(&step.out.buffer)) {
            step.run_on(0..n, self, weights, inputs, &mut buffers, arena);
            multiply_adds += n as u64 * step.multiply_adds(self);
        }
        arena.buffers = buffers;
        note(profile, "recomputed activations", start, multiply_adds);
    }
}

impl Step {
    pub(super) fn kind(&self, plan: &Plan) -> &'static str {
        match &self.action {
            Action::Conv { conv, .. } => {
                let conv = plan.convs[*conv].conv;
                match (conv.kernel, conv.stride, conv.enlarge) {
                    ([1, 1], ..) => "linear and 1x1",
                    (kernel, ..) if kernel != [3, 3] => "other kernels",
                    (_, 1, false) => "3x3",
                    (_, 1, true) => "3x3, enlarging",
                    _ => "3x3, stride 2",
                }
            }
            Action::Attend { .. } => "attention",
            _ => "other",
        }
    }

    /// Images that keep the kernels busy.
    fn images_together(&self) -> usize {
        let [h, w, _] = self.out.shape;
        (TILES_TOGETHER * rayon::current_num_threads()).div_ceil(h.div_ceil(4) * w.div_ceil(4))
    }

    /// Where a plan keeps statistics for all images, those of `images`; else those alone.
    fn find_statistics(
        &self,
        normal: NormRef,
        images: &Range<usize>,
        plan: &Plan,
        weights: Weights<'_>,
        buffers: &[Vec<f32>],
        arena: &mut Arena,
    ) {
        let c = self.x.shape[2];
        let range = if plan.keeps_statistics() { images.start * c..images.end * c } else { 0..images.len() * c };
        let kept = &mut arena.statistics[normal.statistics];
        kept.iter_mut().for_each(|kept| at_least(kept, range.end));
        plan.norm(normal, weights).statistics(&self.x.images(images, buffers), kept.each_mut().map(|kept| &mut kept[range.clone()]));
    }

    /// Runs on some images of the batch.
    fn run_on(
        &self,
        images: Range<usize>,
        plan: &Plan,
        weights: Weights<'_>,
        inputs: &Inputs<'_>,
        buffers: &mut [Vec<f32>],
        arena: &Arena,
    ) {
        let buffer = self.out.buffer;
        let without_input = matches!(self.action, Action::Features(..) | Action::Embedding);
        if without_input || self.reads().all(|view| view.buffer != buffer) {
            let mut written = std::mem::take(&mut buffers[buffer]);
            self.run(&images, plan, weights, inputs, buffers, arena, &mut written);
            buffers[buffer] = written;
            return;
        }
        // It reads what lies beside it in a concatenation: rare.
        let mut apart = vec![0.0; buffers[buffer].len()];
        self.run(&images, plan, weights, inputs, buffers, arena, &mut apart);
        let from = self.out.of(&images, &apart);
        let to = &mut buffers[buffer][self.out.start(images.start)..];
        each_pixel(to, self.out, |p, out| out.copy_from_slice(pixel(&from, p)), images.len());
    }

    /// What its norm does, of some images.
    pub(super) fn normal<'a>(&self, range: &Range<usize>, plan: &Plan, weights: Weights<'a>, arena: &'a Arena) -> Option<Normal<'a>> {
        self.norm().map(|normal| {
            let (c, [center, scale, _]) = (self.x.shape[2], &arena.statistics[normal.statistics]);
            let range = if plan.keeps_statistics() { range.start * c..range.end * c } else { 0..range.len() * c };
            Normal { center: &center[range.clone()], scale: &scale[range], shift: plan.norm(normal, weights).bias, silu: normal.silu }
        })
    }

    /// Runs on some images of the batch; `written` is the buffer of `self.out`.
    #[allow(clippy::too_many_arguments)] // all of one run
    fn run(
        &self,
        range: &Range<usize>,
        plan: &Plan,
        weights: Weights<'_>,
        inputs: &Inputs<'_>,
        buffers: &[Vec<f32>],
        arena: &Arena,
        written: &mut [f32],
    ) {
        let n = range.len();
        let images = |view: &View| view.images(range, buffers);
        let x = || images(&self.x);
        let out = &mut written[self.out.start(range.start)..];
        let rows = |buffer: usize| {
            let width = plan.row_buffers[buffer];
            &arena.rows[buffer][range.start * width..range.end * width]
        };
        let [h, w, c] = self.out.shape;
        let stride = self.out.stride;
        match &self.action {
            Action::Conv { conv, finish, .. } => {
                let (normal, finish) = (self.normal(range, plan, weights, arena), finish.of(rows, images));
                match (weights, &plan.convs[*conv].weights) {
                    (Weights::Packed(packed), _) => packed.convs[*conv].run(&x(), normal, &finish, out, stride),
                    (Weights::Parameters(_), Source::Parameters(ids)) => {
                        let [weight, bias] = ids.map(|id| plan.parameter(id, weights));
                        plan.convs[*conv].conv.run(weight, bias, &x(), normal, &finish, out, stride);
                    }
                    (Weights::Parameters(_), _) => unreachable!("training has parameters alone"),
                }
            }
            Action::Attend { attend, keys, values, finish } => {
                let attention =
                    Attention { queries: x(), keys: images(keys), values: images(values), heads: attend.heads, scale: attend.scale };
                attention.run(&attend.bias, &finish.of(rows, images), out, stride);
            }
            Action::Normalise(_) => {
                let normal = self.normal(range, plan, weights, arena).expect("it has a norm");
                if stride == c {
                    return normalised(&x(), normal, &mut out[..n * h * w * c]);
                }
                let mut y = vec![0.0; n * h * w * c];
                normalised(&x(), normal, &mut y);
                each_pixel(out, self.out, |pixel, out| out.copy_from_slice(&y[pixel * c..(pixel + 1) * c]), n);
            }
            Action::Activate(activation) => {
                let (x, activation) = (x(), *activation);
                each_pixel(out, self.out, |p, out| activation.apply(pixel(&x, p), out), n);
            }
            Action::Enlarge => {
                let x = x();
                let source = |p: usize| (p / (h * w) * (h / 2) + p % (h * w) / w / 2) * (w / 2) + p % w / 2;
                each_pixel(out, self.out, |p, out| out.copy_from_slice(pixel(&x, source(p))), n);
            }
            Action::Halve => {
                let x = x();
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
                let (x, y) = (x(), images(y));
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&y, p), |x, y| x + y), n);
            }
            Action::Copy => {
                let x = x();
                each_pixel(out, self.out, |p, out| out.copy_from_slice(pixel(&x, p)), n);
            }
            Action::Pool(pool) => pool.run(&x(), out, stride),
            Action::Mean => {
                let mut means = vec![0.0; n * c];
                mean_of_pixels(&x(), &mut means);
                each_pixel(out, self.out, |p, out| out.copy_from_slice(&means[p * c..(p + 1) * c]), n);
            }
            Action::Affine { factor, summand } => {
                let x = x();
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&x, p), |x, _| x * factor + summand), n);
            }
            Action::Dropout { kept, layer } => {
                let x = x();
                if inputs.dropout.is_empty() {
                    return each_pixel(out, self.out, |p, out| out.copy_from_slice(pixel(&x, p)), n);
                }
                let mask = dropout_mask(&inputs.dropout[range.clone()], *layer, *kept, h * w * c);
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), &mask[p * c..], |x, m| x * m), n);
            }
            Action::AddRows(row) => {
                let x = x();
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), &rows(*row)[p / (h * w) * c..], |x, y| x + y), n);
            }
            Action::ScaleShift(row) => {
                let x = x();
                let scale_shift = |p: usize, out: &mut [f32]| {
                    let (scale, shift) = rows(*row)[p / (h * w) * 2 * c..][..2 * c].split_at(c);
                    combine(out, pixel(&x, p), scale, |x, scale| x * (scale + 1.0));
                    out.iter_mut().zip(shift).for_each(|(out, shift)| *out += shift);
                };
                each_pixel(out, self.out, scale_shift, n);
            }
            Action::DivideByTimestep => {
                let x = x();
                let timestep = |p: usize| inputs.timestep(range.start + p / (h * w));
                each_pixel(out, self.out, |p, out| combine(out, pixel(&x, p), pixel(&x, p), |x, _| x / timestep(p)), n);
            }
            Action::Features(features, index) => {
                let table = |id| plan.parameter(id, weights);
                write_features(features, *index, inputs.timesteps, inputs.condition, table, out.chunks_exact_mut(c));
            }
            Action::Embedding => match inputs.condition {
                Condition::Embeddings(embeddings) => out[..embeddings.len()].copy_from_slice(embeddings),
                condition => unreachable!("embeddings, not {condition:?}: checked before"),
            },
        }
    }
}

impl FinishWith {
    fn of<'a>(&self, rows: impl Fn(usize) -> &'a [f32], images: impl Fn(&View) -> Images<'a>) -> Finish<'a> {
        let (rows, residual) = (self.rows.map(rows), self.residual.as_ref().map(images));
        Finish { rows, residual, scale: self.scale, relu: self.relu, accumulate: false }
    }
}
