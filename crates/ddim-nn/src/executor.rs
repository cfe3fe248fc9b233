//! The interface to executors on other devices, and the runner for this one.

use crate::condition::Condition;
use crate::error::Result;
use crate::graph::{Graph, Parameters};
use crate::plan::{Arenas, Packed, Plan};
use std::sync::Arc;

/// Evaluates a network on a device other than the processor, a whole batch at once.
///
/// Unlike on the processor, a result may depend on its batch in the last bits.
pub trait Executor: Send + Sync {
    /// Evaluates the network: images `x` [n, c, h, w] -> `out` [n, c_out, h', w'], at `timesteps` (code timesteps, 0 to T-1, possibly
    /// between two) and under `condition`, n of each.
    ///
    /// # Errors
    /// Returns the device's errors.
    fn evaluate(&self, x: &[f32], timesteps: &[f32], condition: &Condition, out: &mut [f32]) -> Result<()>;

    /// Evaluates `n` images of zeros so that kernels are compiled. If they do not fit in memory together, as many are evaluated as do, and
    /// no more at once from then on. Returns that number. `tell` is called with the operations done and their total, and can end the
    /// preparation.
    ///
    /// # Errors
    /// Returns the device's errors, an error if there is no memory even for one image, and those of `tell`.
    fn prepare(&self, n: usize, tell: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<usize>;
}

/// A network as an executor takes it: the graph for images of one size, and the values of its parameters.
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
