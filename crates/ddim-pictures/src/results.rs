//! Charts of evaluation results.

use crate::chart::{Axis, Chart, Series};
use ddim::Sigma;
use ddim_eval::{CellResult, Entry, Likelihood, Table, sigma_label};

/// Ticks that lie closer than by this factor would be written over each other.
const CLOSE: f64 = 1.12;

/// Charts FID against network evaluations per image, one line per row, with the table's ± values as error bars; both axes are logarithmic.
pub fn fid_chart(table: &Table, title: &str) -> Chart {
    distance_chart(table, title, "FID", |entry| Some((entry.fid, entry.fid_error)))
}

/// Charts KID times 1000 likewise. The KID axis is linear if any value is 0 or less; without KID there are no lines.
pub fn kid_chart(table: &Table, title: &str) -> Chart {
    distance_chart(table, title, "KID × 1000", |entry| Some((1e3 * entry.kid?, entry.kid_error.map(|error| 1e3 * error))))
}

fn distance_chart(table: &Table, title: &str, label: &str, y: impl Fn(&Entry) -> Option<(f64, Option<f64>)>) -> Chart {
    let rows: Vec<Vec<Entry>> = (0..table.rows.len()).map(|row| table.row(row)).collect();
    let series = rows.iter().zip(table.labels()).map(|(row, name)| {
        let known = || row.iter().filter_map(|entry| Some((entry.evaluations as f64, y(entry)?)));
        let points = known().map(|(x, (y, _))| (x, y)).collect();
        let errors = known().map(|(_, (_, error))| error.unwrap_or(0.0)).collect();
        Series { name, points, marked: true, errors }
    });
    // KID is of either sign where it is small, and the best have no place on an axis of factors.
    let log = rows.iter().flatten().filter_map(&y).all(|(y, _)| y > 0.0);
    let evaluations = rows.iter().flatten().map(|entry| entry.evaluations as f64);
    Chart {
        title: title.to_owned(),
        x: Axis { label: "evaluations per image".into(), log: true, ticks: apart(evaluations) },
        y: Axis { label: label.into(), log, ticks: Vec::new() },
        series: series.collect(),
    }
}

/// Numbers that can be written beside each other on an axis of factors: the first of those that lie close.
fn apart(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    values.for_each(|value| {
        if kept.iter().all(|other| (value / other).ln().abs() > CLOSE.ln()) {
            kept.push(value);
        }
    });
    kept
}

/// Charts seconds per image against S, a line through 0 (section 5.1), for each row as the mean over its seeds. `seconds` is the time for all images of each
/// result of the table, where known.
pub fn time_chart(table: &Table, title: &str, seconds: &[Option<f64>]) -> Chart {
    let known = |(cell, seconds): (&CellResult, &Option<f64>)| Some((*seconds)? / cell.count as f64);
    let per_image: Vec<Option<f64>> = table.results.iter().zip(seconds).map(known).collect();
    let mut places = per_image.chunks(table.seeds.len()).map(|seeds| {
        let known: Vec<f64> = seeds.iter().copied().flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    });
    let series = table.labels().into_iter().map(|name| {
        let points = table.steps.iter().zip(places.by_ref()).filter_map(|(steps, seconds)| Some((*steps as f64, seconds?)));
        Series { name, points: points.collect(), marked: true, errors: Vec::new() }
    });
    Chart {
        title: title.to_owned(),
        x: Axis { label: "steps S".into(), log: false, ticks: table.steps.iter().map(|s| *s as f64).collect() },
        y: Axis { label: "seconds per image".into(), log: false, ticks: Vec::new() },
        series: series.collect(),
    }
}

/// Charts the terms of every step against its timestep, with a logarithmic y axis: the bounds of each of `sigmas` in bits per dimension, and L_simple.
pub fn likelihood_chart(found: &Likelihood, sigmas: &[Sigma], title: &str) -> Chart {
    let line = |name: String, values: &[f64]| {
        let points = found.timesteps.iter().zip(values).map(|(t, v)| (*t as f64, *v)).collect();
        Series { name, points, marked: false, errors: Vec::new() }
    };
    let bounds = sigmas.iter().zip(&found.bounds).map(|(sigma, bound)| line(format!("bits/dim, {}", sigma_label(sigma)), &bound.terms));
    Chart {
        title: title.to_owned(),
        x: Axis { label: "timestep".into(), log: false, ticks: Vec::new() },
        y: Axis { label: "of each step".into(), log: true, ticks: Vec::new() },
        series: bounds.chain([line("L_simple: squared error of ε".into(), &found.l_simple)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim::Solver;
    use ddim_eval::{Bound, Row, sigma_name};

    fn table(steps: &[usize], rows: Vec<Row>, seeds: &[u64]) -> Table {
        let result = |(i, cell): (usize, ddim_eval::Cell)| CellResult {
            steps: cell.steps,
            evaluations: if cell.solver == Solver::Heun { 2 * cell.steps - 1 } else { cell.steps },
            solver: cell.solver.to_string(),
            trajectory: cell.trajectory,
            eta: sigma_name(&cell.sigma),
            guidance: cell.guidance,
            seed: cell.seed,
            count: 7,
            fid: 1.125 + i as f64,
            fid_error: (i > 0).then_some(0.25),
            kid: (i != 1).then_some(0.5),
            kid_error: None,
            accuracy: None,
            classes: Vec::new(),
        };
        let results: Vec<_> = Table::cells(steps, &rows, seeds).into_iter().enumerate().map(result).collect();
        let without = vec![None; results.len()];
        Table { steps: steps.to_vec(), rows, seeds: seeds.to_vec(), results, without }
    }

    fn row(solver: Solver, sigma: Sigma) -> Row {
        Row { solver, trajectory: "uniform".into(), sigma, guidance: 1.0 }
    }

    #[test]
    fn a_line_for_each_noise() {
        let rows = [Sigma::Eta(0.0), Sigma::Eta(0.2), Sigma::Hat].map(|sigma| row(Solver::Ddim, sigma));
        let table = table(&[10, 20], rows.into(), &[0]);
        let seconds: Vec<Option<f64>> = table.results.iter().map(|cell| (cell.steps == 10).then_some(14.0)).collect();
        let chart = time_chart(&table, "time", &seconds);
        assert_eq!(chart.series[2].points, [(10.0, 2.0)]);
        let chart = fid_chart(&table, "FID");
        assert_eq!(chart.series[1].points, [(10.0, 3.125), (20.0, 4.125)]);
        assert_eq!((&chart.series[0].errors, &chart.x.ticks), (&vec![0.0, 0.25], &vec![10.0, 20.0]));
        assert_eq!(chart.series[2].name, "σ hat");
        assert_eq!(kid_chart(&table, "KID").series[0].points, [(10.0, 500.0)]);
    }

    #[test]
    fn solvers_are_compared_by_evaluations() {
        let rows = [Solver::Ddim, Solver::Heun].map(|solver| row(solver, Sigma::Eta(0.0)));
        let table = table(&[5, 10], rows.into(), &[0, 1]);
        let chart = fid_chart(&table, "FID");
        assert_eq!(chart.series[1].name, "heun");
        assert_eq!(chart.series[1].points, [(9.0, 5.625), (19.0, 7.625)]);
        assert!(chart.series.iter().flat_map(|series| &series.errors).all(|error| (error - 0.5f64.sqrt()).abs() < 1e-12));
        // 9 would stand on 10.
        assert_eq!(chart.x.ticks, [5.0, 10.0, 19.0]);
        // One seed of two is known.
        let seconds: Vec<Option<f64>> = table.results.iter().map(|cell| (cell.seed == 1).then_some(7.0 * cell.steps as f64)).collect();
        assert_eq!(time_chart(&table, "time", &seconds).series[1].points, [(5.0, 5.0), (10.0, 10.0)]);
    }

    #[test]
    fn a_line_for_each_bound_and_l_simple() {
        let bound = |terms: Vec<f64>| Bound { terms, prior: 0.0, bits: 0.0, error: None, j_bits: 0.0 };
        let found = Likelihood { timesteps: vec![1, 501], l_simple: vec![0.5, 0.1], bounds: vec![bound(vec![3.0, 2.0])] };
        let chart = likelihood_chart(&found, &[Sigma::Eta(1.0)], "bits");
        assert_eq!(chart.series.len(), 2);
        assert_eq!((chart.series[0].name.as_str(), &chart.series[0].points), ("bits/dim, η = 1", &vec![(1.0, 3.0), (501.0, 2.0)]));
        assert_eq!(chart.series[1].points, [(1.0, 0.5), (501.0, 0.1)]);
    }
}
