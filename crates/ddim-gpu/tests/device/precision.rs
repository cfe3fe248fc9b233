//! f16 on a device against f32 on the same.

use crate::goldens::{Golden, difference, folders, golden};
use crate::sized;
use crate::training::{numbers, small, with_small};
use ddim::Denoiser;
use ddim_gpu::Gpu;
use ddim_nn::{Adam, Ema, Examples, Learner, Network, Pipeline, Precision, clipping};

fn half(gpu: &Gpu) -> Gpu {
    gpu.clone().with_precision(Precision::F16).unwrap()
}

pub(crate) fn what_a_device_has_not_is_said(gpu: &Gpu) {
    let error = gpu.clone().with_precision(Precision::Bf16).unwrap_err().to_string();
    assert!(error.starts_with("gpu:") && error.ends_with("WGSL has no bf16: expected f32 or f16"), "{error}");
}

/// f16 has 11 bits: each value loses up to 5e-4 of itself, and what a network says some times that: 0.9e-3 to 2.6e-3 were measured, and 1e-6 in f32.
pub(crate) fn f16_evaluations_are_near(gpu: &Gpu) {
    let (half, mut failures) = (half(gpu), Vec::new());
    for folder in folders() {
        let Golden { x, shape: [_, _, h, w], timesteps, condition, .. } = golden(&folder);
        let levels: Vec<f64> = timesteps.iter().map(|t| (t + 1) as f64).collect();
        let evaluate = |gpu: &Gpu| -> Vec<f32> {
            let network: Network = gpu.network(sized(Pipeline::load(&folder).unwrap(), [h, w])).unwrap();
            let mut out = vec![0.0; x.len()];
            network.with_condition(condition.clone()).unwrap().predict(&x, &levels, &mut out).unwrap();
            out
        };
        let [full, found, again] = [gpu, &half, &half].map(evaluate);
        let error = difference(&found, &full);
        println!("f16 {:20} {error:.1e}", folder.file_name().unwrap().display());
        // So small an error would not be that of f16.
        if !(2e-5..5e-3).contains(&error) || again != found {
            failures.push((folder, error, again == found));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// The differences of loss, norm and gradients, as vectors, each as a share of what it is in f32.
fn compare(name: &str, gpu: &Gpu, pipeline: &Pipeline, examples: &Examples<'_>) -> [f64; 3] {
    let [_, _, h, w] = examples.shape;
    let run = |gpu: &Gpu| {
        let mut there = gpu.training(&pipeline.unet, [h, w], &Adam::new(1e-3), &[]).unwrap();
        (there.gradients(examples).unwrap(), there.gradient().unwrap())
    };
    let (([loss, norm], full), ([half_loss, half_norm], found)) = (run(gpu), run(&half(gpu)));
    let distance = full.iter().zip(&found).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() / norm;
    let errors = [(half_loss / loss - 1.0).abs(), (half_norm / norm - 1.0).abs(), distance];
    println!("f16 {name:20} loss {:.1e} norm {:.1e} gradients {:.1e}", errors[0], errors[1], errors[2]);
    errors
}

pub(crate) fn f16_gradients_are_near(gpu: &Gpu) {
    let mut failures = Vec::new();
    for folder in folders() {
        let Golden { x, shape: shape @ [n, _, h, w], timesteps, condition, .. } = golden(&folder);
        let pipeline = Pipeline::load(&folder).unwrap();
        let target = numbers(n * pipeline.unet.config().out_channels * h * w, 1.0);
        let weights = vec![1.0 / n as f32; n];
        let timesteps: Vec<usize> = if timesteps.len() == n { timesteps } else { vec![timesteps[0]; n] };
        let examples =
            Examples { shape, x: &x, target: &target, timesteps: &timesteps, weights: &weights, condition: &condition, dropout: &[] };
        let errors = compare(&folder.file_name().unwrap().to_string_lossy(), gpu, &pipeline, &examples);
        if !(errors[0] < 2e-3 && errors[1] < 3e-3 && (1e-5..1.5e-2).contains(&errors[2])) {
            failures.push((folder, errors));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Losses and the state after some steps with dropout, from this scale on; also the scale at their end.
fn trained(gpu: &Gpu, scale: Option<f32>) -> (Vec<f64>, Vec<f32>, Option<f32>) {
    let (mut unet, mut adam) = (small("silu"), Adam::new(1e-3));
    let mut ema = [Ema::new(0.9, true, &unet)];
    let mut there = gpu.training(&unet, [8, 8], &adam, &ema).unwrap();
    if let Some(scale) = scale {
        there = there.with_loss_scale(scale);
    }
    let mut losses = Vec::new();
    for step in 0..6 {
        let [loss, norm] = with_small(6, step, |examples| there.gradients(examples)).unwrap();
        assert!(norm.is_finite());
        losses.push(loss);
        there.update(&mut adam, clipping(norm, 1.0), &ema, step + 1).unwrap();
    }
    let scale = there.loss_scale();
    there.fetch(&mut unet, &mut adam, &mut ema).unwrap();
    (losses, [unet.values(), &adam.moments[0], &adam.moments[1], &ema[0].values].concat(), scale)
}

pub(crate) fn f16_steps_follow(gpu: &Gpu) {
    let (full, _, none) = trained(gpu, None);
    let (found, state, scale) = trained(&half(gpu), None);
    println!("f16 losses {found:.4?} for {full:.4?}");
    assert!(found.iter().zip(&full).all(|(a, b)| (a / b - 1.0).abs() < 1e-2) && found != full);
    assert_eq!((none, scale), (None, Some(32768.0)));
    assert!(trained(&half(gpu), None).1 == state, "other bytes from the same run");
}

/// A scale under which gradients are more than f16 holds.
pub(crate) fn a_scale_that_overflows_is_halved(gpu: &Gpu) {
    let (full, _, _) = trained(gpu, None);
    let (found, state, scale) = trained(&half(gpu), Some(1e9f32.log2().ceil().exp2()));
    println!("f16 scale {scale:?}, losses {found:.4?}");
    assert!(scale.is_some_and(|scale| (256.0..1e8).contains(&scale) && scale.log2().fract() == 0.0), "{scale:?}");
    assert!(found.iter().zip(&full).all(|(a, b)| (a / b - 1.0).abs() < 1e-2));
    assert!(state.iter().all(|v| v.is_finite()));
}
