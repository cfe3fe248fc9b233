//! Tables of FID and KID over numbers of steps, solvers, trajectories, noise, guidance and seeds (Table 1).

use crate::axes::{self, check_axis, check_guided, rows};
use crate::choices::{Clipping, Eta, Guidance, Model, Preparing, check_count};
use crate::error::{Error, Result};
use crate::inception::{computed_by, load_inception, reference_checksum, unknown_classes};
use crate::inputs::say;
use crate::job::{Request, Within};
use crate::output::{check_paths, create_folder, write};
use crate::reports::DataReport;
use crate::sample::{single_path, write_singles};
use crate::session::{Session, UNGUIDED};
use crate::spacing::Spacing;
use crate::sweep_settings::{as_object, settings};
use crate::used_folder;
use ddim::{Sampler, Sigma, Solver};
use ddim_data::Look;
use ddim_eval::{
    Cell, CellResult, Images, KeptFeatures, MOST_COMPARED, Plain, Row, SHOWN, SweepEvent, SweepReference, Table, features_of_bytes,
    few_images, plus_minus, sigma_name,
};
use ddim_pictures::{Picture, check_colours, fid_chart, kid_chart, labelled, time_chart};
use ddim_train::quoted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What looking at an image costs, in evaluations of the network: for the time left, roughly.
const LOOKING: usize = 12;

/// Images that are drawn at a time for their files alone.
const REDRAWN: usize = 64;

/// Images of each cell in the grid, side by side.
const GRID: usize = 2;

/// Computes a table of FID and KID, kept in a folder.
///
/// Columns are `steps`; rows are all combinations of `trajectory`, `solver`, `eta` and `guidance`; each place in the table has one cell for every `seed`. Cells
/// with the same seed start from the same latents. Repeating a request resumes it, however it was stopped, and a request with more values on any axis computes
/// only the new cells.
///
/// ```no_run
/// use ddim_engine::{Control, Engine, Eta, Solver, Sweep};
///
/// let request = Sweep {
///     reference: "photos".into(),
///     steps: vec![10, 20],
///     solver: vec![Solver::Ddim, Solver::Ipndm],
///     eta: vec![Eta::Value(0.0)],
///     seed: vec![0, 1],
///     out: "table".into(),
///     ..Sweep::default()
/// };
/// let table = Engine::default().run(&request, &Control::default(), &mut |_| {})?; // or goes on
/// assert_eq!(table.cells.len(), 8);
/// # Ok::<(), ddim_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sweep {
    /// The model, and how to run it.
    pub model: Model,
    /// Reference images, or their statistics.
    pub reference: PathBuf,
    /// Use only the first `reference_limit` reference images.
    pub reference_limit: Option<usize>,
    /// How reference images are fitted to the model.
    pub preparation: Preparing,
    /// Numbers of steps: the columns.
    pub steps: Vec<usize>,
    /// How a step uses earlier predictions of the network: rows.
    #[serde(with = "crate::axes::by_names")]
    pub solver: Vec<Solver>,
    /// How timesteps are chosen: rows. If empty, the model's own spacing.
    pub trajectory: Vec<Spacing>,
    /// Amounts of noise added while sampling: rows.
    pub eta: Vec<Eta>,
    /// Guidance scales: rows. If empty, the scale of `model`; its interval and rescaling apply to all rows.
    pub guidance: Vec<f64>,
    /// Number of images per cell.
    pub count: usize,
    /// Seeds of the latents and the noise: one cell for each in every place of the table.
    pub seed: Vec<u64>,
    /// How the predicted x_0 is clipped; σ̂ clips and recomputes ε unless this turns clipping off.
    pub clip: Clipping,
    /// The folder of the sweep. It receives table.md, .csv and .json; charts of FID, KID and seconds (.svg, .png); grid.png; and, if images are drawn with the
    /// reference's classes, classes.csv with the accuracy and KID of each class.
    pub out: PathBuf,
    /// A folder that receives every image of every cell, including cells that an earlier run evaluated without writing their images.
    pub save_images: Option<PathBuf>,
    /// Weights of the Inception network. By default, [`ddim_eval::load_inception`] finds them, or downloads them once.
    pub inception: Option<PathBuf>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            model: Model::default(),
            reference: PathBuf::new(),
            reference_limit: None,
            preparation: Preparing::default(),
            steps: vec![10, 20, 50, 100],
            solver: vec![Solver::Ddim],
            trajectory: Vec::new(),
            eta: vec![Eta::Value(0.0), Eta::Value(0.2), Eta::Value(0.5), Eta::Value(1.0), Eta::Hat],
            guidance: Vec::new(),
            count: 1000,
            seed: vec![0],
            clip: Clipping::default(),
            out: "sweep".into(),
            save_images: None,
            inception: None,
        }
    }
}

/// The result of a [`Sweep`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "sweep")]
pub struct SweepReport {
    /// Files left out of the reference; `None` if it is statistics.
    pub data: Option<DataReport>,
    /// Settings that all cells share, including trajectory, guidance and seed where there is only one.
    pub settings: Map<String, Value>,
    /// The cells: row by row, within a row by steps, in each place by seed.
    pub cells: Vec<CellResult>,
    /// What may mislead, one line each.
    pub warnings: Vec<String>,
    /// Time taken by this run, in seconds.
    pub seconds: f64,
    /// The folder of the sweep.
    pub out: String,
    /// The table as Markdown.
    #[serde(skip)]
    pub markdown: String,
}

/// `table.json`: a report without what differs from run to run.
#[derive(Serialize)]
struct WrittenTable<'a> {
    command: &'a str,
    data: &'a Option<DataReport>,
    settings: &'a Map<String, Value>,
    cells: &'a [CellResult],
    warnings: &'a [String],
}

impl Request for Sweep {
    type Report = SweepReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<SweepReport> {
        let folders = [("out", Some(&*self.out)), ("save_images", self.save_images.as_deref())];
        check_paths(&[("reference", Some(&*self.reference)), ("inception", self.inception.as_deref())], &folders, &[])?;
        let mut guidances = if self.guidance.is_empty() { vec![self.model.guidance.scale()] } else { self.guidance.clone() };
        let mut session = Session::of_reference(&self.guided_most(&guidances), watch)?;
        check_count(self.count)?;
        if self.count < 2 {
            return Err(Error::field("count", "1: expected at least 2, for a covariance"));
        }
        if let Some(few @ 0..2) = self.reference_limit {
            return Err(Error::field("reference_limit", format!("{few}: expected at least 2, for a covariance")));
        }
        let [c, h, w] = session.shape();
        check_colours([c, h, w])?;
        check_axis("steps", &self.steps, ToString::to_string)?;
        check_axis("seed", &self.seed, ToString::to_string)?;
        let mut placed = rows(&session, &self.trajectory, &self.solver, &self.eta, &guidances)?;
        let (samplers, mut evaluations): (Vec<Sampler>, Vec<usize>) = self.samplers(&session, &placed)?.into_iter().unzip();
        let tuned: Vec<bool> = placed.iter().map(|(_, spacing)| matches!(spacing, Some(Spacing::Tuned(_)))).collect();
        let rows: Vec<Row> = placed.iter().map(|(row, _)| row.clone()).collect();
        let mut cells = Table::cells(&self.steps, &rows, &self.seed);
        let sampler_of = |cell: usize| &samplers[cell / self.seed.len()];
        // Whoever tunes again has other cells.
        for (i, cell) in cells.iter_mut().enumerate().filter(|(i, _)| tuned[i / (self.steps.len() * self.seed.len())]) {
            let levels: Vec<u8> = sampler_of(i).steps().iter().flat_map(|step| (step.level as u64).to_le_bytes()).collect();
            cell.trajectory = format!("tuned-{:08x}", ddim_weights::checksum_of(&levels));
        }
        let prepared = self.preparation.for_size([h, w]);
        // What a sweep writes is no reference, wherever it lies.
        let besides: Vec<PathBuf> = std::iter::once(&self.out).chain(&self.save_images).cloned().collect();
        let look = Look::Prepared { preparation: prepared, channels: c };
        let reference = Images::open(&self.reference, look, self.reference_limit, self.preparation.bad_files(), &besides)?;
        reference.check_features(&self.reference)?;
        let (reference_labels, other_classes) = session.see(&reference, &self.reference)?;
        let report = if let Images::Set(set) = &reference { Some(set.report()) } else { None };
        let unguided = check_guided(&session, &guidances)?;
        if unguided {
            // What was not guided is not called that.
            guidances = vec![1.0];
            placed.iter_mut().for_each(|(row, _)| row.guidance = 1.0);
            cells.iter_mut().for_each(|cell| cell.guidance = 1.0);
            evaluations = self.samplers(&session, &placed)?.into_iter().map(|(_, evaluations)| evaluations).collect();
        }
        let rows: Vec<Row> = placed.into_iter().map(|(row, _)| row).collect();
        report.iter().for_each(|report| say(report, watch));
        let data = report.map(DataReport::from);
        let first = Plain { trajectory: rows[0].trajectory.clone(), guidance: guidances[0], seed: self.seed[0] };
        let plain = ddim_eval::Sweep::plain(&self.out)?.unwrap_or(first);
        let cell_folder = |folder: &Path, cell: &Cell| folder.join(cell.name(&plain));
        for (folder, cell) in self.save_images.iter().flat_map(|folder| cells.iter().map(move |cell| (folder, cell))) {
            let session = session.guided(cell.guidance)?;
            used_folder::images(&cell_folder(folder, cell), Some(self.count), |i| caption(&session, self, cell, i))?;
        }
        let of_cells = (self.count, self.clip, &self.model.guidance);
        let mut settings = settings(&session, of_cells, &plain, &prepared, (&reference, reference_labels.as_deref()))?;
        ddim_eval::Sweep::check(&self.out, &settings)?;
        let checksum = reference_checksum(&reference, watch)?;
        settings.insert("reference_checksum".into(), checksum.clone().into());
        ddim_eval::Sweep::check(&self.out, &settings)?;
        // Before anything is written: a folder says of what reference it is.
        if reference.count() == Some(1) {
            return Err(Error::file(&self.reference, "1 image: expected at least 2, for a covariance"));
        }
        let inception = load_inception(self.inception.as_deref(), watch)?;
        settings.insert("inception_checksum".into(), inception.checksum().into());
        let names = as_object(json!({ "model": session.model, "reference": self.reference.display().to_string() }));
        let computed_by = computed_by(watch);
        let sweep = ddim_eval::Sweep::open(&self.out, &settings, &names, &computed_by, session.shape())?;
        self.save_images.iter().try_for_each(|folder| create_folder(folder))?;
        let mut warnings = warnings(self, &reference, sweep.computed_by());
        warnings.extend(unguided.then(|| UNGUIDED.replace('`', "")));
        // Whether images show the class that they were drawn for, where they were drawn for one.
        let drawn = session.classes.labels(self.seed[0], 0..self.count);
        warnings.extend(
            other_classes
                .filter(|_| drawn.is_some())
                .map(|wrong| format!("the reference's classes are not the model's, so accuracy is not computed: {wrong}")),
        );
        warnings.iter().for_each(|warning| watch.warn(warning));

        let looked = match &reference {
            Images::Set(set) => set.len() * LOOKING,
            Images::Statistics(_) => 0,
        };
        let total: usize = evaluations.iter().map(|evaluations| self.seed.len() * self.count * (evaluations + LOOKING)).sum();
        watch.begin("sweeping", "image-steps", looked + total);
        let mut observe = |event: SweepEvent<'_>| {
            match event {
                SweepEvent::Images(None, n) => watch.advance(n * LOOKING),
                SweepEvent::Images(Some(cell), n) => {
                    let at = cells.iter().position(|known| known == cell).expect("one of ours");
                    watch.advance(n * (evaluations[at / self.seed.len()] + LOOKING));
                }
                SweepEvent::NotKept(error) => watch.warn(error.to_string()),
                SweepEvent::Done(result) => {
                    let kid = result.kid.map_or(String::new(), |kid| format!(", KID {}", plus_minus(kid, result.kid_error, 5)));
                    let fid = plus_minus(result.fid, result.fid_error, 2);
                    watch.line(format!("{}: FID {fid}{kid}", self.called(result)));
                }
                _ => {}
            }
            watch.check().map_err(ddim_eval::Error::observer)
        };
        let reference_images = reference.count();
        let reference = match reference {
            Images::Statistics(statistics) => SweepReference::new(statistics)?,
            Images::Set(set) => sweep.reference(
                set.len(),
                reference_labels.as_deref(),
                &KeptFeatures::of(&checksum, inception.checksum(), &computed_by, set.len()),
                &mut |range| features_of_bytes(&inception, &set.read(range.clone())?, set.size(), range.start),
                &mut observe,
            )?,
        };
        if let Some(why) = reference_labels.and(drawn).and_then(|drawn| unknown_classes(session.classes.names(), &reference, &drawn)) {
            watch.warn(&*why);
            warnings.push(why);
        }
        let mut results = Vec::with_capacity(cells.len());
        for (i, cell) in cells.iter().enumerate() {
            let (sampler, seed, session) = (sampler_of(i), cell.seed, session.guided(cell.guidance)?);
            let labels = session.classes.labels(seed, 0..self.count);
            let images = self.save_images.as_ref().map(|folder| cell_folder(folder, cell));
            images.iter().try_for_each(|folder| create_folder(folder))?;
            let sample = |range: std::ops::Range<usize>| -> Result<Vec<f32>> {
                let latents = session.latents(seed, range.start, range.len());
                // Progress is told by images, when they have been looked at.
                let x = session.sample_telling(sampler, &latents, (seed, range.start), |_| ())?;
                if let Some(folder) = &images {
                    write_singles(folder, &x, session.shape(), range.start, |i| caption(&session, self, cell, i))?;
                }
                Ok(x)
            };
            let mut sample = |range| sample(range).map_err(ddim_eval::Error::observer);
            results.push(sweep.cell(
                cell,
                evaluations[i / self.seed.len()],
                self.count,
                labels.as_deref(),
                &reference,
                &inception,
                &mut sample,
                &mut observe,
            )?);
            // Those that were looked at before this run wrote images.
            if let Some(folder) = &images {
                for first in (0..self.count).step_by(REDRAWN) {
                    let range = first..(first + REDRAWN).min(self.count);
                    if range.clone().any(|i| !single_path(folder, i).is_file()) {
                        sample(range)?;
                    }
                }
            }
        }
        let seconds = watch.end();

        let without = cells.iter().map(|cell| sweep.fid_without(cell)).collect::<std::result::Result<_, _>>()?;
        let table = Table { steps: self.steps.clone(), rows, seeds: self.seed.clone(), results, without };
        let file = |name: &str| self.out.join(name);
        let seeds = if self.seed.len() > 1 { format!(", {} seeds", self.seed.len()) } else { String::new() };
        let title = format!("{}, {} images per cell{seeds}", session.model, self.count);
        self.share(&mut settings, &table.rows);
        settings.extend(names);
        settings.insert("computed_by".into(), json!(sweep.computed_by()));
        let written = WrittenTable { command: "sweep", data: &data, settings: &settings, cells: &table.results, warnings: &warnings };
        let object = serde_json::to_string_pretty(&written).map_err(Error::failure)?;
        let markdown = table.to_markdown(reference_images, reference.held_out_accuracy(), &warnings);
        let command = self.command(&session, &table.rows);
        write(&file("table.md"), format!("{markdown}\nComputed by `{command}`.\n").as_bytes())?;
        write(&file("table.csv"), table.to_csv().as_bytes())?;
        for (name, text) in
            [("classes.csv", table.to_classes_csv(session.classes.names())), ("differences.csv", table.to_differences_csv())]
        {
            match text {
                Some(text) => write(&file(name), text.as_bytes())?,
                // Of what was asked for before.
                None => drop(std::fs::remove_file(file(name))),
            }
        }
        write(&file("table.json"), format!("{object}\n").as_bytes())?;
        let times = cells.iter().map(|cell| Ok(sweep.seconds(cell)?)).collect::<Result<Vec<_>>>()?;
        let kid = table.results.iter().any(|cell| cell.kid.is_some()).then(|| ("kid", kid_chart(&table, &title)));
        let charts = [("fid", fid_chart(&table, &title)), ("seconds", time_chart(&table, &title, &times))];
        for (name, chart) in charts.into_iter().chain(kid) {
            write(&file(&format!("{name}.svg")), chart.to_svg().as_bytes())?;
            write(&file(&format!("{name}.png")), &chart.to_picture().to_png(&title))?;
        }
        write(&file("grid.png"), &grid(&session, &table, &sweep, &cells)?.to_png(&title))?;
        let out = self.out.display().to_string();
        Ok(SweepReport { data, settings, cells: table.results, warnings, seconds, out, markdown })
    }
}

impl Sweep {
    /// The model, guided where any row is: what is prepared for images that are evaluated twice has room for all.
    fn guided_most(&self, guidances: &[f64]) -> Model {
        let said = if self.guidance.is_empty() { self.model.guidance.scale } else { Some(1.0) };
        let scale = guidances.iter().copied().find(|scale| *scale != 1.0).or(said);
        Model { guidance: Guidance { scale, ..self.model.guidance }, ..self.model.clone() }
    }

    /// Of each place of the table, row after row, and the evaluations of each: what does not exist is refused before anything is computed.
    fn samplers(&self, session: &Session<'_, '_>, rows: &[(Row, Option<&Spacing>)]) -> Result<Vec<(Sampler, usize)>> {
        let places = rows.iter().flat_map(|row| self.steps.iter().map(move |&steps| (row, steps)));
        places
            .map(|((row, spacing), steps)| {
                let session = session.guided(row.guidance)?;
                let trajectory = session.trajectory(*spacing, steps, row.solver)?;
                let sampler = session.sampler(&trajectory, &row.sigma, clipping(self, &row.sigma), row.solver)?;
                let evaluations = session.evaluations(&sampler);
                Ok((sampler, evaluations))
            })
            .collect()
    }

    /// What computes this table again, as a command: all but where it is kept.
    fn command(&self, session: &Session<'_, '_>, rows: &[Row]) -> String {
        let limit = self.reference_limit.map_or(String::new(), |limit| format!(" --reference-limit {limit}"));
        let reference = format!("--reference {}{limit}{}", quoted(&self.reference), self.preparation.flags());
        let (model, classes) = (session.model_flags(), session.classes.flag());
        let axes = axes::flags(&self.steps, rows, &self.seed, self.model.guidance);
        format!("ddim sweep {model} {reference}{classes} --count {}{axes}{}", self.count, self.clip.flags())
    }

    /// A cell in a line of progress: what others of the request may not have.
    fn called(&self, result: &CellResult) -> String {
        let named = |named: bool, text: String| if named { format!(", {text}") } else { String::new() };
        let solver = named(self.solver != [Solver::Ddim], result.solver.clone());
        let trajectory = named(self.trajectory.len() > 1, result.trajectory.clone());
        let guidance = named(self.guidance.len() > 1, format!("guidance {}", result.guidance));
        let seed = named(self.seed.len() > 1, format!("seed {}", result.seed));
        format!("S = {}{solver}{trajectory}, eta {}{guidance}{seed}", result.steps, result.eta)
    }

    /// Trajectory, guidance and seed are settings where all cells have one; else each says its own.
    fn share(&self, settings: &mut Map<String, Value>, rows: &[Row]) {
        let trajectory = (self.trajectory.len() <= 1).then(|| json!(rows[0].trajectory));
        let seed = (self.seed.len() == 1).then(|| json!(self.seed[0]));
        let guidance = (self.guidance.len() <= 1).then(|| json!(rows[0].guidance));
        for (key, shared) in [("trajectory", trajectory), ("guidance", guidance), ("seed", seed)] {
            match shared {
                Some(shared) => drop(settings.insert(key.into(), shared)),
                None => drop(settings.shift_remove(key)),
            }
        }
    }
}

/// The paper's σ̂ is the authors' `ddpm_noisy`, which clips and derives ε again.
fn clipping(request: &Sweep, sigma: &Sigma) -> Clipping {
    if *sigma == Sigma::Hat && request.clip.clip != Some(false) {
        return Clipping { clip: Some(true), rederive_epsilon: true };
    }
    request.clip
}

/// What may mislead, in words.
fn warnings(request: &Sweep, reference: &Images, computed_by: &[String]) -> Vec<String> {
    let few = [("a cell", Some(request.count)), ("the reference", reference.count())];
    let mut warnings: Vec<String> = few.iter().filter_map(|(whose, count)| few_images(whose, (*count)?)).collect();
    if matches!(reference, Images::Set(set) if set.len() > MOST_COMPARED) || request.count > MOST_COMPARED {
        warnings.push(format!("KID uses at most {MOST_COMPARED} images per set"));
    }
    if matches!(reference, Images::Statistics(_)) {
        warnings.push("the reference is statistics without images: no KID".to_owned());
    }
    if computed_by.len() > 1 {
        warnings.push(format!("cells were computed by {}: they may differ in their last digits", computed_by.join(" and by ")));
    }
    warnings
}

/// What image `i` of a cell is described by.
fn caption(session: &Session<'_, '_>, request: &Sweep, cell: &Cell, i: usize) -> String {
    let (steps, spacing, eta, seed) = (cell.steps, &cell.trajectory, sigma_name(&cell.sigma), cell.seed);
    let flags = session.flags(clipping(request, &cell.sigma), cell.solver);
    // The reference has a say in classes alone, and those are said.
    let class = session.classes.said(seed, i).map_or(String::new(), |class| format!(", {class}"));
    let of = format!("{} --count {}", session.model_flags(), request.count);
    format!("ddim sweep {of} --steps {steps} --trajectory {spacing} --eta {eta} --seed {seed}{flags}, image {i}{class}")
}

/// A few images of every cell of the first seed: a row for each of the table, a column for each S.
fn grid(session: &Session<'_, '_>, table: &Table, sweep: &ddim_eval::Sweep, cells: &[Cell]) -> Result<Picture> {
    let per_cell = GRID.min(SHOWN).min(table.results[0].count);
    let mut images = Vec::new();
    for cell in cells.iter().step_by(table.seeds.len()) {
        images.extend_from_slice(&sweep.shown(cell)?[..per_cell * session.dim()]);
    }
    let columns: Vec<String> = table.steps.iter().map(|s| format!("S = {s}")).collect();
    let grid = ddim_pictures::grid(&images, session.shape(), per_cell * table.steps.len())?;
    Ok(labelled(&grid, &columns, &table.labels()))
}
