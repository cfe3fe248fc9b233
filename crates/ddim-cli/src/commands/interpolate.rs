//! `ddim interpolate`

use crate::args::Interpolate;
use crate::error::{Error, Result};
use crate::output::{OutputFile, joined, report};
use crate::progress::Progress;
use crate::session::{Session, shown, spacing_name};
use ddim::Sigma;
use ddim_data::npy_bytes;
use ddim_pictures::{AnimationFormat, check_drawable, labelled, shown_frames};
use serde_json::json;
use std::path::PathBuf;

pub(crate) fn run(args: &Interpolate) -> Result<()> {
    let format = args.animate.as_deref().map(AnimationFormat::of).transpose().map_err(|e| Error::flag("--animate", e))?;
    let (session, given) = Session::with_latents(&args.common, &args.class, args.latents.as_deref())?;
    let (shape, dim) = (session.shape(), session.dim());
    let ends: Vec<Vec<f32>> = match &given {
        Some(latents) => latents.chunks_exact(dim).map(<[f32]>::to_vec).collect(),
        None => args.seeds.iter().map(|&seed| session.latents(seed, 0, 1)).collect(),
    };
    let path = |n: usize| {
        let found = args.latents.as_ref().map_or_else(|| format!("--seeds: {n} seeds"), |p| format!("{}: {n} latents", p.display()));
        Error::usage(format!("{found}: expected two, or four for a grid"))
    };
    let (mut x, columns) = match &ends[..] {
        [a, b] => {
            if args.rows.is_some() || args.cols.is_some() {
                return Err(Error::usage("--rows and --cols: expected four seeds or latents, found two (use --frames)"));
            }
            check_size("--frames", args.frames)?;
            (ddim::frames(a, b, args.frames).map_err(Error::usage)?, args.frames)
        }
        [a, b, c, d] => {
            let (rows, cols) = (args.rows.unwrap_or(8), args.cols.unwrap_or(8));
            check_size("--rows", rows)?;
            check_size("--cols", cols)?;
            (ddim::slerp_grid([a, b, c, d], rows, cols).map_err(Error::usage)?, cols)
        }
        other => return Err(path(other.len())),
    };
    if args.animate.is_some() && ends.len() != 2 {
        return Err(Error::usage("--animate: expected two seeds or latents, found four"));
    }
    let trajectory = session.trajectory(&args.trajectory, args.steps)?;
    let sampler = session.sampler(&trajectory, &Sigma::Eta(0.0), &args.clip)?;
    let default_grid = PathBuf::from("interpolate.png");
    let grid_path = args.grid.as_ref().or((args.animate.is_none() && args.save_npy.is_none()).then_some(&default_grid));
    if grid_path.is_some() || args.animate.is_some() {
        check_drawable(shape)?;
    }
    let grid = OutputFile::create_optional(grid_path)?;
    let animation = OutputFile::create_optional(args.animate.as_ref())?;
    let npy = OutputFile::create_optional(args.save_npy.as_ref())?;

    let count = x.len() / dim;
    let progress = Progress::new("interpolating", count * trajectory.len(), session.quiet);
    session.sample(&sampler, &mut x, (0, 0), &progress)?;
    let seconds = progress.finish();

    let source =
        args.latents.as_ref().map_or_else(|| format!("--seeds {}", joined(&args.seeds, ",")), |p| format!("--latents {}", p.display()));
    let size = if ends.len() == 2 { format!("--frames {count}") } else { format!("--rows {} --cols {columns}", count / columns) };
    let spacing = spacing_name(&session, &args.trajectory);
    let (model, flags) = (session.model_flags(&args.common), session.flags(&args.clip));
    let caption = format!("ddim interpolate {model} {source} {size} --steps {} --trajectory {spacing}{flags}", args.steps);
    let mut files = Vec::new();
    if let Some(file) = grid {
        let picture = ddim_pictures::grid(&x, shape, columns)?;
        // How far along each column is.
        let way = |i: usize| format!("{:.2}", i as f64 / (columns - 1).max(1) as f64);
        let labels: Vec<String> = (0..columns).map(way).collect();
        let picture = if args.no_labels { picture } else { labelled(&picture, &labels, &[]) };
        files.push(file.commit(&picture.to_png(&caption))?);
    }
    if let Some((file, format)) = animation.zip(format) {
        let there_and_back: Vec<usize> = (0..count).chain((1..count.saturating_sub(1)).rev()).collect();
        let draw = |i: usize| ddim_pictures::grid(&x[i * dim..(i + 1) * dim], shape, 1);
        let frames = shown_frames(there_and_back.len()).into_iter().map(|frame| draw(there_and_back[frame]));
        let frames = frames.collect::<ddim_pictures::Result<Vec<_>>>()?;
        files.push(file.commit(&format.encode(&frames, false, &caption)?)?);
    }
    if let Some(file) = npy {
        files.push(file.commit(&npy_bytes(&x, shape))?);
    }
    let object = json!({
        "command": "interpolate", "model": session.model, "count": count, "columns": columns, "steps": trajectory.len(), "seconds": seconds,
        "files": shown(&files),
    });
    report(
        session.json,
        &object,
        &format!("{count} images in {} steps: {seconds:.1} s\n{}\n", trajectory.len(), joined(files.iter().map(|f| f.display()), "\n")),
    )
}

fn check_size(flag: &str, n: usize) -> Result<()> {
    if (1..=10_000).contains(&n) {
        return Ok(());
    }
    Err(Error::flag(flag, format!("{n}: expected 1 to 10000")))
}
