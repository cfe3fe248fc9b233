//! The timesteps that a request asks for, on the model of its session.

use crate::error::{Error, Result};
use crate::session::Session;
use crate::spacing::Spacing;
use crate::tuned::{self, TunedFor};
use ddim::{Solver, Trajectory};
use ddim_nn::{SchedulerConfig, TimestepSpacing};
use ddim_train::quoted;

impl Session<'_, '_> {
    /// The S timesteps that a request asks for, to be run by `solver`.
    pub(crate) fn trajectory(&self, spacing: Option<&Spacing>, steps: usize, solver: Solver) -> Result<Trajectory> {
        let levels = self.schedule.levels();
        let made = self.trajectory_below(levels, spacing, steps, solver)?;
        if made.len() < steps {
            let kind = self.spacing_name(spacing);
            self.watch.note(format!("`steps` {steps}: some timesteps of {kind} coincide, {} are left", made.len()));
        }
        // Few steps begin where they may. Many that begin late are not asked for by anybody: leading's, where S does not divide T.
        let (top, signal) = (made.levels()[made.len() - 1], |level: usize| self.schedule.alpha_bar(level));
        if made.len() >= 10 && signal(top) > 0.01 && signal(top) > 2.0 * signal(levels) {
            let left = format!("{:.0} % of the image", 100.0 * signal(top).sqrt());
            let kind = self.spacing_name(spacing);
            self.watch.note(format!(
                "`steps` {steps}: {kind} starts at timestep {}, where {left} should remain; trailing starts at {}",
                top - 1,
                levels - 1
            ));
        }
        Ok(made)
    }

    /// S timesteps as a request asks for them, of the levels up to `top` alone.
    pub(crate) fn trajectory_below(&self, top: usize, spacing: Option<&Spacing>, steps: usize, solver: Solver) -> Result<Trajectory> {
        let levels = self.schedule.levels();
        let is_leading = match spacing {
            None => self.scheduler.timestep_spacing == TimestepSpacing::Leading,
            Some(spacing) => *spacing == Spacing::Leading,
        };
        let made = match spacing {
            // Whole distances, T // S, would leave a gap below the top as large as all others together: there nobody has them otherwise.
            _ if is_leading && top < levels && (1..=top).contains(&steps) => {
                let code = |i: usize| ((i * top + steps / 2) / steps + self.scheduler.steps_offset).min(top - 1);
                let mut codes: Vec<usize> = (0..steps).rev().map(code).collect();
                codes.dedup();
                Trajectory::from_timesteps(top, &codes)?
            }
            None => {
                let scheduler = SchedulerConfig { num_train_timesteps: top, ..self.scheduler.clone() };
                scheduler.trajectory(steps).map_err(|e| Error::field("steps", &e).because(e))?
            }
            Some(Spacing::Tuned(_)) if top < levels => {
                let found = format!("tuned for {levels} timesteps, but starting at {top}");
                return Err(Error::field("trajectory", format!("{found}: expected another kind")));
            }
            Some(spacing) => spacing.trajectory(&self.schedule.truncated(top)?, self.scheduler.steps_offset, steps, |file| {
                tuned::trajectory(&self.choice.model, file, &self.tuned_for(), (solver, steps, &self.guidance_flags()))
            })?,
        };
        Ok(made.widened(levels)?)
    }

    /// What a trajectory would be tuned for.
    pub(crate) fn tuned_for(&self) -> TunedFor {
        TunedFor::of(self.network.checksum(), &self.schedule)
    }

    /// What the spacing of a run is called.
    pub(crate) fn spacing_name(&self, spacing: Option<&Spacing>) -> String {
        spacing.map_or_else(|| self.scheduler.timestep_spacing.name().to_owned(), |spacing| spacing.to_string())
    }

    /// [`spacing_name`](Self::spacing_name) as a word of a command: what was tuned may lie anywhere.
    pub(crate) fn spacing_word(&self, spacing: Option<&Spacing>) -> String {
        quoted(self.spacing_name(spacing).as_ref())
    }
}
