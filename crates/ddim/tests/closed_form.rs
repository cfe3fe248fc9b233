//! The paper's mathematics against closed forms: for Gaussian data the optimal ε_θ, the marginals and the ODE are known exactly.

use ddim::noise::{Batch, Draw};
use ddim::objective::{constant, gamma, gamma_simple, j_sigma, l_gamma};
use ddim::process::{forward, forward_trajectory, marginal, posterior};
use ddim::{
    BetaSchedule, Clip, Denoiser, Encoder, Encoding, Error, GaussianDenoiser, NoiseSchedule, Prediction, Sampler, Sampling, Sigma,
    Trajectory, sample,
};
use std::ops::ControlFlow;

const MEAN: f64 = 0.3;
const STD: f64 = 0.5;

/// Image 0 of a seed and on.
fn batch(seed: u64) -> Batch {
    Batch { seed, first: 0 }
}

fn decode(sampler: &Sampler, model: &GaussianDenoiser, x: Vec<f64>) -> Vec<f64> {
    Sampling::new(sampler, model, x, batch(5)).unwrap().finish().unwrap()
}

fn encode(encoder: &Encoder, model: &GaussianDenoiser, x: Vec<f64>) -> Vec<f64> {
    Encoding::new(encoder, model, x, 0).unwrap().finish().unwrap()
}

/// Mean and standard deviation, and their standard errors for normal data.
fn moments(x: &[f64]) -> (f64, f64, f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let std = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    (mean, std, std / n.sqrt(), std / (2.0 * n).sqrt())
}

fn assert_moments(x: &[f64], mean: f64, std: f64, what: &str) {
    let (m, s, em, es) = moments(x);
    assert!((m - mean).abs() < 5.0 * em, "{what}: mean {m}, expected {mean} ± {em}");
    assert!((s - std).abs() < 5.0 * es, "{what}: deviation {s}, expected {std} ± {es}");
}

/// Some σ for every step of a trajectory, each within its range: η = 0.3, 0.7, 1, and one that no η gives.
fn sigmas(schedule: &NoiseSchedule, trajectory: &Trajectory) -> Vec<(String, Vec<f64>)> {
    let mut all: Vec<_> =
        [0.3, 0.7, 1.0].map(|eta| (format!("eta {eta}"), Sigma::Eta(eta).values(schedule, trajectory).unwrap())).into_iter().collect();
    let odd = trajectory.pairs().map(|(s, _)| 0.6 * (1.0 - schedule.alpha_bar(s)).sqrt()).collect();
    all.push(("0.6 of the top".to_owned(), odd));
    // Theorem 1 needs σ_1 > 0, which is free.
    all.iter_mut().for_each(|(_, s)| s[0] = 0.1);
    all
}

#[test]
fn forward_trajectories_have_the_shared_marginals() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::quadratic_full(1000, 6).unwrap();
    let x_0 = [0.7f64; 4000];
    for (name, sigma) in sigmas(&schedule, &trajectory).into_iter().chain([("eta 0".into(), vec![0.0; 6])]) {
        let path = forward_trajectory(&schedule, &trajectory, &Sigma::Explicit(sigma), &x_0, batch(3)).unwrap();
        for (x, &level) in path.iter().zip(trajectory.levels()) {
            let q = marginal(&schedule, level);
            assert_moments(x, q.x_0 * 0.7, q.std, &format!("{name}, level {level}"));
        }
    }
}

/// Lemma 1 exactly: composing q(x_t|x_0) with q_σ(x_s|x_t,x_0) gives q(x_s|x_0), and the forward kernel takes it back; Bayes' rule holds
/// for the densities.
#[test]
fn posterior_and_forward_are_each_others_bayes() {
    let schedule = NoiseSchedule::ddpm();
    for (s, t) in [(1, 2), (1, 1000), (10, 11), (499, 500), (300, 700), (999, 1000)] {
        let (q_s, q_t) = (marginal(&schedule, s), marginal(&schedule, t));
        for share in [0.0, 0.01, 0.5, 0.99, 1.0] {
            let sigma = share * q_s.std;
            let (down, up) = (posterior(&schedule, s, t, sigma).unwrap(), forward(&schedule, s, t, sigma).unwrap());
            for (from, kernel, to) in [(q_t, down, q_s), (q_s, up, q_t)] {
                assert!((kernel.given * from.x_0 + kernel.x_0 - to.x_0).abs() < 1e-12);
                assert!(((kernel.given * from.std).hypot(kernel.std) - to.std).abs() < 1e-12);
            }
            if sigma > 0.0 && share < 1.0 {
                let (x_0, x_s, x_t) = (0.4, -0.2, 0.9);
                let joint_down = q_t.log_density(x_t, 0.0, x_0) + down.log_density(x_s, x_t, x_0);
                let joint_up = q_s.log_density(x_s, 0.0, x_0) + up.log_density(x_t, x_s, x_0);
                assert!((joint_down - joint_up).abs() < 1e-6 * joint_up.abs(), "{s} {t} {share}: {joint_down} {joint_up}");
            }
        }
    }
}

/// η = 1: q_σ is DDPM's posterior (mean and β̃), and its forward process is Markovian.
#[test]
fn eta_1_is_ddpm() {
    let schedule = NoiseSchedule::ddpm();
    let full = Trajectory::full(1000).unwrap();
    let sigma = Sigma::Eta(1.0).values(&schedule, &full).unwrap();
    let hat = Sigma::Hat.values(&schedule, &full).unwrap();
    assert_eq!((sigma[0], hat[0]), (0.0, 0.0));
    for t in 2..=1000 {
        let (a, a_prev, beta) = (schedule.alpha_bar(t), schedule.alpha_bar(t - 1), schedule.beta(t));
        let q = posterior(&schedule, t - 1, t, sigma[t - 1]).unwrap();
        // DDPM (arXiv 2006.11239), Eq. 7.
        assert!((q.x_0 - a_prev.sqrt() * beta / (1.0 - a)).abs() < 1e-9, "{t}");
        assert!((q.given - (1.0 - beta).sqrt() * (1.0 - a_prev) / (1.0 - a)).abs() < 1e-9, "{t}");
        assert!((q.std.powi(2) - (1.0 - a_prev) / (1.0 - a) * beta).abs() < 1e-12, "{t}");
        assert!((hat[t - 1].powi(2) - beta).abs() < 1e-12, "{t}");
        let up = forward(&schedule, t - 1, t, sigma[t - 1]).unwrap();
        assert!(up.x_0.abs() < 1e-9, "{t}: {}", up.x_0);
        assert!((up.given - (1.0 - beta).sqrt()).abs() < 1e-9 && (up.std - beta.sqrt()).abs() < 1e-9, "{t}");
    }
}

/// With the optimal network the samples of every process approach the data.
#[test]
fn samples_have_the_marginals_of_the_data() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 64, MEAN, STD);
    let trajectory = Trajectory::uniform(1000, 1000).unwrap();
    for sigma in [Sigma::Eta(0.0), Sigma::Eta(0.5), Sigma::Eta(1.0), Sigma::Hat] {
        let sampler = Sampler::new(&schedule, &trajectory, &sigma).unwrap();
        let mut middle = Vec::new();
        let end = sample(&sampler, &model, batch(11).latents::<f64>(64, 100), batch(11), |step, sampling| {
            if step.next == 500 {
                middle = sampling.x().to_vec();
            }
            ControlFlow::<()>::Continue(())
        });
        let ControlFlow::Continue(x) = end.unwrap() else { panic!("nothing broke it off") };
        // σ̂ overshoots the variance by O(1/T) a step; a thousandth of the deviation is below the sampling error here.
        let (m, s) = model.marginal(500, 0);
        assert_moments(&middle, m, s, &format!("{sigma:?} at level 500"));
        assert_moments(&x, MEAN, STD, &format!("{sigma:?} at the image"));
    }
}

/// The error of a function of S at S = 50, 100, …, 1000 (divisors, so that the steps are even) and the slope of its logarithm.
fn slope(error: impl Fn(usize) -> f64) -> (Vec<f64>, f64) {
    let steps = [50usize, 100, 200, 500, 1000];
    let errors: Vec<f64> = steps.iter().map(|&s| error(s)).collect();
    let slope = (errors[4] / errors[0]).ln() / (1000f64 / 50.0).ln();
    (errors, slope)
}

/// DDPM's schedule cut four times finer, so that S = 1000 is a step of its own and not the whole schedule.
fn fine() -> NoiseSchedule {
    NoiseSchedule::new(BetaSchedule::Linear, 1e-4 / 4.0, 0.02 / 4.0, 4000).unwrap()
}

#[test]
fn ddim_converges_to_the_ode_at_first_order() {
    let schedule = fine();
    let model = GaussianDenoiser::isotropic(&schedule, 1, MEAN, STD);
    let error = |s| {
        let trajectory = Trajectory::trailing(4000, s).unwrap();
        let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
        (decode(&sampler, &model, vec![1.3])[0] - model.flow(1.3, 0, 4000, 0)).abs()
    };
    let (errors, slope) = slope(error);
    assert!(errors.windows(2).all(|w| w[1] < w[0]), "{errors:?}");
    assert!((slope + 1.0).abs() < 0.1, "slope {slope}, errors {errors:?}");
}

#[test]
fn encoding_converges_and_decoding_returns() {
    let schedule = fine();
    for prediction in [Prediction::Epsilon, Prediction::Sample, Prediction::V] {
        let model = GaussianDenoiser::isotropic(&schedule, 1, MEAN, STD).with_prediction(prediction);
        let run = |s| {
            let trajectory = Trajectory::trailing(4000, s).unwrap();
            let encoder = Encoder::new(&schedule, &trajectory).unwrap();
            let latent = encode(&encoder, &model, vec![0.9]);
            let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
            (latent[0], decode(&sampler, &model, latent)[0])
        };
        let (errors, encoding) = slope(|s| (run(s).0 - model.flow(0.9, 0, 0, 4000)).abs());
        assert!((encoding + 1.0).abs() < 0.15, "{prediction:?} encoding: slope {encoding}, errors {errors:?}");
        let (errors, returning) = slope(|s| (run(s).1 - 0.9).abs());
        assert!(errors.windows(2).all(|w| w[1] < w[0]), "{prediction:?}: {errors:?}");
        assert!(returning < -0.85, "{prediction:?} returning: slope {returning}, errors {errors:?}");
    }
}

#[test]
fn every_prediction_type_samples_the_same() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::leading(1000, 20, 1).unwrap();
    let run = |prediction, clip, rederive| {
        let model = GaussianDenoiser::isotropic(&schedule, 8, MEAN, STD).with_prediction(prediction);
        let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.4)).unwrap();
        let sampler = sampler.with_clip(clip).unwrap().with_rederived_epsilon(rederive);
        decode(&sampler, &model, batch(5).latents(8, 3))
    };
    for clip in [Clip::None, Clip::Range(0.5), Clip::Dynamic { ratio: 0.9, max: 1.5 }] {
        for rederive in [false, true] {
            let epsilon = run(Prediction::Epsilon, clip, rederive);
            for other in [Prediction::Sample, Prediction::V] {
                let x = run(other, clip, rederive);
                assert!(x.iter().zip(&epsilon).all(|(a, b)| (a - b).abs() < 1e-9), "{clip:?} {rederive} {other:?}");
            }
        }
    }
    let max = |x: Vec<f64>| x.iter().fold(0f64, |m, v| m.max(v.abs()));
    assert!(max(run(Prediction::Epsilon, Clip::Range(0.5), true)) <= 0.5 + 1e-12, "the last step returns the clipped f");
}

/// Eq. 13 is in ε: what the network predicts it by makes no difference, down to S = 1 and up to a level without signal.
#[test]
fn every_prediction_type_encodes_the_same() {
    for schedule in [NoiseSchedule::ddpm(), NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap()] {
        for steps in [1, 2, 10, 50] {
            let trajectory = Trajectory::trailing(1000, steps).unwrap();
            let run = |prediction| {
                let model = GaussianDenoiser::isotropic(&schedule, 8, MEAN, STD).with_prediction(prediction);
                encode(&Encoder::new(&schedule, &trajectory).unwrap(), &model, batch(5).latents(8, 3))
            };
            let epsilon = run(Prediction::Epsilon);
            for other in [Prediction::Sample, Prediction::V] {
                let x = run(other);
                assert!(x.iter().zip(&epsilon).all(|(a, b)| (a - b).abs() < 1e-9), "{steps} {other:?}");
            }
        }
    }
}

/// A worse network than the optimal one: it is wrong by a level-dependent share and a constant.
struct Wrong(GaussianDenoiser);

impl Denoiser<f64> for Wrong {
    type Error = Error;
    fn dim(&self) -> usize {
        Denoiser::<f64>::dim(&self.0)
    }
    fn prediction(&self) -> Prediction {
        Denoiser::<f64>::prediction(&self.0)
    }
    fn predict(&self, x: &[f64], levels: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.0.predict(x, levels, out)?;
        let dim = self.dim();
        for (out, level) in out.chunks_mut(dim).zip(levels) {
            out.iter_mut().for_each(|v| *v = *v * (0.8 + 0.01 * *level) + 0.1);
        }
        Ok(())
    }
}

#[test]
fn theorem_1() {
    let schedule = NoiseSchedule::new(BetaSchedule::Linear, 0.01, 0.3, 12).unwrap();
    let (dim, n) = (3, 40_000);
    let best = GaussianDenoiser::isotropic(&schedule, dim, MEAN, STD);
    let worse = Wrong(best.clone());
    let mut x_0 = vec![0f64; dim * n];
    batch(99).fill(&mut x_0, dim, Draw::Step(77));
    x_0.iter_mut().for_each(|x| *x = MEAN + STD * *x);
    let square_norm = x_0.iter().map(|x| x * x).sum::<f64>() / n as f64;

    for trajectory in [Trajectory::full(12).unwrap(), Trajectory::quadratic_full(12, 4).unwrap()] {
        for (name, sigma) in sigmas(&schedule, &trajectory) {
            let gamma = gamma(&schedule, &trajectory, &sigma).unwrap();
            let c = constant(&schedule, &trajectory, &sigma, dim, square_norm).unwrap();
            let j = |d: &dyn Denoiser<f64, Error = Error>| j_sigma(&schedule, &trajectory, &sigma, d, &x_0, batch(1)).unwrap();
            let l = |d: &dyn Denoiser<f64, Error = Error>| -> Vec<f64> {
                let terms = l_gamma(&schedule, &trajectory, &gamma, d, &x_0, batch(1)).unwrap();
                terms.iter().map(|t| t.iter().sum()).collect()
            };
            let (j1, j2, l1, l2) = (j(&best), j(&worse), l(&best), l(&worse));

            // Each network alone: J = L + C.
            let whole: Vec<f64> = j1.iter().zip(&l1).map(|(j, l)| j - l - c).collect();
            let (m, _, e, _) = moments(&whole);
            assert!(m.abs() < 5.0 * e, "{name}: J - L - C = {m} ± {e}");
            // And the difference of the two, whose error is smaller.
            let dj: Vec<f64> = j1.iter().zip(&j2).map(|(a, b)| a - b).collect();
            let dl: Vec<f64> = l1.iter().zip(&l2).map(|(a, b)| a - b).collect();
            let ((mj, _, ej, _), (ml, _, el, _)) = (moments(&dj), moments(&dl));
            assert!((mj - ml).abs() < 5.0 * ej.hypot(el), "{name}: ΔJ {mj} ± {ej}, ΔL {ml} ± {el}");
            // The test can fail: the differences are many errors away from zero.
            assert!(ml < -20.0 * el, "{name}: ΔL {ml} ± {el}");
        }
    }
}

#[test]
fn l_simple_of_the_optimal_network_is_its_conditional_variance() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::uniform(1000, 5).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 2, MEAN, STD);
    let mut x_0 = vec![0f64; 2 * 20_000];
    batch(4).fill(&mut x_0, 2, Draw::Step(9));
    x_0.iter_mut().for_each(|x| *x = MEAN + STD * *x);
    let terms = l_gamma(&schedule, &trajectory, &gamma_simple(&trajectory), &model, &x_0, batch(8)).unwrap();
    for (i, &t) in trajectory.levels().iter().enumerate() {
        let a = schedule.alpha_bar(t);
        // Var(ε|x_t) = ᾱ s²/(ᾱ s² + 1 - ᾱ), twice for two elements.
        let expected = 2.0 * a * STD * STD / (a * STD * STD + 1.0 - a);
        let at: Vec<f64> = terms.iter().map(|t| t[i]).collect();
        let (m, _, e, _) = moments(&at);
        assert!((m - expected).abs() < 5.0 * e, "level {t}: {m}, expected {expected} ± {e}");
    }
}

/// σ_1 > 0 draws from N(f_θ(x_1), σ_1² I): Eq. 10 for t = 1.
#[test]
fn the_step_to_the_image_may_have_a_deviation() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::from_timesteps(1000, &[0]).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 5000, MEAN, STD);
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Explicit(vec![0.25])).unwrap();
    let mut sampling = Sampling::new(&sampler, &model, vec![0.5f64; 5000], batch(1)).unwrap();
    sampling.step().unwrap();
    assert_moments(sampling.x(), sampling.x_0()[0], 0.25, "x_0");
}

#[test]
fn deviations_out_of_range_are_refused() {
    let schedule = NoiseSchedule::ddpm();
    let two = Trajectory::from_timesteps(1000, &[999, 99]).unwrap();
    let top = (1.0 - schedule.alpha_bar(100)).sqrt();
    assert!(Sampler::new(&schedule, &two, &Sigma::Explicit(vec![0.0, top])).is_ok());
    for sigma in [
        Sigma::Explicit(vec![0.0, top * 1.001]),
        Sigma::Explicit(vec![0.0, -0.1]),
        Sigma::Explicit(vec![0.0, f64::NAN]),
        Sigma::Explicit(vec![f64::INFINITY, 0.1]),
        Sigma::Explicit(vec![0.0]),
        Sigma::Eta(-0.1),
        Sigma::Eta(1.1),
        Sigma::Eta(f64::NAN),
    ] {
        assert_eq!(Sampler::new(&schedule, &two, &sigma).unwrap_err().kind(), ddim::ErrorKind::Sigma, "{sigma:?}");
    }
    let zeros = vec![0.0, 0.0];
    assert!(gamma(&schedule, &two, &zeros).is_err(), "Theorem 1 needs σ > 0");
    for clip in [Clip::Range(0.0), Clip::Range(f64::NAN), Clip::Dynamic { ratio: 1.5, max: 1.0 }, Clip::Dynamic { ratio: 0.5, max: 0.5 }] {
        let sampler = Sampler::new(&schedule, &two, &Sigma::Eta(0.0)).unwrap();
        assert_eq!(sampler.with_clip(clip).unwrap_err().kind(), ddim::ErrorKind::Clip, "{clip:?}");
    }
}

#[test]
fn zero_snr_needs_a_prediction_that_is_defined_there() {
    let schedule = NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap();
    let trajectory = Trajectory::trailing(1000, 200).unwrap();
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
    let run = |prediction| {
        let model = GaussianDenoiser::isotropic(&schedule, 1, MEAN, STD).with_prediction(prediction);
        Sampling::new(&sampler, &model, vec![1.0f64], batch(0)).and_then(Sampling::finish).map(|x| x[0])
    };
    assert_eq!(run(Prediction::Epsilon).unwrap_err().kind(), ddim::ErrorKind::Prediction);
    let exact = GaussianDenoiser::isotropic(&schedule, 1, MEAN, STD).flow(1.0, 0, 1000, 0);
    for prediction in [Prediction::Sample, Prediction::V] {
        let error = (run(prediction).unwrap() - exact).abs();
        assert!(error < 0.02, "{prediction:?}: {error}");
    }
}

#[test]
fn batches_do_not_change_a_sample() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 4, MEAN, STD);
    let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 10).unwrap(), &Sigma::Eta(0.8)).unwrap();
    let run = |first: u64, n: usize| {
        let batch = Batch { seed: 21, first };
        Sampling::new(&sampler, &model, batch.latents::<f32>(4, n), batch).unwrap().finish().unwrap()
    };
    let whole = run(0, 6);
    for (first, n) in [(0, 1), (2, 3), (5, 1)] {
        assert_eq!(run(first, n), whole[first as usize * 4..(first as usize + n) * 4]);
    }
    assert_eq!(Sampling::new(&sampler, &model, vec![0f32; 5], batch(0)).unwrap_err().kind(), ddim::ErrorKind::Batch);
}

/// A sampling in steps is the loop, whoever holds the network; it can be left alone half-way, copied, and gone on with.
#[test]
fn a_sampling_may_be_held_and_copied_between_steps() {
    let schedule = NoiseSchedule::ddpm();
    let model = std::sync::Arc::new(GaussianDenoiser::isotropic(&schedule, 4, MEAN, STD));
    let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 10).unwrap(), &Sigma::Eta(0.8)).unwrap();
    let x: Vec<f32> = batch(21).latents(4, 3);
    let whole = Sampling::new(&sampler, &*model, x.clone(), batch(21)).unwrap().finish().unwrap();
    let mut held = Sampling::new(&sampler, std::sync::Arc::clone(&model), x.clone(), batch(21)).unwrap();
    assert_eq!((held.x(), held.x_0(), held.progress()), (&x[..], &x[..], (0, 10)));
    for _ in 0..4 {
        held.step().unwrap();
    }
    assert_eq!((held.progress(), held.next_step()), ((4, 10), Some(&sampler.steps()[4])));
    let mut other = held.clone();
    assert_eq!(held.finish().unwrap(), whole);
    other.x_mut()[0] += 1.0;
    let changed = other.finish().unwrap();
    assert!(changed[0] != whole[0] && changed[1..] == whole[1..]);
    // An observer may break it off, with what it likes; and a denoiser may be a trait object.
    let boxed: Box<dyn Denoiser<Error = Error>> = Box::new((*model).clone());
    let broken = sample(&sampler, boxed, x.clone(), batch(21), |step, s| match s.progress().0 {
        3 => ControlFlow::Break(step.level),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(broken.unwrap(), ControlFlow::Break(sampler.steps()[2].level));
    let mut none = Sampling::new(&sampler, &model, Vec::<f32>::new(), batch(0)).unwrap();
    assert!(none.next_step().is_none() && none.step().unwrap().is_none());
}

/// A step's arithmetic is one function; a solver of one's own may call it.
#[test]
fn steps_can_be_applied_by_hand() {
    let schedule = NoiseSchedule::ddpm();
    let sampler = Sampler::new(&schedule, &Trajectory::uniform(1000, 10).unwrap(), &Sigma::Eta(0.5)).unwrap();
    let step = sampler.steps()[3];
    let (a, b) = (step.alpha_bar_next, (1.0 - step.alpha_bar_next - step.sigma.powi(2)).sqrt());
    assert!((step.apply(0.3, -0.8, 1.7) - (a.sqrt() * 0.3 - b * 0.8 + step.sigma * 1.7)).abs() < 1e-15);
    let up = Encoder::new(&schedule, &Trajectory::uniform(1000, 10).unwrap()).unwrap().steps()[3];
    // With one ε, Eq. 13 upwards undoes Eq. 12 downwards.
    let down = ddim::Step {
        level: up.to,
        next: up.from,
        alpha_bar: up.alpha_bar_to,
        alpha_bar_next: up.alpha_bar_from,
        direction: (1.0 - up.alpha_bar_from).sqrt(),
        sigma: 0.0,
    };
    let (x, x_0) = up.apply(0.4, 0.9);
    assert!(
        (down.apply(x_0, 0.9, f64::NAN) - 0.4).abs() < 1e-12
            && (Prediction::Epsilon.x0_and_epsilon(0.9, x, up.alpha_bar_to).0 - x_0).abs() < 1e-12
    );
}
