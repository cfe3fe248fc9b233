//! How fast a device samples and trains: `cargo run --release -p ddim-gpu --features webgpu --example gpu_speed -- [gpu:N] [seconds a line] [f16]`.
//! A line a network and batch: image-steps a second, milliseconds a step, and what that is of arithmetic.

#![allow(clippy::print_stdout)]

use ddim::Denoiser;
use ddim::noise::Batch;
use ddim_gpu::Gpu;
use ddim_nn::{Adam, Condition, Device, Ema, EmbeddedPipeline, Examples, Learner, Pipeline, Precision, UNetConfig};
use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    ddim_gpu::devices().iter().for_each(|device| println!("{device}"));
    let mut arguments = std::env::args().skip(1);
    let gpu = Gpu::open(&arguments.next().unwrap_or_else(|| "gpu".to_owned()))?;
    let long = Duration::from_secs_f64(arguments.next().map_or(Ok(10.0), |text| text.parse())?);
    let gpu = gpu.with_precision(arguments.next().map_or(Ok(Precision::F32), |text| text.parse())?)?;
    println!("on {}, {}", gpu.described(), gpu.precision());
    let files = |name, config, scheduler, safetensors| EmbeddedPipeline { name, config, scheduler, safetensors };
    let fashion = files("fashion", ddim_model_fashion::CONFIG, ddim_model_fashion::SCHEDULER, ddim_model_fashion::SAFETENSORS);
    let emoji = files("emoji", ddim_model_emoji::CONFIG, ddim_model_emoji::SCHEDULER, ddim_model_emoji::SAFETENSORS);
    let small = [Pipeline::embedded(&fashion)?, Pipeline::embedded(&emoji)?];
    let cifar = Pipeline::untrained(UNetConfig::preset("ddpm-cifar10").ok_or("no preset")?, small[0].scheduler.clone())?;
    let [fashion, emoji] = small;
    for (name, pipeline) in [("fashion", fashion), ("emoji", emoji), ("ddpm-cifar10", cifar)] {
        for batch in [1, 64, 512] {
            say("sample", name, batch, sample(&gpu, pipeline.clone(), batch, long));
        }
        for batch in [16, 128] {
            say("train", name, batch, train(&gpu, &pipeline, batch, long));
        }
    }
    Ok(())
}

fn say(what: &str, name: &str, batch: usize, measured: Result<(f64, f64, f64), Error>) {
    match measured {
        Ok((first, each, operations)) => println!(
            "{what:6} {name:12} batch {batch:4}: {:9.1} image-steps/s, {:8.1} ms a step, {:6.2} TFLOP/s (first {first:.1} s)",
            batch as f64 / each,
            1e3 * each,
            operations / each / 1e12
        ),
        Err(error) => println!("{what:6} {name:12} batch {batch:4}: {error}"),
    }
}

/// Seconds of the first step and, at the median, of those after it.
fn timed(long: Duration, mut step: impl FnMut() -> Result<(), Error>) -> Result<(f64, f64), Error> {
    let started = Instant::now();
    step()?;
    let first = started.elapsed().as_secs_f64();
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < 2 || (started.elapsed() < long && times.len() < 50) {
        let begin = Instant::now();
        step()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok((first, times[times.len() / 2]))
}

fn condition(pipeline: &Pipeline, n: usize) -> Condition {
    match pipeline.classes_count() {
        Some(classes) => Condition::Labels((0..n).map(|i| i % classes).collect()),
        None => Condition::None,
    }
}

fn sample(gpu: &Gpu, pipeline: Pipeline, n: usize, long: Duration) -> Result<(f64, f64, f64), Error> {
    let condition = condition(&pipeline, n);
    let network = gpu.network(pipeline)?.with_condition(condition)?;
    let x = Batch { seed: 0, first: 0 }.latents(network.dim(), n);
    let mut out = vec![0.0; x.len()];
    let (first, each) = timed(long, || Ok(network.predict(&x, &vec![500.0; n], &mut out)?))?;
    Ok((first, each, 2.0 * network.multiply_adds() as f64 * n as f64))
}

fn train(gpu: &Gpu, pipeline: &Pipeline, n: usize, long: Duration) -> Result<(f64, f64, f64), Error> {
    let size @ [h, w] = pipeline.config.sample_size.ok_or("no size")?.dims();
    let c = pipeline.config.in_channels;
    let mut adam = Adam::new(1e-4);
    let averages = [Ema::new(0.999, false, &pipeline.unet)];
    let mut training = gpu.training(&pipeline.unet, size, &adam, &averages)?;
    let (x, target) = (Batch { seed: 0, first: 0 }.latents(c * h * w, n), Batch { seed: 1, first: 0 }.latents(c * h * w, n));
    let condition = condition(pipeline, n);
    let mut k = 0;
    let (first, each) = timed(long, || {
        k += 1;
        let dropout: Vec<u64> = (0..n as u64).map(|i| k * n as u64 + i).collect();
        let examples = Examples {
            shape: [n, c, h, w],
            x: &x,
            target: &target,
            timesteps: &vec![500; n],
            weights: &vec![1.0 / n as f32; n],
            condition: &condition,
            dropout: &dropout,
        };
        training.gradients(&examples)?;
        Ok(training.update(&mut adam, 1.0, &averages, k)?)
    })?;
    let operations = 6.0 * gpu.network(pipeline.clone())?.multiply_adds() as f64 * n as f64;
    Ok((first, each, operations))
}
