//! `ddim info`

use crate::args::Info;
use crate::error::Result;
use crate::models;
use crate::output::{joined, report};
use ddim::Clip;
use serde_json::json;

pub(crate) fn run(args: &Info) -> Result<()> {
    let pipeline = models::read(&args.model, &args.choices.choices())?;
    let (config, scheduler) = (&pipeline.config, &pipeline.scheduler);
    let schedule = scheduler.schedule();
    let top = schedule.levels();
    let size = config.sample_size.map(ddim_nn::SampleSize::dims);
    let clip = match scheduler.clip() {
        Clip::None => "none".to_owned(),
        Clip::Range(r) => format!("predicted x_0 to [-{r}, {r}]"),
        Clip::Dynamic { ratio, max } => format!("dynamic thresholding, quantile {ratio}, at most {max}"),
    };
    let betas = match &scheduler.trained_betas {
        Some(_) => "trained betas".to_owned(),
        None => format!("{} betas from {} to {}", scheduler.beta_schedule.name(), scheduler.beta_start, scheduler.beta_end),
    };
    let object = json!({
        "command": "info", "model": args.model.display().to_string(), "weights": pipeline.weights_file.display().to_string(),
        "parameters": pipeline.parameters(), "classes": pipeline.classes_count(), "class_names": pipeline.classes, "class_counts": pipeline.class_counts, "notes": pipeline.notes,
        "scheduler_class": pipeline.scheduler_class, "predicts_variances": config.predicts_variances(),
        "channels": config.in_channels, "size": size, "timesteps": top, "alpha_bar_last": schedule.alpha_bar(top),
        "prediction_type": scheduler.prediction().name(), "clip": clip, "unet": config, "scheduler": scheduler,
    });
    let size = size.map_or("any size".to_owned(), |[h, w]| format!("{h} x {w}"));
    let classes = match (&config.class_embed_type, config.num_class_embeds) {
        (Some(kind), _) => format!("class embedding of type {kind}"),
        (None, Some(n)) => format!("{n} {}", if n == 1 { "class" } else { "classes" }),
        (None, None) => "no classes".to_owned(),
    };
    let heads = config.attention_head_dim.map_or("one head".to_owned(), |d| format!("heads of {d} channels"));
    let read_as = match pipeline.scheduler_class.as_str() {
        "" => "none".to_owned(),
        own @ "DDIMScheduler" => own.to_owned(),
        other => format!("{other}, read as DDIMScheduler does"),
    };
    let predicts = match config.predicts_variances() {
        true => {
            format!("{}, in the first {} channels; variances in the others are left out", scheduler.prediction().name(), config.in_channels)
        }
        false => scheduler.prediction().name().to_owned(),
    };
    let mut rows = vec![
        ("model", args.model.display().to_string()),
        ("weights", pipeline.weights_file.display().to_string()),
        ("images", format!("{size}, {} channel{}", config.in_channels, if config.in_channels == 1 { "" } else { "s" })),
        ("network", format!("UNet2DModel, {} parameters, {classes}", with_commas(pipeline.parameters()))),
        ("channels", format!("{:?}, {} layers a block", config.block_out_channels, config.layers_per_block)),
        ("down", joined(&config.down_block_types, ", ")),
        ("middle", config.mid_block_type.map_or("none".to_owned(), |kind| kind.to_string())),
        ("up", joined(&config.up_block_types, ", ")),
        ("attention", heads),
        ("schedule", format!("{betas}, T = {top}, alpha_bar_T = {:.3e}", schedule.alpha_bar(top))),
        ("zero SNR", if scheduler.rescale_betas_zero_snr { "yes" } else { "no" }.to_owned()),
        ("predicts", predicts),
        ("scheduler", read_as),
        ("trajectory", format!("{}, offset {}", scheduler.timestep_spacing.name(), scheduler.steps_offset)),
        ("clipping", clip),
        ("last step", if scheduler.set_alpha_to_one { "to the clean image" } else { "to the noise of timestep 0" }.to_owned()),
    ];
    let known = pipeline.classes.len().max(pipeline.class_counts.len());
    if known > 0 {
        let each = (0..known).map(|k| {
            let name = pipeline.classes.get(k).map_or(String::new(), |name| format!(" {name}"));
            let count = pipeline.class_counts.get(k).map_or(String::new(), |n| format!(" ({n} images)"));
            format!("{k}{name}{count}")
        });
        rows.push(("classes", each.collect::<Vec<_>>().join(", ")));
    }
    rows.extend(pipeline.notes.iter().map(|note| ("note", note.clone())));
    let human: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
    report(args.json, &object, &human)
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
