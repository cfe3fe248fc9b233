//! Steps of training on a device against the same on the processor.

use crate::built_in;
use crate::goldens::{Golden, folders, golden};
use ddim_gpu::{Gpu, Training};
use ddim_nn::{Adam, Condition, Ema, ErrorKind, Examples, Learner, Pipeline, Result, TrainingPlan, UNet, UNetConfig, clipping};
use safetensors::SafeTensors;
use std::path::Path;

pub(crate) fn numbers(count: usize, phase: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
}

/// The gradients there and here: each parameter's largest difference as a share of its largest gradient, or of a thousandth of the largest of all.
fn compare(gpu: &Gpu, name: &str, unet: &UNet, examples: &Examples<'_>) {
    let [_, _, h, w] = examples.shape;
    let mut plan = TrainingPlan::new(unet, [h, w]);
    plan.begin();
    let loss = plan.add(unet, examples);
    let mut there = gpu.training(unet, [h, w], &Adam::new(1e-3), &[]).unwrap();
    let [found, norm] = there.gradients(examples).unwrap();
    assert!((found / loss - 1.0).abs() < 1e-5, "{name}: {found} for {loss}");
    assert!((norm / plan.norm() - 1.0).abs() < 1e-4, "{name}: {norm} for {}", plan.norm());
    let gradient = there.gradient().unwrap();
    let top = plan.gradients().iter().fold(0f32, |m, g| m.max(g.abs()));
    let mut worst = 0f32;
    for (parameter, _, range) in unet.parameters() {
        let (a, b) = (&gradient[range.clone()], &plan.gradients()[range]);
        let largest = b.iter().fold(1e-3 * top, |m, g| m.max(g.abs()));
        let error = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
        assert!(error < 2e-4 * largest, "{name}, {parameter}: {error:e} of {largest:e}");
        worst = worst.max(error / largest);
    }
    println!("{name:20} loss {:.1e} norm {:.1e} gradients {worst:.1e}", (found / loss - 1.0).abs(), (norm / plan.norm() - 1.0).abs());
}

/// Of every kind of network that there is a golden of.
pub(crate) fn gradients_are_the_processors(gpu: &Gpu) {
    for folder in folders() {
        let Golden { x, shape: shape @ [n, _, h, w], timesteps, condition, .. } = golden(&folder);
        let unet = Pipeline::load(&folder).unwrap().unet;
        let target = numbers(n * unet.config().out_channels * h * w, 1.0);
        let weights: Vec<f32> = (0..n).map(|i| 0.5 + i as f32).collect();
        let timesteps: Vec<usize> = if timesteps.len() == n { timesteps } else { vec![timesteps[0]; n] };
        let examples =
            Examples { shape, x: &x, target: &target, timesteps: &timesteps, weights: &weights, condition: &condition, dropout: &[] };
        compare(gpu, &folder.file_name().unwrap().to_string_lossy(), &unet, &examples);
    }
}

/// Of the activations that no golden has.
pub(crate) fn gradients_of_other_activations(gpu: &Gpu) {
    for activation in ["mish", "gelu", "relu"] {
        let unet = small(activation);
        with_small(3, 2, |examples| compare(gpu, activation, &unet, &Examples { dropout: &[], ..*examples }));
    }
}

/// A small network with dropout, classes and attention, some steps into its training, because what closes a residual branch starts at 0.
pub(crate) fn small(activation: &str) -> UNet {
    let config = serde_json::json!({
        "_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "block_out_channels": [16, 32],
        "layers_per_block": 1, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 8, "attention_head_dim": 16, "dropout": 0.3, "num_class_embeds": 4, "act_fn": activation,
    });
    let mut unet = UNet::initialised(&UNetConfig::from_json(&config.to_string(), Path::new("config.json")).unwrap(), 5).unwrap();
    let (mut plan, mut adam) = (TrainingPlan::new(&unet, [8, 8]), Adam::new(0.01));
    for step in 0..3 {
        plan.begin();
        with_small(4, step, |examples| plan.add(&unet, examples));
        adam.step(&mut unet, plan.gradients(), 1.0, &mut [], 1);
    }
    unet
}

/// Examples for it.
pub(crate) fn with_small<T>(n: usize, step: u64, work: impl FnOnce(&Examples<'_>) -> T) -> T {
    work(&Examples {
        shape: [n, 3, 8, 8],
        x: &numbers(n * 3 * 64, step as f32),
        target: &numbers(n * 3 * 64, 1.0 + step as f32),
        timesteps: &(0..n).map(|i| 40 * i + 3).collect::<Vec<_>>(),
        weights: &vec![1.0 / n as f32; n],
        condition: &Condition::Labels((0..n).map(|i| i % 4).collect()),
        dropout: &(0..n as u64).map(|i| i + 100 * step).collect::<Vec<_>>(),
    })
}

pub(crate) fn dropout_drops_the_same(gpu: &Gpu) {
    let unet = small("silu");
    with_small(5, 7, |examples| compare(gpu, "dropout", &unet, examples));
}

/// Those of conformance/training.safetensors, with an average and decay.
pub(crate) fn twenty_steps_are_the_processors(gpu: &Gpu) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes = std::fs::read(root.join("conformance/training.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        golden.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let all_timesteps: Vec<usize> =
        golden.tensor("timesteps").unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect();
    let [steps, n, c, h, w]: [usize; 5] = golden.tensor("x").unwrap().shape().try_into().unwrap();
    let (x, target) = (f32s("x"), f32s("target"));
    let [fashion, ..] = built_in();
    let mut unet = fashion.unet;
    let mut adam = Adam { weight_decay: 0.01, ..Adam::new(2e-4) };
    let mut ema = [Ema::new(0.8, true, &unet)];
    let mut plan = TrainingPlan::new(&unet, [h, w]);
    let (mut unet_there, mut adam_there, mut ema_there) = (unet.clone(), adam.clone(), ema.clone());
    let mut there = gpu.training(&unet_there, [h, w], &adam_there, &ema_there).unwrap();
    for k in 0..steps {
        let part = k * n * c * h * w..(k + 1) * n * c * h * w;
        let examples = Examples {
            shape: [n, c, h, w],
            x: &x[part.clone()],
            target: &target[part],
            timesteps: &all_timesteps[k * n..(k + 1) * n],
            weights: &[0.9, 0.1],
            condition: &Condition::Labels(vec![3, 10]),
            dropout: &[],
        };
        plan.begin();
        let loss = plan.add(&unet, &examples);
        let norm = plan.norm();
        adam.step(&mut unet, plan.gradients(), clipping(norm, 1.0), &mut ema, k as u64 + 1);
        let [loss_there, norm_there] = there.gradients(&examples).unwrap();
        there.update(&mut adam_there, clipping(norm_there, 1.0), &ema_there, k as u64 + 1).unwrap();
        let errors = [(loss_there, loss), (norm_there, norm)].map(|(a, b)| (a / b - 1.0).abs());
        println!("{k:2} loss {loss_there:.6} {:.1e} norm {norm_there:.6} {:.1e}", errors[0], errors[1]);
        assert!(errors.iter().all(|error| *error < 5e-5), "step {k}: {loss_there} for {loss}, {norm_there} for {norm}");
    }
    there.fetch(&mut unet_there, &mut adam_there, &mut ema_there).unwrap();
    assert_eq!(adam_there.steps, adam.steps);
    // Where a gradient is nearly nothing, Adam makes whole steps of its rounding.
    let distance = |a: &[f32], b: &[f32]| {
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>();
        (square(&mut a.iter().zip(b).map(|(a, b)| a - b)) / square(&mut b.iter().copied())).sqrt()
    };
    for (what, a, b) in [
        ("weights", unet_there.values(), unet.values()),
        ("average", &ema_there[0].values, &ema[0].values),
        ("first moment", &adam_there.moments[0], &adam.moments[0]),
        ("second moment", &adam_there.moments[1], &adam.moments[1]),
    ] {
        println!("{what}: {:.1e}", distance(a, b));
        assert!(distance(a, b) < 1e-3, "{what}: {}", distance(a, b));
    }
}

/// Steps here, steps there, steps here again: numerically as all of them here.
pub(crate) fn training_goes_to_and_fro(gpu: &Gpu) {
    let start = small("silu");
    let here = |unet: &mut UNet, adam: &mut Adam, ema: &mut [Ema], steps: std::ops::Range<u64>| {
        let mut plan = TrainingPlan::new(unet, [8, 8]);
        let mut loss = 0.0;
        for step in steps {
            plan.begin();
            loss = with_small(4, step, |examples| plan.add(unet, examples));
            adam.step(unet, plan.gradients(), 1.0, ema, step + 1);
        }
        loss
    };
    let (mut unet, mut adam, mut ema) = (start.clone(), Adam::new(1e-3), [Ema::new(0.9, false, &start)]);
    let expected = here(&mut unet, &mut adam, &mut ema, 0..9);
    let (mut other, mut its_adam, mut its_ema) = (start.clone(), Adam::new(1e-3), [Ema::new(0.9, false, &start)]);
    here(&mut other, &mut its_adam, &mut its_ema, 0..3);
    let mut there = gpu.training(&other, [8, 8], &its_adam, &its_ema).unwrap();
    for step in 3..6 {
        with_small(4, step, |examples| there.gradients(examples)).unwrap();
        there.update(&mut its_adam, 1.0, &its_ema, step + 1).unwrap();
    }
    there.fetch(&mut other, &mut its_adam, &mut its_ema).unwrap();
    let found = here(&mut other, &mut its_adam, &mut its_ema, 6..9);
    println!("{found} for {expected}");
    assert!((found / expected - 1.0).abs() < 1e-4 && its_adam.steps == adam.steps, "{found} for {expected}");
    let worst = its_ema[0].values.iter().zip(&ema[0].values).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst < 1e-3, "averages: {worst}");
}

pub(crate) fn training_gives_the_same_bytes(gpu: &Gpu) {
    let run = || {
        let (mut unet, mut adam) = (small("silu"), Adam::new(1e-3));
        let mut ema = [Ema::new(0.9, true, &unet)];
        let mut there = gpu.training(&unet, [8, 8], &adam, &ema).unwrap();
        for step in 0..4 {
            let [_, norm] = with_small(6, step, |examples| there.gradients(examples)).unwrap();
            there.update(&mut adam, clipping(norm, 1.0), &ema, step + 1).unwrap();
        }
        there.fetch(&mut unet, &mut adam, &mut ema).unwrap();
        (unet.values().to_vec(), adam.moments, ema[0].values.clone())
    };
    assert!(run() == run(), "other bytes from the same run");
}

/// Training of a small network that has taken no step.
pub(crate) fn begun(gpu: &Gpu) -> Training {
    gpu.training(&small("silu"), [8, 8], &Adam::new(1e-3), &[]).unwrap()
}

/// The objective and the norm of its gradients, before a step along them.
pub(crate) fn step(training: &mut Training) -> Result<[f64; 2]> {
    let found = with_small(6, 0, |examples| training.gradients(examples))?;
    training.update(&mut Adam::new(1e-3), 1.0, &[], 1)?;
    Ok(found)
}

pub(crate) fn training_goes_in_parts_where_memory_runs_out(gpu: &Gpu) {
    let expected = step(&mut begun(gpu)).unwrap();
    let mut there = begun(gpu);
    assert!(there.together() >= 6);
    let faults = gpu.device().faults.clone();
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !faults.is_busy() {}
            faults.record("no memory", true);
        });
        step(&mut there).unwrap()
    });
    assert_eq!(there.together(), 3);
    let errors = [0, 1].map(|i| (found[i] / expected[i] - 1.0).abs());
    println!("{found:?} for {expected:?}");
    assert!(errors.iter().all(|error| *error < 1e-5), "{found:?} for {expected:?}");
    // What goes wrong while others have their turn is theirs.
    let mut other = begun(gpu);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !faults.is_busy() {}
            faults.record("no memory", true);
        });
        step(&mut other).unwrap()
    });
    step(&mut there).unwrap();
    // What goes wrong with a step that nobody waits for is an error for good: the state may be wrong.
    faults.record("no memory", true);
    for _ in 0..2 {
        assert_eq!(step(&mut there).unwrap_err().kind(), ErrorKind::Memory);
    }
    let (mut unet, mut adam) = (small("silu"), Adam::new(1e-3));
    assert_eq!(there.fetch(&mut unet, &mut adam, &mut []).unwrap_err().kind(), ErrorKind::Memory);
}
