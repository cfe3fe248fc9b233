//! Benchmarks: how long a network takes on this machine.

use crate::choices::Model;
use crate::device;
use crate::error::{Error, Result};
use crate::job::{Request, Watch, Within};
use crate::models;
use crate::usage::usage;
use ddim::Denoiser;
use ddim::noise::Batch;
use ddim_nn::{Adam, Condition, Examples, Pipeline, Precision, Profile, SchedulerConfig, TrainingPlan, UNetConfig, clipping};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// How long, and how often at least, the network is evaluated.
const SECONDS: f64 = 2.0;
const LEAST: usize = 3;
const MOST_BATCH: usize = 4096;

/// The median time of a network evaluation, or of a training step, on random images. One warm-up run is not counted.
///
/// ```no_run
/// use ddim_engine::{Bench, Control, Engine};
///
/// let request = Bench { preset: "tiny".into(), batch: 4, ..Bench::default() };
/// let found = Engine::new("cpu", Some(1))?.run(&request, &Control::default(), &mut |_| {})?;
/// assert!(found.ms_per_image_step > 0.0);
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bench {
    /// A network of one of the training presets, untrained: the weights do not affect the time.
    pub preset: String,
    /// A model to measure instead; its size and classes are ignored.
    pub model: Option<Model>,
    /// Number of images per evaluation.
    pub batch: usize,
    /// Measure a training step instead: the gradient of the ε objective, clipping by the global norm, and Adam.
    pub train: bool,
    /// With `train`: keep fewer activations in memory and recompute them in the backward pass.
    pub checkpoint_activations: bool,
    /// Whether to report the share of time of each kind of operation.
    pub profile: bool,
}

impl Default for Bench {
    fn default() -> Self {
        let preset = "ddpm-cifar10".to_owned();
        Self { preset, model: None, batch: 16, train: false, checkpoint_activations: false, profile: false }
    }
}

/// The result of a [`Bench`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "bench")]
pub struct BenchReport {
    /// Name of the preset or model.
    pub network: String,
    /// Number of parameters of the network.
    pub parameters: usize,
    /// Number of images per evaluation.
    pub batch: usize,
    /// Number of threads.
    pub threads: usize,
    /// Number format that the network computed in.
    pub precision: Precision,
    /// Number of timed runs.
    pub runs: usize,
    /// Median wall-clock time in milliseconds per image-step.
    pub ms_per_image_step: f64,
    /// Mean CPU time in milliseconds per image-step, where the system reports it.
    pub cpu_ms_per_image_step: Option<f64>,
    /// Billions of floating-point operations per second, counted from the definitions of the operations, whichever algorithm computes them.
    pub effective_gflops: f64,
    /// Whether training steps were measured.
    pub train: bool,
    /// Whether training steps kept fewer activations and recomputed the rest.
    pub checkpoint_activations: bool,
    /// Floating-point operations per image-step, in units of 10^9.
    pub gflop_per_image_step: f64,
    /// Peak memory of the process so far, in bytes, where the system reports it.
    pub peak_memory_bytes: Option<u64>,
    /// The device that it ran on, unless that is the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceSpeed>,
    /// The share of time of each kind of operation, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Vec<KindReport>>,
}

/// A device and its peak speed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceSpeed {
    /// Its name and kind.
    pub name: String,
    /// Speed that it reaches on products of large matrices, which convolutions consist of, in GFLOP/s.
    pub product_gflops: f64,
    /// The fraction of `product_gflops` that the network reaches, from 0 to 1.
    pub share: f64,
    /// Bytes of device memory in use, where the device reports it.
    pub memory_bytes: Option<u64>,
}

/// The time spent in operations of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindReport {
    /// What the operations do.
    pub kind: String,
    /// Milliseconds per image-step.
    pub ms_per_image_step: f64,
    /// Share of the total time, from 0 to 1.
    pub share: f64,
    /// Billions of floating-point operations per second; 0 where nothing is multiplied.
    pub effective_gflops: f64,
}

impl Request for Bench {
    type Report = BenchReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<BenchReport> {
        if !(1..=MOST_BATCH).contains(&self.batch) {
            return Err(Error::field("batch", format!("{}: expected 1 to {MOST_BATCH}", self.batch)));
        }
        if let (true, Some(device)) = (self.profile || self.checkpoint_activations, watch.device()) {
            let field = if self.profile { "profile" } else { "checkpoint_activations" };
            return Err(device::only_here(field, &**device));
        }
        let (name, pipeline) = match &self.model {
            Some(model) => (model.model.display().to_string(), models::load(&model.model, &model.choices(), watch)?),
            None => (self.preset.clone(), preset(&self.preset)?),
        };
        let parameters = pipeline.parameters();
        let level = pipeline.scheduler.num_train_timesteps.div_ceil(2);
        let unet = self.train.then(|| pipeline.unet.clone());
        let n = self.batch;
        let condition = if pipeline.config.is_conditional() { Condition::Labels(vec![0; n]) } else { Condition::None };
        let network = watch.network(pipeline)?.with_condition(condition.clone())?;
        let [c, h, w] = network.shape();
        let x: Vec<f32> = Batch { seed: 0, first: 0 }.latents(network.dim(), n);
        // A gradient is counted as twice the work of what it differentiates.
        let multiply_adds = network.multiply_adds() as f64 * if self.train { 3.0 } else { 1.0 };
        let mut profile = Profile::default();
        let measured = match unet {
            Some(mut unet) => {
                let target: Vec<f32> = Batch { seed: 1, first: 0 }.latents(network.dim(), n);
                // What sampling packed is no part of a training step's memory.
                drop(network);
                let mut adam = Adam::new(2e-4);
                let mut elsewhere = watch.device().map(|device| device.learner(&unet, [h, w], &adam, &[])).transpose()?;
                let new = if self.checkpoint_activations { TrainingPlan::checkpointed } else { TrainingPlan::new };
                let mut plan = if elsewhere.is_none() { Some(new(&unet, [h, w])) } else { None };
                measure(watch, self.profile, |profiled| {
                    let (timesteps, weights) = (vec![level - 1; n], vec![1.0 / n as f32; n]);
                    let (shape, condition, dropout) = ([n, c, h, w], &condition, &vec![0; n]);
                    let examples = Examples { shape, x: &x, target: &target, timesteps: &timesteps, weights: &weights, condition, dropout };
                    let Some(plan) = &mut plan else {
                        let learner = elsewhere.as_mut().expect("one or the other");
                        let [_, norm] = learner.gradients(&examples)?;
                        let k = adam.steps + 1;
                        return Ok(learner.update(&mut adam, clipping(norm, 1.0), &[], k)?);
                    };
                    plan.begin();
                    plan.add_profiled(&unet, &examples, profiled.then_some(&mut profile));
                    let added = Instant::now();
                    let (scale, k) = (clipping(plan.norm(), 1.0), adam.steps + 1);
                    adam.step(&mut unet, plan.gradients(), scale, &mut [], k);
                    if profiled {
                        profile.add("optimizer", added.elapsed(), 0);
                    }
                    Ok(())
                })?
            }
            None => {
                let mut out = vec![0.0; x.len()];
                let levels = vec![level as f64; n];
                measure(watch, self.profile, |profiled| {
                    Ok(network.predict_profiled(&x, &levels, profiled.then_some(&mut profile), &mut out)?)
                })?
            }
        };
        // After the network's, so that it counts from no cold start.
        let speed = watch
            .device()
            .map(|device| {
                // Before the products take some.
                let memory = device.memory();
                Ok::<_, Error>((device.described(), device.product_gflops()?, memory))
            })
            .transpose()?;
        let used = usage();
        let runs = measured.runs;
        let per_image = |seconds: f64| seconds * 1e3 / n as f64;
        let wall = per_image(measured.wall);
        let gflops = |multiply_adds: f64, seconds: f64| 2e-9 * multiply_adds / seconds;
        let total: f64 = profile.shares.iter().map(|share| share.time.as_secs_f64()).sum();
        profile.shares.sort_by_key(|share| std::cmp::Reverse(share.time));
        let kinds = profile.shares.iter().map(|share| {
            let seconds = share.time.as_secs_f64();
            KindReport {
                kind: share.kind.to_string(),
                ms_per_image_step: per_image(seconds / LEAST as f64),
                share: seconds / total,
                effective_gflops: gflops(share.multiply_adds as f64, seconds),
            }
        });
        Ok(BenchReport {
            network: name,
            parameters,
            batch: n,
            threads: rayon::current_num_threads(),
            precision: watch.precision(),
            runs,
            ms_per_image_step: wall,
            cpu_ms_per_image_step: measured.cpu.map(per_image),
            effective_gflops: gflops(multiply_adds, wall / 1e3),
            train: self.train,
            checkpoint_activations: self.checkpoint_activations,
            gflop_per_image_step: 2e-9 * multiply_adds,
            peak_memory_bytes: used.as_ref().map(|used| used.peak_memory),
            device: speed.map(|(name, product_gflops, memory_bytes)| {
                let share = gflops(multiply_adds, wall / 1e3) / product_gflops;
                DeviceSpeed { name, product_gflops, share, memory_bytes }
            }),
            profile: self.profile.then(|| kinds.collect()),
        })
    }
}

/// The median of what runs took.
struct Measured {
    runs: usize,
    /// Seconds, the median.
    wall: f64,
    /// Seconds of processor time, the mean.
    cpu: Option<f64>,
}

/// Runs once for nothing, and then as often as it takes. To profile, [`LEAST`] times more, which `run` is told: a profile sees one micro-batch at a time.
fn measure(watch: &Watch<'_>, profile: bool, mut run: impl FnMut(bool) -> Result<()>) -> Result<Measured> {
    run(false)?;
    let mut times = Vec::new();
    let (begin, cpu_begin) = (Instant::now(), usage().map(|u| u.cpu_seconds));
    while times.len() < LEAST || begin.elapsed().as_secs_f64() < SECONDS {
        watch.check()?;
        let start = Instant::now();
        run(false)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let runs = times.len();
    let cpu = usage().zip(cpu_begin).map(|(used, begin)| (used.cpu_seconds - begin) / runs as f64);
    if profile {
        for _ in 0..LEAST {
            watch.check()?;
            run(true)?;
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(Measured { runs, wall: times[runs / 2], cpu })
}

fn preset(name: &str) -> Result<Pipeline> {
    let Some(config) = UNetConfig::preset(name) else {
        let known = UNetConfig::presets().collect::<Vec<_>>().join(", ");
        return Err(Error::field("preset", format!("{name}: expected one of {known}")));
    };
    Ok(Pipeline::untrained(config, SchedulerConfig::default())?)
}
