//! Solvers against closed forms: the ODE of Gaussian data is known exactly, and straight lines are exact for all of them.

use ddim::denoiser::check_batch;
use ddim::noise::{Batch, Draw};
use ddim::{
    BetaSchedule, Clip, Denoiser, Error, ErrorKind, GaussianDenoiser, NoiseSchedule, Prediction, Sampler, Sampling, Sigma, Solver,
    Trajectory,
};
use std::cell::Cell;

const START: Batch = Batch { seed: 5, first: 0 };
const MULTISTEP: [Solver; 3] = [Solver::Ipndm, Solver::Dpmpp2m, Solver::UniPc];
const PREDICTIONS: [Prediction; 3] = [Prediction::Epsilon, Prediction::Sample, Prediction::V];

fn sampler(schedule: &NoiseSchedule, trajectory: &Trajectory, eta: f64, solver: Solver) -> Sampler {
    Sampler::new(schedule, trajectory, &Sigma::Eta(eta)).unwrap().with_solver(solver).unwrap()
}

fn run<D: Denoiser<f64, Error = Error>>(sampler: &Sampler, model: D, x: Vec<f64>) -> Vec<f64> {
    Sampling::new(sampler, model, x, START).unwrap().finish().unwrap()
}

/// DDPM's schedule cut so finely that levels may be placed where a grid has them.
fn fine() -> NoiseSchedule {
    let levels = 983_040;
    let per = 1000.0 / levels as f64;
    NoiseSchedule::new(BetaSchedule::Linear, 1e-4 * per, 0.02 * per, levels).unwrap()
}

/// Levels from 1/16 of T to T, `steps` apart, at distances that grow with `power`.
fn grid(steps: usize, power: f64) -> Trajectory {
    let (total, low) = (983_040, 61_440);
    let level = |k: usize| low + ((total - low) as f64 * (k as f64 / steps as f64).powf(power)).round() as usize;
    Trajectory::from_timesteps(total, &(0..=steps).rev().map(|k| level(k) - 1).collect::<Vec<_>>()).unwrap()
}

/// x where only the step to the image is left, which is f_θ whatever the solver.
fn before_the_image(sampler: &Sampler, model: &GaussianDenoiser, x: Vec<f64>) -> Vec<f64> {
    let mut sampling = Sampling::new(sampler, model, x, START).unwrap();
    while sampling.next_step().is_some_and(|step| step.next > 0) {
        sampling.step().unwrap();
    }
    sampling.into_x()
}

/// The exponents by which errors fall from one number of steps to its double.
fn orders(error: impl Fn(usize) -> f64) -> Vec<f64> {
    let errors: Vec<f64> = [60, 120, 240, 480].map(error).to_vec();
    errors.windows(2).map(|w| (w[0] / w[1]).log2()).collect()
}

#[test]
fn orders_are_those_of_the_papers() {
    let schedule = fine();
    let model = GaussianDenoiser::new(&schedule, vec![0.3, -0.5, 0.1, 0.8], vec![0.05, 0.2, 0.5, 1.5]);
    let x = [1.3, -0.4, 0.9, -2.1];
    let exact: Vec<f64> = x.iter().enumerate().map(|(i, x)| model.flow(*x, i, 983_040, 61_440)).collect();
    for power in [1.0, 1.5, 2.0] {
        for (solver, order) in [
            (Solver::Ddim, 1.0),
            (Solver::Ipndm, 2.0),
            (Solver::Dpmpp2m, 2.0),
            (Solver::UniPc, 3.0),
            (Solver::Heun, 2.0),
            (Solver::Dpmpp2mSde, 2.0),
        ] {
            let error = |steps| {
                let found = before_the_image(&sampler(&schedule, &grid(steps, power), 0.0, solver), &model, x.to_vec());
                (found.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 4.0).sqrt()
            };
            let found = orders(error);
            println!("{solver} on levels^{power}: orders {found:.3?}, error at 60 steps {:.1e}", error(60));
            assert!((found[2] - order).abs() < 0.2, "{solver} on levels^{power}: {found:?}");
        }
    }
}

/// η = 1 is the Markov process backwards, which for Gaussian data is known: so many steps on, x is normal around Cov(x_s, x_T)/Var(x_T) x_T. The mean is exact,
/// because f_θ is a martingale there; the variance is of order 1 by DDPM's steps.
#[test]
fn with_noise_the_law_is_of_order_2() {
    let schedule = fine();
    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.0, 0.5);
    let (top, low) = (schedule.alpha_bar(983_040), schedule.alpha_bar(61_440));
    let variance = |a: f64| a * 0.25 + 1.0 - a;
    let slope = (top / low).sqrt() * variance(low) / variance(top);
    for steps in [2, 7, 60] {
        let sampler = sampler(&schedule, &grid(steps, 1.0), 1.0, Solver::Dpmpp2mSde);
        // All is linear and the noise is the same, so that it goes away in the difference.
        let at = |x| before_the_image(&sampler, &model, vec![x])[0];
        assert!((at(1000.0) - at(0.0) - 1000.0 * slope).abs() < 1e-9, "{steps} steps");
    }

    // The covariance of (x, the last f_θ), by the formula that the_published_sde compares.
    let spread = |steps, order: usize| {
        let sampler = sampler(&schedule, &grid(steps, 1.0), 1.0, Solver::Dpmpp2mSde);
        let (mut xx, mut xf, mut ff, mut before) = (0.0, 0.0, 0.0, None);
        for step in sampler.steps().iter().filter(|step| step.next > 0) {
            let (a, b) = (step.alpha_bar, step.alpha_bar_next);
            let of_x = step.direction / (1.0 - a).sqrt();
            let of_f = b.sqrt() - of_x * a.sqrt();
            let f = a.sqrt() * 0.25 / variance(a);
            let h = 0.5 * (b * (1.0 - a) / ((1.0 - b) * a)).ln();
            let half = before.map_or(0.0, |before: f64| if order == 2 { 0.5 * h / before } else { 0.0 });
            let (u, v) = (of_x + of_f * f * (1.0 + half), -of_f * half);
            (xx, xf, ff) = (u * u * xx + 2.0 * u * v * xf + v * v * ff + step.sigma.powi(2), f * (u * xx + v * xf), f * f * xx);
            before = Some(h);
        }
        (xx - (variance(low) - slope * slope * variance(top))).abs()
    };
    for order in [1, 2] {
        let found = orders(|steps| spread(steps, order));
        println!("the variance with order {order}: {found:.3?}");
        assert!((found[2] - order as f64).abs() < 0.2, "{found:?}");
    }
}

/// The default is Eq. 12 and nothing else.
#[test]
fn ddim_is_eq_12_to_the_bit() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::quadratic(1000, 10).unwrap();
    for (prediction, eta) in [(Prediction::Epsilon, 0.0), (Prediction::V, 0.8), (Prediction::Sample, 1.0)] {
        let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5).with_prediction(prediction);
        for (clip, rederive) in [(None, false), (Some(0.4), false), (Some(0.4), true)] {
            let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(eta)).unwrap().with_rederived_epsilon(rederive);
            let sampler = sampler.with_clip(clip.map_or(Clip::None, Clip::Range)).unwrap();
            let mut x: Vec<f32> = START.latents(4, 2);
            let found = Sampling::new(&sampler, &model, x.clone(), START).unwrap().finish().unwrap();
            for step in sampler.steps() {
                let (mut output, mut noise) = (vec![0f32; 8], vec![0f32; 8]);
                model.predict(&x, &[step.level as f64; 2], &mut output).unwrap();
                START.fill(&mut noise, 4, Draw::Step(step.level));
                for ((x, output), z) in x.iter_mut().zip(output).zip(noise) {
                    let (f, epsilon) = prediction.x0_and_epsilon(f64::from(output), f64::from(*x), step.alpha_bar);
                    let f = clip.map_or(f, |r| f.clamp(-r, r));
                    let derived = (f64::from(*x) - step.alpha_bar.sqrt() * f) / (1.0 - step.alpha_bar).sqrt();
                    *x = step.apply(f, if rederive { derived } else { epsilon }, f64::from(z)) as f32;
                }
            }
            assert_eq!(found, x, "{prediction:?} {clip:?} {rederive}");
        }
    }
}

#[test]
fn ten_steps_are_worth_more_than_ten_of_ddim() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5);
    let trajectory = Trajectory::power(1000, 10, 1.5).unwrap();
    let error = |solver| (run(&sampler(&schedule, &trajectory, 0.0, solver), &model, vec![1.3])[0] - model.flow(1.3, 0, 1000, 0)).abs();
    let ddim = error(Solver::Ddim);
    for solver in MULTISTEP {
        println!("{solver}: {:.2e}, ddim {ddim:.2e}", error(solver));
        assert!(error(solver) < 0.5 * ddim, "{solver}: {}, ddim {ddim}", error(solver));
    }
}

#[test]
fn one_step_is_f() {
    for schedule in [NoiseSchedule::ddpm(), NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap()] {
        let trajectory = Trajectory::trailing(1000, 1).unwrap();
        for prediction in &PREDICTIONS[usize::from(schedule.alpha_bar(1000) == 0.0)..] {
            let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5).with_prediction(*prediction);
            let a = schedule.alpha_bar(1000);
            let f = 0.3 + a.sqrt() * 0.25 * (1.3 - a.sqrt() * 0.3) / (a * 0.25 + 1.0 - a);
            for solver in Solver::ALL {
                let x = run(&sampler(&schedule, &trajectory, 0.0, solver), &model, vec![1.3])[0];
                assert!((x - f).abs() < 1e-10, "{solver} {prediction:?}: {x}, f is {f}");
            }
        }
    }
}

/// A network whose answer never changes, and which counts how often it is asked.
struct Constant(Prediction, f64, Cell<usize>);

impl Denoiser<f64> for Constant {
    type Error = Error;
    fn dim(&self) -> usize {
        1
    }
    fn prediction(&self) -> Prediction {
        self.0
    }
    fn predict(&self, x: &[f64], levels: &[f64], out: &mut [f64]) -> Result<(), Error> {
        check_batch(1, 1000, x.len(), levels, out.len())?;
        self.2.set(self.2.get() + 1);
        out.fill(self.1);
        Ok(())
    }
}

/// From a σ of 20,000, as a cosine's betas have it, the mean of ε at both ends of a step would be far from any ε between: Heun's method is ahead of DDIM there too.
#[test]
fn heun_begins_at_any_noise() {
    let schedule = NoiseSchedule::new(BetaSchedule::SquaredCosCapV2, 1e-4, 0.02, 1000).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5);
    for steps in [10, 20, 50] {
        let trajectory = Trajectory::trailing(1000, steps).unwrap();
        let end = trajectory.levels()[0];
        let [ddim, heun] = [Solver::Ddim, Solver::Heun].map(|solver| {
            let found = before_the_image(&sampler(&schedule, &trajectory, 0.0, solver), &model, vec![1.3])[0];
            (found - model.flow(1.3, 0, 1000, end)).abs()
        });
        assert!(heun < 0.5 * ddim, "{steps} steps: {heun}, ddim {ddim}");
    }
}

/// Where ε or f_θ is constant x̄ runs straight in σ: no solver has an error, on any grid.
#[test]
fn straight_lines_are_exact_on_any_grid() {
    let schedule = NoiseSchedule::ddpm();
    let grids = [&[999, 998, 700, 650, 40, 39, 0][..], &[999, 500, 499, 1], &[800, 10], &[3]];
    for timesteps in grids {
        let trajectory = Trajectory::from_timesteps(1000, timesteps).unwrap();
        let a = schedule.alpha_bar(timesteps[0] + 1);
        for (prediction, exact) in [(Prediction::Epsilon, (1.3 - (1.0 - a).sqrt() * 0.7) / a.sqrt()), (Prediction::Sample, 0.7)] {
            for solver in Solver::ALL {
                let model = Constant(prediction, 0.7, Cell::new(0));
                let sampler = sampler(&schedule, &trajectory, 0.0, solver);
                let x = run(&sampler, &model, vec![1.3])[0];
                assert!((x - exact).abs() < 1e-10 * exact.abs(), "{solver} {prediction:?} {timesteps:?}: {x}, exact is {exact}");
                // Heun's method looks twice but in the last step, and in those that begin at too large a σ for their length.
                let near = sampler.steps().iter().filter(|step| {
                    let (a, b) = (step.alpha_bar, step.alpha_bar_next);
                    step.next > 0 && 0.5 * ((1.0 - b).sqrt() - (b * (1.0 - a) / a).sqrt()) > -3.0
                });
                let twice = if solver == Solver::Heun { near.count() } else { 0 };
                assert_eq!((model.2.get(), sampler.evaluations()), (timesteps.len() + twice, timesteps.len() + twice), "{solver}");
            }
        }
    }
}

/// Whoever changes x starts a solver again; one that always starts is DDIM to the bit.
#[test]
fn order_1_is_ddim() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::trailing(1000, 12).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5);
    let always_new = |sampler: &Sampler| {
        let mut sampling = Sampling::new(sampler, &model, START.latents::<f32>(4, 3), START).unwrap();
        while sampling.step().unwrap().is_some() {
            sampling.x_mut();
        }
        sampling.into_x()
    };
    for (solver, eta) in MULTISTEP.map(|solver| (solver, 0.0)).into_iter().chain([(Solver::Dpmpp2mSde, 0.7)]) {
        let (new, ddim) = (sampler(&schedule, &trajectory, eta, solver), sampler(&schedule, &trajectory, eta, Solver::Ddim));
        assert_eq!(always_new(&new), always_new(&ddim), "{solver}");
        let undisturbed = Sampling::new(&new, &model, START.latents::<f32>(4, 3), START).unwrap().finish().unwrap();
        assert_ne!(undisturbed, always_new(&ddim), "{solver}");
    }
}

#[test]
fn batches_and_pauses_do_not_change_a_sample() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 4, 0.3, 0.5);
    for solver in Solver::ALL {
        let eta = if [Solver::Ddim, Solver::Dpmpp2mSde].contains(&solver) { 1.0 } else { 0.0 };
        let sampler = sampler(&schedule, &Trajectory::uniform(1000, 10).unwrap(), eta, solver);
        let sampler = sampler.with_clip(Clip::Dynamic { ratio: 0.8, max: 2.0 }).unwrap();
        let begin = |first: u64, n: usize| {
            let batch = Batch { seed: 21, first };
            Sampling::new(&sampler, &model, batch.latents::<f32>(4, n), batch).unwrap()
        };
        let whole = begin(0, 6).finish().unwrap();
        for (first, n) in [(0, 1), (2, 3), (5, 1)] {
            assert_eq!(begin(first, n).finish().unwrap(), whole[first as usize * 4..(first as usize + n) * 4], "{solver}");
        }
        let mut held = begin(0, 6);
        for _ in 0..4 {
            held.step().unwrap();
        }
        assert_eq!((held.progress(), held.next_step()), ((4, 10), Some(&sampler.steps()[4])));
        let copy = held.clone();
        assert_eq!((held.finish().unwrap(), copy.finish().unwrap()), (whole.clone(), whole), "{solver}");
        assert!(begin(0, 0).finish().unwrap().is_empty());
    }
}

#[test]
fn every_prediction_type_samples_the_same() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::leading(1000, 20, 1).unwrap();
    for solver in Solver::ALL {
        let run = |prediction, clip, rederive| {
            let model = GaussianDenoiser::isotropic(&schedule, 8, 0.3, 0.5).with_prediction(prediction);
            let sampler = sampler(&schedule, &trajectory, 0.0, solver).with_clip(clip).unwrap().with_rederived_epsilon(rederive);
            run(&sampler, &model, START.latents(8, 3))
        };
        for clip in [Clip::None, Clip::Range(0.5), Clip::Dynamic { ratio: 0.9, max: 1.5 }] {
            for rederive in [false, true] {
                let epsilon = run(Prediction::Epsilon, clip, rederive);
                for other in [Prediction::Sample, Prediction::V] {
                    let x = run(other, clip, rederive);
                    assert!(x.iter().zip(&epsilon).all(|(a, b)| (a - b).abs() < 1e-8), "{solver} {clip:?} {rederive} {other:?}");
                }
            }
            if clip == Clip::None {
                let (kept, derived) = (run(Prediction::V, clip, false), run(Prediction::V, clip, true));
                assert!(kept.iter().zip(&derived).all(|(a, b)| (a - b).abs() < 1e-9), "{solver}");
            }
        }
        let x = run(Prediction::Epsilon, Clip::Range(0.5), true);
        assert!(x.iter().all(|x| x.abs() <= 0.5 + 1e-12), "{solver}: the step to the image is the clipped f");
        let x = run(Prediction::Epsilon, Clip::Range(1e9), false);
        assert!(x.iter().zip(run(Prediction::Epsilon, Clip::None, false)).all(|(a, b)| (a - b).abs() < 1e-9), "{solver}: nothing to clip");
    }
}

/// From a level without signal the first step is DDIM's, and the second has nothing to extrapolate from.
#[test]
fn zero_snr() {
    let schedule = NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap();
    let trajectory = Trajectory::trailing(1000, 20).unwrap();
    let error = |solver, prediction| {
        let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5).with_prediction(prediction);
        (run(&sampler(&schedule, &trajectory, 0.0, solver), &model, vec![1.0])[0] - model.flow(1.0, 0, 1000, 0)).abs()
    };
    for prediction in [Prediction::Sample, Prediction::V] {
        let ddim = error(Solver::Ddim, prediction);
        for solver in [Solver::Ipndm, Solver::Dpmpp2m, Solver::UniPc, Solver::Heun, Solver::Dpmpp2mSde] {
            println!("{solver} {prediction:?}: {:.1e}, ddim {ddim:.1e}", error(solver, prediction));
            assert!(error(solver, prediction) < 0.6 * ddim, "{solver} {prediction:?}: {}, ddim {ddim}", error(solver, prediction));
        }
    }
    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5);
    for solver in Solver::ALL {
        let error = Sampling::new(&sampler(&schedule, &trajectory, 0.0, solver), &model, vec![1.0], START).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Prediction, "{solver}");
    }
}

/// SDE-DPM-Solver++(2M) as its authors write it, in σ̄ = √(1-ᾱ) and α = √ᾱ, over our noise.
#[test]
fn the_published_sde() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::power(1000, 8, 1.5).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 3, 0.3, 0.5).with_prediction(Prediction::Sample);
    let sampler = sampler(&schedule, &trajectory, 1.0, Solver::Dpmpp2mSde);
    let latents: Vec<f64> = START.latents(3, 1);
    let (mut x, mut before) = (latents.clone(), None);
    for step in sampler.steps() {
        let mut m = vec![0.0; 3];
        model.predict(&x, &[step.level as f64], &mut m).unwrap();
        let [(a_t, s_t), (a_s, s_s)] = [step.alpha_bar, step.alpha_bar_next].map(|a| (a.sqrt(), (1.0 - a).sqrt()));
        let h = (a_s / s_s).ln() - (a_t / s_t).ln();
        let mut noise = vec![0.0; 3];
        START.key(0, Draw::Step(step.level)).fill(&mut noise);
        let gone = 1.0 - (-2.0 * h).exp();
        for i in 0..3 {
            let mut d = m[i];
            if let (Some((old, h_before)), true) = (&before, step.next > 0) {
                let old: &Vec<f64> = old;
                let r: f64 = h_before / h;
                d += 0.5 * (m[i] - old[i]) / r;
            }
            let noise = if s_s > 0.0 { s_s * gone.sqrt() * noise[i] } else { 0.0 };
            x[i] = s_s / s_t * (-h).exp() * x[i] + a_s * gone * d + noise;
        }
        before = Some((m, h));
    }
    let found = run(&sampler, &model, latents.clone());
    assert!(found.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, expected {x:?}");
    // Without noise it is 2M.
    let [sde, ode] = [Solver::Dpmpp2mSde, Solver::Dpmpp2m].map(|solver| crate::sampler(&schedule, &trajectory, 0.0, solver));
    assert_eq!(run(&sde, &model, latents.clone()), run(&ode, &model, latents));
}

#[test]
fn the_law_of_sde_samples_is_the_datas() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 64, 0.3, 0.5);
    let trajectory = Trajectory::power(1000, 50, 1.5).unwrap();
    for eta in [0.5, 1.0] {
        let x = run(&sampler(&schedule, &trajectory, eta, Solver::Dpmpp2mSde), &model, START.latents(64, 300));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Five standard errors, and what 50 steps leave.
        assert!(
            (mean - 0.3).abs() < 5.0 * 0.5 / n.sqrt() + 2e-3 && (std - 0.5).abs() < 5.0 * 0.5 / (2.0 * n).sqrt() + 5e-3,
            "{mean} {std}"
        );
    }
}

#[test]
fn noise_is_refused_where_it_has_no_place() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::uniform(1000, 10).unwrap();
    let with = |sigma: Sigma, solver| Sampler::new(&schedule, &trajectory, &sigma).unwrap().with_solver(solver).map(|s| s.solver());
    for solver in Solver::ALL {
        assert_eq!(with(Sigma::Eta(0.0), solver), Ok(solver));
        assert_eq!(solver.name().parse::<Solver>().unwrap(), solver);
        for sigma in [Sigma::Eta(0.1), Sigma::Hat, Sigma::Explicit(vec![0.01; 10])] {
            let allowed = match solver {
                Solver::Ddim => true,
                Solver::Dpmpp2mSde => sigma != Sigma::Hat,
                _ => false,
            };
            let found = with(sigma, solver);
            assert_eq!(found.as_ref().err().map(|e| e.kind()), (!allowed).then_some(ErrorKind::Sigma), "{solver}");
        }
    }
    let message = with(Sigma::Eta(0.1), Solver::UniPc).unwrap_err().to_string();
    assert_eq!(message, "the solver unipc adds no noise: expected eta 0, or solver ddim or dpmpp-2m-sde");
    let error = "euler".parse::<Solver>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Solver);
    assert_eq!(error.to_string(), "solver \"euler\": expected one of ddim, ipndm, dpmpp-2m, unipc, heun, dpmpp-2m-sde");
    assert_eq!(Solver::default(), Solver::Ddim);
}
