//! A tuned trajectory against the closed form: the ODE of Gaussian data is known exactly.

use ddim::noise::Batch;
use ddim::{
    Denoiser, Error, ErrorKind, GaussianDenoiser, NoiseSchedule, Sampler, Sampling, Sigma, Solver, Target, Trajectory, Tuned, tune,
};
use std::cell::Cell;
use std::collections::BTreeSet;

/// Elements narrow and wide, whose ODEs bend at different levels.
fn model(schedule: &NoiseSchedule) -> GaussianDenoiser {
    GaussianDenoiser::new(schedule, vec![0.3, -0.2, 0.1, 0.0, -0.4, 0.2], vec![0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
}

/// Images `first..first + count` in batches of `size`.
fn targets<'a, D: Denoiser<f64>>(exact: &GaussianDenoiser, network: &'a D, [first, count, size]: [u64; 3]) -> Vec<Target<&'a D, f64>> {
    let made = (first..first + count).step_by(size as usize).map(|from| {
        let batch = Batch { seed: 3, first: from };
        let latents: Vec<f64> = batch.latents(6, size.min(first + count - from) as usize);
        let images = latents.iter().enumerate().map(|(i, x)| exact.flow(*x, i % 6, 1000, 0)).collect();
        Target { denoiser: network, batch, latents, images }
    });
    made.collect()
}

fn starts(schedule: &NoiseSchedule, steps: usize) -> Vec<Trajectory> {
    vec![
        Trajectory::power(1000, steps, 1.5).unwrap(),
        Trajectory::trailing(1000, steps).unwrap(),
        Trajectory::log_snr(schedule, steps).unwrap(),
    ]
}

fn tuned(steps: usize, solver: Solver, size: u64, passes: usize) -> Tuned {
    let schedule = NoiseSchedule::ddpm();
    let model = model(&schedule);
    let sets = [targets(&model, &model, [0, 48, size]), targets(&model, &model, [48, 48, size])];
    let sampler = |t: &Trajectory| Sampler::new(&schedule, t, &Sigma::Eta(0.0))?.with_solver(solver);
    tune(&starts(&schedule, steps), passes, &sampler, [&sets[0], &sets[1]], &mut |_| Ok::<(), Error>(())).unwrap()
}

#[test]
fn better_than_the_best_start_in_sample_and_out_of_it() {
    for solver in [Solver::Ddim, Solver::Ipndm, Solver::Dpmpp2m, Solver::UniPc, Solver::Heun] {
        for steps in [4, 7] {
            let found = tuned(steps, solver, 48, 12);
            println!("{solver} {steps}: {:?} {:.4?} {:.4?} in {}", found.found.levels(), found.in_sample, found.held_out, found.passes);
            // Four steps of Heun's method have seven evaluations, and less to gain.
            let most = if solver == Solver::Heun { 0.95 } else { 0.75 };
            assert!(found.in_sample[1] < most * found.in_sample[0], "{solver} {steps}: {found:?}");
            assert!(found.is_better() && found.held_out[1] < most * found.held_out[0], "{solver} {steps}: {found:?}");
            let levels = found.found.levels();
            assert!(levels.len() == steps && levels[steps - 1] == 1000, "{levels:?}");
        }
    }
}

/// What is kept from step to step is what would be computed: the errors are those of sampling from the latents, each image counted to the cap.
#[test]
fn errors_are_those_of_whole_runs() {
    let schedule = NoiseSchedule::ddpm();
    let model = model(&schedule);
    for solver in Solver::ALL {
        let found = tuned(6, solver, 10, 4);
        let mean = |trajectory: &Trajectory, first| {
            let target = targets(&model, &model, [first, 48, 48]).remove(0);
            let sampler = Sampler::new(&schedule, trajectory, &Sigma::Eta(0.0)).unwrap().with_solver(solver).unwrap();
            let x = Sampling::new(&sampler, &model, target.latents, target.batch).unwrap().finish().unwrap();
            let errors = x.chunks(6).zip(target.images.chunks(6)).map(|(x, exact)| {
                let shown = |x: f64| (x.clamp(-1.0, 1.0) + 1.0) / 2.0;
                let squares: f64 = x.iter().zip(exact).map(|(x, exact)| (shown(*x) - shown(*exact)).powi(2)).sum();
                (squares / 6.0).sqrt().min(found.cap)
            });
            errors.sum::<f64>() / 48.0
        };
        let start = &starts(&schedule, 6)[found.start];
        for (first, errors) in [(0, found.in_sample), (48, found.held_out)] {
            for (trajectory, error) in [start, &found.found].into_iter().zip(errors) {
                assert!((mean(trajectory, first) - error).abs() < 1e-12, "{solver}: {found:?}");
            }
        }
        assert!(starts(&schedule, 6).iter().all(|other| mean(other, 0) >= found.in_sample[0] - 1e-12), "the best start: {found:?}");
    }
}

#[test]
fn the_same_for_any_batch_size_and_every_time() {
    let whole = tuned(5, Solver::Ipndm, 48, 6);
    for size in [48, 1, 7, 32] {
        assert_eq!(tuned(5, Solver::Ipndm, size, 6), whole, "{size}");
    }
}

/// Counts what it is asked.
struct Counting<'a>(&'a GaussianDenoiser, Cell<usize>);

impl Denoiser<f64> for Counting<'_> {
    type Error = Error;

    fn dim(&self) -> usize {
        6
    }

    fn prediction(&self) -> ddim::Prediction {
        ddim::Prediction::Epsilon
    }

    fn predict(&self, x_t: &[f64], levels: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.1.set(self.1.get() + levels.len());
        self.0.predict(x_t, levels, out)
    }
}

/// What is observed is what the network is asked, at most S² - 1 evaluations per image and round; it may end the search at any of them.
#[test]
fn every_evaluation_is_told_and_none_is_wasted() {
    let schedule = NoiseSchedule::ddpm();
    let model = model(&schedule);
    let network = Counting(&model, Cell::new(0));
    let sets = [targets(&model, &network, [0, 8, 5]), targets(&model, &network, [8, 4, 5])];
    let sampler = |t: &Trajectory| Sampler::new(&schedule, t, &Sigma::Eta(0.0))?.with_solver(Solver::UniPc);
    let mut told = 0;
    let mut observe = |n| {
        told += n;
        Ok::<(), Error>(())
    };
    let found = tune(&starts(&schedule, 5), 3, &sampler, [&sets[0], &sets[1]], &mut observe).unwrap();
    assert_eq!((told, found.passes), (network.1.get(), 3));
    assert!(told <= 3 * 5 * 8 + 3 * (5 * 5 - 1) * 8 + 2 * 5 * 4, "{told}");

    for stop in [0, 30, told - 4] {
        let mut told = 0;
        let mut observe = |n| {
            told += n;
            // Any error will do.
            if told > stop { Trajectory::uniform(1, 2).map(drop) } else { Ok(()) }
        };
        let ended = tune(&starts(&schedule, 5), 3, &sampler, [&sets[0], &sets[1]], &mut observe);
        assert!(ended.is_err() && told <= stop + 5, "{told} of {stop}");
    }
}

/// Two of the targets are other images altogether: they decide nothing.
#[test]
fn images_that_went_another_way_do_not_decide() {
    let schedule = NoiseSchedule::ddpm();
    let model = model(&schedule);
    let sampler = |t: &Trajectory| Sampler::new(&schedule, t, &Sigma::Eta(0.0))?.with_solver(Solver::Ipndm);
    let mut sets = [targets(&model, &model, [0, 48, 48]), targets(&model, &model, [48, 48, 48])];
    for image in sets[0][0].images.chunks_mut(6).take(2) {
        image.iter_mut().for_each(|x| *x = -x.signum());
    }
    let found = tune(&starts(&schedule, 5), 12, &sampler, [&sets[0], &sets[1]], &mut |_| Ok::<(), Error>(())).unwrap();
    let clean = tuned(5, Solver::Ipndm, 48, 12);
    assert!(found.held_out[1] < 1.1 * clean.held_out[1], "{found:?} {clean:?}");
}

#[test]
fn what_cannot_be_tuned() {
    let schedule = NoiseSchedule::ddpm();
    let model = model(&schedule);
    let sampler = |t: &Trajectory| Sampler::new(&schedule, t, &Sigma::Eta(0.0));
    let kind = |starts: &[Trajectory], mut set: Vec<Target<_, f64>>, drop: usize| {
        if let Some(target) = set.last_mut() {
            target.images.truncate(target.images.len() - drop);
        }
        tune(starts, 1, &sampler, [&set, &[]], &mut |_| Ok::<(), Error>(())).map(|found| found.passes).map_err(|e| e.kind())
    };
    let two = [Trajectory::power(1000, 2, 1.5).unwrap(), Trajectory::power(1000, 3, 1.5).unwrap()];
    let set = || targets(&model, &model, [0, 2, 2]);
    assert_eq!(kind(&[], set(), 0), Err(ErrorKind::Trajectory));
    assert_eq!(kind(&two, set(), 0), Err(ErrorKind::Trajectory));
    assert_eq!(kind(&two[..1], vec![], 0), Err(ErrorKind::Batch));
    assert_eq!(kind(&two[..1], set(), 6), Err(ErrorKind::Batch));
    assert_eq!(kind(&two[..1], set(), 0), Ok(1));
    // One step has no level that moves.
    let one = [Trajectory::power(1000, 1, 1.5).unwrap()];
    let found = tune(&one, 5, &sampler, [&set(), &set()], &mut |_| Ok::<(), Error>(())).unwrap();
    let levels: BTreeSet<usize> = found.found.levels().iter().copied().collect();
    assert_eq!((levels, found.is_better(), found.passes), (BTreeSet::from([1000]), false, 1));
}
