//! Editing in closed form: what stays, what is drawn around it, and jumps back up.

use ddim::noise::{Batch, Draw};
use ddim::{
    Encoder, Encoding, ErrorKind, GaussianDenoiser, Inversion, Known, NoiseSchedule, Resampling, Sampler, Sampling, Sigma, Solver,
    Trajectory,
};

const BATCH: Batch = Batch { seed: 5, first: 3 };

fn sampler(schedule: &NoiseSchedule, steps: usize, eta: f64) -> Sampler {
    Sampler::new(schedule, &Trajectory::trailing(1000, steps).unwrap(), &Sigma::Eta(eta)).unwrap()
}

/// The two limits of a mask, to the bit, for every solver: nothing is drawn, or everything.
#[test]
fn nothing_and_everything() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 3, 0.3, 0.5);
    let image: Vec<f32> = (0..6).map(|i| 0.3 - 0.1 * i as f32).collect();
    for (solver, eta) in [
        (Solver::Ddim, 0.0),
        (Solver::Ddim, 1.0),
        (Solver::Ipndm, 0.0),
        (Solver::UniPc, 0.0),
        (Solver::Heun, 0.0),
        (Solver::Dpmpp2mSde, 1.0),
    ] {
        let sampler = sampler(&schedule, 7, eta).with_solver(solver).unwrap();
        let run = |known: Option<Known<f32>>| {
            let sampling = Sampling::new(&sampler, &model, BATCH.latents(3, 2), BATCH).unwrap();
            match known {
                Some(known) => sampling.with_known(known).unwrap(),
                None => sampling,
            }
            .finish()
            .unwrap()
        };
        let under = |mask: f32| run(Some(Known::image(image.clone(), vec![mask; 6]).unwrap()));
        assert_eq!(under(0.0), image, "{solver}");
        assert_eq!(under(1.0), run(None), "{solver}");
    }
}

/// A schedule whose last step arrives at noise (`set_alpha_to_one: false`) gives the image back as well.
#[test]
fn known_pixels_end_as_they_are() {
    let schedule = NoiseSchedule::ddpm().with_set_alpha_to_one(false);
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
    let known = Known::image(vec![0.7f32, 0.1], vec![0.0, 0.5]).unwrap();
    let sampler = sampler(&schedule, 5, 0.0);
    let x = Sampling::new(&sampler, &model, BATCH.latents(2, 1), BATCH).unwrap().with_known(known).unwrap().finish().unwrap();
    assert!(x[0] == 0.7 && x[1] != 0.1, "{x:?}");
}

/// Gray is drawn from its share of the levels on: from the state that was put back there every solver comes to the same end.
#[test]
fn gray_is_a_weaker_edit() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
    let run = |solver: Solver, part: f64| {
        let sampler = sampler(&schedule, 200, 0.0).with_solver(solver).unwrap();
        let known = Known::image(vec![0.9, -0.4], vec![part, 1.0]).unwrap();
        Sampling::<_, f64>::new(&sampler, &model, BATCH.latents(2, 1), BATCH).unwrap().with_known(known).unwrap().finish().unwrap()
    };
    let heun = run(Solver::Heun, 0.5);
    for (solver, error) in [(Solver::Ipndm, 2e-3), (Solver::Dpmpp2m, 2e-3), (Solver::UniPc, 2e-3), (Solver::Ddim, 0.02)] {
        let x = run(solver, 0.5);
        assert!((x[0] - heun[0]).abs() < error && (x[1] - heun[1]).abs() < error, "{solver}: {x:?} for {heun:?}");
    }
    let distance = |part: f64| (run(Solver::UniPc, part)[0] - 0.9).abs();
    assert!(distance(0.02) < 0.1 * distance(1.0) && distance(0.0) == 0.0);
}

/// Before its first jump a known pixel is a draw of q(x_s|x_0), keyed by image and level, whatever the batch.
#[test]
fn known_pixels_are_draws_of_the_marginal() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
    let sampler = sampler(&schedule, 4, 0.0);
    let run = |batch: Batch, n: usize| {
        let known = Known::image(vec![0.5f64; 2 * n], [1.0, 0.0].repeat(n)).unwrap();
        let mut sampling = Sampling::new(&sampler, &model, batch.latents(2, n), batch).unwrap().with_known(known).unwrap();
        sampling.step().unwrap();
        sampling.into_x()
    };
    let both = run(BATCH, 2);
    assert_eq!(both[2..], run(Batch { seed: 5, first: 4 }, 1));
    let mut noise = [0.0f64; 2];
    BATCH.key(0, Draw::Known { level: 750, jumps: 0 }).fill(&mut noise);
    let alpha_bar = schedule.alpha_bar(750);
    assert_eq!(both[1], alpha_bar.sqrt() * 0.5 + (1.0 - alpha_bar).sqrt() * noise[1]);
}

/// The authors' schedule, of their `get_schedule_jump`, for 10 steps, jumps of 3, three times; a move up of
/// theirs for each timestep is one of ours.
#[test]
fn repaints_schedule() {
    let theirs = [
        9, 8, 7, 6, 7, 8, 9, 8, 7, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 4, 5, 6, 5, 4, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2,
        1, 0,
    ];
    let mut ours = vec![0];
    for (i, t) in theirs.iter().enumerate().skip(1) {
        let goes_on_up = theirs[i] > theirs[i - 1] && theirs.get(i + 1).is_some_and(|next| next > t);
        if !goes_on_up {
            ours.push(9 - t);
        }
    }
    ours.push(10);
    assert_eq!(Resampling { jump: 3, times: 3 }.visits(10).unwrap(), ours[1..]);
    for (jump, times, steps) in [(10, 5, 10), (11, 5, 10), (1, 1, 10)] {
        assert_eq!(Resampling { jump, times }.visits(steps).unwrap(), (1..=steps).collect::<Vec<_>>());
    }
    assert!(Resampling { jump: 1, times: 100_000 }.visits(10).is_err());
    for bad in [Resampling { jump: 0, times: 2 }, Resampling { jump: 2, times: 0 }] {
        assert_eq!(bad.visits(10).unwrap_err().kind(), ErrorKind::Inpainting);
    }
}

/// From N(0, 1) at ᾱ_s a jump arrives at N(0, 1) at ᾱ_t; what remains of x_s is √(ᾱ_t/ᾱ_s). The steps after it have noise of their own.
#[test]
fn a_jump_is_the_exact_conditional() {
    const N: usize = 100_000;
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, N, 0.0, 1.0);
    let sampler = sampler(&schedule, 10, 1.0);
    let mut sampling = Sampling::<_, f64>::new(&sampler, &model, BATCH.latents(N, 1), BATCH).unwrap();
    for _ in 0..6 {
        sampling.step().unwrap();
    }
    let before = sampling.x().to_vec();
    sampling.jump(3).unwrap();
    assert_eq!(sampling.progress(), (3, 10));
    assert_eq!(sampling.next_step().unwrap().level, 700);
    let after = sampling.x().to_vec();
    let mean = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>() / N as f64;
    let gain = (schedule.alpha_bar(700) / schedule.alpha_bar(400)).sqrt();
    assert!((mean(&before, &after) / mean(&before, &before) - gain).abs() < 0.02);
    assert!((mean(&after, &after) - 1.0).abs() < 0.02, "{}", mean(&after, &after));
    // Down to 400 again: noise of the steps is not what it was the first time, so what is new of x is not either.
    for _ in 0..3 {
        sampling.step().unwrap();
    }
    let again = sampling.x().to_vec();
    let correlation = mean(&before, &again) / (mean(&before, &before) * mean(&again, &again)).sqrt();
    assert!(correlation < gain * gain + 0.02, "{correlation}");
    assert_eq!(sampling.jump(6).unwrap_err().kind(), ErrorKind::Inpainting);
}

/// RePaint's purpose in closed form: of a correlated Gaussian pair one element is known. Among few steps, replacing it alone leaves the other's mean short of the conditional's; jumps bring it
/// nearer.
#[test]
fn jumps_bring_what_is_drawn_nearer_to_what_stays() {
    // Two elements of correlation 0.9 are independent in a + b and a - b.
    struct Pair(GaussianDenoiser);
    impl ddim::Denoiser<f64> for Pair {
        type Error = ddim::Error;
        fn dim(&self) -> usize {
            2
        }
        fn prediction(&self) -> ddim::Prediction {
            ddim::Prediction::Epsilon
        }
        fn predict(&self, x: &[f64], levels: &[f64], out: &mut [f64]) -> Result<(), ddim::Error> {
            let turn = |x: &[f64]| x.chunks(2).flat_map(|p| [(p[0] + p[1]) / 2f64.sqrt(), (p[0] - p[1]) / 2f64.sqrt()]).collect::<Vec<_>>();
            let mut turned = vec![0.0; x.len()];
            self.0.predict(&turn(x), levels, &mut turned)?;
            out.copy_from_slice(&turn(&turned));
            Ok(())
        }
    }
    let schedule = NoiseSchedule::ddpm();
    let model = Pair(GaussianDenoiser::new(&schedule, vec![0.0, 0.0], vec![1.9f64.sqrt(), 0.1f64.sqrt()]));
    const N: usize = 4000;
    let mean = |times: usize| {
        let sampler = sampler(&schedule, 20, 1.0);
        let known = Known::image([0.0, 1.0].repeat(N), [1.0, 0.0].repeat(N)).unwrap();
        let mut sampling = Sampling::new(&sampler, &model, BATCH.latents(2, N), BATCH).unwrap().with_known(known).unwrap();
        for done in (Resampling { jump: 2, times }).visits(20).unwrap() {
            if done < sampling.progress().0 {
                sampling.jump(done).unwrap();
            } else {
                sampling.step().unwrap();
            }
        }
        sampling.x().iter().step_by(2).sum::<f64>() / N as f64
    };
    let (once, often) = (mean(1), mean(8));
    assert!((often - 0.9).abs() < 0.5 * (once - 0.9).abs(), "{once} {often}: expected 0.9");
}

/// An edit's levels: all S steps below its own. Encoding to it and back is what it is over a whole trajectory, and what is known along the way stays.
#[test]
fn below_a_level_of_its_own() {
    let schedule = NoiseSchedule::ddpm();
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
    let below = schedule.truncated(400).unwrap();
    assert_eq!((below.levels(), below.alpha_bar(400)), (400, schedule.alpha_bar(400)));
    let trajectory = Trajectory::log_snr(&below, 8).unwrap().widened(1000).unwrap();
    assert_eq!((trajectory.total(), *trajectory.levels().last().unwrap()), (1000, 400));
    let encoder =
        Encoder::new(&schedule, &trajectory).unwrap().with_inversion(Inversion::Anderson { iterations: 50, tolerance: 1e-12 }).unwrap();
    let image = vec![0.9f64, -0.4];
    let mut encoding = Encoding::new(&encoder, &model, image.clone(), 0).unwrap();
    let mut path = vec![image.clone()];
    while encoding.step().unwrap().is_some() {
        path.push(encoding.x().to_vec());
    }
    let latent = path.pop().unwrap();
    path.reverse();
    let sampler = Sampler::new(&schedule, &trajectory, &Sigma::Eta(0.0)).unwrap();
    let known = Known::path(path, vec![1.0, 0.0]).unwrap();
    let x = Sampling::new(&sampler, &model, latent, BATCH).unwrap().with_known(known).unwrap().finish().unwrap();
    assert!((x[0] - 0.9).abs() < 1e-9 && x[1] == -0.4, "{x:?}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let schedule = NoiseSchedule::ddpm();
    assert!(schedule.truncated(0).is_err() && schedule.truncated(1001).is_err());
    assert!(Trajectory::trailing(1000, 4).unwrap().widened(999).is_err());
    for mask in [vec![0.5], vec![0.5, 1.5], vec![f64::NAN, 0.0]] {
        assert_eq!(Known::image(vec![0.0, 0.0], mask).unwrap_err().kind(), ErrorKind::Inpainting);
    }
    let model = GaussianDenoiser::isotropic(&schedule, 2, 0.3, 0.5);
    let sampling = || Sampling::new(&sampler(&schedule, 4, 0.0), &model, BATCH.latents::<f64>(2, 2), BATCH).unwrap();
    assert!(sampling().with_known(Known::image(vec![0.0; 2], vec![0.0; 2]).unwrap()).is_err());
    for levels in [1, 3] {
        assert!(sampling().with_known(Known::path(vec![vec![0.0; 4]; levels], vec![0.0; 4]).unwrap()).is_err());
    }
    assert!(sampling().jump(0).is_err());
}
