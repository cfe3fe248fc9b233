//! Every folder of conformance/unet: one evaluation of diffusers' UNet2DModel (conformance/make_unet.py).

mod goldens;

use ddim::Denoiser;
use ddim_nn::{Network, Pipeline};
use ddim_weights::WeightsDtype;
use goldens::{Golden, difference, folders, golden};

/// The largest difference from the golden, as a share of the largest output.
fn error(mut pipeline: Pipeline, golden: &Golden) -> f32 {
    let shape = &golden.shape;
    // A golden may have other sizes than the config says: the network takes any.
    pipeline.config.sample_size = Some(ddim_nn::SampleSize::Rectangle([shape[2], shape[3]]));
    let outputs = pipeline.config.out_channels;
    let network = Network::new(pipeline).unwrap().with_condition(golden.condition.clone()).unwrap();
    let levels: Vec<f64> = golden.timesteps.iter().map(|t| (t + 1) as f64).collect();
    let mut y = vec![0.0; golden.x.len()];
    network.predict(&golden.x, &levels, &mut y).unwrap();
    // Where it predicts variances as well, they are left out.
    let all = outputs * shape[2] * shape[3];
    let expected: Vec<f32> = golden.y.chunks(all).flat_map(|y| &y[..network.dim()]).copied().collect();
    difference(&y, &expected)
}

#[test]
fn one_evaluation_equals_diffusers() {
    let mut failures = Vec::new();
    for folder in folders() {
        let e = error(Pipeline::load(&folder).unwrap(), &golden(&folder));
        println!("{:20} {e:.1e}", folder.file_name().unwrap().display());
        if e.is_nan() || e >= 2e-5 {
            failures.push((folder, e));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_saved_pipeline_loads_the_same() {
    for folder in folders() {
        let pipeline = Pipeline::load(&folder).unwrap();
        let golden = golden(&folder);
        for (dtype, tolerance) in [(WeightsDtype::F32, 2e-5), (WeightsDtype::F16, 1e-2), (WeightsDtype::Bf16, 1e-1)] {
            let parent = tempfile::tempdir().unwrap();
            let copy = parent.path().join("copy");
            pipeline.save(&copy, dtype).unwrap();
            let again = Pipeline::load(&copy).unwrap();
            assert_eq!((&again.config, &again.scheduler), (&pipeline.config, &pipeline.scheduler));
            let e = error(again, &golden);
            assert!(e < tolerance, "{} as {dtype:?}: {e}", folder.display());
            assert!(pipeline.save(&copy, dtype).unwrap_err().to_string().contains("exists already"));
            assert_eq!(parent.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
        }
    }
}
