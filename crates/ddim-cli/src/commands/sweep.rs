//! `ddim sweep`

use crate::args::{ClipArgs, Sweep};
use crate::error::{Error, Result};
use crate::inputs::{as_json, preparation, say};
use crate::output::{create_folder, report, write};
use crate::progress::Progress;
use crate::session::{Session, check_count, load_inception, spacing_name};
use crate::used_folder;
use ddim::Sigma;
use ddim_data::{Look, Preparation};
use ddim_eval::{
    Cell, Images, MOST_COMPARED, SHOWN, SweepEvent, SweepReference, Table, features_of_bytes, few_images, plus_minus, sigma_label,
    sigma_name,
};
use ddim_pictures::{Picture, check_colours, fid_chart, labelled, single, time_chart};
use serde_json::{Map, Value, json};
use std::io::Write;
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
    check_colours([c, h, w])?;
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
    let prepared = preparation(&args.preparation, [h, w]);
    // What a sweep writes is no reference, wherever it lies.
    let besides: Vec<PathBuf> = std::iter::once(&args.out).chain(&args.save_images).cloned().collect();
    let reference = Images::open(&args.reference, Look::Prepared(prepared), args.reference_limit, args.preparation.bad_files(), &besides)?;
    reference.check_features(&args.reference)?;
    if let Images::Set(set) = &reference {
        say(set.report());
    }
    let data = if let Images::Set(set) = &reference { as_json(set.report()) } else { Value::Null };
    for (folder, cell) in args.save_images.iter().flat_map(|folder| cells.iter().map(move |cell| (folder, cell))) {
        used_folder::check_images(&cell_folder(folder, cell), args.count, |i| caption(&session, args, cell, i))?;
    }
    let mut settings = settings(&session, args, &prepared, &reference)?;
    ddim_eval::Sweep::check(&args.out, &settings)?;
    settings.insert("reference_checksum".into(), checksum(&reference, session.quiet)?.into());
    ddim_eval::Sweep::check(&args.out, &settings)?;
    let inception = load_inception(&args.inception, session.quiet)?;
    settings.insert("inception_checksum".into(), inception.checksum().into());
    let names = as_object(json!({ "model": session.model, "reference": args.reference.display().to_string() }));
    let computed_by = format!("ddim {}, {}", env!("CARGO_PKG_VERSION"), ddim_nn::vectors());
    let sweep = ddim_eval::Sweep::open(&args.out, &settings, &names, &computed_by, session.shape())?;
    args.save_images.iter().try_for_each(|folder| create_folder(folder))?;
    let warnings = warnings(args, &reference, sweep.computed_by());
    if !session.quiet {
        for warning in &warnings {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
    }

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
                let kid = result.kid.map_or(String::new(), |kid| format!(", KID {}", plus_minus(kid, result.kid_error, 5)));
                let fid = plus_minus(result.fid, result.fid_error, 2);
                progress.line(&format!("S = {}, eta {}: FID {fid}{kid}", result.steps, result.eta));
            }
            _ => {}
        }
        Ok(())
    };
    let reference_images = reference.count();
    let reference = match reference {
        Images::Statistics(statistics) => SweepReference::new(statistics)?,
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
    settings.extend(names);
    settings.insert("computed_by".into(), json!(sweep.computed_by()));
    let object = json!({ "command": "sweep", "data": data, "settings": settings, "cells": table.results, "warnings": warnings });
    let markdown = table.to_markdown(reference_images, &warnings);
    write(&file("table.md"), markdown.as_bytes())?;
    write(&file("table.csv"), table.to_csv().as_bytes())?;
    write(&file("table.json"), format!("{object:#}\n").as_bytes())?;
    let times = cells.iter().map(|cell| Ok(sweep.seconds(cell)?)).collect::<Result<Vec<_>>>()?;
    let time = |result: &ddim_eval::CellResult| {
        times[cells.iter().position(|cell| cell.steps == result.steps && sigma_name(&cell.sigma) == result.eta)?]
    };
    for (name, chart) in [("fid", fid_chart(&table, &title)), ("seconds", time_chart(&table, &title, time))] {
        write(&file(&format!("{name}.svg")), chart.to_svg().as_bytes())?;
        write(&file(&format!("{name}.png")), &chart.to_picture().to_png(&title))?;
    }
    write(&file("grid.png"), &grid(&session, args, &sweep, &cells)?.to_png(&title))?;
    let mut object = object;
    object["seconds"] = json!(seconds);
    object["out"] = json!(args.out.display().to_string());
    let human = format!("{markdown}\n{} cells of {} images: {seconds:.1} s\n{}\n", cells.len(), args.count, args.out.display());
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

/// What all cells share, by which a sweep knows itself again: whatever moves a digit of them, but for the vectors of the processor. What things
/// are called is beside it.
fn settings(session: &Session, args: &Sweep, prepared: &Preparation, reference: &Images) -> Result<Map<String, Value>> {
    let [h, w] = prepared.size;
    let [r, g, b] = prepared.background;
    let prepared = match reference {
        Images::Statistics(_) => "statistics".to_owned(),
        Images::Set(_) => format!("{h}x{w}, {:?} on #{r:02x}{g:02x}{b:02x}", prepared.fit).to_lowercase(),
    };
    let mut settings = as_object(json!({
        "weights": session.network.checksum(), "reference_images": reference.count(),
        "reference_prepared": prepared, "count": args.count, "seed": args.seed, "trajectory": spacing_name(session, &args.trajectory),
        "flags": session.flags(&args.clip).trim(),
    }));
    // A file of classes may change.
    if let Some(labels) = session.labels(args.seed, args.count) {
        let bytes: Vec<u8> = labels.iter().flat_map(|label| (*label as u64).to_le_bytes()).collect();
        settings.insert("classes".into(), ddim_weights::checksum_of(&bytes).into());
    }
    settings.insert("size".into(), json!([h, w]));
    // The same weights are another model under other settings: one key each, so that a difference is named.
    for (of, config) in [("network", to_value(session.network.config())?), ("scheduler", to_value(&session.scheduler)?)] {
        let told = as_object(config).into_iter().filter(|(key, _)| !key.starts_with('_'));
        settings.extend(told.map(|(key, value)| (format!("{of}.{key}"), value)));
    }
    Ok(settings)
}

fn to_value(config: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(config).map_err(Error::failure)
}

fn as_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The checksum of a reference, told as it is read: that may take a while.
fn checksum(reference: &Images, quiet: bool) -> Result<String> {
    let total = if let Images::Set(set) = reference { set.len() } else { 0 };
    let progress = Progress::counting("images", "reading the reference", total, quiet);
    let checksum = reference.checksum(&mut |n| {
        progress.advance(n);
        Ok(())
    })?;
    progress.finish();
    Ok(checksum)
}

/// What may mislead, in words.
fn warnings(args: &Sweep, reference: &Images, computed_by: &[String]) -> Vec<String> {
    let few = [("a cell", Some(args.count)), ("the reference", reference.count())];
    let mut warnings: Vec<String> = few.iter().filter_map(|(whose, count)| few_images(whose, (*count)?)).collect();
    if matches!(reference, Images::Set(set) if set.len() > MOST_COMPARED) || args.count > MOST_COMPARED {
        warnings.push(format!("KID is of {MOST_COMPARED} images where there are more"));
    }
    if matches!(reference, Images::Statistics(_)) {
        warnings.push("the reference is statistics: there is no KID without its images".to_owned());
    }
    if computed_by.len() > 1 {
        warnings.push(format!("cells are of {}: they may differ in their last digits", computed_by.join(" and of ")));
    }
    warnings
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
        "ddim sweep {} --steps {steps} --trajectory {spacing} --eta {eta} --seed {}{flags}, image {i}",
        session.model_flags(&args.common),
        args.seed
    )
}

fn save(folder: &Path, x: &[f32], shape: [usize; 3], first: usize, caption: impl Fn(usize) -> String) -> Result<()> {
    for (i, image) in x.chunks_exact(shape.iter().product()).enumerate() {
        write(&folder.join(format!("{:05}.png", first + i)), &single(image, shape)?.to_png(&caption(first + i)))?;
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
    let grid = ddim_pictures::grid(&images, session.shape(), per_cell * args.steps.len())?;
    Ok(labelled(&grid, &columns, &rows))
}
