//! `ddim reconstruct`

use crate::args::Reconstruct;
use crate::error::Result;
use crate::inputs;
use crate::output::{OutputFile, joined, report};
use crate::progress::Progress;
use crate::session::{Session, spacing_name};
use ddim_pictures::{check_drawable, labelled};
use serde_json::json;

/// Images that are drawn.
const SHOWN: usize = 16;
/// Times that a difference is shown as large as it is, around gray.
const MAGNIFIED: f32 = 4.0;

pub(crate) fn run(args: &Reconstruct) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    let trajectories = args.steps.iter().map(|&s| session.trajectory(&args.trajectory, s)).collect::<Result<Vec<_>>>()?;
    let (shape, dim) = (session.shape(), session.dim());
    let inputs = inputs::read(&args.input, shape, &args.preparation, args.count)?;
    let images = inputs.images;
    let count = images.len() / dim;
    let grid = OutputFile::create_optional(args.grid.as_ref())?;
    if grid.is_some() {
        check_drawable(shape)?;
    }
    let total: usize = trajectories.iter().map(|t| 2 * t.len()).sum();
    let progress = Progress::new("reconstructing", count * total, session.quiet);
    let shown = count.min(SHOWN);
    let (mut rows, mut labels) = (images[..shown * dim].to_vec(), vec!["original".to_owned()]);
    let mut table = Vec::new();
    for trajectory in &trajectories {
        let mut x = images.clone();
        session.encode(trajectory, &mut x, &progress)?;
        session.sample(&session.decoder(trajectory)?, &mut x, (0, 0), &progress)?;
        // On [0, 1], half the scale of the network.
        let square: f64 = x.iter().zip(&images).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        table.push((trajectory.len(), square / 4.0 / images.len() as f64));
        let differences = x.iter().zip(&images).take(shown * dim).map(|(a, b)| MAGNIFIED * (a - b));
        rows.extend_from_slice(&x[..shown * dim]);
        rows.extend(differences);
        labels.extend([format!("S = {}", trajectory.len()), format!("difference × {MAGNIFIED}")]);
    }
    let seconds = progress.finish();
    let spacing = spacing_name(&session, &args.trajectory);
    let caption = format!(
        "ddim reconstruct {} --steps {} --trajectory {spacing}{}",
        session.model_flags(&args.common),
        joined(&args.steps, ","),
        session.class_flag()
    );
    let file = grid
        .map(|file| {
            let picture = ddim_pictures::grid(&rows, shape, shown)?;
            file.commit(&labelled(&picture, &[], &labels).to_png(&caption))
        })
        .transpose()?;
    let object = json!({
        "command": "reconstruct", "model": session.model, "images": count, "data": inputs::as_json(&inputs.report), "trajectory": spacing, "seconds": seconds,
        "mse": table.iter().map(|(steps, mse)| json!({"steps": steps, "mse": mse})).collect::<Vec<_>>(), "files": file.iter().map(|f| f.display().to_string()).collect::<Vec<_>>(),
    });
    let mut human = format!("{} images, {spacing} trajectory, mean squared error per dimension on [0, 1]\n", count);
    human += "steps      MSE\n";
    table.iter().for_each(|(steps, mse)| human += &format!("{steps:>5}  {mse:.5}\n"));
    file.iter().for_each(|f| human += &format!("{}\n", f.display()));
    report(session.json, &object, &human)
}
