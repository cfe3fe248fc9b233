//! A device against the processor: evaluations, whole samples, gradients, training; and the same bytes twice.
//!
//! The device is `DDIM_GPU`, or gpu:0, which may be Mesa's lavapipe. Where there is none, these tests are counted as ignored.

#![allow(clippy::print_stdout)] // the errors, with --nocapture

#[path = "../../../ddim-nn/tests/goldens/mod.rs"]
mod goldens;
mod precision;
mod training;

use ddim::noise::Batch;
use ddim::{Denoiser, Sampler, Sampling, Sigma};
use ddim_gpu::{Gpu, devices, wgpu};
use ddim_nn::{Error, ErrorKind, Inception, Network, Pipeline, Precision, SampleSize};
use goldens::{Golden, difference, folders, golden};
use libtest_mimic::{Arguments, Completion, Trial};
use std::path::Path;
use std::time::Instant;

type Test = fn(&Gpu);

const TESTS: [(&str, Test); 13] = [
    ("one_evaluation_equals_diffusers", one_evaluation_equals_diffusers),
    ("samples_of_built_in_models_are_the_processors", samples_of_built_in_models_are_the_processors),
    ("a_batch_of_any_size", a_batch_of_any_size),
    ("what_a_device_has_not_is_said", precision::what_a_device_has_not_is_said),
    ("what_does_not_fit_is_said_before", what_does_not_fit_is_said_before),
    ("gradients_are_the_processors", training::gradients_are_the_processors),
    ("gradients_of_other_activations", training::gradients_of_other_activations),
    ("dropout_drops_the_same", training::dropout_drops_the_same),
    ("twenty_steps_are_the_processors", training::twenty_steps_are_the_processors),
    ("training_goes_to_and_fro", training::training_goes_to_and_fro),
    ("training_gives_the_same_bytes", training::training_gives_the_same_bytes),
    ("training_goes_in_parts_where_memory_runs_out", training::training_goes_in_parts_where_memory_runs_out),
    ("what_goes_wrong_is_an_error", what_goes_wrong_is_an_error),
];

/// Of devices that have f16.
const HALF: [(&str, Test); 4] = [
    ("f16_evaluations_are_near", precision::f16_evaluations_are_near),
    ("f16_gradients_are_near", precision::f16_gradients_are_near),
    ("f16_steps_follow", precision::f16_steps_follow),
    ("a_scale_that_overflows_is_halved", precision::a_scale_that_overflows_is_halved),
];

fn main() {
    let any = TESTS.into_iter().map(|(name, test)| needing_a_device(name, test, Precision::F32));
    let half = HALF.into_iter().map(|(name, test)| needing_a_device(name, test, Precision::F16));
    let mut trials: Vec<Trial> = any.chain(half).collect();
    trials.push(Trial::test("what_is_not_there_is_said_in_a_line", || {
        what_is_not_there_is_said_in_a_line();
        Ok(())
    }));
    trials.insert(
        0,
        Trial::ignorable_test("features_are_the_processors", || match (std::env::var_os("DDIM_INCEPTION"), device()?) {
            (None, _) => Ok(Completion::ignored_with("DDIM_INCEPTION is not set: expected the weights of FID's Inception")),
            (Some(_), None) => Ok(Completion::ignored_with(NO_DEVICE)),
            (Some(weights), Some(gpu)) => {
                features_are_the_processors(&gpu, weights.as_ref());
                Ok(Completion::Completed)
            }
        }),
    );
    // The last: there is no device after it.
    trials.push(needing_a_device("a_device_that_is_lost", a_device_that_is_lost, Precision::F32));
    // One at a time: they would share one device.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..Arguments::from_args() }, trials).exit();
}

fn needing_a_device(name: &'static str, test: Test, precision: Precision) -> Trial {
    Trial::ignorable_test(name, move || {
        let Some(gpu) = device()? else { return Ok(Completion::ignored_with(NO_DEVICE)) };
        if let Err(why) = gpu.clone().with_precision(precision) {
            return Ok(Completion::ignored_with(why.to_string()));
        }
        let started = Instant::now();
        test(&gpu);
        println!("{name} on {}: {:.1} s", gpu.described(), started.elapsed().as_secs_f64());
        Ok(Completion::Completed)
    })
}

const NO_DEVICE: &str = "no device: neither a graphics processor nor lavapipe, see docs/gpu.md";

/// What there is to test with.
fn device() -> Result<Option<Gpu>, String> {
    let wanted = std::env::var("DDIM_GPU").ok().filter(|name| !name.is_empty());
    if wanted.is_none() && devices().is_empty() {
        return Ok(None);
    }
    Gpu::open(wanted.as_deref().unwrap_or("gpu:0")).map(Some).map_err(|e| e.to_string())
}

fn sized(mut pipeline: Pipeline, size: [usize; 2]) -> Pipeline {
    // A golden may have other sizes than the config says: the network takes any.
    pipeline.config.sample_size = Some(SampleSize::Rectangle(size));
    pipeline
}

fn one_evaluation_equals_diffusers(gpu: &Gpu) {
    let mut failures = Vec::new();
    for folder in folders() {
        let Golden { x, shape: [_, _, h, w], timesteps, condition, y } = golden(&folder);
        let pipeline = sized(Pipeline::load(&folder).unwrap(), [h, w]);
        let all = pipeline.config.out_channels * h * w;
        let network = gpu.network(pipeline).unwrap().with_condition(condition).unwrap();
        let levels: Vec<f64> = timesteps.iter().map(|t| (t + 1) as f64).collect();
        let mut found = vec![0.0; x.len()];
        network.predict(&x, &levels, &mut found).unwrap();
        // Where it predicts variances as well, they are left out.
        let expected: Vec<f32> = y.chunks(all).flat_map(|y| &y[..network.dim()]).copied().collect();
        let error = difference(&found, &expected);
        println!("{:20} {error:.1e}", folder.file_name().unwrap().display());
        let mut again = vec![0.0; x.len()];
        network.predict(&x, &levels, &mut again).unwrap();
        if error.is_nan() || error > 1e-4 || again != found {
            failures.push((folder, error, again == found));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

fn built_in() -> [Pipeline; 3] {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    ["fashion", "emoji", "cifar10"].map(|name| Pipeline::load(&models.join(name)).unwrap())
}

/// A network for n images, of other classes where it takes any.
fn of_classes(network: &Network, n: usize) -> Network {
    match network.is_conditional() {
        true => network.with_condition(ddim_nn::Condition::Labels((0..n).collect())).unwrap(),
        false => network.clone(),
    }
}

/// Ten steps from keyed noise.
fn sampled(pipeline: &Pipeline, network: &Network, n: usize) -> Vec<f32> {
    let trajectory = pipeline.scheduler.trajectory(10).unwrap();
    let sampler = Sampler::new(&pipeline.scheduler.schedule(), &trajectory, &Sigma::Eta(0.0)).unwrap();
    let sampler = sampler.with_clip(pipeline.scheduler.clip()).unwrap();
    let network = of_classes(network, n);
    let batch = Batch { seed: 3, first: 0 };
    Sampling::new(&sampler, &network, batch.latents(network.dim(), n), batch).unwrap().finish().unwrap()
}

fn samples_of_built_in_models_are_the_processors(gpu: &Gpu) {
    for pipeline in built_in() {
        let expected = sampled(&pipeline, &Network::new(pipeline.clone()).unwrap(), 2);
        let started = Instant::now();
        let found = sampled(&pipeline, &gpu.network(pipeline.clone()).unwrap(), 2);
        let error = difference(&found, &expected);
        println!("{:?} {error:.1e}, {:.1} s", pipeline.weights_file, started.elapsed().as_secs_f64());
        assert!(error <= 1e-3, "{error:e}");
        let again = sampled(&pipeline, &gpu.network(pipeline.clone()).unwrap(), 2);
        assert!(again == found, "other bytes from the same seed");
    }
}

fn a_batch_of_any_size(gpu: &Gpu) {
    let [pipeline, ..] = built_in();
    let (here, there) = (Network::new(pipeline.clone()).unwrap(), gpu.network(pipeline).unwrap());
    let dim = here.dim();
    for n in [1, 3, 5] {
        let x = Batch { seed: 1, first: 0 }.latents(dim, n);
        let levels: Vec<f64> = (0..n).map(|i| 1.0 + 100.0 * i as f64).collect();
        let (mut a, mut b) = (vec![0.0; n * dim], vec![0.0; n * dim]);
        of_classes(&here, n).predict(&x, &levels, &mut a).unwrap();
        of_classes(&there, n).predict(&x, &levels, &mut b).unwrap();
        assert!(difference(&b, &a) < 1e-4, "{n} images");
    }
    // What a network says on the processor it says there.
    let mut out = vec![0.0; dim];
    assert!(of_classes(&there, 1).predict(&vec![0.0; dim], &[0.0], &mut out).is_err());
}

fn features_are_the_processors(gpu: &Gpu, weights: &Path) {
    let pixels: Vec<u8> = (0..3 * 37 * 53 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let there = Inception::load_on(weights, gpu).unwrap();
    let here = Inception::load(weights).unwrap();
    assert_eq!(here.checksum(), there.checksum());
    let [expected, found] = [&here, &there].map(|net| net.features(&pixels, [37, 53]).unwrap());
    let error = difference(&found, &expected);
    println!("features {error:.1e}");
    assert!(error < 1e-4 && found != expected, "{error:e}");
    assert!(there.features(&pixels, [37, 53]).unwrap() == found, "other bytes from the same images");
}

/// Images whose largest value is no buffer of any device.
fn what_does_not_fit_is_said_before(gpu: &Gpu) {
    let [pipeline, ..] = built_in();
    let error = gpu.network(pipeline.with_size([16384, 16384]).unwrap()).map(|_| ()).unwrap_err().to_string();
    println!("{error}");
    assert!(error.starts_with("images of 16384x16384 need a buffer of ") && error.contains("the limit of the device"), "{error}");
}

/// What a driver objects to while a network is evaluated; the numbers of the framework look as if nothing had been.
fn what_goes_wrong_is_an_error(gpu: &Gpu) {
    let [pipeline, ..] = built_in();
    let network = gpu.network(pipeline).unwrap();
    let x = Batch { seed: 1, first: 0 }.latents(network.dim(), 2);
    let predicted = || {
        let mut out = vec![0.0; x.len()];
        of_classes(&network, 2).predict(&x, &[500.0; 2], &mut out).map(|()| out)
    };
    let before = predicted().unwrap();
    let size = gpu.wgpu().limits().max_buffer_size + 1;
    let wrong = wgpu::BufferDescriptor { label: None, size, usage: wgpu::BufferUsages::STORAGE, mapped_at_creation: false };
    let error = network.prepare(2, &mut |done, _| {
        let _ = (done == 3).then(|| gpu.wgpu().create_buffer(&wrong));
        Ok(())
    });
    let error = error.unwrap_err();
    println!("{error}");
    assert!(error.kind() == ErrorKind::Device && !error.to_string().contains('\n') && error.to_string().contains("buffer"), "{error}");
    assert!(predicted().unwrap() == before, "the device is as it was");

    // Memory: of four images at once two are left, and then all of a batch come, in two parts.
    let (mut attempts, mut last) = (0, usize::MAX);
    let together = network.prepare(4, &mut |done, all| {
        attempts += usize::from(done == 1);
        if attempts == 1 && done == 3 {
            gpu.device().faults.record("no memory", true);
        }
        last = all - done;
        Ok(())
    });
    assert_eq!((together.unwrap(), attempts, last), (2, 2, 0));
    assert!(predicted().unwrap() == before);
    // What is tried without need changes nothing.
    let many = gpu.network(built_in()[0].clone()).unwrap();
    assert_eq!((many.prepare(1, &mut |_, _| Ok(())).unwrap(), many.prepare(3, &mut |_, _| Ok(())).unwrap()), (1, 3));
    let stopped = many.prepare(1, &mut |_, _| Err(Error::caller("stopped"))).unwrap_err();
    assert_eq!(stopped.to_string(), "stopped");
}

fn a_device_that_is_lost(gpu: &Gpu) {
    let [pipeline, ..] = built_in();
    let network = gpu.network(pipeline.clone()).unwrap();
    let mut learner = training::begun(gpu);
    gpu.wgpu().destroy();
    let mut out = vec![0.0; network.dim()];
    let error = of_classes(&network, 1).predict(&vec![0.0; network.dim()], &[1.0], &mut out).unwrap_err();
    println!("{error}");
    assert!(error.kind() == ErrorKind::Device && !error.to_string().contains('\n'), "{error}");
    let error = training::step(&mut learner).unwrap_err();
    println!("{error}");
    assert!(error.kind() == ErrorKind::Device, "{error}");
    assert!(gpu.network(pipeline).is_err());
}

fn what_is_not_there_is_said_in_a_line() {
    for (name, expected) in [("gpu:99", "gpu:99: "), ("tpu", "expected gpu or gpu:N"), ("gpu:", "expected gpu or gpu:N")] {
        let error = Gpu::open(name).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    for (i, device) in devices().iter().enumerate() {
        println!("{device}");
        assert_eq!(device.index, i);
    }
}
