//! Twenty steps of training against PyTorch's (conformance/make_training.py).

use ddim_nn::{Adam, Condition, Pipeline, squared_error, training_cpu};
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
    let (x, target, losses, norms) = (f32s("x"), f32s("target"), f64s("loss"), f64s("norm"));
    assert_eq!(losses.len(), 20);

    let mut unet = Pipeline::load(&root.join("models/fashion"), &training_cpu()).unwrap().unet;
    let mut adam = Adam::new(2e-4);
    for k in 0..steps {
        let of = |all: &[f32]| all[k * n * c * h * w..(k + 1) * n * c * h * w].to_vec();
        let (loss, mut gradients) =
            squared_error(&unet, &of(&x), &of(&target), [n, c, h, w], &timesteps[k * n..(k + 1) * n], &Condition::None);
        let norm;
        (unet, norm) = adam.step(unet, &mut gradients, Some(1.0));
        let errors = [(loss, losses[k]), (norm, norms[k])].map(|(found, expected)| (found / expected - 1.0).abs());
        println!("{k:2} loss {loss:.6} {:.1e} norm {norm:.6} {:.1e}", errors[0], errors[1]);
        assert!(errors.iter().all(|e| *e < 5e-6), "step {k}: loss {loss} for {}, norm {norm} for {}", losses[k], norms[k]);
    }
}
