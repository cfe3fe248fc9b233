//! The backward pass: from the gradient of the output to those of the parameters.

use super::forward::Inputs;
use super::sums::{pixel_sums, wide};
use super::weights::{Images, Weights};
use super::{conv, dropout, layers};
use crate::graph::{Features, INPUT, Index, Op};
use burn::tensor::Tensor;

/// The gradients of all parameters, one after the other, of a number whose gradient with respect to the output is `dy`; `values` are what the way there
/// kept, and are given up on the way back. They are f32; those of values, on the way, are as the values are.
pub(super) fn run(weights: &Weights, inputs: &Inputs<'_>, values: &mut [Option<Images>], dy: Images) -> Tensor<1> {
    let graph = weights.graph();
    let mut gradients: Vec<Option<Images>> = vec![None; graph.nodes.len()];
    let mut found: Vec<Option<Tensor<1>>> = vec![None; weights.definition().iter().len()];
    gradients[graph.output()] = Some(weights.narrow(dy));
    let mut drawn = graph.nodes.iter().filter(|node| matches!(node.op, Op::Dropout(_))).count() as u64;
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        // Its readers came before.
        values[id] = None;
        let Some(dy) = gradients[id].take() else {
            continue;
        };
        let of = |i: usize| -> Images { values[node.inputs[i]].clone().expect("kept until its own turn") };
        let mut add = |parameter: usize, gradient: Tensor<1>| {
            found[parameter] = Some(match found[parameter].take() {
                None => gradient,
                Some(sum) => sum + gradient,
            });
        };
        let inner: Vec<Images> = match &node.op {
            Op::Input | Op::Embedding | Op::Features(Features::Sinusoid { .. } | Features::Fourier(_), _) => Vec::new(),
            Op::Features(Features::Table(table), index) => {
                add(*table, table_gradient(weights, *table, (inputs, *index), dy));
                Vec::new()
            }
            Op::Conv(layer) => {
                let wanted = node.inputs[0] != INPUT;
                let (dx, [weight, bias]) = conv::backward(&layer.conv, of(0), weights.parameter(layer.weight), dy, wanted);
                add(layer.weight, weight);
                add(layer.bias, bias);
                dx.into_iter().collect()
            }
            Op::Given(..) | Op::Channels(_) => unreachable!("plans make them"),
            Op::Pool(_) | Op::Mean => unreachable!("no U-Net has them"),
            Op::Norm(norm, with_silu) => {
                let [weight, bias] = [norm.weight, norm.bias].map(|id| weights.parameter(id));
                let (dx, [weight, bias]) = layers::Normal::of(norm, of(0)).backward(weight, bias, *with_silu, dy);
                add(norm.weight, weight);
                add(norm.bias, bias);
                vec![dx]
            }
            Op::Activate(activation) => vec![layers::slope(*activation, of(0)) * wide(dy)],
            Op::Attend(attend) => layers::attend_backward(attend, [of(0), of(1), of(2)], dy).into(),
            Op::Enlarge => vec![layers::sum_of_four(dy)],
            Op::Halve => {
                let [n, h, w, c] = dy.dims();
                let dx: Tensor<6> = (dy * 0.25).reshape([n, h, 1, w, 1, c]).expand([n, h, 2, w, 2, c]);
                vec![dx.reshape([n, 2 * h, 2 * w, c])]
            }
            Op::Add => vec![dy.clone(), dy],
            Op::AddRows => vec![dy.clone(), pixel_sums(dy)],
            Op::Concat => {
                let mut first = 0;
                let mut part = |i: usize| {
                    let count = graph.nodes[node.inputs[i]].shape[2];
                    first += count;
                    dy.clone().narrow(3, first - count, count)
                };
                (0..node.inputs.len()).map(&mut part).collect()
            }
            Op::Affine { factor, .. } => vec![dy * f64::from(*factor)],
            Op::Dropout(probability) => {
                drawn -= 1;
                vec![dropout::drop(dy, inputs.dropout, drawn + 1, 1.0 - probability)]
            }
            Op::ScaleShift => {
                let [scale, _] = layers::halves(of(1));
                let [of_scale, of_shift] = [wide(dy.clone()) * wide(of(0)), wide(dy.clone())].map(pixel_sums);
                vec![dy * (scale + 1.0), Tensor::cat(vec![of_scale, of_shift], 3)]
            }
            Op::DivideByTimestep => vec![wide(dy) / inputs.rows(weights)],
        };
        for (&input, gradient) in node.inputs.iter().zip(inner) {
            let gradient = weights.narrow(gradient);
            gradients[input] = Some(match gradients[input].take() {
                None => gradient,
                Some(sum) => sum + gradient,
            });
        }
    }
    let definition = weights.definition();
    let all = found.into_iter().enumerate().map(|(id, gradient)| {
        let parameter = definition.get(id);
        gradient.unwrap_or_else(|| Tensor::zeros([parameter.range.len()], weights.device()))
    });
    Tensor::cat(all.collect(), 0)
}

/// Of a table whose rows were taken.
fn table_gradient(weights: &Weights, table: usize, (inputs, index): (&Inputs<'_>, Index), dy: Images) -> Tensor<1> {
    let [n, _, _, width] = dy.dims();
    let numbers = weights.definition().get(table).range.len();
    let taken = inputs.taken(index, numbers / width, weights);
    taken.transpose().matmul(wide(dy).reshape([n, width])).reshape([numbers])
}
