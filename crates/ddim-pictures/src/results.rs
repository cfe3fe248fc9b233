//! Charts of what an evaluation found.

use crate::chart::{Axis, Chart, Series};
use ddim::Sigma;
use ddim_eval::{CellResult, Likelihood, Table, sigma_label};

/// FID against S, one line for each noise, with bars of one standard error; both axes by factors.
pub fn fid_chart(table: &Table, title: &str) -> Chart {
    let mut chart = table_chart(table, title, "FID", true, |cell| Some(cell.fid));
    for (row, series) in chart.series.iter_mut().enumerate() {
        series.errors = table.row(row).iter().map(|cell| cell.fid_error.unwrap_or(0.0)).collect();
    }
    chart
}

/// Seconds per image against S, which is a line through 0 (section 5.1). `seconds` is what all images of a cell took, where that is known.
pub fn time_chart(table: &Table, title: &str, seconds: impl Fn(&CellResult) -> Option<f64>) -> Chart {
    table_chart(table, title, "seconds per image", false, |cell| Some(seconds(cell)? / cell.count as f64))
}

fn table_chart(table: &Table, title: &str, label: &str, log: bool, y: impl Fn(&CellResult) -> Option<f64>) -> Chart {
    let series = table.sigmas.iter().enumerate().map(|(row, sigma)| Series {
        name: sigma_label(sigma),
        points: table.row(row).iter().filter_map(|cell| Some((cell.steps as f64, y(cell)?))).collect(),
        marked: true,
        errors: Vec::new(),
    });
    Chart {
        title: title.to_owned(),
        x: Axis { label: "steps S".into(), log, ticks: table.steps.iter().map(|s| *s as f64).collect() },
        y: Axis { label: label.into(), log, ticks: Vec::new() },
        series: series.collect(),
        legend_left: !log,
    }
}

/// The terms of every step against its timestep, by factors: the bounds of each of `sigmas` in bits per dimension, and L_simple.
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
        legend_left: false,
        series: bounds.chain([line("L_simple: squared error of ε".into(), &found.l_simple)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim_eval::{Bound, sigma_name};

    #[test]
    fn a_line_for_each_noise() {
        let (steps, sigmas) = (vec![10, 20], vec![Sigma::Eta(0.0), Sigma::Eta(0.2), Sigma::Hat]);
        let result = |(i, cell): (usize, ddim_eval::Cell)| CellResult {
            steps: cell.steps,
            evaluations: cell.steps,
            eta: sigma_name(&cell.sigma),
            count: 7,
            fid: 1.125 + i as f64,
            fid_error: (i > 0).then_some(0.25),
            kid: None,
            kid_error: None,
        };
        let results = Table::cells(&steps, &sigmas).into_iter().enumerate().map(result).collect();
        let table = Table { steps, sigmas, results };
        let chart = time_chart(&table, "time", |cell| (cell.steps == 10).then_some(14.0));
        assert_eq!(chart.series[2].points, [(10.0, 2.0)]);
        let chart = fid_chart(&table, "FID");
        assert_eq!(chart.series[1].points, [(10.0, 3.125), (20.0, 4.125)]);
        assert_eq!((&chart.series[0].errors, &chart.x.ticks), (&vec![0.0, 0.25], &vec![10.0, 20.0]));
        assert_eq!(chart.series[2].name, "σ hat");
    }

    #[test]
    fn a_line_for_each_bound_and_l_simple() {
        let bound = |terms: Vec<f64>| Bound { terms, prior: 0.0, bits: 0.0, error: 0.0, j_bits: 0.0 };
        let found = Likelihood { timesteps: vec![1, 501], l_simple: vec![0.5, 0.1], bounds: vec![bound(vec![3.0, 2.0])] };
        let chart = likelihood_chart(&found, &[Sigma::Eta(1.0)], "bits");
        assert_eq!(chart.series.len(), 2);
        assert_eq!((chart.series[0].name.as_str(), &chart.series[0].points), ("bits/dim, η = 1", &vec![(1.0, 3.0), (501.0, 2.0)]));
        assert_eq!(chart.series[1].points, [(1.0, 0.5), (501.0, 0.1)]);
    }
}
