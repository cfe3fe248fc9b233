//! The forward pass: from the images to the network's output.

use super::sums::wide;
use super::weights::{Images, Weights, tensor};
use super::{conv, dropout, layers, pool};
use crate::condition::Condition;
use crate::error::Result;
use crate::graph::{Features, Index, Op};
use burn::tensor::Tensor;

/// What goes through the network together.
pub(crate) struct Inputs<'a> {
    pub(super) x: Images,
    pub(super) timesteps: &'a [f32],
    pub(super) condition: &'a Condition,
    /// Seeds of what dropout drops, one an image; none for no dropout.
    pub(super) dropout: &'a [u64],
}

impl Inputs<'_> {
    pub(super) fn rows(&self, weights: &Weights) -> Images {
        tensor(self.timesteps, [self.timesteps.len(), 1, 1, 1], weights.device())
    }

    /// How much of each of the `count` rows of a table each image takes: [n, count]. The product of it and the table has the rows, and its transposed
    /// gives the gradients, in sums that have an order, where a scattered addition has none.
    pub(super) fn taken(&self, index: Index, count: usize, weights: &Weights) -> Tensor<2> {
        let rows = index.rows(self.timesteps, self.condition);
        let mut taken = vec![0.0; rows.len() * count];
        for (taken, rows) in taken.chunks_exact_mut(count).zip(&rows) {
            rows.iter().for_each(|(row, weight)| taken[*row] += *weight as f32);
        }
        tensor(&taken, [rows.len(), count], weights.device())
    }
}

/// The values of all nodes, as products take them; of those that nobody reads any more, none, unless they are kept. `after` is called after each.
pub(super) fn run(
    weights: &Weights,
    inputs: &Inputs<'_>,
    keep: bool,
    mut after: impl FnMut() -> Result<()>,
) -> Result<Vec<Option<Images>>> {
    let graph = weights.graph();
    let readers = graph.readers();
    let mut values: Vec<Option<Images>> = vec![None; graph.nodes.len()];
    let mut drawn = 0;
    for (id, node) in graph.nodes.iter().enumerate() {
        let of = |i: usize| -> Images { values[node.inputs[i]].clone().expect("inputs come first") };
        let y = match &node.op {
            Op::Input => inputs.x.clone(),
            Op::Features(Features::Table(table), index) => {
                let width = node.shape[2];
                let table = weights.parameter(*table).reshape([-1, width as i64]);
                let taken = inputs.taken(*index, table.dims()[0], weights);
                let [n, _] = taken.dims();
                taken.matmul(table).reshape([n, 1, 1, width])
            }
            Op::Features(features, index) => weights.features(features, *index, (inputs.timesteps, inputs.condition), node.shape[2]),
            Op::Embedding => match inputs.condition {
                Condition::Embeddings(e) => tensor(e, [inputs.timesteps.len(), 1, 1, node.shape[2]], weights.device()),
                other => unreachable!("embeddings, not {other:?}"),
            },
            Op::Conv(layer) => conv::forward(&layer.conv, of(0), weights.matrix(layer.weight), weights.parameter(layer.bias)),
            Op::Given(..) | Op::Channels(_) => unreachable!("plans make them"),
            Op::Pool(pool) => pool::pool(pool, of(0)),
            Op::Mean => {
                let [n, h, w, c] = of(0).dims();
                wide(of(0)).reshape([n, h * w, c]).mean_dim(1).reshape([n, 1, 1, c])
            }
            Op::Norm(norm, with_silu) => {
                let [weight, bias] = [norm.weight, norm.bias].map(|id| weights.parameter(id));
                layers::Normal::of(norm, of(0)).affine(weight, bias, *with_silu)
            }
            Op::Activate(activation) => layers::activate(*activation, of(0)),
            Op::Attend(attend) => layers::attend(attend, [of(0), of(1), of(2)]),
            Op::Enlarge => {
                let [n, h, w, c] = of(0).dims();
                let y: Tensor<6> = of(0).reshape([n, h, 1, w, 1, c]).expand([n, h, 2, w, 2, c]);
                y.reshape([n, 2 * h, 2 * w, c])
            }
            Op::Halve => layers::sum_of_four(of(0)) * 0.25,
            Op::Add | Op::AddRows => of(0) + of(1),
            Op::Concat => Tensor::cat((0..node.inputs.len()).map(of).collect(), 3),
            Op::Affine { factor, summand } => of(0) * f64::from(*factor) + f64::from(*summand),
            Op::Dropout(probability) => {
                drawn += 1;
                dropout::drop(of(0), inputs.dropout, drawn, 1.0 - probability)
            }
            Op::ScaleShift => {
                let [scale, shift] = layers::halves(of(1));
                of(0) * (scale + 1.0) + shift
            }
            Op::DivideByTimestep => wide(of(0)) / inputs.rows(weights),
        };
        values[id] = Some(weights.narrow(y));
        if !keep {
            node.inputs.iter().filter(|input| readers[**input].last() == Some(&id)).for_each(|&input| values[input] = None);
        }
        after()?;
    }
    Ok(values)
}
