//! Table 1 as text, and its figures.

use crate::figures::{Axis, Chart, Series};
use crate::sweep::{Cell, CellResult, sigma_name};
use ddim::Sigma;

/// η or σ̂ in words that any font has.
pub fn sigma_label(sigma: &Sigma) -> String {
    match sigma {
        Sigma::Hat => "σ hat".to_owned(),
        other => format!("η = {}", sigma_name(other)),
    }
}

/// A number and its error, where it is known.
pub fn plus_minus(value: f64, error: Option<f64>, decimals: usize) -> String {
    match error {
        Some(error) => format!("{value:.decimals$} ± {error:.decimals$}"),
        None => format!("{value:.decimals$}"),
    }
}

/// The cells of a table: rows of noise, columns of S, row after row.
#[derive(Debug, Clone)]
pub struct Table {
    /// Columns.
    pub steps: Vec<usize>,
    /// Rows.
    pub sigmas: Vec<Sigma>,
    /// Row after row.
    pub results: Vec<CellResult>,
}

impl Table {
    /// The cells of a table, column after column of the fewest steps first: row after row of S.
    pub fn cells(steps: &[usize], sigmas: &[Sigma]) -> Vec<Cell> {
        sigmas.iter().flat_map(|sigma| steps.iter().map(|&steps| Cell { steps, sigma: sigma.clone() })).collect()
    }

    fn row(&self, row: usize) -> &[CellResult] {
        &self.results[row * self.steps.len()..][..self.steps.len()]
    }

    /// In Markdown, as the paper prints it, with ± one standard error: FID, and KID times 1000 where there is one. `against` says how many images
    /// the reference has, where that is known; `warnings` stand below.
    pub fn to_markdown(&self, against: Option<usize>, warnings: &[String]) -> String {
        let mut text = self.numbers(|cell| plus_minus(cell.fid, cell.fid_error, 2));
        let counts: Vec<usize> = self.results.iter().map(|cell| cell.count).collect();
        let n = counts.first().copied().unwrap_or(0);
        let of = against.map_or("statistics".to_owned(), |m| format!("{m} images"));
        text += &format!("\nFID of N = {n} images a cell against {of}, ± one standard error over the images of the cell.\n");
        if self.results.iter().any(|cell| cell.kid.is_some()) {
            let thousandths =
                |cell: &CellResult| cell.kid.map_or(String::new(), |kid| plus_minus(1e3 * kid, cell.kid_error.map(|error| 1e3 * error), 2));
            text += &format!("\n{}", self.numbers(thousandths));
            text += "\nKID × 1000 of the same, ± one standard error over the images of both.\n";
        }
        warnings.iter().for_each(|warning| text += &format!("\nWarning: {warning}.\n"));
        text
    }

    /// A row for each noise, a column for each S.
    fn numbers(&self, show: impl Fn(&CellResult) -> String) -> String {
        let mut text = String::from("| S |");
        self.steps.iter().for_each(|s| text += &format!(" {s} |"));
        text += "\n|---|";
        self.steps.iter().for_each(|_| text += "---|");
        for (row, sigma) in self.sigmas.iter().enumerate() {
            text += &format!("\n| {} |", sigma_label(sigma));
            self.row(row).iter().for_each(|cell| text += &format!(" {} |", show(cell)));
        }
        text + "\n"
    }

    /// One line a cell; what is not known is empty.
    pub fn to_csv(&self) -> String {
        let shown = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
        let line = |cell: &CellResult| {
            let CellResult { steps, evaluations, eta, count, fid, .. } = cell;
            let [fid_error, kid, kid_error] = [cell.fid_error, cell.kid, cell.kid_error].map(shown);
            format!("{steps},{evaluations},{eta},{count},{fid},{fid_error},{kid},{kid_error}\n")
        };
        let head = "steps,evaluations,eta,count,fid,fid_error,kid,kid_error\n".to_owned();
        std::iter::once(head).chain(self.results.iter().map(line)).collect()
    }

    /// FID against S, one line for each noise, with bars of one standard error; both axes by factors.
    pub fn fid_chart(&self, title: &str) -> Chart {
        let mut chart = self.chart(title, "FID", true, |cell| Some(cell.fid));
        for (row, series) in chart.series.iter_mut().enumerate() {
            series.errors = self.row(row).iter().map(|cell| cell.fid_error.unwrap_or(0.0)).collect();
        }
        chart
    }

    /// Seconds an image against S, which is a line through 0 (section 5.1).
    pub fn time_chart(&self, title: &str, seconds: impl Fn(&CellResult) -> Option<f64>) -> Chart {
        self.chart(title, "seconds an image", false, |cell| Some(seconds(cell)? / cell.count as f64))
    }

    fn chart(&self, title: &str, label: &str, log: bool, y: impl Fn(&CellResult) -> Option<f64>) -> Chart {
        let series = self.sigmas.iter().enumerate().map(|(row, sigma)| Series {
            name: sigma_label(sigma),
            points: self.row(row).iter().filter_map(|cell| Some((cell.steps as f64, y(cell)?))).collect(),
            marked: true,
            errors: Vec::new(),
        });
        Chart {
            title: title.to_owned(),
            x: Axis { label: "steps S".into(), log, ticks: self.steps.iter().map(|s| *s as f64).collect() },
            y: Axis { label: label.into(), log, ticks: Vec::new() },
            series: series.collect(),
            legend_left: !log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_as_the_papers() {
        let (steps, sigmas) = (vec![10, 20], vec![Sigma::Eta(0.0), Sigma::Eta(0.2), Sigma::Hat]);
        let result = |(i, cell): (usize, Cell)| CellResult {
            steps: cell.steps,
            evaluations: cell.steps,
            eta: sigma_name(&cell.sigma),
            count: 7,
            fid: 1.125 + i as f64,
            fid_error: (i > 0).then_some(0.25),
            kid: Some(0.0125),
            kid_error: Some(0.001),
        };
        let results = Table::cells(&steps, &sigmas).into_iter().enumerate().map(result).collect();
        let mut table = Table { steps, sigmas, results };
        assert_eq!(
            table.to_markdown(Some(40), &["few".into()]),
            "| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 1.12 | 2.12 ± 0.25 |\n| η = 0.2 | 3.12 ± 0.25 | 4.12 ± 0.25 |\n\
             | σ hat | 5.12 ± 0.25 | 6.12 ± 0.25 |\n\nFID of N = 7 images a cell against 40 images, ± one standard error over the images of the \
             cell.\n\n| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 12.50 ± 1.00 | 12.50 ± 1.00 |\n| η = 0.2 | 12.50 ± 1.00 | 12.50 ± 1.00 |\n\
             | σ hat | 12.50 ± 1.00 | 12.50 ± 1.00 |\n\nKID × 1000 of the same, ± one standard error over the images of both.\n\n\
             Warning: few.\n"
        );
        let head = "steps,evaluations,eta,count,fid,fid_error,kid,kid_error\n";
        let csv = table.to_csv();
        assert!(csv.starts_with(&format!("{head}10,10,0,7,1.125,,0.0125,0.001\n20,20,0,7,2.125,0.25,0.0125,0.001\n10,10,0.2,7,")), "{csv}");
        table.results.iter_mut().for_each(|cell| (cell.kid, cell.kid_error) = (None, None));
        let text = table.to_markdown(None, &[]);
        assert!(text.ends_with("a cell against statistics, ± one standard error over the images of the cell.\n"), "{text}");
        let chart = table.time_chart("time", |cell| (cell.steps == 10).then_some(14.0));
        assert_eq!(chart.series[2].points, [(10.0, 2.0)]);
        assert_eq!(table.fid_chart("FID").series[1].points, [(10.0, 3.125), (20.0, 4.125)]);
    }
}
