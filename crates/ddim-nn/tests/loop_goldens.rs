//! Whole sampling and encoding loops of diffusers around the built-in Fashion-MNIST network (conformance/make_ddim.py), all in memory: so they
//! are what runs on wasm too.

use ddim::noise::Batch;
use ddim::{Encoder, Encoding, Sampler, Sampling, Sigma};
use ddim_nn::{Condition, EmbeddedPipeline, Network, Pipeline, SchedulerConfig};
use safetensors::SafeTensors;
use std::path::Path;

/// The files of a built-in model.
const FASHION: EmbeddedPipeline<'_> = EmbeddedPipeline {
    name: ddim_model_fashion::NAME,
    config: ddim_model_fashion::CONFIG,
    scheduler: ddim_model_fashion::SCHEDULER,
    safetensors: ddim_model_fashion::SAFETENSORS,
    classes: ddim_model_fashion::CLASSES,
    sampling: ddim_model_fashion::SAMPLING,
};

#[test]
fn loops_equal_diffusers() {
    let golden = SafeTensors::deserialize(include_bytes!("../../../conformance/ddim.safetensors")).unwrap();
    let tensor = |name: &str| -> Vec<f32> {
        golden.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let cases: serde_json::Map<String, serde_json::Value> = serde_json::from_str(include_str!("../../../conformance/ddim.json")).unwrap();
    assert!(cases.len() >= 25);
    let pipeline = Pipeline::embedded(&FASHION).unwrap();
    let mut failures = Vec::new();
    for (name, case) in cases {
        let scheduler = SchedulerConfig::from_json(&case["scheduler"].to_string(), Path::new(&name)).unwrap();
        let network = Network::new(Pipeline { scheduler: scheduler.clone(), ..pipeline.clone() }).unwrap();
        let network = network.with_condition(Condition::Labels(vec![3, 10])).unwrap();
        let trajectory = scheduler.trajectory(case["steps"].as_u64().unwrap() as usize).unwrap();
        let schedule = scheduler.schedule();
        let x = if case["kind"] == "encode" {
            let encoder = Encoder::new(&schedule, &trajectory).unwrap();
            Encoding::new(&encoder, &network, tensor("images"), 0).unwrap().finish().unwrap()
        } else {
            let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
            let sampler = sampler.with_clip(scheduler.clip()).unwrap().with_rederived_epsilon(case["rederive"] == true);
            Sampling::new(&sampler, &network, tensor("x_T"), Batch { seed: 0, first: 0 }).unwrap().finish().unwrap()
        };
        let expected = tensor(&name);
        let error = x.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, |m, e| if e > m || e.is_nan() { e } else { m });
        println!("{name:32} {error:.1e}");
        if error.is_nan() || error >= 1e-3 {
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// The files of a built-in model, in memory, are the same model.
#[cfg(not(target_family = "wasm"))]
#[test]
fn an_embedded_pipeline_is_the_folder() {
    let embedded = Pipeline::embedded(&FASHION).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/fashion");
    let loaded = Pipeline::load(&folder).unwrap();
    assert_eq!((embedded.config, embedded.scheduler), (loaded.config.clone(), loaded.scheduler.clone()));
    assert_eq!((&embedded.classes, &embedded.class_counts, &embedded.sampling), (&loaded.classes, &loaded.class_counts, &loaded.sampling));
    assert_eq!((loaded.parameters(), loaded.null_class(), loaded.classes[9].as_str()), (2_241_233, Some(10), "ankle boot"));
}
