//! Twenty steps of training against PyTorch's (conformance/make_training.py).

use ddim_nn::{Adam, Condition, Ema, Examples, Pipeline, TrainingPlan, clipping};
use safetensors::SafeTensors;
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
            let (shape, weights, condition) = ([n, c, h, w], &shares, &Condition::None);
            plan.begin();
            let loss = plan.add(&unet, &Examples { shape, x: &x, target: &target, timesteps, weights, condition, dropout: &[] });
            let norm = plan.norm();
            adam.step(&mut unet, plan.gradients(), clipping(norm, 1.0), &mut ema, k as u64 + 1);
            let average = ema[0].values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let errors = [(loss, losses[k]), (norm, norms[k]), (average, averages[k])].map(|(a, b)| (a / b - 1.0).abs());
            println!("{prefix}{k:2} loss {loss:.6} {:.1e} norm {norm:.6} {:.1e} ema {average:.6} {:.1e}", errors[0], errors[1], errors[2]);
            assert!(
                errors.iter().all(|e| *e < 1e-5),
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
            condition: &Condition::None,
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
