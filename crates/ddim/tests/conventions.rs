//! Schedules, trajectories and coefficients against the authors' code and diffusers (conformance/make_schedules.py).

use ddim::{BetaSchedule, NoiseSchedule, Sampler, Sigma, Trajectory};
use serde_json::Value;
use std::path::Path;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/schedules.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn alpha_bar_of_every_schedule() {
    let golden = golden();
    let at: Vec<usize> = list(&golden["at"]).iter().map(|t| t.as_u64().unwrap() as usize).collect();
    let schedules = golden["alpha_bar"].as_object().unwrap();
    assert_eq!(schedules.len(), 9);
    for (name, expected) in schedules {
        let (kind, zero_snr) = name.strip_suffix("_zero_snr").map_or((name.as_str(), false), |kind| (kind, true));
        let kind: BetaSchedule = kind.parse().unwrap();
        let schedule = NoiseSchedule::new(kind, 1e-4, 0.02, 1000).unwrap();
        let schedule = if zero_snr { schedule.rescale_zero_terminal_snr().unwrap() } else { schedule };
        // The authors' in f64; diffusers computes in f32.
        let in_f64 = ["linear", "quad", "const", "jsd", "sigmoid"].contains(&name.as_str());
        let (relative, absolute) = if in_f64 { (1e-9, 0.0) } else { (1e-3, 1e-7) };
        for (&t, expected) in at.iter().zip(list(expected)) {
            let (found, expected) = (schedule.alpha_bar(t + 1), number(expected));
            assert!((found - expected).abs() <= relative * expected + absolute, "{name} at {t}: {found}, expected {expected}");
        }
    }
}

/// FNV-1a of the list as text, as the script writes it.
fn hash(codes: &[usize]) -> String {
    let text = codes.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    format!("{:016x}", text.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3)))
}

#[test]
fn every_trajectory_for_every_number_of_steps() {
    let golden = golden();
    let mut irregular = 0;
    for (name, hashes) in golden["trajectories"].as_object().unwrap() {
        for (i, expected) in list(hashes).iter().enumerate() {
            let steps = i + 1;
            let trajectory = match name.as_str() {
                "uniform" => Trajectory::uniform(1000, steps),
                "quadratic" => Trajectory::quadratic(1000, steps),
                "leading" => Trajectory::leading(1000, steps, 0),
                "leading_1" => Trajectory::leading(1000, steps, 1),
                "trailing" => Trajectory::trailing(1000, steps),
                "linspace" => Trajectory::linspace(1000, steps),
                other => panic!("{other}"),
            }
            .unwrap();
            if list(&golden["irregular"][name]).iter().any(|s| s.as_u64() == Some(steps as u64)) {
                // diffusers gives a timestep -1 (numpy's arange is one too long) or T here.
                irregular += 1;
                continue;
            }
            let codes: Vec<usize> = trajectory.timesteps().rev().collect();
            assert_eq!(hash(&codes), expected.as_str().unwrap(), "{name} S = {steps}: {codes:?}");
        }
    }
    assert!(irregular < 200, "{irregular}");
}

fn trajectory(case: &Value) -> Trajectory {
    let steps = case["steps"].as_u64().unwrap() as usize;
    match case["trajectory"].as_str().unwrap() {
        "uniform" => Trajectory::uniform(1000, steps).unwrap(),
        _ => Trajectory::quadratic(1000, steps).unwrap(),
    }
}

/// generalized_steps: σ and the coefficient of ε.
#[test]
fn the_authors_coefficients() {
    let schedule = NoiseSchedule::ddpm();
    for case in list(&golden()["eta"]) {
        let sampler = Sampler::new(&schedule, &trajectory(case), &Sigma::Eta(number(&case["eta"]))).unwrap();
        assert_eq!(sampler.steps().len(), list(&case["rows"]).len());
        for (step, row) in sampler.steps().iter().zip(list(&case["rows"])) {
            assert_eq!(step.level - 1, row[0].as_u64().unwrap() as usize);
            assert!((step.sigma - number(&row[1])).abs() < 1e-10, "{row}: {step:?}");
            assert!((step.direction - number(&row[2])).abs() < 1e-10, "{row}: {step:?}");
        }
    }
}

/// ddpm_steps (`ddpm_noisy`): the mean in x_0 and x_t, and the deviation σ̂, which the authors mask at timestep 0.
#[test]
fn the_authors_ddpm_noisy() {
    let schedule = NoiseSchedule::ddpm();
    for case in list(&golden()["ddpm_noisy"]) {
        let sampler = Sampler::new(&schedule, &trajectory(case), &Sigma::Hat).unwrap();
        for (step, row) in sampler.steps().iter().zip(list(&case["rows"])) {
            assert_eq!(step.level - 1, row[0].as_u64().unwrap() as usize);
            // Eq. 12 with ε = (x_t - √ᾱ_t x_0)/√(1-ᾱ_t).
            let of_x_t = step.direction / (1.0 - step.alpha_bar).sqrt();
            let of_x_0 = step.alpha_bar_next.sqrt() - of_x_t * step.alpha_bar.sqrt();
            assert!((of_x_0 - number(&row[1])).abs() < 1e-9, "{row}: {of_x_0}");
            assert!((of_x_t - number(&row[2])).abs() < 1e-9, "{row}: {of_x_t}");
            assert!((step.sigma - number(&row[3])).abs() < 1e-10, "{row}: {}", step.sigma);
        }
    }
}
