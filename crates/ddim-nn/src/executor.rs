//! What is asked of whoever evaluates a network elsewhere, and what runs one here.

use crate::condition::Condition;
use crate::error::Result;
use crate::graph::{Graph, Parameters};
use crate::plan::{Arenas, Packed, Plan};
use std::sync::Arc;

/// What evaluates a network on another device than the processor: a whole batch at once. A result may depend on its batch in the last bits, as it does
/// not here.
pub trait Executor: Send + Sync {
    /// Images `x` [n, c, h, w] -> `out` [n, c_out, h', w'], at `timesteps` (code timesteps, 0 to T-1, maybe between two) and under `condition`, n of each.
    ///
    /// # Errors
    /// What the device says.
    fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()>;

    /// Evaluates `n` images of zeros, so that kernels are compiled. Where there is no memory for so many, as many as there is for, and from then on no more at
    /// once: how many it was. `tell` is told of operations that are done, and of all, and may end it.
    ///
    /// # Errors
    /// What the device says; one image for which there is no memory; those of `tell`.
    fn prepare(&self, n: usize, tell: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<usize>;
}

/// A network as an executor takes it: the graph for images of one size, and the numbers of its parameters.
pub struct GraphModule<'a> {
    pub(crate) graph: Graph,
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) values: &'a [f32],
}

/// Where a network is evaluated.
pub(crate) enum Runner {
    /// Here, by a plan over our kernels.
    Here(Box<Planned>),
    Elsewhere(Box<dyn Executor>),
}

/// A plan, its weights, and memory that it is run in.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) packed: Packed,
    pub(crate) arenas: Arenas,
}

impl Runner {
    pub(crate) fn here(module: &GraphModule<'_>) -> Self {
        let (plan, packed) = Plan::for_sampling(&module.graph, &module.parameters, module.values);
        Self::Here(Box::new(Planned { plan, packed, arenas: Arenas::default() }))
    }
}
