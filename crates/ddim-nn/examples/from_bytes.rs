//! One image of the built-in emoji model, from bytes: how long an evaluation takes where there is a clock, and what came of it. It runs on wasm
//! too: `from_bytes [STEPS [REPEATS]]`.

#![allow(clippy::print_stdout)] // it is a program

use ddim::noise::Batch;
use ddim::{Denoiser, Sampler, Sampling, Sigma};
use ddim_nn::{Condition, EmbeddedPipeline, Network, Pipeline};

const EMOJI: EmbeddedPipeline<'_> = EmbeddedPipeline {
    name: ddim_model_emoji::NAME,
    config: ddim_model_emoji::CONFIG,
    scheduler: ddim_model_emoji::SCHEDULER,
    safetensors: ddim_model_emoji::SAFETENSORS,
    classes: ddim_model_emoji::CLASSES,
    sampling: ddim_model_emoji::SAMPLING,
};

/// Seconds since some moment.
fn seconds() -> f64 {
    // wasm32-unknown-unknown has no clock.
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        return 0.0;
    }
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_secs_f64()
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<usize>().expect("a number"));
    let (steps, repeats) = (numbers.next().unwrap_or(20), numbers.next().unwrap_or(3));
    let pipeline = Pipeline::embedded(&EMOJI).expect("it is whole");
    let trajectory = pipeline.scheduler.trajectory(steps).expect("steps of the schedule");
    let sampler = Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &Sigma::Eta(0.0)).expect("a trajectory of the schedule");
    let condition = pipeline.null_class().map_or(Condition::None, |null| Condition::Labels(vec![null]));
    let network = Network::new(pipeline).and_then(|network| network.with_condition(condition)).expect("a network");
    let batch = Batch { seed: 0, first: 0 };
    let mut x = Vec::new();
    for _ in 0..repeats {
        let latents = batch.latents(network.dim(), 1);
        let start = seconds();
        x = Sampling::new(&sampler, &network, latents, batch).and_then(Sampling::finish).expect("it samples");
        println!("{}: {:.2} ms per image-step", ddim_nn::vectors(), (seconds() - start) * 1e3 / steps as f64);
    }
    assert!(x.iter().all(|v| v.is_finite()));
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
    let square = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
    println!("mean {mean:.6}, mean square {square:.6}, pixels {:?}", x.iter().step_by(277).collect::<Vec<_>>());
}
