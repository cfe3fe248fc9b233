//! `ddim encode`

use crate::args::Encode;
use crate::error::Result;
use crate::inputs;
use crate::output::{OutputFile, report};
use crate::progress::Progress;
use crate::session::{Session, timesteps};
use ddim_data::npy_bytes;
use serde_json::json;

pub(crate) fn run(args: &Encode) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    let trajectory = session.trajectory(&args.trajectory, args.steps)?;
    let inputs = inputs::read(&args.input, session.shape(), &args.preparation, None)?;
    let mut x = inputs.images;
    let file = OutputFile::create(&args.save_npy)?;
    let progress = Progress::new("encoding", inputs.names.len() * trajectory.len(), session.quiet);
    session.encode(&trajectory, &mut x, &progress)?;
    let seconds = progress.finish();
    let (mean, std) = moments(&x);
    let path = file.commit(&npy_bytes(&x, session.shape()))?;
    let object = json!({
        "command": "encode", "model": session.model, "inputs": inputs.names, "data": inputs::as_json(&inputs.report), "steps": trajectory.len(), "timesteps": timesteps(&trajectory),
        "latent_mean": mean, "latent_std": std, "seconds": seconds, "files": [path.display().to_string()],
    });
    let human = format!(
        "{} images to latents in {} steps: {seconds:.1} s; mean {mean:.3}, deviation {std:.3} (noise has 0 and 1)\n{}\n",
        inputs.names.len(),
        trajectory.len(),
        path.display()
    );
    report(session.json, &object, &human)
}

fn moments(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, (x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
}
