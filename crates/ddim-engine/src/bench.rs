//! How long a network takes on this machine.

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

/// The median time of an evaluation, or of a training step, on random images; after one that is not counted.
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
    /// A network of the training presets, untrained: the weights do not matter for the time.
    pub preset: String,
    /// A model instead; its size and classes are not looked at.
    pub model: Option<Model>,
    /// Images evaluated together.
    pub batch: usize,
    /// A training step instead: the gradient of the ε objective, clipping by the global norm, Adam.
    pub train: bool,
    /// With `train`: fewer activations in memory, computed again on the way back.
    pub checkpoint_activations: bool,
    /// Whether the report has the share of each kind of operation.
    pub profile: bool,
}

impl Default for Bench {
    fn default() -> Self {
        let preset = "ddpm-cifar10".to_owned();
        Self { preset, model: None, batch: 16, train: false, checkpoint_activations: false, profile: false }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "bench")]
pub struct BenchReport {
    /// The preset or model.
    pub network: String,
    /// Numbers of the network.
    pub parameters: usize,
    /// Images evaluated together.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// What the network computed with.
    pub precision: Precision,
    /// Evaluations that count.
    pub runs: usize,
    /// Milliseconds per image-step, the median.
    pub ms_per_image_step: f64,
    /// The same of processor time, the mean, where the system says it.
    pub cpu_ms_per_image_step: Option<f64>,
    /// By the definitions of the operations, whatever computes them.
    pub effective_gflops: f64,
    /// Whether training steps were measured.
    pub train: bool,
    /// Whether they kept fewer activations.
    pub checkpoint_activations: bool,
    /// Floating-point operations of one image, in units of 10^9.
    pub gflop_per_image_step: f64,
    /// Of the process so far, in bytes, where the system says it.
    pub peak_memory_bytes: Option<u64>,
    /// What it ran on, where that is another device than the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceSpeed>,
    /// The share of each kind of operation, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Vec<KindReport>>,
}

/// A device, and how fast it is at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceSpeed {
    /// Its name and what it is.
    pub name: String,
    /// What products of large matrices reach there, which is what convolutions are made of.
    pub product_gflops: f64,
    /// What the network reaches of that, from 0 to 1.
    pub share: f64,
    /// Bytes of its memory that are taken, where it says so.
    pub memory_bytes: Option<u64>,
}

/// Operations of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindReport {
    /// What they do.
    pub kind: String,
    /// Milliseconds per image-step.
    pub ms_per_image_step: f64,
    /// Of the whole, from 0 to 1.
    pub share: f64,
    /// 0 where nothing is multiplied.
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
