//! The axes of a sweep, and the rows that they form.

use crate::choices::{Eta, Guidance};
use crate::error::{Error, Result};
use crate::output::joined;
use crate::session::Session;
use crate::spacing::Spacing;
use ddim::{Sigma, Solver};
use ddim_eval::{Row, sigma_name};
use ddim_train::quoted;
use std::path::Path;

/// All combinations of trajectory, solver, noise and guidance, in this order, each with the spacing that its trajectory is called by; of no
/// spacings the model's own.
pub(crate) fn rows<'a>(
    session: &Session<'_, '_>,
    spacings: &'a [Spacing],
    solvers: &[Solver],
    etas: &[Eta],
    guidances: &[f64],
) -> Result<Vec<(Row, Option<&'a Spacing>)>> {
    let spacings: Vec<Option<&Spacing>> = if spacings.is_empty() { vec![None] } else { spacings.iter().map(Some).collect() };
    let names: Vec<String> = spacings.iter().map(|spacing| session.spacing_name(*spacing)).collect();
    let sigmas: Vec<Sigma> = etas.iter().map(|&eta| eta.into()).collect();
    check_axis("trajectory", &names, String::clone)?;
    check_axis("solver", solvers, ToString::to_string)?;
    check_axis("eta", &sigmas, sigma_name)?;
    check_axis("guidance", guidances, ToString::to_string)?;
    let mut rows = Vec::new();
    for (trajectory, &spacing) in names.iter().zip(&spacings) {
        for &solver in solvers {
            for sigma in &sigmas {
                let row = |&guidance| (Row { solver, trajectory: trajectory.clone(), sigma: sigma.clone(), guidance }, spacing);
                rows.extend(guidances.iter().map(row));
            }
        }
    }
    Ok(rows)
}

/// The axes of a table as flags of the command line, after a space. Defaults are left out, except the trajectory, whose default depends on the model.
pub(crate) fn flags(steps: &[usize], rows: &[Row], seeds: &[u64], guidance: Guidance) -> String {
    let among = |of: fn(&Row) -> String| {
        let mut values: Vec<String> = Vec::new();
        rows.iter().map(of).for_each(|value| {
            if !values.contains(&value) {
                values.push(value)
            }
        });
        values.join(",")
    };
    let said = |flag: &str, values: String, usual: &str| if values == usual { String::new() } else { format!(" --{flag} {values}") };
    let solver = said("solver", among(|row| row.solver.to_string()), Solver::Ddim.name());
    let scales = said("guidance", among(|row| row.guidance.to_string()), "1");
    let shape = if scales.is_empty() { String::new() } else { guidance.shape_flags() };
    let (trajectories, etas) = (among(|row| row.trajectory.clone()), among(|row| sigma_name(&row.sigma)));
    let (steps, seeds) = (joined(steps, ","), joined(seeds, ","));
    // A trajectory may be called by a file.
    let trajectories = quoted(Path::new(&trajectories));
    format!(" --steps {steps}{solver} --trajectory {trajectories} --eta {etas}{scales}{shape} --seed {seeds}")
}

/// An axis has something on it, each once.
pub(crate) fn check_axis<T: PartialEq>(field: &str, values: &[T], name: impl Fn(&T) -> String) -> Result<()> {
    if values.is_empty() {
        return Err(Error::field(field, "empty: expected one or more"));
    }
    match values.iter().enumerate().find(|(i, value)| values[..*i].contains(value)) {
        Some((_, twice)) => Err(Error::field(field, format!("{} twice: expected each once", name(twice)))),
        None => Ok(()),
    }
}

/// Rows of several scales of guidance are images of classes: those of none are the same under every scale. Whether one was asked for that has no effect.
pub(crate) fn check_guided(session: &Session<'_, '_>, guidances: &[f64]) -> Result<bool> {
    if !session.classes.is_unguided() {
        return Ok(false);
    }
    if let [one] = guidances {
        return Ok(*one != 1.0);
    }
    let scales = joined(guidances, ", ");
    Err(Error::field("guidance", format!("{scales}: expected one scale, since images without a class are not guided")))
}

/// [`Solver`]s by their names, for serde.
pub(crate) mod by_names {
    use ddim::Solver;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(solvers: &[Solver], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(solvers.iter().map(|solver| solver.name()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Solver>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|name| name.parse().map_err(D::Error::custom)).collect()
    }
}
