//! `ddim bench`

use crate::error::Result;
use crate::flags::Machine;
use crate::front::{report, work};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Time the network on this machine.
///
/// Evaluates a preset's network or a model on random images, for at least two seconds and at least three times, and reports the median. The
/// first evaluation does not count. A preset's network is untrained, because the weights do not affect the time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim bench                                  the DDPM network for CIFAR-10, batch 16
  ddim bench --batch 1 --threads 1 --profile  where the time goes: one image, one thread
  ddim bench --train --batch 8                a training step
  ddim bench --device gpu --batch 64          on a GPU
  ddim bench --model fashion --json           the built-in model, for a script")]
pub(crate) struct Flags {
    /// Network to time, a preset of `ddim train`: tiny, small, ddpm-cifar10, ddpm-celeba64 or ddpm-lsun256.
    #[arg(long, value_name = "NAME", default_value = "ddpm-cifar10", conflicts_with = "model")]
    pub(crate) preset: String,
    /// Time a model instead: a built-in name, a diffusers pipeline folder, or a model on the Hugging Face Hub.
    #[arg(long, value_name = "NAME|DIR|ORG/NAME")]
    pub(crate) model: Option<PathBuf>,
    /// Number of images to evaluate together.
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub(crate) batch: usize,
    /// Time a training step instead: the gradient of the epsilon objective, clipping by the global norm, and Adam.
    #[arg(long)]
    pub(crate) train: bool,
    /// With --train, keep fewer activations in memory and recompute them in the backward pass. CPU only.
    #[arg(long, requires = "train")]
    pub(crate) checkpoint_activations: bool,
    /// Show the share of time that each kind of operation takes. CPU only.
    #[arg(long)]
    pub(crate) profile: bool,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let request = engine::Bench {
        preset: flags.preset.clone(),
        model: flags.model.clone().map(|model| engine::Model { model, ..engine::Model::default() }),
        batch: flags.batch,
        train: flags.train,
        checkpoint_activations: flags.checkpoint_activations,
        profile: flags.profile,
    };
    let found = work(&request, &flags.machine)?;
    let mut human = format!(
        "{}, batch {}, {} thread{}{}: {:.2} ms per {}",
        found.network,
        found.batch,
        found.threads,
        if found.threads == 1 { "" } else { "s" },
        if found.precision == engine::Precision::F32 { String::new() } else { format!(", {}", found.precision) },
        found.ms_per_image_step,
        match (found.train, found.checkpoint_activations) {
            (true, true) => "image and training step with checkpointed activations",
            (true, false) => "image and training step",
            _ => "image-step",
        }
    );
    if let Some(cpu) = found.cpu_ms_per_image_step {
        human += &format!(" ({cpu:.2} ms of processor time)");
    }
    human += &format!(", {:.0} effective GFLOP/s; median of {}", found.effective_gflops, found.runs);
    if let Some(bytes) = found.peak_memory_bytes {
        human += &format!("; peak memory {:.0} MiB", bytes as f64 / f64::from(1 << 20));
    }
    human.push('\n');
    if let Some(device) = &found.device {
        let share = 100.0 * device.share;
        human += &format!("  on {}: {share:.0} % of the {:.0} GFLOP/s of its matrix products", device.name, device.product_gflops);
        human.extend(device.memory_bytes.map(|bytes| format!("; {:.0} MiB of its memory", bytes as f64 / f64::from(1 << 20))));
        human.push('\n');
    }
    for kind in found.profile.iter().flatten() {
        human += &format!("  {:<24} {:>8.3} ms {:>5.1} %", kind.kind, kind.ms_per_image_step, 100.0 * kind.share);
        if kind.effective_gflops > 0.0 {
            human += &format!(" {:>6.0} effective GFLOP/s", kind.effective_gflops);
        }
        human.push('\n');
    }
    report(&flags.machine.output, &found, &human)
}
