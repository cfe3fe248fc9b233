//! A trajectory of one's own, and the noise of each step as well: timesteps at even distances in log-SNR, and randomness in the first half alone.

#![allow(clippy::print_stdout)] // it is a program

use ddim::noise::Batch;
use ddim::{Error, GaussianDenoiser, NoiseSchedule, Sampler, Sigma, Trajectory, sample};
use std::ops::ControlFlow;

fn main() -> Result<(), Error> {
    let schedule = NoiseSchedule::ddpm();
    let log_snr = |t: usize| (schedule.alpha_bar(t) / (1.0 - schedule.alpha_bar(t))).ln();
    let (top, bottom, steps) = (log_snr(1), log_snr(1000), 12);
    // The level whose log-SNR is nearest to each; code timesteps are one less.
    let nearest = |goal: f64| (1..=1000).min_by(|&a, &b| (log_snr(a) - goal).abs().total_cmp(&(log_snr(b) - goal).abs()));
    let goals = (0..steps).map(|i| bottom + (top - bottom) * i as f64 / (steps - 1) as f64);
    let timesteps: Vec<usize> = goals.filter_map(nearest).map(|level| level - 1).collect();
    let trajectory = Trajectory::from_timesteps(1000, &timesteps)?;

    // σ of η = 1, in ascending order of the levels, for the upper half.
    let ddpm = Sigma::Eta(1.0).values(&schedule, &trajectory)?;
    let sigma = ddpm.iter().enumerate().map(|(i, s)| if i < steps / 2 { 0.0 } else { *s }).collect();
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Explicit(sigma))?;

    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.2);
    let batch = Batch { seed: 0, first: 0 };
    let x: Vec<f32> = batch.latents(1, 1000);
    let end = sample(&sampler, &model, x, batch, |step, sampling| {
        println!("timestep {:3}: sigma {:.3}, x of the first {:+.3}", step.level - 1, step.sigma, sampling.x()[0]);
        ControlFlow::<()>::Continue(())
    })?;
    let ControlFlow::Continue(x) = end else { return Ok(()) };
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    println!("mean {mean:.3}, the data's is 0.3");
    assert!((mean - 0.3).abs() < 0.05);
    Ok(())
}
