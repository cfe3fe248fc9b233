//! A denoiser of one's own: anything that predicts ε (or x_0, or v) is sampled by the same few lines.
//!
//! This one is exact for data that are two points, -0.7 and 0.7, each as often as the other: E[x_0|x_t] = 0.7 tanh(0.7 √ᾱ x_t/(1-ᾱ)).

#![allow(clippy::print_stdout)] // it is a program

use ddim::noise::Batch;
use ddim::{Denoiser, Error, NoiseSchedule, Prediction, Sampler, Sampling, Sigma, Trajectory, denoiser::check_batch};

struct TwoPoints(NoiseSchedule);

impl Denoiser for TwoPoints {
    type Error = Error;

    fn dim(&self) -> usize {
        1
    }

    fn prediction(&self) -> Prediction {
        Prediction::Sample
    }

    fn predict(&self, x_t: &[f32], levels: &[f64], out: &mut [f32]) -> Result<(), Error> {
        check_batch(1, self.0.levels(), x_t.len(), levels, out.len())?;
        for ((x, level), out) in x_t.iter().zip(levels).zip(out) {
            let alpha_bar = self.0.alpha_bar_between(*level);
            *out = (0.7 * (0.7 * alpha_bar.sqrt() * f64::from(*x) / (1.0 - alpha_bar)).tanh()) as f32;
        }
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let schedule = NoiseSchedule::ddpm();
    let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 20)?, &Sigma::Eta(0.0))?;
    let batch = Batch { seed: 0, first: 0 };
    let x = Sampling::new(&sampler, TwoPoints(schedule), batch.latents(1, 10), batch)?.finish()?;
    println!("{x:.3?}");
    assert!(x.iter().all(|x| (x.abs() - 0.7).abs() < 0.01));
    Ok(())
}
