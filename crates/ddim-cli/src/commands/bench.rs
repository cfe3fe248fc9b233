//! `ddim bench`

use crate::args::Bench;
use crate::error::{Error, Result};
use crate::models;
use crate::output::report;
use crate::session::use_threads;
use crate::usage::usage;
use ddim::Denoiser;
use ddim::noise::Batch;
use ddim_nn::{Adam, Choices, Condition, Examples, Network, Pipeline, Profile, SchedulerConfig, TrainingPlan, UNetConfig, clipping};
use serde_json::json;
use std::time::Instant;

/// How long, and how often at least, the network is evaluated.
const SECONDS: f64 = 2.0;
const LEAST: usize = 3;
const MOST_BATCH: usize = 4096;

pub(crate) fn run(args: &Bench) -> Result<()> {
    if !(1..=MOST_BATCH).contains(&args.batch) {
        return Err(Error::flag("--batch", format!("{}: expected 1 to {MOST_BATCH}", args.batch)));
    }
    use_threads(args.threads)?;
    let (name, pipeline) = match &args.model {
        Some(model) => (model.display().to_string(), models::load(model, &Choices::default())?),
        None => (args.preset.clone(), preset(&args.preset)?),
    };
    let parameters = pipeline.parameters();
    let level = pipeline.scheduler.num_train_timesteps.div_ceil(2);
    let unet = args.train.then(|| pipeline.unet.clone());
    let network = Network::new(pipeline)?;
    let n = args.batch;
    let condition = if network.is_conditional() { Condition::Labels(vec![0; n]) } else { Condition::None };
    let network = network.with_condition(condition.clone())?;
    let [c, h, w] = network.shape();
    let x: Vec<f32> = Batch { seed: 0, first: 0 }.latents(network.dim(), n);
    // A gradient is counted as twice the work of what it differentiates.
    let multiply_adds = network.multiply_adds() as f64 * if args.train { 3.0 } else { 1.0 };
    let mut profile = Profile::default();
    let measured = match unet {
        Some(mut unet) => {
            let target: Vec<f32> = Batch { seed: 1, first: 0 }.latents(network.dim(), n);
            // What sampling packed is no part of a training step's memory.
            drop(network);
            let mut adam = Adam::new(2e-4);
            let new = if args.checkpoint_activations { TrainingPlan::checkpointed } else { TrainingPlan::new };
            let mut plan = new(&unet, [h, w]);
            measure(|counts| {
                let (timesteps, weights) = (vec![level - 1; n], vec![1.0 / n as f32; n]);
                let (shape, condition, dropout) = ([n, c, h, w], &condition, &vec![0; n]);
                let examples = Examples { shape, x: &x, target: &target, timesteps: &timesteps, weights: &weights, condition, dropout };
                plan.begin();
                plan.add_profiled(&unet, &examples, counts.then_some(&mut profile));
                let added = Instant::now();
                let (scale, k) = (clipping(plan.norm(), 1.0), adam.steps + 1);
                adam.step(&mut unet, plan.gradients(), scale, &mut [], k);
                if counts {
                    profile.add("optimizer", added.elapsed(), 0);
                }
                Ok(())
            })?
        }
        None => {
            let mut out = vec![0.0; x.len()];
            let levels = vec![level as f64; n];
            measure(|counts| Ok(network.predict_profiled(&x, &levels, counts.then_some(&mut profile), &mut out)?))?
        }
    };
    let used = usage();
    let runs = measured.runs;
    let per_image = |seconds: f64| seconds * 1e3 / n as f64;
    let wall = per_image(measured.wall);
    let cpu = measured.cpu.map(per_image);
    let gflops = |multiply_adds: f64, seconds: f64| 2e-9 * multiply_adds / seconds;
    let effective = gflops(multiply_adds, wall / 1e3);
    let threads = rayon::current_num_threads();
    let total: f64 = profile.shares.iter().map(|share| share.time.as_secs_f64()).sum();
    profile.shares.sort_by_key(|share| std::cmp::Reverse(share.time));

    let shares: Vec<_> = profile
        .shares
        .iter()
        .map(|share| {
            let seconds = share.time.as_secs_f64();
            json!({
                "kind": share.kind, "ms_per_image_step": per_image(seconds / runs as f64), "share": seconds / total,
                "effective_gflops": gflops(share.multiply_adds as f64, seconds),
            })
        })
        .collect();
    let mut object = json!({
        "command": "bench", "network": name, "parameters": parameters, "batch": n, "threads": threads, "runs": runs,
        "ms_per_image_step": wall, "cpu_ms_per_image_step": cpu, "effective_gflops": effective,
        "train": args.train, "checkpoint_activations": args.checkpoint_activations, "gflop_per_image_step": 2e-9 * multiply_adds, "peak_memory_bytes": used.as_ref().map(|u| u.peak_memory),
    });
    let mut human = format!(
        "{name}, batch {n}, {threads} thread{}: {wall:.2} ms an image and {}step",
        if threads == 1 { "" } else { "s" },
        match (args.train, args.checkpoint_activations) {
            (true, true) => "training with checkpointed activations ",
            (true, false) => "training ",
            _ => "",
        }
    );
    if let Some(cpu) = cpu {
        human += &format!(" ({cpu:.2} ms of processor time)");
    }
    human += &format!(", {effective:.0} effective GFLOP/s; median of {runs}");
    if let Some(used) = &used {
        human += &format!("; peak memory {:.0} MiB", used.peak_memory as f64 / f64::from(1 << 20));
    }
    human.push('\n');
    if args.profile {
        object["profile"] = json!(shares);
        for share in &profile.shares {
            let seconds = share.time.as_secs_f64();
            human += &format!("  {:<24} {:>8.3} ms {:>5.1} %", share.kind, per_image(seconds / runs as f64), 100.0 * seconds / total);
            if share.multiply_adds > 0 {
                human += &format!(" {:>6.0} effective GFLOP/s", gflops(share.multiply_adds as f64, seconds));
            }
            human.push('\n');
        }
    }
    report(args.json, &object, &human)
}

/// The median of what runs took.
struct Measured {
    runs: usize,
    /// Seconds, the median.
    wall: f64,
    /// Seconds of processor time, the mean.
    cpu: Option<f64>,
}

/// Runs once for nothing, and then as often as it takes; `run` is told whether it counts.
fn measure(mut run: impl FnMut(bool) -> Result<()>) -> Result<Measured> {
    run(false)?;
    let mut times = Vec::new();
    let (begin, cpu_begin) = (Instant::now(), usage().map(|u| u.cpu_seconds));
    while times.len() < LEAST || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        run(true)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let runs = times.len();
    let cpu = usage().zip(cpu_begin).map(|(used, begin)| (used.cpu_seconds - begin) / runs as f64);
    times.sort_by(f64::total_cmp);
    Ok(Measured { runs, wall: times[runs / 2], cpu })
}

fn preset(name: &str) -> Result<Pipeline> {
    let Some(config) = UNetConfig::preset(name) else {
        let known = UNetConfig::presets().collect::<Vec<_>>().join(", ");
        return Err(Error::flag("--preset", format!("{name}: expected one of {known}")));
    };
    Ok(Pipeline::untrained(config, SchedulerConfig::default())?)
}
