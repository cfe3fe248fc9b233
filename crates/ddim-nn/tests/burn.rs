//! The graph on burn's tensors: every golden of diffusers', and every gradient by its autodiff (`cargo test -p ddim-nn --features burn`).

mod goldens;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_nn::{BurnNetwork, Condition, Examples, Pipeline, TrainingPlan, UNet};
use goldens::{Golden, difference, folders, golden};

fn as_f32(timesteps: &[usize]) -> Vec<f32> {
    timesteps.iter().map(|&t| t as f32).collect()
}

#[test]
fn one_evaluation_equals_diffusers() {
    let device = Device::flex();
    for folder in folders() {
        let Golden { x, shape, timesteps, condition, y } = golden(&folder);
        let unet = Pipeline::load(&folder).unwrap().unet;
        let x = Tensor::from_data(TensorData::new(x, shape), &device);
        let found: Vec<f32> =
            BurnNetwork::new(&unet, &device).forward(x, &as_f32(&timesteps), &condition).into_data().try_into_vec().unwrap();
        let error = difference(&found, &y);
        println!("{:20} {error:.1e}", folder.file_name().unwrap().display());
        assert!(error < 2e-5, "{}: {error:e}", folder.display());
    }
}

/// Of a weighted squared error, for every kind of network that there is a golden of: every parameter's gradient by our kernels and by burn's
/// autodiff.
#[test]
fn gradients_equal_burns() {
    let device = Device::flex().autodiff();
    for folder in folders() {
        let Golden { x, shape: shape @ [n, c, h, w], timesteps, condition, .. } = golden(&folder);
        let mut conditions = vec![condition];
        if folder.ends_with("learned_classes") {
            conditions.push(Condition::Mixtures(vec![vec![(0, 0.25), (3, 0.75)], vec![(4, 1.0)], vec![(1, 0.5), (2, 0.25), (0, 0.25)]]));
        }
        for condition in conditions {
            let pipeline = Pipeline::load(&folder).unwrap();
            let outputs = pipeline.config.out_channels;
            let unet: UNet = pipeline.unet;
            let target: Vec<f32> = (0..n * outputs * h * w).map(|i| ((i * 7919) as f32).sin()).collect();
            let weights: Vec<f32> = (0..n).map(|i| 0.5 + i as f32).collect();
            let timesteps: Vec<usize> = if timesteps.len() == n { timesteps.clone() } else { vec![timesteps[0]; n] };

            let network = BurnNetwork::new(&unet, &device);
            let tensor = |data: &[f32], shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(data.to_vec(), shape), &device);
            let y = network.forward(tensor(&x, shape), &as_f32(&timesteps), &condition);
            let difference = y - tensor(&target, [n, outputs, h, w]);
            let shares: Vec<f32> = weights.iter().map(|weight| weight / (outputs * h * w) as f32).collect();
            let loss = (difference.clone() * difference * tensor(&shares, [n, 1, 1, 1])).sum();
            let burns = network.gradients(&loss);

            let mut plan = TrainingPlan::new(&unet, [h, w]);
            plan.begin();
            let of = Examples {
                shape: [n, c, h, w],
                x: &x,
                target: &target,
                timesteps: &timesteps,
                weights: &weights,
                condition: &condition,
                dropout: &[],
            };
            let ours = plan.add(&unet, &of);
            let loss: Vec<f32> = loss.into_data().try_into_vec().unwrap();
            assert!((ours / f64::from(loss[0]) - 1.0).abs() < 1e-5, "{}: {ours} {}", folder.display(), loss[0]);
            // Some gradients are zero but for rounding (that of a key's bias): measured against the largest of all.
            let top = burns.iter().fold(0f32, |m, g| m.max(g.abs()));
            let fixed =
                |name: &str| name == "time_proj.weight" && pipeline.config.time_embedding_type == ddim_nn::TimeEmbeddingType::Fourier;
            for (name, _, range) in unet.parameters() {
                let (ours, burns) = (&plan.gradients()[range.clone()], &burns[range]);
                let largest = burns.iter().fold(1e-3 * top, |m, g| m.max(g.abs()));
                let error = ours.iter().zip(burns).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
                assert!(error < 1e-4 * largest, "{}, {name}: {error:e} of {largest:e}", folder.display());
                assert!(fixed(name) == ours.iter().all(|g| *g == 0.0) || name.contains("to_k.bias"), "{}, {name}", folder.display());
            }
        }
    }
}
