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

    /// In Markdown, as the paper prints it.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("| S |");
        self.steps.iter().for_each(|s| text += &format!(" {s} |"));
        text += "\n|---|";
        self.steps.iter().for_each(|_| text += "---|");
        for (row, sigma) in self.sigmas.iter().enumerate() {
            text += &format!("\n| {} |", sigma_label(sigma));
            self.row(row).iter().for_each(|cell| text += &format!(" {:.2} |", cell.fid));
        }
        text + "\n"
    }

    /// One line a cell.
    pub fn to_csv(&self) -> String {
        let line = |cell: &CellResult| format!("{},{},{},{},{}\n", cell.steps, cell.evaluations, cell.eta, cell.count, cell.fid);
        std::iter::once("steps,evaluations,eta,count,fid\n".to_owned()).chain(self.results.iter().map(line)).collect()
    }

    /// FID against S, one line for each noise; both axes by factors.
    pub fn fid_chart(&self, title: &str) -> Chart {
        self.chart(title, "FID", true, |cell| Some(cell.fid))
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
        };
        let results = Table::cells(&steps, &sigmas).into_iter().enumerate().map(result).collect();
        let table = Table { steps, sigmas, results };
        assert_eq!(
            table.to_markdown(),
            "| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 1.12 | 2.12 |\n| η = 0.2 | 3.12 | 4.12 |\n| σ hat | 5.12 | 6.12 |\n"
        );
        assert!(table.to_csv().starts_with("steps,evaluations,eta,count,fid\n10,10,0,7,1.125\n20,20,0,7,2.125\n10,10,0.2,7,"));
        let chart = table.time_chart("time", |cell| (cell.steps == 10).then_some(14.0));
        assert_eq!(chart.series[2].points, [(10.0, 2.0)]);
        assert_eq!(table.fid_chart("FID").series[1].points, [(10.0, 3.125), (20.0, 4.125)]);
    }
}
