//! A plan: its steps and what they refer to.

use super::view::View;
use crate::graph::{Attend, Features, Given, Index, Norm, ParameterId, Parameters};
use ddim_kernels::{Activation, Conv2d, GroupNorm, PackedConv2d, Pool};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What a step does to `x`.
#[derive(Debug)]
pub(super) enum Action {
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
pub(super) struct NormRef {
    /// Of [`Plan::norms`].
    pub(super) norm: usize,
    pub(super) silu: bool,
    /// Where the statistics are kept.
    pub(super) statistics: usize,
}

/// [`ddim_kernels::Finish`], of rows and views.
#[derive(Debug)]
pub(super) struct FinishWith {
    pub(super) rows: Option<usize>,
    pub(super) residual: Option<View>,
    pub(super) scale: f32,
    pub(super) relu: bool,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) x: View,
    pub(super) out: View,
}

/// A convolution of the plan, without its weights.
#[derive(Debug)]
pub(super) struct PlannedConv {
    pub(super) conv: Conv2d,
    /// [h, w] of what it reads.
    pub(super) size: [usize; 2],
    pub(super) weights: Source,
}

/// Where weights come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Weight and bias, by their places among the parameters.
    Parameters([ParameterId; 2]),
    Given(Arc<Given>),
    /// They are packed already.
    Packed,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Sampling,
    Training,
}

/// Consecutive steps, and the buffers that only they use.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) steps: Range<usize>,
    pub(super) inner: Vec<usize>,
}

/// A compiled network for images of one size, without its weights. Buffers hold one number per image for each number here: the batch is chosen at
/// every run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) purpose: Purpose,
    pub(super) parameters: Arc<Parameters>,
    /// What is computed of timesteps and classes.
    pub(super) row_steps: Vec<Step>,
    pub(super) steps: Vec<Step>,
    /// All steps, in parts whose inner buffers are released once the part has run.
    pub(super) segments: Vec<Segment>,
    pub(super) convs: Vec<PlannedConv>,
    pub(super) norms: Vec<Norm>,
    /// Numbers an image of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) row_buffers: Vec<usize>,
    /// The buffers of rows that images are given, for each image.
    pub(super) read_rows: Vec<usize>,
    /// Channels of each norm's statistics.
    pub(super) statistics: Vec<usize>,
    pub(super) input: View,
    pub(super) output: View,
}

impl Plan {
    /// Numbers of an image that are in memory at once.
    pub(crate) fn numbers_per_image(&self) -> usize {
        let of = |buffers: &[usize]| buffers.iter().map(|&buffer| self.buffers[buffer]).sum::<usize>();
        let inner: Vec<usize> = self.segments.iter().map(|segment| of(&segment.inner)).collect();
        self.buffers.iter().sum::<usize>() - inner.iter().sum::<usize>() + inner.iter().max().copied().unwrap_or(0)
    }
}

/// Weights packed for the kernels of a plan.
pub(crate) struct Packed {
    pub(super) convs: Vec<PackedConv2d>,
    /// The parameters of norms, and tables of features.
    pub(super) others: HashMap<ParameterId, Vec<f32>>,
}

/// The weights that a plan runs with.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    Packed(&'a Packed),
    /// The numbers of all parameters, which change.
    Parameters(&'a [f32]),
}

impl Plan {
    /// The numbers of a parameter, but not of a convolution's that is packed.
    pub(super) fn parameter<'a>(&self, id: ParameterId, weights: Weights<'a>) -> &'a [f32] {
        match weights {
            Weights::Packed(packed) => &packed.others[&id],
            Weights::Parameters(values) => &values[self.parameters.get(id).range.clone()],
        }
    }

    /// For each step the buffers that no step before it reads or writes.
    pub(super) fn first_uses(&self) -> Vec<Vec<usize>> {
        let mut known = vec![false; self.buffers.len()];
        let of = |step: &Step| {
            let buffers = step.reads().chain([step.out]).map(|view| view.buffer);
            buffers.filter(|&buffer| !std::mem::replace(&mut known[buffer], true)).collect()
        };
        self.steps.iter().map(of).collect()
    }

    /// Whether the statistics of all norms and images are kept.
    pub(super) fn keeps_statistics(&self) -> bool {
        self.purpose == Purpose::Training
    }

    pub(super) fn norm<'a>(&self, normal: NormRef, weights: Weights<'a>) -> GroupNorm<'a> {
        let Norm { groups, eps, weight, bias } = self.norms[normal.norm];
        GroupNorm { weight: self.parameter(weight, weights), bias: self.parameter(bias, weights), groups, eps }
    }
}

impl Step {
    /// The views that it reads, in the buffers of images or, of rows, in those of rows.
    pub(super) fn reads(&self) -> impl Iterator<Item = View> + use<> {
        let others = match &self.action {
            Action::Conv { finish, .. } => [finish.residual, None, None],
            Action::Attend { keys, values, finish, .. } => [finish.residual, Some(*keys), Some(*values)],
            Action::Add(view) => [Some(*view), None, None],
            _ => [None; 3],
        };
        others.into_iter().flatten().chain([self.x])
    }

    /// Whether it adds another value of the graph to what it computes.
    pub(super) fn is_residual_sum(&self) -> bool {
        match &self.action {
            Action::Conv { finish, .. } | Action::Attend { finish, .. } => finish.residual.is_some(),
            Action::Add(_) => true,
            _ => false,
        }
    }

    pub(super) fn multiply_adds(&self, plan: &Plan) -> u64 {
        let [h, w, c] = self.out.shape;
        let per_number = match &self.action {
            Action::Conv { conv, .. } => plan.convs[*conv].conv.weights() / plan.convs[*conv].conv.channels[0],
            Action::Attend { attend, .. } => 2 * h * w + attend.saved,
            _ => 0,
        };
        (h * w * c * per_number) as u64
    }

    /// The norm of what it reads.
    pub(super) fn norm(&self) -> Option<NormRef> {
        match &self.action {
            Action::Conv { normal, .. } => *normal,
            Action::Normalise(normal) => Some(*normal),
            _ => None,
        }
    }
}
