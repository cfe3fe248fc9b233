//! What plans share, fuse and forget changes nothing.

use super::memory::Arenas;
use super::run::Inputs;
use super::steps::{Action, Plan, Purpose, Weights};
use crate::condition::Condition;
use crate::graph::{Graph, INPUT, Initial, Op, Parameters, Scope};
use crate::unet::{UNet, UNetConfig};
use ddim_kernels::{Activation, Conv2d, Pool, Pooling};
use std::sync::Arc;

/// Where activations are checkpointed, most of them are released: all within blocks, and nothing that lies in a concatenation.
#[test]
fn checkpoints_release_most_activations() {
    let unet = UNet::initialised(&UNetConfig::preset("small").unwrap(), 1).unwrap();
    let plan = Plan::for_training(&unet, [32, 32], true);
    let inner: Vec<usize> = plan.segments.iter().flat_map(|segment| &segment.inner).copied().collect();
    let size = |buffers: &mut dyn Iterator<Item = usize>| buffers.map(|buffer| plan.buffers[buffer]).sum::<usize>() as f64;
    let share = size(&mut inner.iter().copied()) / size(&mut (0..plan.buffers.len()));
    assert!((0.4..0.8).contains(&share), "{share}");
    let (last, others) = plan.segments.split_last().unwrap();
    assert!(last.inner.is_empty() && others.iter().all(|segment| !segment.inner.is_empty()));
    let parts = plan.steps.iter().filter(|step| step.out.stride > step.out.shape[2]);
    assert!(parts.chain([&plan.steps[0]]).all(|step| !inner.contains(&step.out.buffer)) && !inner.contains(&plan.output.buffer));
    assert!(Plan::for_training(&unet, [32, 32], false).segments.iter().all(|segment| segment.inner.is_empty()));
}

/// What is fused, joined and seen through views is what the operations say, one by one: 1×1 layers with ReLU that read one value, one read by two;
/// a third layer of it whose value is read before its ReLU as well; pools, parts of channels and means.
#[test]
fn what_is_joined_and_fused_changes_nothing() {
    let mut parameters = Parameters::default();
    let mut scope = Scope::new(&mut parameters);
    let mut layer = |name: &str, channels, kernel: usize, stride| {
        let conv = Conv2d { channels, kernel: [kernel; 2], stride, padding: [[kernel / 2; 2]; 2], enlarge: false };
        scope.conv(name, conv, Initial::Normal(0.2))
    };
    let [stem, a, b, c] = [("stem", [20, 3]), ("a", [7, 20]), ("b", [18, 20]), ("c", [5, 20])].map(|(n, ch)| layer(n, ch, 1, 1));
    let [wide, after] = [layer("wide", [9, 18], 3, 1), layer("after", [6, 20], 3, 2)];
    let size = [9, 8];
    let mut g = Graph::new([size[0], size[1], 3]);
    let relu = Activation::Relu;
    let x = g.conv(&stem, INPUT);
    let x = g.activate(relu, x);
    let [from_a, from_b] = [&a, &b].map(|layer| {
        let y = g.conv(layer, x);
        g.activate(relu, y)
    });
    let plain = g.conv(&c, x);
    let positive = g.activate(relu, plain);
    let from_b = [g.conv(&wide, from_b), from_b];
    let pooled = g.pool(Pool { pooling: Pooling::Max, stride: 1, padding: 1 }, x);
    let all = g.concat(vec![from_a, positive, from_b[0], pooled, from_b[1], plain]);
    let reduced = g.conv(&after, x);
    let part = g.channels(all, 3, 40);
    let [part, reduced] = [g.mean(part), g.mean(reduced)];
    g.concat(vec![reduced, part]);
    let values = parameters.initial(3);
    let parameters = Arc::new(parameters);
    let n = 3;
    let x: Vec<f32> = (0..n * 3 * size[0] * size[1]).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = |plan: &Plan, weights: Weights<'_>| {
        let mut out = vec![0.0; n * plan.output.shape.iter().product::<usize>()];
        let inputs = Inputs { x: &x, interleaved: true, timesteps: &[], condition: &Condition::None, kinds: &vec![0; n], dropout: &[] };
        Arenas::default().run(|arena| plan.run(weights, &inputs, arena, None, &mut out));
        out
    };
    let (planned, packed) = Plan::for_sampling(&g, &parameters, &values);
    // A plan for training fuses no ReLU and joins nothing.
    let plain = Plan::new(&g, &parameters, Purpose::Training);
    let relus = |plan: &Plan| plan.steps.iter().filter(|step| matches!(step.action, Action::Activate(_))).count();
    assert_eq!([relus(&planned), relus(&plain)], [1, 4]);
    assert_eq!(planned.convs.len() + 1, plain.convs.len(), "{} nodes", g.nodes.iter().filter(|n| matches!(n.op, Op::Conv(_))).count());
    let (found, expected) = (run(&planned, Weights::Packed(&packed)), run(&plain, Weights::Parameters(&values)));
    assert_eq!(found.len(), n * 46);
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst < 1e-6 && expected.iter().any(|v| v.abs() > 0.1), "{worst:.1e}");
}
