//! `ddim sweep`

use crate::args::{ClipArgs, Sweep};
use crate::error::{Error, Result};
use crate::models;
use crate::output::{create_folder, report, write};
use crate::pictures::{self, Picture, preparation_or_crop};
use crate::progress::Progress;
use crate::session::{Session, check_count, load_inception, spacing_name};
use crate::used_folder;
use ddim::Sigma;
use ddim_eval::{Cell, Images, SHOWN, SweepEvent, Table, features_of_bytes, sigma_label, sigma_name};
use ddim_train::Preparation;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What looking at an image costs, in evaluations of the network: for the time left, roughly.
const LOOKING: usize = 12;

/// Images of each cell in the grid, side by side.
const GRID: usize = 2;

pub(crate) fn run(args: &Sweep) -> Result<()> {
    let session = Session::new(&args.common, &args.class)?;
    check_count(args.count)?;
    if args.count < 2 {
        return Err(Error::flag("--count", "1: expected at least 2, for a covariance"));
    }
    let [c, h, w] = session.shape();
    pictures::check_drawable([c, h, w])?;
    let cells = Table::cells(&args.steps, &args.eta);
    for (i, cell) in cells.iter().enumerate() {
        if cells[..i].contains(cell) {
            return Err(Error::usage(format!("--steps {} --eta {} twice: expected each once", cell.steps, sigma_name(&cell.sigma))));
        }
    }
    let samplers = cells.iter().map(|cell| {
        let trajectory = session.trajectory(&args.trajectory, cell.steps)?;
        let sampler = session.sampler(&trajectory, &cell.sigma, &clipping(args, &cell.sigma))?;
        Ok((sampler, trajectory.len()))
    });
    let samplers = samplers.collect::<Result<Vec<_>>>()?;
    let prepared = preparation_or_crop(&args.preparation, [h, w]);
    let reference = Images::open(&args.reference, Some(prepared), args.reference_limit)?;
    reference.check_features(&args.reference)?;
    let settings = settings(&session, args, &prepared, &reference)?;
    let serde_json::Value::Object(settings) = settings else { unreachable!("settings are an object") };
    for (folder, cell) in args.save_images.iter().flat_map(|folder| cells.iter().map(move |cell| (folder, cell))) {
        used_folder::check_images(&cell_folder(folder, cell), args.count, |i| caption(&session, args, cell, i))?;
    }
    let sweep = ddim_eval::Sweep::open(&args.out, &settings, session.shape())?;
    args.save_images.iter().try_for_each(|folder| create_folder(folder))?;
    let inception = load_inception(&args.inception, session.quiet)?;

    let looked = match &reference {
        Images::Set(set) => set.len() * LOOKING,
        Images::Statistics(_) => 0,
    };
    let total: usize = samplers.iter().map(|(_, evaluations)| args.count * (evaluations + LOOKING)).sum();
    let progress = Progress::new("sweeping", looked + total, session.quiet);
    let mut observe = |event: SweepEvent<'_>| {
        match event {
            SweepEvent::Images(None, n) => progress.advance(n * LOOKING),
            SweepEvent::Images(Some(cell), n) => {
                let at = cells.iter().position(|known| known == cell).expect("one of ours");
                progress.advance(n * (samplers[at].1 + LOOKING));
            }
            SweepEvent::Done(result) if !session.quiet => {
                progress.line(&format!("S = {}, eta {}: FID {:.2}", result.steps, result.eta, result.fid));
            }
            _ => {}
        }
        Ok(())
    };
    let reference = match reference {
        Images::Statistics(statistics) => ddim_eval::Reference::new(statistics)?,
        Images::Set(set) => sweep.reference(
            set.len(),
            &mut |range| features_of_bytes(&inception, &set.read(range.clone())?, set.size(), range.start),
            &mut observe,
        )?,
    };
    let mut results = Vec::with_capacity(cells.len());
    for (cell, (sampler, evaluations)) in cells.iter().zip(&samplers) {
        let images = args.save_images.as_ref().map(|folder| cell_folder(folder, cell));
        images.iter().try_for_each(|folder| create_folder(folder))?;
        // Progress is told by images, when they have been looked at.
        let silent = Progress::new("", 0, true);
        let sample = |range: std::ops::Range<usize>| -> Result<Vec<f32>> {
            let mut x = session.latents(args.seed, range.start, range.len());
            session.sample(sampler, &mut x, (args.seed, range.start), &silent)?;
            if let Some(folder) = &images {
                save(folder, &x, session.shape(), range.start, |i| caption(&session, args, cell, i))?;
            }
            Ok(x)
        };
        let mut sample = |range| sample(range).map_err(ddim_eval::Error::observer);
        results.push(sweep.cell(cell, *evaluations, args.count, &reference, &inception, &mut sample, &mut observe)?);
    }
    let seconds = progress.finish();

    let table = Table { steps: args.steps.clone(), sigmas: args.eta.clone(), results };
    let file = |name: &str| args.out.join(name);
    let title = format!("{}, {} images a cell", session.model, args.count);
    let object = json!({ "command": "sweep", "settings": settings, "cells": table.results });
    write(&file("table.md"), table.to_markdown().as_bytes())?;
    write(&file("table.csv"), table.to_csv().as_bytes())?;
    write(&file("table.json"), format!("{object:#}\n").as_bytes())?;
    let times = cells.iter().map(|cell| Ok(sweep.seconds(cell)?)).collect::<Result<Vec<_>>>()?;
    let time = |result: &ddim_eval::CellResult| {
        times[cells.iter().position(|cell| cell.steps == result.steps && sigma_name(&cell.sigma) == result.eta)?]
    };
    for (name, chart) in [("fid", table.fid_chart(&title)), ("seconds", table.time_chart(&title, time))] {
        write(&file(&format!("{name}.svg")), chart.to_svg().as_bytes())?;
        write(&file(&format!("{name}.png")), &Picture::from(chart.to_raster()).to_png(&title))?;
    }
    write(&file("grid.png"), &grid(&session, args, &sweep, &cells)?.to_png(&title))?;
    let mut object = object;
    object["seconds"] = json!(seconds);
    object["out"] = json!(args.out);
    let human = format!("{}{} cells of {} images: {seconds:.1} s\n{}\n", table.to_markdown(), cells.len(), args.count, args.out.display());
    report(session.json, &object, &human)
}

/// The paper's σ̂ is the authors' `ddpm_noisy`, which clips and derives ε again.
fn clipping(args: &Sweep, sigma: &Sigma) -> ClipArgs {
    let ClipArgs { clip, no_clip, rederive_epsilon } = args.clip;
    if *sigma == Sigma::Hat && !no_clip {
        return ClipArgs { clip: true, no_clip: false, rederive_epsilon: true };
    }
    ClipArgs { clip, no_clip, rederive_epsilon }
}

/// What all cells share, by which a sweep knows itself again.
fn settings(session: &Session, args: &Sweep, prepared: &Preparation, reference: &Images) -> Result<serde_json::Value> {
    let checksum = ddim_nn::checksum(&models::load(&args.common.model)?.unet);
    let [h, w] = prepared.size;
    let [r, g, b] = prepared.background;
    let prepared = match reference {
        Images::Statistics(_) => "statistics".to_owned(),
        Images::Set(_) => format!("{h}x{w}, {:?} on #{r:02x}{g:02x}{b:02x}", prepared.fit).to_lowercase(),
    };
    Ok(json!({
        "model": session.model, "weights": checksum, "reference": args.reference, "reference_images": reference.count(),
        "reference_prepared": prepared, "count": args.count, "seed": args.seed, "trajectory": spacing_name(session, &args.trajectory),
        "flags": session.flags(&args.clip).trim(),
    }))
}

/// Where the images of a cell go.
fn cell_folder(folder: &Path, cell: &Cell) -> PathBuf {
    folder.join(format!("s{:04}-eta{}", cell.steps, sigma_name(&cell.sigma)))
}

/// What image `i` of a cell is described by.
fn caption(session: &Session, args: &Sweep, cell: &Cell, i: usize) -> String {
    let (steps, spacing, eta) = (cell.steps, spacing_name(session, &args.trajectory), sigma_name(&cell.sigma));
    let flags = session.flags(&clipping(args, &cell.sigma));
    format!(
        "ddim sweep --model {} --steps {steps} --trajectory {spacing} --eta {eta} --seed {}{flags}, image {i}",
        session.model, args.seed
    )
}

fn save(folder: &Path, x: &[f32], shape: [usize; 3], first: usize, caption: impl Fn(usize) -> String) -> Result<()> {
    for (i, image) in x.chunks_exact(shape.iter().product()).enumerate() {
        write(&folder.join(format!("{:05}.png", first + i)), &pictures::single(image, shape).to_png(&caption(first + i)))?;
    }
    Ok(())
}

/// A few images of every cell: a row for each noise, a column for each S.
fn grid(session: &Session, args: &Sweep, sweep: &ddim_eval::Sweep, cells: &[Cell]) -> Result<Picture> {
    let per_cell = GRID.min(SHOWN).min(args.count);
    let mut images = Vec::new();
    for cell in cells {
        images.extend_from_slice(&sweep.shown(cell)?[..per_cell * session.dim()]);
    }
    let columns: Vec<String> = args.steps.iter().map(|s| format!("S = {s}")).collect();
    let rows: Vec<String> = args.eta.iter().map(sigma_label).collect();
    Ok(pictures::labelled(&pictures::grid(&images, session.shape(), per_cell * args.steps.len()), &columns, &rows))
}
