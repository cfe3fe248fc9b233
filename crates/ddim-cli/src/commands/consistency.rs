//! `ddim consistency`

use crate::args::Consistency;
use crate::error::Result;
use crate::output::{OutputFile, joined, report};
use crate::progress::Progress;
use crate::session::{Session, check_count, load_inception, shown, spacing_name};
use ddim::Sigma;
use ddim_nn::Inception;
use ddim_pictures::{check_colours, check_drawable, grid, labelled};
use serde_json::json;

pub(crate) fn run(args: &Consistency) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    check_count(args.count)?;
    let (shape, dim) = (session.shape(), session.dim());
    check_drawable(shape)?;
    if args.features {
        check_colours(shape)?;
    }
    let trajectories = args.steps.iter().map(|&s| session.trajectory(&args.trajectory, s)).collect::<Result<Vec<_>>>()?;
    let samplers = trajectories.iter().map(|t| session.sampler(t, &Sigma::Eta(0.0), &args.clip)).collect::<Result<Vec<_>>>()?;
    let file = OutputFile::create(&args.grid)?;
    let inception = args.features.then(|| load_inception(&args.inception, session.quiet)).transpose()?;

    let total: usize = trajectories.iter().map(|t| t.len()).sum();
    let progress = Progress::new("sampling", args.count * total, session.quiet);
    let latents = session.latents(args.seed, 0, args.count);
    let mut columns = Vec::new();
    for sampler in &samplers {
        let mut x = latents.clone();
        session.sample(sampler, &mut x, (args.seed, 0), &progress)?;
        columns.push(x);
    }
    let seconds = progress.finish();

    let mut rows = Vec::with_capacity(columns.len() * latents.len());
    for i in 0..args.count {
        columns.iter().for_each(|x| rows.extend_from_slice(&x[i * dim..(i + 1) * dim]));
    }
    let spacing = spacing_name(&session, &args.trajectory);
    let caption = format!(
        "ddim consistency {} --seed {} --count {} --steps {} --trajectory {spacing}{}",
        session.model_flags(&args.common),
        args.seed,
        args.count,
        joined(&args.steps, ","),
        session.flags(&args.clip)
    );
    let picture = grid(&rows, shape, columns.len())?;
    let labels: Vec<String> = trajectories.iter().map(|t| format!("S = {}", t.len())).collect();
    let picture = if args.no_labels { picture } else { labelled(&picture, &labels, &[]) };
    let path = file.commit(&picture.to_png(&caption))?;

    let last = &columns[columns.len() - 1];
    // The same pictures, each beside its neighbour's.
    let turned = |all: &[f32], by: usize| {
        let mut turned = all.to_vec();
        turned.rotate_left(by);
        turned
    };
    let rms: Vec<f64> = columns.iter().map(|x| difference(x, last)).collect();
    let others = (args.count > 1).then(|| difference(&turned(last, dim), last));
    let looked = inception.map(|inception| -> Result<(Vec<f64>, Option<f64>)> {
        let features = columns.iter().map(|x| ddim_eval::features_of_images(&inception, x, shape));
        let features = features.collect::<ddim_eval::Result<Vec<_>>>()?;
        let last = &features[features.len() - 1];
        let distances = features.iter().map(|f| mean_distance(f, last)).collect();
        Ok((distances, (args.count > 1).then(|| mean_distance(&turned(last, Inception::FEATURES), last))))
    });
    let looked = looked.transpose()?;
    let of_features = |i: usize| looked.as_ref().map(|(distances, _)| distances[i]);
    let features_between = looked.as_ref().and_then(|(_, others)| *others);
    let object = json!({
        "command": "consistency", "model": session.model, "count": args.count, "seed": args.seed, "trajectory": spacing, "seconds": seconds,
        "rms_from_last": trajectories.iter().zip(&rms).enumerate()
            .map(|(i, (t, rms))| json!({"steps": t.len(), "rms": rms, "feature_distance": of_features(i)})).collect::<Vec<_>>(),
        "rms_between_latents": others, "feature_distance_between_latents": features_between, "files": shown(&[&path]),
    });
    let mut human =
        format!("{} latents, {spacing} trajectory; difference from the last column (root mean square, pixels in [0, 1])\n", args.count);
    let features = |distance: Option<f64>| distance.map_or(String::new(), |d| format!("  {d:8.3}"));
    human += if looked.is_some() { "steps     RMS  features\n" } else { "steps     RMS\n" };
    for (i, (t, rms)) in trajectories.iter().zip(&rms).enumerate() {
        human += &format!("{:>5}  {rms:.4}{}\n", t.len(), features(of_features(i)));
    }
    others.iter().for_each(|rms| human += &format!("between different latents {rms:.4}{}\n", features(features_between)));
    report(session.json, &object, &format!("{human}{}\n", path.display()))
}

/// The mean distance of features, a pair at a time.
fn mean_distance(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.chunks_exact(Inception::FEATURES).zip(b.chunks_exact(Inception::FEATURES));
    let distance = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    pairs.map(distance).sum::<f64>() / (a.len() / Inception::FEATURES) as f64
}

/// Root mean squared difference of pixels in [0, 1], as they are shown.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let shown = |x: f32| f64::from(x.clamp(-1.0, 1.0)) / 2.0;
    (a.iter().zip(b).map(|(a, b)| (shown(*a) - shown(*b)).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}
