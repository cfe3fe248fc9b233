//! What a function that returns `Result` is given: anything. It answers with a value that holds what its doc says, or an error of one line,
//! and never panics.

use ddim::denoiser::check_batch;
use ddim::noise::{Batch, Draw};
use ddim::objective::{Weighting, constant, decoder_nats, gamma, gamma_simple, j_sigma, l_gamma};
use ddim::process::{forward, forward_trajectory, posterior};
use ddim::{
    BetaSchedule, Clip, Denoiser, Encoder, Encoding, Error, ErrorKind, GaussianDenoiser, NoiseSchedule, Prediction, Real, Sampler,
    Sampling, Sigma, Solver, Trajectory, frames, slerp, slerp_grid,
};
use proptest::prelude::*;

const BETAS: [BetaSchedule; 7] = [
    BetaSchedule::Linear,
    BetaSchedule::ScaledLinear,
    BetaSchedule::SquaredCosCapV2,
    BetaSchedule::Sigmoid,
    BetaSchedule::Quad,
    BetaSchedule::Const,
    BetaSchedule::Jsd,
];
const PREDICTIONS: [Prediction; 3] = [Prediction::Epsilon, Prediction::Sample, Prediction::V];

/// Any double at all, and more often one that means something here.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => proptest::num::f64::ANY,
        6 => -0.1f64..1.1,
        2 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, 1e-17, 1e-160, 1.0 - 1e-16, f64::MAX,
        ]),
    ]
}

/// A count around those of the other arguments, or one that no memory holds.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..14, 1 => prop::sample::select(vec![usize::MAX, usize::MAX - 1, usize::MAX / 2, 1 << 60])]
}

fn betas() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        3 => prop::collection::vec(0.001f64..0.9, 1..12),
        1 => prop::collection::vec(prop::sample::select(vec![1e-16, 1.2e-16, 1e-12, 0.5, 1.0 - 1e-15]), 1..40),
        1 => prop::collection::vec(number(), 0..12),
    ]
}

/// A schedule that exists: random betas, some with ᾱ_T = 0, some that arrive at ᾱ_1.
fn schedule() -> impl Strategy<Value = NoiseSchedule> {
    (betas(), any::<bool>(), any::<bool>(), any::<bool>()).prop_filter_map("betas that are none", |(mut betas, ends, zero, one)| {
        if ends {
            *betas.last_mut()? = 1.0;
        }
        let schedule = NoiseSchedule::from_betas(&betas).ok()?;
        let schedule = if zero { schedule.rescale_zero_terminal_snr().ok()? } else { schedule };
        Some(schedule.with_set_alpha_to_one(one))
    })
}

/// A trajectory that exists, often for another T than the schedule's.
fn trajectory(schedule: &NoiseSchedule) -> impl Strategy<Value = Trajectory> + use<> {
    let levels = schedule.levels();
    (prop_oneof![4 => Just(levels), 1 => 1usize..14], 0usize..6, 0.0f64..=1.0).prop_map(|(total, kind, share)| {
        let steps = ((total as f64 * share) as usize).clamp(1, total);
        match kind {
            0 => Trajectory::uniform(total, steps),
            1 => Trajectory::quadratic(total, steps),
            2 => Trajectory::leading(total, steps, 1),
            3 => Trajectory::trailing(total, steps),
            4 => Trajectory::from_timesteps(total, &[steps - 1]),
            _ => Trajectory::full(total),
        }
        .unwrap()
    })
}

fn sigma(steps: usize) -> impl Strategy<Value = Sigma> {
    prop_oneof![
        number().prop_map(Sigma::Eta),
        Just(Sigma::Hat),
        prop::collection::vec(number(), 0..steps + 2).prop_map(Sigma::Explicit),
        prop::collection::vec(prop_oneof![Just(0.0), Just(1e-170), 0.0f64..0.4], steps).prop_map(Sigma::Explicit),
    ]
}

fn clip() -> impl Strategy<Value = Clip> {
    prop_oneof![
        Just(Clip::None),
        number().prop_map(Clip::Range),
        Just(Clip::Range(1.0)),
        (number(), number()).prop_map(|(ratio, max)| Clip::Dynamic { ratio, max }),
        Just(Clip::Dynamic { ratio: 0.99, max: f64::INFINITY }),
    ]
}

/// A schedule, a trajectory and deviations, of which each may be one that does not suit the others.
fn process() -> impl Strategy<Value = (NoiseSchedule, Trajectory, Sigma)> {
    schedule()
        .prop_flat_map(|schedule| (Just(schedule.clone()), trajectory(&schedule)))
        .prop_flat_map(|(schedule, trajectory)| (Just(schedule), Just(trajectory.clone()), sigma(trajectory.len())))
}

/// A network that may answer with anything, or be made for another schedule.
#[derive(Debug, Clone)]
struct Any {
    dim: usize,
    levels: usize,
    prediction: Prediction,
    says: f64,
}

impl Denoiser<f64> for Any {
    type Error = Error;
    fn dim(&self) -> usize {
        self.dim
    }
    fn prediction(&self) -> Prediction {
        self.prediction
    }
    fn predict(&self, x_t: &[f64], levels: &[f64], out: &mut [f64]) -> Result<(), Error> {
        check_batch(self.dim, self.levels, x_t.len(), levels, out.len())?;
        out.iter_mut().zip(x_t).for_each(|(out, x)| *out = self.says * x + self.says);
        Ok(())
    }
}

fn network() -> impl Strategy<Value = Any> {
    let dim = prop_oneof![8 => 0usize..4, 1 => Just(usize::MAX)];
    (dim, prop_oneof![Just(40usize), 1usize..14], prop::sample::select(PREDICTIONS.to_vec()), number())
        .prop_map(|(dim, levels, prediction, says)| Any { dim, levels, prediction, says })
}

/// A batch that is often a whole number of images, often of ordinary numbers.
fn batch() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![3 => prop::collection::vec(-2.0f64..2.0, 0..13), 1 => prop::collection::vec(number(), 0..13)]
}

const START: Batch = Batch { seed: 0, first: 0 };

/// All steps, of images `first` and on.
fn run<T: Real, D: Denoiser<T, Error = Error>>(sampler: &Sampler, denoiser: &D, x: Vec<T>, first: u64) -> Result<Vec<T>, Error> {
    Sampling::new(sampler, denoiser, x, Batch { seed: 3, first })?.finish()
}

/// One line that says something.
fn one_line<T>(result: Result<T, Error>) -> Result<Option<T>, TestCaseError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let message = error.to_string();
            prop_assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn schedules_fall_strictly_or_are_refused(betas in betas(), kind in prop::sample::select(BETAS.to_vec()), start in number(), end in number(), levels in count()) {
        for schedule in [NoiseSchedule::from_betas(&betas), NoiseSchedule::new(kind, start, end, levels)] {
            let Some(schedule) = one_line(schedule)? else { continue };
            for schedule in [Some(schedule.clone()), one_line(schedule.rescale_zero_terminal_snr())?].into_iter().flatten() {
                prop_assert_eq!(schedule.alpha_bar(0), 1.0);
                prop_assert!((1..=schedule.levels()).all(|t| schedule.alpha_bar(t) < schedule.alpha_bar(t - 1)));
                prop_assert!(schedule.alpha_bar(schedule.levels()) >= 0.0);
                prop_assert!((1..=schedule.levels()).all(|t| schedule.beta(t) > 0.0 && schedule.beta(t) <= 1.0));
            }
        }
        prop_assert!(one_line("x".parse::<BetaSchedule>())?.is_none() && one_line("x".parse::<Prediction>())?.is_none());
    }

    #[test]
    fn trajectories_are_within_their_levels_or_refused(total in count(), steps in count(), offset in count(), p in number(), list in prop::collection::vec(count(), 0..5), schedule in schedule()) {
        for trajectory in [
            Trajectory::uniform(total, steps),
            Trajectory::quadratic(total, steps),
            Trajectory::quadratic_full(total, steps),
            Trajectory::leading(total, steps, offset),
            Trajectory::trailing(total, steps),
            Trajectory::linspace(total, steps),
            Trajectory::power(total, steps, p),
            Trajectory::log_snr(&schedule, steps),
            Trajectory::karras(&schedule, steps, p),
            Trajectory::karras(&schedule, steps, 7.0),
            Trajectory::from_timesteps(total, &list),
            Trajectory::full(total),
        ] {
            let Some(t) = one_line(trajectory)? else { continue };
            prop_assert!(!t.levels().is_empty() && t.levels()[0] >= 1 && *t.levels().last().unwrap() <= t.total());
            prop_assert!(t.levels().windows(2).all(|w| w[0] < w[1]));
        }
    }

    #[test]
    fn processes_are_numbers_or_refused((schedule, trajectory, sigma) in process(), s in count(), t in count(), std in number(), x_0 in batch()) {
        for conditional in [posterior(&schedule, s, t, std), forward(&schedule, s, t, std)] {
            if let Some(c) = one_line(conditional)? {
                prop_assert!(s < t && t <= schedule.levels());
                prop_assert!([c.given, c.x_0, c.std].iter().all(|v| v.is_finite()), "{c:?}");
            }
        }
        if let Some(values) = one_line(sigma.values(&schedule, &trajectory))? {
            prop_assert!(values.len() == trajectory.len() && values.iter().all(|v| v.is_finite() && *v >= 0.0));
        }
        if let Some(path) = one_line(forward_trajectory(&schedule, &trajectory, &sigma, &x_0, Batch { seed: 1, first: u64::MAX }))? {
            prop_assert!(path.len() == trajectory.len() && path.iter().all(|x| x.len() == x_0.len()));
        }
    }

    #[test]
    fn sampling_and_encoding_leave_numbers_or_an_error(
        (schedule, trajectory, sigma) in process(), clip in clip(), rederive in any::<bool>(), solver in prop::sample::select(Solver::ALL.to_vec()), network in network(), x in batch(), first in any::<u64>(),
    ) {
        let clipped = one_line(clip.check())?.is_some();
        if let Some(sampler) = one_line(Sampler::new(&schedule, &trajectory, &sigma))? {
            prop_assert!(sampler.steps().iter().all(|s| s.direction.is_finite() && s.sigma.is_finite()));
            let sampler = one_line(sampler.with_clip(clip))?;
            prop_assert_eq!(sampler.is_some(), clipped);
            if let Some(sampler) = sampler {
                let sampler = sampler.with_rederived_epsilon(rederive);
                let sampler = one_line(sampler.clone().with_solver(solver))?.unwrap_or(sampler);
                prop_assert!((sampler.steps().len()..2 * sampler.steps().len()).contains(&sampler.evaluations()));
                if let Some(x) = one_line(run(&sampler, &network, x.clone(), first))? {
                    prop_assert!(x.iter().all(|v| v.is_finite()));
                }
                let narrow = GaussianDenoiser::isotropic(&schedule, network.dim.min(9), 0.1, 0.2).with_prediction(network.prediction);
                let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
                if let Some(x) = one_line(run(&sampler, &narrow, x, first))? {
                    prop_assert!(x.iter().all(|v| v.is_finite()));
                }
            }
        }
        if let Some(encoder) = one_line(Encoder::new(&schedule, &trajectory))? {
            if let Some(x) = one_line(Encoding::new(&encoder, &network, x, first).and_then(Encoding::finish))? {
                prop_assert!(x.iter().all(|v| v.is_finite()));
            }
        }
    }

    #[test]
    fn objectives_answer_or_say_why_not(
        (schedule, trajectory, sigma) in process(), network in network(), x_0 in batch(), first in any::<u64>(), list in prop::collection::vec(number(), 0..14),
        dim in count(), square in number(), most in number(),
    ) {
        let numbers = |v: &[f64]| v.iter().all(|v| v.is_finite());
        let sigmas = match sigma {
            Sigma::Explicit(list) => list,
            other => other.values(&schedule, &trajectory).unwrap_or(list.clone()),
        };
        let gammas = one_line(gamma(&schedule, &trajectory, &sigmas))?;
        if let Some(gammas) = &gammas {
            prop_assert!(numbers(gammas) && gammas.len() == trajectory.len());
        }
        if let Some(c) = one_line(constant(&schedule, &trajectory, &sigmas, dim, square))? {
            prop_assert!(!c.is_nan());
        }
        for gamma in [gammas.unwrap_or_default(), gamma_simple(&trajectory), list.clone()] {
            one_line(l_gamma(&schedule, &trajectory, &gamma, &network, &x_0, Batch { seed: 5, first }))?;
        }
        one_line(j_sigma(&schedule, &trajectory, &sigmas, &network, &x_0, Batch { seed: 5, first }))?;
        if let Some(nats) = one_line(decoder_nats(&schedule, &trajectory, &list, &network, &x_0, Batch { seed: 5, first }))? {
            prop_assert!(nats.iter().all(|n| numbers(n)));
        }
        for weighting in [Weighting::Simple, Weighting::Variational, Weighting::MinSnr(most), Weighting::MinSnr(5.0)] {
            if let Some(weights) = one_line(weighting.weights(&schedule, network.prediction))? {
                prop_assert!(numbers(&weights) && weights.len() == schedule.levels(), "{weighting:?} {weights:?}");
            }
        }
    }

    #[test]
    fn latents_that_do_not_go_together_are_refused(corners in prop::array::uniform4(batch()), alpha in number(), rows in count(), cols in count()) {
        let [a, b, c, d] = &corners;
        if let Some(x) = one_line(slerp(a, b, alpha))? {
            prop_assert_eq!(x.len(), a.len());
        }
        if let Some(x) = one_line(frames(a, b, rows))? {
            prop_assert_eq!(x.len(), a.len() * rows);
        }
        if let Some(x) = one_line(slerp_grid([a, b, c, d], rows, cols))? {
            prop_assert_eq!(x.len(), a.len() * rows * cols);
        }
        let same = [a, b, c, d].map(|x| x.iter().copied().chain([0.5; 13]).take(13).collect::<Vec<f64>>());
        one_line(slerp_grid([&same[0], &same[1], &same[2], &same[3]], rows, cols))?;
    }

    #[test]
    fn batches_are_checked(dim in count(), total in count(), x in count(), levels in prop::collection::vec(prop_oneof![number(), 0.5f64..45.0], 0..5), out in count(), real in batch(), outs in 0usize..13) {
        if let Some(n) = one_line(check_batch(dim, total, x, &levels, out))? {
            prop_assert!(n * dim == x && out == x && levels.len() == n && levels.iter().all(|l| (1.0..=total as f64).contains(l)));
        }
        let model = GaussianDenoiser::isotropic(&NoiseSchedule::from_betas(&[0.1, 0.2, 0.3]).unwrap(), dim.min(9), 0.0, 1.0);
        one_line(model.predict(&real, &levels, &mut vec![0.0; outs]))?;
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn levels_must_ascend_within_the_schedule() {
    let schedule = NoiseSchedule::ddpm();
    for (s, t) in [(0, 0), (5, 5), (6, 5), (999, 1001), (0, 1001), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(kind(posterior(&schedule, s, t, 0.0)), ErrorKind::Level, "{s} {t}");
        assert_eq!(kind(forward(&schedule, s, t, 0.0)), ErrorKind::Level, "{s} {t}");
    }
    assert_eq!(posterior(&schedule, 6, 5, 0.0).unwrap_err().to_string(), "levels 6 and 5: expected an ascending pair from 0 to 1000");
}

#[test]
fn a_trajectory_of_another_schedule_is_refused_everywhere() {
    let (short, long) = (NoiseSchedule::from_betas(&[0.1; 10]).unwrap(), Trajectory::full(20).unwrap());
    let model = GaussianDenoiser::isotropic(&short, 1, 0.0, 1.0);
    let x = [0.5f64; 2];
    for sigma in [Sigma::Eta(0.0), Sigma::Hat, Sigma::Explicit(vec![0.0; 20])] {
        assert_eq!(kind(sigma.values(&short, &long)), ErrorKind::Trajectory, "{sigma:?}");
        assert_eq!(kind(forward_trajectory(&short, &long, &sigma, &x, START)), ErrorKind::Trajectory, "{sigma:?}");
        assert_eq!(kind(Sampler::new(&short, &long, &sigma)), ErrorKind::Trajectory, "{sigma:?}");
    }
    assert_eq!(kind(Encoder::new(&short, &long)), ErrorKind::Trajectory);
    assert_eq!(kind(gamma(&short, &long, &[0.1; 20])), ErrorKind::Trajectory);
    assert_eq!(kind(l_gamma(&short, &long, &[1.0; 20], &model, &x, START)), ErrorKind::Trajectory);
    assert_eq!(kind(decoder_nats(&short, &long, &[1.0], &model, &x, START)), ErrorKind::Trajectory);
}

/// A network is told what does not fit it before it computes, and writes nothing.
#[test]
fn a_prediction_needs_lengths_that_go_together() {
    let model = GaussianDenoiser::isotropic(&NoiseSchedule::ddpm(), 3, 0.0, 1.0);
    for (x, levels, out, expected) in [
        (6, &[1.0, 2.0][..], 6, None),
        (6, &[1.5, 999.9], 6, None),
        (0, &[], 0, None),
        (5, &[1.0, 2.0], 6, Some(ErrorKind::Batch)),
        (6, &[1.0], 6, Some(ErrorKind::Batch)),
        (6, &[1.0, 2.0, 3.0], 6, Some(ErrorKind::Batch)),
        (6, &[1.0, 2.0], 5, Some(ErrorKind::Batch)),
        (6, &[1.0, 2.0], 9, Some(ErrorKind::Batch)),
        (6, &[0.5, 2.0], 6, Some(ErrorKind::Level)),
        (6, &[1.0, 1000.5], 6, Some(ErrorKind::Level)),
        (6, &[1.0, f64::NAN], 6, Some(ErrorKind::Level)),
    ] {
        let mut to = vec![7.0f64; out];
        let found = model.predict(&vec![0.5; x], levels, &mut to).err().map(|e| e.kind());
        assert_eq!(found, expected, "{x} {levels:?} {out}");
        assert!(expected.is_none() || to.iter().all(|v| *v == 7.0));
    }
}

#[test]
fn numbers_that_are_none_do_not_pass_through() {
    let schedule = NoiseSchedule::ddpm();
    let trajectory = Trajectory::uniform(1000, 4).unwrap();
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.0, 1.0);
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
    for clip in [Clip::None, Clip::Range(1.0), Clip::Dynamic { ratio: 0.9, max: f64::INFINITY }] {
        let sampler = sampler.clone().with_clip(clip).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let x = vec![0.1, 0.2, 0.3, bad];
            let message = run(&sampler, &model, x, 10).unwrap_err().to_string();
            assert_eq!(message, "the latent for sample 11 is not finite");
        }
    }
    let encoder = Encoder::new(&schedule, &trajectory).unwrap();
    let message = Encoding::new(&encoder, &model, vec![0.1, 0.2, 0.1, f32::NAN], 4).and_then(Encoding::finish).unwrap_err().to_string();
    assert_eq!(message, "the image for sample 5 is not finite");
    // Nor do a caller's, between steps.
    let mut sampling = Sampling::new(&sampler, &model, vec![0.1f32; 2], START).unwrap();
    sampling.step().unwrap();
    sampling.x_mut()[1] = f32::NAN;
    assert_eq!(sampling.step().unwrap_err().to_string(), "x before the step for sample 0 at timestep 500 is not finite");
    // A prediction may be finite and what is made of it not.
    let huge = Any { dim: 2, levels: 1000, prediction: Prediction::Epsilon, says: 1e308 };
    let message = run(&sampler, &huge, vec![1.0, 0.5], 0).unwrap_err().to_string();
    assert!(message.contains("at timestep 750") && message.ends_with("is not finite"), "{message}");
}

/// The first level may be the only one.
#[test]
fn one_level_is_a_schedule() {
    for schedule in [NoiseSchedule::from_betas(&[0.5]).unwrap(), NoiseSchedule::new(BetaSchedule::Jsd, 0.0, 0.0, 1).unwrap()] {
        let one = Trajectory::full(1).unwrap();
        for prediction in PREDICTIONS {
            let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5).with_prediction(prediction);
            for sigma in [Sigma::Eta(0.0), Sigma::Eta(1.0), Sigma::Hat, Sigma::Explicit(vec![0.1])] {
                let run = run(&Sampler::new(&schedule, &one, &sigma).unwrap(), &model, vec![0.4f64], 0);
                let undefined = schedule.alpha_bar(1) == 0.0 && prediction == Prediction::Epsilon;
                assert_eq!(run.err().map(|e| e.kind()), undefined.then_some(ErrorKind::Prediction), "{prediction:?} {sigma:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "whole number of images")]
fn noise_fills_whole_samples() {
    START.fill(&mut [0f32; 5], 2, Draw::Latent);
}
