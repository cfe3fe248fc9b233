//! Bounds on data whose likelihood and whose optimal network are known.

use ddim::noise::{Batch, Draw};
use ddim::{GaussianDenoiser, NoiseSchedule, Sigma, Trajectory};
use ddim_eval::likelihood;
use std::f64::consts::{E, PI};

/// Pictures of bytes, x_0 ~ N(μ, s²) rounded to them, and the network that is optimal for N(μ, s²). Every term is known: E KL =
/// A² Var(x_0|x_t)/(2σ²), A the weight of x_0 in Eq. 7. The bound lies above the entropy, log₂(s√(2πe)/(2/255)) bits/dim (by how much
/// is what p gives away with the variance of q, mostly in the first steps); with fewer steps it is looser.
#[test]
fn a_gaussian() {
    let (dim, n, mean, std) = (64, 200, 0.1, 0.25);
    let schedule = NoiseSchedule::ddpm();
    let mut x = vec![0f64; n * dim];
    Batch { seed: 9, first: 0 }.fill(&mut x, dim, Draw::Step(3));
    let x: Vec<f32> = x.iter().map(|z| (((mean + std * z) * 127.5 + 127.5).round().clamp(0.0, 255.0) / 127.5 - 1.0) as f32).collect();
    let entropy = (std * (2.0 * PI * E).sqrt() * 127.5).log2();
    let run = |steps: usize, sigmas: &[Sigma]| {
        let trajectory = Trajectory::trailing(1000, steps).unwrap();
        let network = |_| Ok(GaussianDenoiser::isotropic(&schedule, dim, mean, std));
        let mut evaluated = 0;
        let found = likelihood(&schedule, &trajectory, sigmas, &x, (0, 64), &network, &mut |n| {
            evaluated += n;
            Ok(())
        })
        .unwrap();
        assert_eq!(evaluated, n * (steps + 1));
        found
    };
    let all = run(1000, &[Sigma::Eta(1.0), Sigma::Eta(0.3)]);
    let bound = &all.bounds[0];
    assert!(bound.bits > entropy && bound.bits < entropy + 0.8, "{} ± {:?}, entropy {entropy}", bound.bits, bound.error);
    for (index, t) in all.timesteps.iter().enumerate().skip(1) {
        let (a, a_s) = (schedule.alpha_bar(t + 1), schedule.alpha_bar(*t));
        let sigma = ((1.0 - a_s) / (1.0 - a) * (1.0 - a / a_s)).sqrt();
        let weight = a_s.sqrt() - ((1.0 - a_s - sigma * sigma) * a / (1.0 - a)).sqrt();
        let variance = std * std * (1.0 - a) / (a * std * std + 1.0 - a);
        let expected = weight * weight * variance / (2.0 * sigma * sigma) / std::f64::consts::LN_2;
        assert!((bound.terms[index] / expected - 1.0).abs() < 0.07, "{t}: {} {expected}", bound.terms[index]);
    }
    assert!((bound.j_bits - bound.bits).abs() < 0.1, "{} {}", bound.j_bits, bound.bits);
    assert!((bound.prior + bound.terms.iter().sum::<f64>() - bound.bits).abs() < 1e-12);
    // E‖ε - ε*‖²: the variance of ε given x_t.
    for (t, l) in all.timesteps.iter().zip(&all.l_simple).step_by(97) {
        let a = schedule.alpha_bar(t + 1);
        let expected = a * std * std / (a * std * std + 1.0 - a);
        assert!((l / expected - 1.0).abs() < 0.06, "{t}: {l} {expected}");
    }
    // Less noise, a narrower p: what is not predicted costs more.
    assert!(all.bounds[1].bits > bound.bits);
    assert!(run(50, &[Sigma::Eta(1.0)]).bounds[0].bits > bound.bits);
}

#[test]
fn processes_without_a_bound_are_refused() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::trailing(1000, 10).unwrap();
    let network = |_| Ok(GaussianDenoiser::isotropic(&schedule, 4, 0.0, 1.0));
    let error = likelihood(&schedule, &trajectory, &[Sigma::Eta(0.0)], &[0.0; 8], (0, 2), &network, &mut |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("above 0"), "{error}");
}
