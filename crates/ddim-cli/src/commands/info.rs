//! `ddim info`

use crate::error::Result;
use crate::flags::{ModelArgs, Output};
use crate::front::{counted, joined, report, work_on};
use clap::Args;
use ddim_engine as engine;
use std::path::PathBuf;

/// Where the values of the rows begin.
const INDENT: usize = 12;

/// Show a model's network, image size, schedule and defaults.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ddim info            the default built-in model
  ddim info ./ddpm-cifar10-32 --json
  ddim info --devices  what --device accepts on this machine")]
pub(crate) struct Flags {
    /// Model to describe: a built-in name, a diffusers pipeline folder, a model on the Hub, or anything else --model takes.
    #[arg(value_name = "NAME|DIR|ORG/NAME", default_value = engine::DEFAULT_MODEL)]
    pub(crate) model: PathBuf,
    /// List the available devices instead of describing a model.
    ///
    /// These are the CPU and, in builds with the gpu feature, the GPUs and their drivers.
    #[arg(long, conflicts_with_all = ["model", "scheduler", "raw", "ema"])]
    pub(crate) devices: bool,
    #[command(flatten)]
    pub(crate) choices: ModelArgs,
    #[command(flatten)]
    pub(crate) output: Output,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    if flags.devices {
        return devices(&flags.output);
    }
    let found = work_on(&engine::Engine::default(), &engine::Info { model: flags.choices.model(&flags.model) }, &flags.output)?;
    let (config, scheduler) = (&found.unet, &found.scheduler);
    let betas = match &scheduler.trained_betas {
        Some(_) => "trained betas".to_owned(),
        None => format!("{} betas from {} to {}", scheduler.beta_schedule.name(), scheduler.beta_start, scheduler.beta_end),
    };
    let size = found.size.map_or("any size".to_owned(), |[h, w]| format!("{h} x {w}"));
    let classes = match (&config.class_embed_type, config.num_class_embeds) {
        (Some(kind), _) => format!("class embedding of type {kind}"),
        (None, Some(n)) => format!("{n} {}", if n == 1 { "class" } else { "classes" }),
        (None, None) => "no classes".to_owned(),
    };
    let heads = config.attention_head_dim.map_or("one head".to_owned(), |d| format!("heads of {d} channels"));
    let read_as = match found.scheduler_class.as_str() {
        "" => "none".to_owned(),
        own @ "DDIMScheduler" => own.to_owned(),
        other => format!("{other}, read as DDIMScheduler would"),
    };
    let predicts = match config.predicts_variances() {
        true => {
            format!("{}, in the first {} channels; the variances in the others are ignored", found.prediction_type, config.in_channels)
        }
        false => found.prediction_type.to_owned(),
    };
    let mut rows = vec![
        ("model", found.model.clone()),
        ("weights", found.weights.clone()),
        ("images", format!("{size}, {}", counted(config.in_channels, "channel"))),
        ("network", format!("UNet2DModel, {} parameters, {classes}", with_commas(found.parameters))),
        ("channels", format!("{:?}, {} per block", config.block_out_channels, counted(config.layers_per_block, "layer"))),
        ("down", joined(&config.down_block_types, ", ")),
        ("middle", config.mid_block_type.map_or("none".to_owned(), |kind| kind.to_string())),
        ("up", joined(&config.up_block_types, ", ")),
        ("attention", heads),
        ("schedule", format!("{betas}, T = {}, alpha_bar_T = {:.3e}", found.timesteps, found.alpha_bar_last)),
        ("zero SNR", if scheduler.rescale_betas_zero_snr { "yes" } else { "no" }.to_owned()),
        ("predicts", predicts),
        ("scheduler", read_as),
        ("trajectory", format!("{}, offset {}", scheduler.timestep_spacing.name(), scheduler.steps_offset)),
        ("clipping", found.clip.clone()),
        ("last step", if scheduler.set_alpha_to_one { "to the clean image" } else { "to the noise of timestep 0" }.to_owned()),
    ];
    let known = found.class_names.len().max(found.class_counts.len());
    if known > 0 {
        let each = (0..known).map(|k| {
            let name = found.class_names.get(k).map_or(String::new(), |name| format!(" {name}"));
            let count = found.class_counts.get(k).map_or(String::new(), |n| format!(" ({})", counted(*n, "image")));
            format!("{k}{name}{count}")
        });
        rows.push(("classes", in_lines(each)));
    }
    rows.extend(found.null_class.map(|null| ("null class", format!("{null}, used by --guidance"))));
    let within = found.guidance_interval.map_or(String::new(), |[from, to]| format!(" at levels from {from} T to {to} T"));
    rows.extend(found.guidance.map(|scale| ("guidance", format!("{scale}{within}, by default in sample, consistency and tune"))));
    if let Some(classes) = &found.drawn_classes {
        let mut listed: Vec<String> = classes.split(',').map(|class| class.trim().to_owned()).collect();
        if let Some(last) = listed.last_mut() {
            *last += " in turn, by default in sample, consistency and tune";
        }
        rows.push(("draws", in_lines(listed.into_iter())));
    }
    match found.ema_rates.as_slice() {
        [] => {}
        [rate] => rows.push(("averages", format!("one, of rate {rate}"))),
        rates => rows.push(("averages", format!("of rates {}: the first, unless --ema chooses another", joined(rates, ", ")))),
    }
    rows.extend(found.notes.iter().map(|note| ("note", crate::error::in_flags(note))));
    let human: String = rows.iter().map(|(name, value)| format!("{name:<width$} {value}\n", width = INDENT - 1)).collect();
    report(&flags.output, &found, &human)
}

/// A list as the value of a row: lines of at most 120 columns, below one another.
fn in_lines(items: impl Iterator<Item = String>) -> String {
    let mut lines = vec![String::new()];
    for item in items {
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() {
            *line = item;
        } else if INDENT + line.chars().count() + ", ,".len() + item.chars().count() <= 120 {
            *line += &format!(", {item}");
        } else {
            line.push(',');
            lines.push(item);
        }
    }
    lines.join(&format!("\n{:INDENT$}", ""))
}

fn devices(output: &Output) -> Result<()> {
    let found = engine::devices();
    let line = |device: &engine::DeviceReport| {
        let memory = device.memory_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)));
        let about = [Some(device.kind.clone()), Some(device.api.clone()), memory, device.driver.clone()];
        format!("{:<6} {} ({})\n", device.device, device.name, joined(about.into_iter().flatten(), ", "))
    };
    let mut human: String = found.devices.iter().map(line).collect();
    human.extend(found.note.map(|note| format!("{note}\n")));
    report(output, &found, &human)
}

fn with_commas(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
