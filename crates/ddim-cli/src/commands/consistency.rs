//! `ddim consistency`

use crate::args::Consistency;
use crate::error::Result;
use crate::output::{OutputFile, joined, report};
use crate::pictures;
use crate::progress::Progress;
use crate::session::{Session, check_count, spacing_name};
use ddim::Sigma;
use serde_json::json;

pub(crate) fn run(args: &Consistency) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    check_count(args.count)?;
    let (shape, dim) = (session.shape(), session.dim());
    pictures::check_drawable(shape)?;
    let trajectories = args.steps.iter().map(|&s| session.trajectory(&args.trajectory, s)).collect::<Result<Vec<_>>>()?;
    let samplers = trajectories.iter().map(|t| session.sampler(t, &Sigma::Eta(0.0), &args.clip)).collect::<Result<Vec<_>>>()?;
    let file = OutputFile::create(&args.grid)?;

    let total: usize = trajectories.iter().map(|t| t.len()).sum();
    let progress = Progress::new("sampling", args.count * total, session.quiet);
    let latents = session.latents(args.seed, 0, args.count);
    let mut columns = Vec::new();
    for sampler in &samplers {
        let mut x = latents.clone();
        session.sample(sampler, &mut x, args.seed, &progress)?;
        columns.push(x);
    }
    let seconds = progress.finish();

    let mut rows = Vec::with_capacity(columns.len() * latents.len());
    for i in 0..args.count {
        columns.iter().for_each(|x| rows.extend_from_slice(&x[i * dim..(i + 1) * dim]));
    }
    let spacing = spacing_name(&session, &args.trajectory);
    let caption = format!(
        "ddim consistency --model {} --seed {} --count {} --steps {} --trajectory {spacing}{}",
        session.model,
        args.seed,
        args.count,
        joined(&args.steps, ","),
        session.flags(&args.clip)
    );
    let path = file.commit(&pictures::grid(&rows, shape, columns.len()).to_png(&caption))?;

    let last = &columns[columns.len() - 1];
    let table: Vec<(usize, f64)> = trajectories.iter().zip(&columns).map(|(t, x)| (t.len(), difference(x, last))).collect();
    // The same pictures, each beside its neighbour's.
    let others = (args.count > 1).then(|| {
        let mut turned = last.clone();
        turned.rotate_left(dim);
        difference(&turned, last)
    });
    let object = json!({
        "command": "consistency", "model": session.model, "count": args.count, "seed": args.seed, "trajectory": spacing, "seconds": seconds,
        "rms_from_last": table.iter().map(|(steps, rms)| json!({"steps": steps, "rms": rms})).collect::<Vec<_>>(),
        "rms_between_latents": others, "files": [&path],
    });
    let mut human =
        format!("{} latents, {spacing} trajectory; difference from the last column (root mean square, pixels in [0, 1])\n", args.count);
    human += "steps     RMS\n";
    table.iter().for_each(|(steps, rms)| human += &format!("{steps:>5}  {rms:.4}\n"));
    others.iter().for_each(|rms| human += &format!("between different latents {rms:.4}\n"));
    report(session.json, &object, &format!("{human}{}\n", path.display()))
}

/// Root mean squared difference of pixels in [0, 1], as they are shown.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let shown = |x: f32| f64::from(x.clamp(-1.0, 1.0)) / 2.0;
    (a.iter().zip(b).map(|(a, b)| (shown(*a) - shown(*b)).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}
