//! Solvers against diffusers' over whole loops (conformance/make_solvers.py says where theirs is another method).

use ddim::noise::Batch;
use ddim::{Clip, GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Solver, Trajectory};
use serde_json::Value;
use std::path::Path;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn diffusers_loops() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/solvers.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut seen, mut worst) = (Vec::new(), 0f64);
    for case in golden["cases"].as_array().unwrap() {
        let config = &case["scheduler"];
        let number = |name: &str, default| config[name].as_f64().unwrap_or(default);
        let word = |name: &str| config[name].as_str();
        let solver: Solver = case["solver"].as_str().unwrap().parse().unwrap();
        let betas = word("beta_schedule").unwrap_or("linear").parse().unwrap();
        let schedule = NoiseSchedule::new(betas, number("beta_start", 1e-4), number("beta_end", 0.02), 1000).unwrap();
        let schedule = schedule.with_set_alpha_to_one(word("final_sigmas_type") != Some("sigma_min"));
        let timesteps: Vec<usize> = numbers(&case["timesteps"]).iter().map(|t| *t as usize).collect();
        let trajectory = Trajectory::from_timesteps(1000, &timesteps).unwrap();
        let clip = match config["thresholding"].as_bool() {
            Some(true) => Clip::Dynamic { ratio: number("dynamic_thresholding_ratio", 0.995), max: number("sample_max_value", 1.0) },
            _ => Clip::None,
        };
        let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap().with_clip(clip).unwrap().with_solver(solver).unwrap();
        let model = GaussianDenoiser::new(&schedule, numbers(&golden["mean"]), numbers(&golden["std"]));
        let model = model.with_prediction(word("prediction_type").unwrap_or("epsilon").parse().unwrap());
        let mut sampling = Sampling::new(&sampler, &model, numbers(&golden["x_T"]), Batch { seed: 0, first: 0 }).unwrap();
        for _ in 0..case["run"].as_u64().unwrap() {
            sampling.step().unwrap();
        }
        let expected = numbers(&case["x"]);
        let scale = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
        let off = sampling.x().iter().zip(&expected).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
        println!("{solver} {timesteps:?} {config}: {off:.1e}");
        assert!(off < 1e-6, "{solver} {timesteps:?} {config}: off by {off:e}");
        worst = worst.max(off);
        seen.push(solver);
    }
    println!("{} loops, worst {worst:.1e}", seen.len());
    assert!([Solver::Ipndm, Solver::Dpmpp2m, Solver::UniPc, Solver::Heun].iter().all(|solver| seen.contains(solver)));
}
