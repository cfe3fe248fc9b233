//! Round trips: an image encoded and decoded again, through networks whose answers are not linear in x.

use ddim::denoiser::check_batch;
use ddim::noise::{Batch, Draw};
use ddim::{
    Bdia, BdiaPair, BdiaRun, Denoiser, EncodeStep, Encoder, Encoding, Error, ErrorKind, GaussianDenoiser, Inversion, NoiseSchedule,
    Prediction, Real, Sampler, Sampling, Sigma, Trajectory,
};

const DIM: usize = 6;

/// The exact network of a mixture of Gaussians N(μ_k, s² I), equally likely: f_θ = E[x_0|x_t] weighs the posterior means by their likelihoods.
#[derive(Debug)]
struct Mixture {
    schedule: NoiseSchedule,
    prediction: Prediction,
    std: f64,
}

const MEANS: [[f64; DIM]; 3] = [[0.8, 0.5, -0.3, 0.1, -0.7, 0.4], [-0.6, 0.2, 0.9, -0.5, 0.3, -0.1], [0.1, -0.9, -0.2, 0.6, 0.5, -0.8]];
/// s of a mixture whose modes overlap, and of one whose steps pull them apart so fast that not all images can be iterated to.
const WIDE: f64 = 0.6;
const NARROW: f64 = 0.25;

impl Mixture {
    fn new(prediction: Prediction) -> Self {
        Self { schedule: NoiseSchedule::ddpm(), prediction, std: WIDE }
    }
}

impl<T: Real> Denoiser<T> for Mixture {
    type Error = Error;
    fn dim(&self) -> usize {
        DIM
    }
    fn prediction(&self) -> Prediction {
        self.prediction
    }
    fn predict(&self, x: &[T], levels: &[f64], out: &mut [T]) -> Result<(), Error> {
        check_batch(DIM, self.schedule.levels(), x.len(), levels, out.len())?;
        for ((x, out), level) in x.chunks(DIM).zip(out.chunks_mut(DIM)).zip(levels) {
            let a = self.schedule.alpha_bar_between(*level);
            let variance = a * self.std.powi(2) + 1.0 - a;
            let off = |mean: &[f64; DIM], i: usize| x[i].to_f64() - a.sqrt() * mean[i];
            let log: Vec<f64> = MEANS.iter().map(|m| -(0..DIM).map(|i| off(m, i).powi(2)).sum::<f64>() / (2.0 * variance)).collect();
            let most = log.iter().fold(f64::MIN, |m, v| m.max(*v));
            let sum: f64 = log.iter().map(|v| (v - most).exp()).sum();
            for (i, out) in out.iter_mut().enumerate() {
                let posterior = |m: &[f64; DIM]| m[i] + a.sqrt() * self.std.powi(2) / variance * off(m, i);
                let f: f64 = MEANS.iter().zip(&log).map(|(m, v)| (v - most).exp() / sum * posterior(m)).sum();
                let epsilon = (x[i].to_f64() - a.sqrt() * f) / (1.0 - a).sqrt();
                *out = T::from_f64(self.prediction.target(f, epsilon, a));
            }
        }
        Ok(())
    }
}

/// Images of a mixture.
fn images<T: Real>(std: f64, n: usize) -> Vec<T> {
    let mut x = vec![T::from_f64(0.0); n * DIM];
    Batch { seed: 9, first: 0 }.fill(&mut x, DIM, Draw::Latent);
    for (i, x) in x.iter_mut().enumerate() {
        *x = T::from_f64(MEANS[i / DIM % 3][i % DIM] + std * x.to_f64());
    }
    x
}

fn mse<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).powi(2)).sum::<f64>() / a.len() as f64
}

fn short(errors: &[f64]) -> String {
    errors.iter().map(|e| format!("{e:.1e}")).collect::<Vec<_>>().join(", ")
}

fn fixed(iterations: usize, tolerance: f64) -> Inversion {
    Inversion::FixedPoint { iterations, tolerance }
}

fn anderson(iterations: usize, tolerance: f64) -> Inversion {
    Inversion::Anderson { iterations, tolerance }
}

/// The latent, the image it leads back to, and how often the network was evaluated on the way up.
fn round_trip<T: Real>(model: &Mixture, steps: usize, inversion: Inversion, x: &[T]) -> (Vec<T>, Vec<T>, usize) {
    let trajectory = Trajectory::trailing(1000, steps).unwrap();
    let encoder = Encoder::new(&model.schedule, &trajectory).unwrap().with_inversion(inversion).unwrap();
    let mut encoding = Encoding::new(&encoder, model, x.to_vec(), 0).unwrap();
    while encoding.step().unwrap().is_some() {}
    let (evaluations, latents) = (encoding.evaluations().iter().copied().max().unwrap_or(0), encoding.into_x());
    let sampler = Sampler::new(&model.schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
    let again = Sampling::new(&sampler, model, latents.clone(), Batch { seed: 0, first: 0 }).unwrap().finish().unwrap();
    (latents, again, evaluations)
}

#[test]
fn iterations_lead_back_to_the_image() {
    for prediction in [Prediction::Epsilon, Prediction::Sample, Prediction::V] {
        let model = Mixture::new(prediction);
        let x: Vec<f64> = images(WIDE, 60);
        for steps in [10, 20, 50] {
            let error = |inversion| mse(&round_trip(&model, steps, inversion, &x).1, &x);
            let euler = error(Inversion::Euler);
            let [plain, fast] = [fixed, anderson].map(|inversion| [1, 2, 3, 5, 10].map(|k| error(inversion(k, 0.0))));
            println!("{prediction:?}, {steps} steps: Eq. 13 {euler:.1e}; 1, 2, 3, 5, 10 iterations {}", short(&plain));
            println!("    accelerated {}", short(&fast));
            assert_eq!((plain[0], fast[0]), (euler, euler), "one iteration is Eq. 13");
            assert!(plain.windows(2).all(|w| w[1] < w[0]), "{plain:?}");
            assert!(plain[2] < euler / 50.0 && plain[4] < euler / 1e6, "{steps}: {plain:?}");
            assert!((1..5).all(|k| fast[k] < plain[k] / 10.0 || fast[k] < 1e-20), "{steps}: {fast:?}");
        }
    }
}

/// Ten steps between far modes: some images are not reached by the plain iteration, which says so, and are by the accelerated one.
#[test]
fn what_does_not_converge_is_told() {
    let model = Mixture { std: NARROW, ..Mixture::new(Prediction::Epsilon) };
    let x: Vec<f64> = images(NARROW, 60);
    let encoder = Encoder::new(&model.schedule, &Trajectory::trailing(1000, 10).unwrap()).unwrap();
    let run = |inversion| {
        let mut encoding = Encoding::new(&encoder.clone().with_inversion(inversion).unwrap(), &model, x.clone(), 0).unwrap();
        while encoding.step().unwrap().is_some() {}
        let missed = encoding.changes().iter().filter(|c| **c > 1e-6).count();
        (missed, encoding.evaluations().iter().copied().max().unwrap(), mse(&round_trip(&model, 10, inversion, &x).1, &x))
    };
    let (plain, fast) = (run(fixed(40, 1e-6)), run(anderson(40, 1e-6)));
    println!("(not converged, evaluations, error): plain {plain:?}, accelerated {fast:?}");
    assert!(plain.0 > 0 && plain.1 > 100 && plain.2 > 1e-5, "{plain:?}");
    assert!(fast.0 == 0 && fast.1 < plain.1 && fast.2 < 1e-10, "{fast:?}");
}

#[test]
fn one_iteration_is_eq_13_to_the_bit() {
    let model = Mixture::new(Prediction::V);
    let x: Vec<f32> = images(WIDE, 5);
    assert_eq!(round_trip(&model, 10, fixed(1, 0.0), &x), round_trip(&model, 10, Inversion::Euler, &x));
    // And that is EncodeStep::apply of ε at the level where the step arrives.
    let encoder = Encoder::new(&model.schedule, &Trajectory::trailing(1000, 10).unwrap()).unwrap();
    assert_eq!(encoder.inversion(), Inversion::default());
    let mut by_hand = x.clone();
    for step in encoder.steps() {
        let mut output = vec![0f32; by_hand.len()];
        model.predict(&by_hand, &[step.to as f64; 5], &mut output).unwrap();
        let up = |step: &EncodeStep, x: f32, output: f32| {
            let epsilon = Prediction::V.x0_and_epsilon(f64::from(output), f64::from(x), step.alpha_bar_to).1;
            step.apply(f64::from(x), epsilon).0 as f32
        };
        by_hand.iter_mut().zip(output).for_each(|(x, output)| *x = up(step, *x, output));
    }
    assert_eq!(round_trip(&model, 10, Inversion::Euler, &x).0, by_hand);
}

/// Each image ends when it has converged, whatever is in its batch; the batch, when all have.
#[test]
fn a_tolerance_does_not_depend_on_the_batch() {
    let model = Mixture::new(Prediction::Epsilon);
    let x: Vec<f32> = images(WIDE, 12);
    let adaptive = fixed(50, 1e-4);
    for (adaptive, most) in [(adaptive, 20 * 12), (anderson(50, 1e-4), 20 * 7)] {
        let (latents, again, evaluations) = round_trip(&model, 20, adaptive, &x);
        for (first, n) in [(0, 1), (3, 4), (11, 1)] {
            let (part, _, evaluations_of_part) = round_trip(&model, 20, adaptive, &x[first * DIM..(first + n) * DIM]);
            assert_eq!(part, latents[first * DIM..(first + n) * DIM]);
            assert!(evaluations_of_part <= evaluations);
        }
        println!("{adaptive:?}: {evaluations} evaluations for 20 steps, error {:.1e}", mse(&again, &x));
        assert!((20 * 2..most).contains(&evaluations), "{evaluations}");
        assert!(mse(&again, &x) < 1e-6);
    }

    let encoder = Encoder::new(&model.schedule, &Trajectory::trailing(1000, 20).unwrap()).unwrap();
    let changes = |inversion| {
        let mut encoding = Encoding::new(&encoder.clone().with_inversion(inversion).unwrap(), &model, x.clone(), 0).unwrap();
        assert!(encoding.changes().iter().all(|c| *c == 0.0));
        while encoding.step().unwrap().is_some() {}
        (encoding.changes().to_vec(), encoding.evaluations().to_vec())
    };
    let (converged, _) = changes(adaptive);
    assert!(converged.len() == 12 && converged.iter().all(|c| *c <= 1e-4), "{converged:?}");
    let (short, evaluations) = changes(fixed(2, 1e-4));
    assert!(evaluations == vec![40; 12] && short.iter().any(|c| *c > 1e-4), "two iterations are too few: {short:?}");
    assert_eq!(changes(Inversion::Euler), (vec![0.0; 12], vec![20; 12]));
}

/// Where the last level has no signal its f_θ is all that the step down knows of it.
#[test]
fn zero_snr_comes_back_too() {
    let schedule = NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap();
    for prediction in [Prediction::Sample, Prediction::V] {
        let model = Mixture { schedule: schedule.clone(), prediction, std: WIDE };
        let x: Vec<f64> = images(WIDE, 10);
        let (_, again, _) = round_trip(&model, 10, fixed(40, 0.0), &x);
        println!("{prediction:?}: {:.1e}", mse(&again, &x));
        assert!(mse(&again, &x) < 1e-8, "{prediction:?}: {}", mse(&again, &x));
    }
}

#[test]
fn bad_inversions_are_refused() {
    let encoder = Encoder::new(&NoiseSchedule::ddpm(), &Trajectory::uniform(1000, 10).unwrap()).unwrap();
    for inversion in [fixed(0, 0.0), fixed(3, -1.0), fixed(3, f64::NAN), anderson(0, 0.0), anderson(3, -1.0)] {
        let error = encoder.clone().with_inversion(inversion).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Inversion);
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

fn bdia(model: &Mixture, steps: usize) -> Bdia {
    Bdia::new(&model.schedule, &Trajectory::trailing(1000, steps).unwrap()).unwrap()
}

#[test]
fn bdia_comes_back_to_the_bit() {
    for prediction in [Prediction::Epsilon, Prediction::Sample, Prediction::V] {
        let model = Mixture::new(prediction);
        let x: Vec<f32> = images(WIDE, 20);
        let grid: Vec<f32> = x.iter().map(|x| (x * 1048576.0).round_ties_even() / 1048576.0).collect();
        for steps in [1, 2, 3, 10, 50, 200] {
            let bdia = bdia(&model, steps);
            let mut up = BdiaRun::encode(&bdia, &model, x.clone(), 0).unwrap();
            assert_eq!(up.progress(), (0, steps));
            let mut levels = Vec::new();
            while let Some(level) = up.step().unwrap() {
                levels.push(level);
            }
            assert_eq!(levels, Trajectory::trailing(1000, steps).unwrap().levels());
            let pair = up.into_pair();
            let down = BdiaRun::decode(&bdia, &model, pair.clone(), 0).unwrap();
            assert_eq!(down.progress(), (0, steps - 1));
            let again = down.finish().unwrap();
            assert_eq!(again.lower, grid, "{prediction:?} {steps}");
            let rms = (pair.upper.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 120.0).sqrt();
            println!("{prediction:?}, {steps} steps: latent's RMS {rms:.3}, off the image {:.1e}", mse(&again.lower, &x).sqrt());
            // In parts, the same.
            let part = BdiaRun::encode(&bdia, &model, x[DIM..3 * DIM].to_vec(), 1).unwrap().finish().unwrap();
            assert_eq!((&part.lower[..], &part.upper[..]), (&pair.lower[DIM..3 * DIM], &pair.upper[DIM..3 * DIM]));
        }
    }
}

/// From x_T alone the first step is DDIM's.
#[test]
fn bdia_samples() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 1, 0.3, 0.5);
    let exact = model.flow(1.3, 0, 1000, 0);
    for steps in [50, 100, 200] {
        let trajectory = Trajectory::trailing(1000, steps).unwrap();
        let mut run = BdiaRun::sample(&Bdia::new(&schedule, &trajectory).unwrap(), &model, vec![1.3f64], 0).unwrap();
        assert_eq!(run.progress(), (0, steps));
        while run.step().unwrap().is_some_and(|level| level > 0) {}
        let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
        let ddim = Sampling::new(&sampler, &model, vec![1.3f64], Batch { seed: 0, first: 0 }).unwrap().finish().unwrap();
        let (error, of_ddim) = ((run.into_pair().lower[0] - exact).abs(), (ddim[0] - exact).abs());
        println!("{steps} steps: {error:.1e}, ddim {of_ddim:.1e}");
        assert!(error < 0.5 * of_ddim, "{steps} steps: {error}, ddim {of_ddim}");
    }
}

#[test]
fn bdia_refuses_what_it_cannot_take_back() {
    let model = Mixture::new(Prediction::Epsilon);
    let bdia = bdia(&model, 4);
    let kind = |run: Result<BdiaRun<&Mixture>, Error>| run.unwrap_err().kind();
    let pair = |lower: usize, upper: usize| BdiaPair { lower: vec![0.1; lower], upper: vec![0.2; upper] };
    assert_eq!(kind(BdiaRun::encode(&bdia, &model, vec![0.1; 5], 0)), ErrorKind::Batch);
    assert_eq!(kind(BdiaRun::encode(&bdia, &model, vec![f32::NAN; 6], 0)), ErrorKind::Batch);
    assert_eq!(kind(BdiaRun::decode(&bdia, &model, pair(6, 12), 0)), ErrorKind::Batch);
    let schedule = NoiseSchedule::ddpm().rescale_zero_terminal_snr().unwrap();
    let noise = Mixture { schedule: schedule.clone(), prediction: Prediction::Epsilon, std: WIDE };
    let zero = Bdia::new(&schedule, &Trajectory::trailing(1000, 4).unwrap()).unwrap();
    assert_eq!(kind(BdiaRun::sample(&zero, &noise, vec![0.1; 6], 0)), ErrorKind::Prediction);
    let empty = BdiaRun::encode(&bdia, &model, Vec::<f32>::new(), 0).unwrap().finish().unwrap();
    assert!(empty.lower.is_empty() && empty.upper.is_empty());
    assert_eq!(Bdia::new(&schedule, &Trajectory::full(10).unwrap()).unwrap_err().kind(), ErrorKind::Trajectory);
}
