//! `ddim nll`

use crate::args::Nll;
use crate::error::{Error, Result};
use crate::inputs;
use crate::output::{OutputFile, report};
use crate::progress::Progress;
use crate::session::{Session, spacing_name};
use ddim::Sigma;
use ddim_eval::likelihood;
use ddim_pictures::likelihood_chart;
use serde_json::json;
use std::io::Write;

pub(crate) fn run(args: &Nll) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    if let Some(eta) = args.eta.iter().find(|eta| !(**eta > 0.0 && **eta <= 1.0)) {
        return Err(Error::flag("--eta", format!("{eta}: expected numbers above 0 and up to 1 (J_sigma needs every sigma above 0)")));
    }
    let trajectory = session.trajectory(&args.trajectory, args.steps)?;
    let svg = args.plot.as_ref().map(|path| match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => Ok(true),
        Some("png") => Ok(false),
        _ => Err(Error::flag("--plot", format!("{}: expected a name that ends in .svg or .png", path.display()))),
    });
    let svg = svg.transpose()?.unwrap_or(false);
    let inputs = inputs::read(&args.data, session.shape(), &args.preparation, Some(args.count))?;
    // The bound counts bytes: a batch of floats is made those.
    let images: Vec<f32> = inputs.images.iter().map(|x| ddim::from_byte(ddim::to_byte(*x))).collect();
    let beyond = inputs.images.iter().filter(|x| x.abs() > 1.0).count();
    if beyond > 0 {
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr(), "warning: {beyond} numbers beyond [-1, 1] were clamped: the bound is that of bytes");
    }
    let count = images.len() / session.dim();
    let file = OutputFile::create_optional(args.plot.as_ref())?;
    let sigmas: Vec<Sigma> = args.eta.iter().map(|&eta| Sigma::Eta(eta)).collect();
    let progress = Progress::new("evaluating", count * (trajectory.len() + 1), session.quiet);
    let network = |images: std::ops::Range<usize>| session.network_for(args.seed, images).map_err(ddim_eval::Error::observer);
    let batch = (args.seed, session.batch_size);
    let found = likelihood(&session.schedule, &trajectory, &sigmas, &images, batch, &network, &mut |n| progress.advance(n))?;
    let seconds = progress.finish();

    let spacing = spacing_name(&session, &args.trajectory);
    let title = format!("{}, {count} images, S = {}, {spacing}", session.model, trajectory.len());
    let file = file
        .map(|file| {
            let chart = likelihood_chart(&found, &sigmas, &title);
            if svg { file.commit(chart.to_svg().as_bytes()) } else { file.commit(&chart.to_picture().to_png(&title)) }
        })
        .transpose()?;
    let bounds = args.eta.iter().zip(&found.bounds).map(|(eta, bound)| {
        json!({
            "eta": eta, "bits_per_dim": bound.bits, "standard_error": bound.error, "prior": bound.prior, "j_sigma_bits_per_dim": bound.j_bits,
            "terms": bound.terms,
        })
    });
    let bounds: Vec<_> = bounds.collect();
    let simple = found.l_simple.iter().sum::<f64>() / found.l_simple.len() as f64;
    let object = json!({
        "command": "nll", "model": session.model, "images": count, "data": inputs::as_json(&inputs.report), "steps": trajectory.len(), "trajectory": spacing, "seed": args.seed,
        "timesteps": found.timesteps, "l_simple": found.l_simple, "l_simple_mean": simple, "bounds": bounds, "seconds": seconds,
        "files": file.iter().map(|f| f.display().to_string()).collect::<Vec<_>>(),
    });
    let mut human = format!("{count} images, {} steps, {spacing} trajectory; bits a dimension\n", trajectory.len());
    human += "  eta   bound            x_T    KL terms  decoder   J_sigma\n";
    for (eta, bound) in args.eta.iter().zip(&found.bounds) {
        let kl: f64 = bound.terms[1..].iter().sum();
        human += &format!(
            "{eta:>5}  {:>6.3} ± {:.3}  {:.4}  {kl:>8.3}  {:>8.3}  {:>8.3}\n",
            bound.bits, bound.error, bound.prior, bound.terms[0], bound.j_bits
        );
    }
    human += &format!("L_simple {simple:.4} (mean squared error of the noise, over the {} timesteps)\n", trajectory.len());
    file.iter().for_each(|f| human += &format!("{}\n", f.display()));
    report(session.json, &object, &human)
}
