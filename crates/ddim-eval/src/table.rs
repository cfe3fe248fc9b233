//! Table 1 as text.

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
///
/// ```
/// use ddim::Sigma;
/// use ddim_eval::{CellResult, Table};
///
/// let result = |steps, fid| {
///     let (evaluations, eta, count) = (steps, "0".to_owned(), 1000);
///     CellResult { steps, evaluations, eta, count, fid, fid_error: Some(0.25), kid: None, kid_error: None }
/// };
/// let table = Table { steps: vec![10, 20], sigmas: vec![Sigma::Eta(0.0)], results: vec![result(10, 13.5), result(20, 6.75)] };
/// assert!(table.to_markdown(None, &[]).contains("13.50 ± 0.25"));
/// assert_eq!(table.to_csv().lines().count(), 3);
/// ```
#[derive(Debug, Clone, PartialEq)]
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

    /// The cells of row `row`, in the order of `steps`.
    ///
    /// # Panics
    /// Where there is no such row, or its results are missing.
    pub fn row(&self, row: usize) -> &[CellResult] {
        &self.results[row * self.steps.len()..][..self.steps.len()]
    }

    /// In Markdown, as the paper prints it, with ± one standard error: FID, and KID times 1000 where there is one. `against` says how many images
    /// the reference has, where that is known; `warnings` stand below.
    pub fn to_markdown(&self, against: Option<usize>, warnings: &[String]) -> String {
        let mut text = self.numbers(|cell| plus_minus(cell.fid, cell.fid_error, 2));
        let counts: Vec<usize> = self.results.iter().map(|cell| cell.count).collect();
        let n = counts.first().copied().unwrap_or(0);
        let of = against.map_or("statistics".to_owned(), |m| format!("{m} images"));
        text += &format!("\nFID of N = {n} images per cell against {of}, ± one standard error over the images of the cell.\n");
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

    /// One line per cell; what is not known is empty.
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
             | σ hat | 5.12 ± 0.25 | 6.12 ± 0.25 |\n\nFID of N = 7 images per cell against 40 images, ± one standard error over the images of the \
             cell.\n\n| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 12.50 ± 1.00 | 12.50 ± 1.00 |\n| η = 0.2 | 12.50 ± 1.00 | 12.50 ± 1.00 |\n\
             | σ hat | 12.50 ± 1.00 | 12.50 ± 1.00 |\n\nKID × 1000 of the same, ± one standard error over the images of both.\n\n\
             Warning: few.\n"
        );
        let head = "steps,evaluations,eta,count,fid,fid_error,kid,kid_error\n";
        let csv = table.to_csv();
        assert!(csv.starts_with(&format!("{head}10,10,0,7,1.125,,0.0125,0.001\n20,20,0,7,2.125,0.25,0.0125,0.001\n10,10,0.2,7,")), "{csv}");
        table.results.iter_mut().for_each(|cell| (cell.kid, cell.kid_error) = (None, None));
        let text = table.to_markdown(None, &[]);
        assert!(text.ends_with("per cell against statistics, ± one standard error over the images of the cell.\n"), "{text}");
    }
}
