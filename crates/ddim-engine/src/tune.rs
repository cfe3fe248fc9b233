//! Tuning of trajectories to one model: levels are moved until few steps come closest to the result of many.

use crate::axes::check_axis;
use crate::choices::{Clipping, Model, check_count, check_room};
use crate::error::{Error, Result};
use crate::job::{Request, Watch, Within};
use crate::output::{OutputFile, check_paths, shown, write};
use crate::session::Session;
use crate::spacing::Spacing;
use crate::tuned::{self, TunedTrajectory};
use ddim::noise::Batch;
use ddim::{Sigma, Solver, Target, Trajectory, Tuned, tune};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// For each solver and each S, finds the timesteps whose images come closest to a converged reference.
///
/// The search uses `count` latents; the result is tested on `held_out` others, and written where [`Spacing::Tuned`] finds it.
///
/// ```
/// use ddim_engine::{Control, Engine, Spacing, Sample, Tune};
///
/// # let folder = tempfile::tempdir()?;
/// let out = Some(folder.path().join("tuned.json"));
/// let request = Tune { steps: vec![2], count: 2, held_out: 2, passes: 1, reference_steps: 4, out: out.clone(), ..Tune::default() };
/// let found = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!(found.tuned.len(), 2); // two solvers
/// let (solver, trajectory) = (found.tuned[0].solver, Some(Spacing::Tuned(out)));
/// let request = Sample { count: Some(1), steps: 2, solver, trajectory, ..Sample::default() };
/// let drawn = Engine::default().run(&request, &Control::default(), &mut |_| {})?;
/// assert_eq!(drawn.timesteps, found.tuned[0].timesteps);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tune {
    /// The model, and how to run it.
    pub model: Model,
    /// Numbers of steps, 2 or more.
    pub steps: Vec<usize>,
    /// Solvers to tune for; each gets trajectories of its own.
    #[serde(with = "crate::axes::by_names")]
    pub solver: Vec<Solver>,
    /// Number of latents to search on.
    pub count: usize,
    /// Number of latents, following those, to test the result on.
    pub held_out: usize,
    /// Seed of the latents.
    pub seed: u64,
    /// Maximum number of rounds over all levels.
    pub passes: usize,
    /// Number of steps of the reference, drawn with UniPC on `power:1.5`.
    pub reference_steps: usize,
    /// The file to add the trajectories to. Defaults to `tuned.json` in the model's folder.
    pub out: Option<PathBuf>,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            model: Model::default(),
            steps: vec![5, 10],
            solver: vec![Solver::Ipndm, Solver::UniPc],
            count: 128,
            held_out: 128,
            seed: 0,
            passes: 8,
            reference_steps: 100,
            out: None,
        }
    }
}

/// The result of a [`Tune`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename = "tune")]
pub struct TuneReport {
    /// The model, as named in the request.
    pub model: String,
    /// Seed of the latents.
    pub seed: u64,
    /// Number of latents searched on.
    pub count: usize,
    /// Number of held-out latents.
    pub held_out: usize,
    /// Number of steps of the reference.
    pub reference_steps: usize,
    /// One entry for each S and solver, in the order of the request.
    pub tuned: Vec<TunedTrajectory>,
    /// Total time in seconds, including the reference.
    pub seconds: f64,
    /// Files written.
    pub files: Vec<String>,
}

/// What the reference is drawn along.
const REFERENCE: Spacing = Spacing::Power(1.5);

impl Request for Tune {
    type Report = TuneReport;

    fn work(&self, Within(watch): Within<'_, '_>) -> Result<TuneReport> {
        check_paths(&[], &[], &[("out", self.out.as_deref())])?;
        let (session, _) = Session::drawing(&self.model, None, watch)?;
        self.check(session.schedule.levels())?;
        let all = self.count + self.held_out;
        let tuned_for = session.tuned_for();
        let place = tuned::place(&self.model.model, self.out.as_deref())?;
        tuned::kept(&place, &tuned_for)?;
        OutputFile::create(&place)?;
        let sampler = |trajectory: &Trajectory, solver| session.sampler(trajectory, &Sigma::Eta(0.0), Clipping::default(), solver);
        let starts = self.steps.iter().map(|&steps| starts(&session, steps)).collect::<Result<Vec<_>>>()?;

        let many = session.trajectory_below(session.schedule.levels(), Some(&REFERENCE), self.reference_steps, Solver::UniPc)?;
        check_room(all, session.dim())?;
        watch.begin("drawing the reference", "image-steps", all * many.len());
        let latents = session.latents(self.seed, 0, all);
        let images = session.sample(&sampler(&many, Solver::UniPc)?, &latents, (self.seed, 0))?;
        let mut seconds = watch.end();

        let targets = |first: usize, count: usize| {
            let batches = (first..first + count).step_by(session.batch_size()).map(|from| {
                let to = (first + count).min(from.saturating_add(session.batch_size()));
                let of = |x: &[f32]| x[from * session.dim()..to * session.dim()].to_vec();
                let batch = Batch { seed: self.seed, first: from as u64 };
                Ok(Target { denoiser: session.network_for(self.seed, from..to)?, batch, latents: of(&latents), images: of(&images) })
            });
            batches.collect::<Result<Vec<_>>>()
        };
        let (searched, held_out) = (targets(0, self.count)?, targets(self.count, self.held_out)?);
        let mut found: Vec<TunedTrajectory> = Vec::new();
        for (&steps, starts) in self.steps.iter().zip(&starts) {
            for &solver in &self.solver {
                let (names, starts): (Vec<&String>, Vec<Trajectory>) = starts.iter().map(|(name, t)| (name, t.clone())).unzip();
                // Each round asks at most S² - 1 times of an image.
                let asked = (starts.len() * steps).saturating_add(self.passes.saturating_mul(steps * steps - 1));
                let once = self.count.saturating_mul(asked).saturating_add(self.held_out * 2 * steps);
                watch.begin("tuning", "image-steps", once);
                let tuned = tune(&starts, self.passes, &|trajectory| sampler(trajectory, solver), [&searched, &held_out], &mut |n| {
                    watch.advance(n);
                    watch.check()
                })?;
                seconds += watch.end();
                let entry = TunedTrajectory {
                    guidance: session.guidance_flags(),
                    ..entry(solver, &tuned, names[tuned.start], &starts[tuned.start], [self.count, self.held_out])
                };
                tell(&entry, watch);
                found.push(entry);
                // As soon as it is there; somebody else may have written meanwhile.
                let kept = tuned::kept(&place, &tuned_for)?;
                write(&place, tuned::text(&tuned_for, &kept, &found)?.as_bytes())?;
            }
        }
        Ok(TuneReport {
            model: session.model,
            seed: self.seed,
            count: self.count,
            held_out: self.held_out,
            reference_steps: many.len(),
            tuned: found,
            seconds,
            files: shown(&[place]),
        })
    }
}

impl Tune {
    fn check(&self, levels: usize) -> Result<()> {
        check_count(self.count)?;
        check_count(self.held_out).map_err(|e| e.renamed("count", "held_out"))?;
        if self.passes == 0 {
            return Err(Error::field("passes", "0: expected 1 or more"));
        }
        if let Some(steps) = self.steps.iter().find(|steps| !(2..=levels).contains(*steps)) {
            return Err(Error::field("steps", format!("{steps}: expected 2 to {levels}, since the first timestep is fixed")));
        }
        if !(1..=levels).contains(&self.reference_steps) {
            return Err(Error::field("reference_steps", format!("{}: expected 1 to {levels}", self.reference_steps)));
        }
        check_axis("steps", &self.steps, ToString::to_string)?;
        check_axis("solver", &self.solver, ToString::to_string)?;
        if let Some(steps) = self.steps.iter().find(|steps| **steps >= self.reference_steps) {
            let expected = format!("expected more than the {steps} steps tuned against it");
            return Err(Error::field("reference_steps", format!("{}: {expected}", self.reference_steps)));
        }
        Ok(())
    }
}

/// Trajectories of S steps that a search may start from, by their names.
fn starts(session: &Session<'_, '_>, steps: usize) -> Result<Vec<(String, Trajectory)>> {
    let mut starts: Vec<(String, Trajectory)> = Vec::new();
    for spacing in [Some(&Spacing::Power(1.5)), None, Some(&Spacing::LogSnr)] {
        let trajectory = session.trajectory_below(session.schedule.levels(), spacing, steps, Solver::Ddim)?;
        // Where levels meet, a spacing has fewer steps than were asked for.
        if trajectory.len() == steps && starts.iter().all(|(_, other)| *other != trajectory) {
            starts.push((session.spacing_name(spacing), trajectory));
        }
    }
    match starts.is_empty() {
        true => Err(Error::field("steps", format!("{steps}: no spacing has that many different timesteps to start from"))),
        false => Ok(starts),
    }
}

fn entry(solver: Solver, tuned: &Tuned, name: &str, start: &Trajectory, images: [usize; 2]) -> TunedTrajectory {
    // Digits beyond these differ between processors.
    let rounded = |error: f64| (error * 1e6).round() / 1e6;
    let trajectory = if tuned.is_better() { &tuned.found } else { start };
    TunedTrajectory {
        solver,
        steps: trajectory.len(),
        guidance: String::new(),
        timesteps: trajectory.timesteps().collect(),
        start: name.to_owned(),
        is_better: tuned.is_better(),
        in_sample: tuned.in_sample.map(rounded),
        held_out: tuned.held_out.map(rounded),
        cap: rounded(tuned.cap),
        images,
        passes: tuned.passes,
    }
}

/// What was found, as soon as it was.
fn tell(tuned: &TunedTrajectory, watch: &Watch<'_>) {
    let TunedTrajectory { solver, steps, in_sample: [a, b], held_out: [c, d], start, images: [n, m], .. } = tuned;
    watch.line(format!("{solver}, {steps} steps: {a:.4} -> {b:.4} on {n} latents, {c:.4} -> {d:.4} on {m} held out"));
    if !tuned.is_better {
        watch.warn(format!("{solver}, {steps} steps: the result is no better on held-out latents: keeping {start}"));
    }
}
