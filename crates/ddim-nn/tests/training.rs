//! Twenty steps of training against PyTorch's (conformance/make_training.py).

use ddim_nn::{Adam, Condition, Ema, Examples, Pipeline, TrainingPlan, UNet, UNetConfig, clipping};
use safetensors::SafeTensors;
use std::ops::Range;
use std::path::Path;

#[test]
fn loss_and_gradient_norm_equal_pytorchs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes = std::fs::read(root.join("conformance/training.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        golden.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let f64s = |name: &str| -> Vec<f64> {
        golden.tensor(name).unwrap().data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let timesteps: Vec<usize> =
        golden.tensor("timesteps").unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect();
    let shape: [usize; 5] = golden.tensor("x").unwrap().shape().try_into().unwrap();
    let [steps, n, c, h, w] = shape;
    let (x, target) = (f32s("x"), f32s("target"));
    for (prefix, shares, weight_decay) in [("", [0.5, 0.5], 0.0), ("weighted_", [0.9, 0.1], 0.01)] {
        let [losses, norms, averages] = ["loss", "norm", "ema"].map(|name| f64s(&format!("{prefix}{name}")));
        assert_eq!(losses.len(), 20);
        let mut unet = Pipeline::load(&root.join("models/fashion")).unwrap().unet;
        let mut adam = Adam { weight_decay, ..Adam::new(2e-4) };
        let mut ema = [Ema::new(0.8, true, &unet)];
        let mut plan = TrainingPlan::new(&unet, [h, w]);
        for k in 0..steps {
            let of = |all: &[f32]| all[k * n * c * h * w..(k + 1) * n * c * h * w].to_vec();
            let (x, target, timesteps) = (of(&x), of(&target), &timesteps[k * n..(k + 1) * n]);
            let (shape, weights, condition) = ([n, c, h, w], &shares, &Condition::Labels(vec![3, 10]));
            plan.begin();
            let loss = plan.add(&unet, &Examples { shape, x: &x, target: &target, timesteps, weights, condition, dropout: &[] });
            let norm = plan.norm();
            adam.step(&mut unet, plan.gradients(), clipping(norm, 1.0), &mut ema, k as u64 + 1);
            let average = ema[0].values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let errors = [(loss, losses[k]), (norm, norms[k]), (average, averages[k])].map(|(a, b)| (a / b - 1.0).abs());
            println!("{prefix}{k:2} loss {loss:.6} {:.1e} norm {norm:.6} {:.1e} ema {average:.6} {:.1e}", errors[0], errors[1], errors[2]);
            assert!(
                errors.iter().all(|e| *e < 3e-5), // PyTorch in f32 differs by up to 1.5e-5
                "step {k}: {loss} for {}, {norm} for {}, {average} for {}",
                losses[k],
                norms[k],
                averages[k]
            );
        }
    }
}

/// A plan that ran batches of other sizes before gives the bits of a new one.
#[test]
fn a_plan_is_used_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let unet = Pipeline::load(&root.join("models/fashion")).unwrap().unet;
    let (c, [h, w]) = (unet.config().in_channels, [20, 16]);
    let gradients = |plan: &mut TrainingPlan, n: usize| {
        let numbers = |phase: f32| -> Vec<f32> { (0..n * c * h * w).map(|i| (i as f32 * 0.37 + phase).sin()).collect() };
        let (x, target, weights, timesteps) =
            (numbers(0.0), numbers(1.0), vec![1.0 / n as f32; n], (0..n).map(|i| i * 40).collect::<Vec<_>>());
        plan.begin();
        let examples = Examples {
            shape: [n, c, h, w],
            x: &x,
            target: &target,
            timesteps: &timesteps,
            weights: &weights,
            condition: &Condition::Labels((0..n).collect()),
            dropout: &[],
        };
        let loss = plan.add(&unet, &examples);
        (loss, plan.gradients().to_vec())
    };
    let mut again = TrainingPlan::new(&unet, [h, w]);
    for n in [5, 1, 3, 6] {
        assert!(gradients(&mut again, n) == gradients(&mut TrainingPlan::new(&unet, [h, w]), n), "{n} images");
    }
}

/// Networks with what a step of training may meet: dropout, both ways for a block to take its embedding, classes, attention, blocks that change the
/// size. After some steps of training, because the last layer of each residual branch starts at 0.
fn networks() -> Vec<UNet> {
    let network = |changes: &[(&str, serde_json::Value)]| {
        let mut config = serde_json::json!({
            "_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [16, 32],
            "layers_per_block": 1, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "norm_num_groups": 8, "attention_head_dim": 16,
        });
        changes.iter().for_each(|(key, value)| config[key] = value.clone());
        let mut unet = UNet::initialised(&UNetConfig::from_json(&config.to_string(), Path::new("config.json")).unwrap(), 5).unwrap();
        let mut plan = TrainingPlan::new(&unet, [8, 8]);
        let mut adam = Adam::new(0.01);
        for _ in 0..3 {
            plan.begin();
            squared_error(&mut plan, &unet, 2);
            adam.step(&mut unet, plan.gradients(), 1.0, &mut [], 1);
        }
        unet
    };
    vec![
        network(&[("dropout", serde_json::json!(0.3))]),
        network(&[("resnet_time_scale_shift", serde_json::json!("scale_shift")), ("num_class_embeds", serde_json::json!(4))]),
        network(&[("downsample_type", serde_json::json!("resnet")), ("upsample_type", serde_json::json!("resnet"))]),
    ]
}

/// Adds the gradients of n images; the loss.
fn squared_error(plan: &mut TrainingPlan, unet: &UNet, n: usize) -> f64 {
    let numbers = |phase: f32| -> Vec<f32> { (0..n * 3 * 64).map(|i| (i as f32 * 0.37 + phase).sin()).collect() };
    let classes = unet.config().num_class_embeds.is_some();
    plan.add(
        unet,
        &Examples {
            shape: [n, 3, 8, 8],
            x: &numbers(0.0),
            target: &numbers(1.0),
            timesteps: &(0..n).map(|i| 40 * i + 3).collect::<Vec<_>>(),
            weights: &vec![1.0 / n as f32; n],
            condition: &if classes { Condition::Labels((0..n).map(|i| i % 4).collect()) } else { Condition::None },
            dropout: &(0..n as u64).collect::<Vec<_>>(),
        },
    )
}

/// For any number of images, also fewer than before.
#[test]
fn activations_computed_again_give_the_same_bits() {
    for unet in networks() {
        let mut again = TrainingPlan::checkpointed(&unet, [8, 8]);
        for n in [2, 5, 1] {
            let mut kept = TrainingPlan::new(&unet, [8, 8]);
            again.begin();
            assert_eq!(squared_error(&mut again, &unet, n), squared_error(&mut kept, &unet, n), "{:?}", unet.config());
            assert!(again.gradients() == kept.gradients(), "{n} images, {:?}", unet.config());
        }
    }
}

/// Groups of a batch are computed on threads of their own: no bit depends on their number, and a sum is that of its groups, one after the other.
#[test]
fn groups_are_summed_in_order() {
    let unet = networks().remove(1);
    let (n, together, len) = (700, TrainingPlan::images_together([8, 8]), 3 * 64);
    assert!(n > 2 * together);
    let numbers = |phase: f32| -> Vec<f32> { (0..n * len).map(|i| (i as f32 * 0.37 + phase).sin()).collect() };
    let (x, target, timesteps) = (numbers(0.0), numbers(1.0), (0..n).map(|i| i * 7 % 1000).collect::<Vec<_>>());
    let add = |plan: &mut TrainingPlan, range: Range<usize>| {
        let n = range.len();
        let examples = Examples {
            shape: [n, 3, 8, 8],
            x: &x[range.start * len..range.end * len],
            target: &target[range.start * len..range.end * len],
            timesteps: &timesteps[range.clone()],
            weights: &vec![1.0 / 700.0; n],
            condition: &Condition::Labels(range.clone().map(|i| i % 4).collect()),
            dropout: &range.map(|i| i as u64).collect::<Vec<_>>(),
        };
        plan.add(&unet, &examples)
    };
    let on = |threads: usize, ranges: &[Range<usize>]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut plan = TrainingPlan::new(&unet, [8, 8]);
        let loss = pool.install(|| ranges.iter().cloned().map(|range| add(&mut plan, range)).fold(0.0, |sum, loss| sum + loss));
        assert_eq!(plan.loss(), loss);
        (loss, plan.gradients().to_vec())
    };
    let ranges: Vec<Range<usize>> = (0..n).step_by(together).map(|first| first..n.min(first + together)).collect();
    let found = on(1, &ranges);
    assert!(found.1.iter().any(|g| *g != 0.0));
    for threads in [1, 2, 3, 5] {
        assert!(on(threads, std::slice::from_ref(&(0..n))) == found, "{threads} threads");
    }
}

/// Of the loss along a direction through each parameter's numbers, for each parameter of a whole network.
#[test]
fn gradients_equal_finite_differences() {
    for unet in networks() {
        let mut plan = TrainingPlan::new(&unet, [8, 8]);
        squared_error(&mut plan, &unet, 2);
        let gradients = plan.gradients().to_vec();
        let mut checked = 0;
        let parameters: Vec<(String, Range<usize>)> = unet.parameters().map(|(name, _, range)| (name.to_owned(), range)).collect();
        let count = parameters.len();
        for (name, range) in parameters {
            let gradient = &gradients[range.clone()];
            // A direction of its own: along the gradient, what is missing in it would not be missed.
            let direction: Vec<f64> = (0..gradient.len()).map(|i| (1.7 * i as f64 + 1.0).sin()).collect();
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let expected = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum::<f64>() / length;
            let mut loss_at = |step: f64| {
                let mut values = unet.values().to_vec();
                values[range.clone()].iter_mut().zip(&direction).for_each(|(v, d)| *v = (f64::from(*v) + step * d / length) as f32);
                squared_error(&mut plan, &unet.with_values(values).unwrap(), 2)
            };
            let slope = |step: f64, loss_at: &mut dyn FnMut(f64) -> f64| (loss_at(step) - loss_at(-step)) / (2.0 * step);
            // Richardson's: errors of the order of step⁴.
            let step = 0.01;
            let (wide, narrow) = (slope(2.0 * step, &mut loss_at), slope(step, &mut loss_at));
            let found = (4.0 * narrow - wide) / 3.0;
            // Losses have seven digits, which the step magnifies.
            assert!((found - expected).abs() < 1e-3 * expected.abs() + 2e-5, "{name}: {found:e} for {expected:e}");
            checked += usize::from(expected.abs() > 1e-4);
        }
        assert!(10 * checked > 7 * count, "{checked} of {count} slopes are more than rounding");
    }
}
