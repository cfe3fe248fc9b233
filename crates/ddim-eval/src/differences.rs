//! Differences between the places of a table whose images start from the same latents.

use crate::cell::CellResult;
use crate::kernel::jackknife;
use crate::table::{Table, mean_and_deviation, plus_minus};
use std::ops::Range;

impl Table {
    /// Returns by how much the FID of one place, a row and a column, exceeds that of another, and its error (±).
    ///
    /// Cells of one seed start from the same latents, so each image of one belongs to an image of the other. The error is the standard
    /// error over such pairs (the jackknife's) or, with several seeds, the standard deviation over seeds; `None` if it is not known.
    ///
    /// # Panics
    /// Panics if there is no such place.
    pub fn difference(&self, of: [usize; 2], from: [usize; 2]) -> (f64, Option<f64>) {
        let pairs: Vec<_> = self.cells_of(of).zip(self.cells_of(from)).collect();
        let differences: Vec<f64> = pairs.iter().map(|&(a, b)| self.results[a].fid - self.results[b].fid).collect();
        let &[(a, b)] = &pairs[..] else {
            let (mean, deviation) = mean_and_deviation(&differences);
            return (mean, Some(deviation));
        };
        let both = self.without[a].as_ref().zip(self.without[b].as_ref()).filter(|(a, b)| a.len() == b.len());
        let error = both.map(|(a, b)| jackknife(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()).sqrt());
        (differences[0], error)
    }

    /// Where the results of a place are, a seed each.
    fn cells_of(&self, [row, column]: [usize; 2]) -> Range<usize> {
        let first = (row * self.steps.len() + column) * self.seeds.len();
        first..first + self.seeds.len()
    }

    /// Places that are compared: each row with the first, and each column with the one before.
    fn compared(&self) -> [Vec<[[usize; 2]; 2]>; 2] {
        let (rows, columns) = (0..self.rows.len(), 0..self.steps.len());
        let places = |rows: Range<usize>, columns: Range<usize>| rows.flat_map(move |row| columns.clone().map(move |column| [row, column]));
        let below = places(1..rows.end.max(1), columns.clone()).map(|[row, column]| [[row, column], [0, column]]);
        let beside = places(rows, 1..columns.end.max(1)).map(|[row, column]| [[row, column], [row, column - 1]]);
        [below.collect(), beside.collect()]
    }

    /// FID less that of the first row, and less that of the column before, where an error is known.
    pub(crate) fn differences(&self) -> String {
        let (rows, columns) = (self.rows.len(), self.steps.len());
        let known = |pairs: &[[[usize; 2]; 2]]| pairs.iter().any(|&[of, from]| self.difference(of, from).1.is_some());
        let show = |of, from| {
            let (fid, error) = self.difference(of, from);
            plus_minus(fid, error, 2)
        };
        let over = match self.seeds.len() {
            1 => "one standard error over pairs of images from the same latents".to_owned(),
            n => format!("the standard deviation over {n} seeds"),
        };
        let [below, beside] = self.compared();
        let mut text = String::new();
        if known(&below) {
            let lines = self.lines(1..rows, 0..columns, |row, column| show([row, column], [0, column]));
            text += &format!("\n{lines}\nDifference in FID from {} at the same S, ± {over}.\n", self.labels()[0]);
        }
        if known(&beside) {
            let lines = self.lines(0..rows, 1..columns, |row, column| show([row, column], [row, column - 1]));
            text += &format!("\n{lines}\nDifference in FID from the previous column (the first is S = {}), ± {over}.\n", self.steps[0]);
        }
        text
    }

    /// Returns one line per comparison of [`to_markdown`](Self::to_markdown), with unknown values left empty. `None` if nothing is
    /// compared.
    pub fn to_differences_csv(&self) -> Option<String> {
        let place = |place: [usize; 2]| {
            let CellResult { steps, eta, solver, trajectory, guidance, .. } = &self.results[self.cells_of(place).start];
            format!("{steps},{eta},{solver},{trajectory},{guidance}")
        };
        let line = |[of, from]: [[usize; 2]; 2]| {
            let (fid, error) = self.difference(of, from);
            format!("{fid},{},{},{}\n", error.map_or(String::new(), |error| error.to_string()), place(of), place(from))
        };
        let head =
            "fid_difference,error,steps,eta,solver,trajectory,guidance,from_steps,from_eta,from_solver,from_trajectory,from_guidance\n";
        let text: String = self.compared().concat().into_iter().map(line).collect();
        (!text.is_empty()).then(|| head.to_owned() + &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{row, table};
    use ddim::{Sigma, Solver};

    #[test]
    fn differences_are_of_pairs() {
        let sigmas = [Sigma::Eta(0.0), Sigma::Eta(1.0)];
        let mut table = table(&[10, 20], sigmas.map(|sigma| row(Solver::Ddim, "uniform", sigma)).into(), &[0]);
        assert_eq!(table.difference([1, 0], [0, 0]), (2.0, None));
        assert!(!table.to_markdown(None, None, &[]).contains("Difference in FID"));
        // What moves both alike is no error of their difference: (n - 1)/n Σ (x - mean)² of -1, 0, 1 is 4/3.
        let moved = |by: [f64; 3]| Some(vec![5.0 + by[0], 5.0 + by[1], 50.0 + by[2]]);
        table.without = vec![moved([0.0; 3]), moved([-1.0, 0.0, 1.0]), moved([1.0; 3]), None];
        assert_eq!(table.difference([1, 0], [0, 0]), (2.0, Some(0.0)));
        let (difference, error) = table.difference([0, 1], [0, 0]);
        assert!(difference == 1.0 && (error.unwrap() - (4.0_f64 / 3.0).sqrt()).abs() < 1e-15, "{error:?}");
        let text = table.to_markdown(None, None, &[]);
        let over = "± one standard error over pairs of images from the same latents.\n";
        for expected in [
            format!("| S | 10 | 20 |\n|---|---|---|\n| η = 1 | 2.00 ± 0.00 | 2.00 |\n\nDifference in FID from η = 0 at the same S, {over}"),
            format!(
                "| S | 20 |\n|---|---|\n| η = 0 | 1.00 ± 1.15 |\n| η = 1 | 1.00 |\n\nDifference in FID from the previous column (the first is S = 10), {over}"
            ),
        ] {
            assert!(text.contains(&expected), "{text}");
        }
        let csv = table.to_differences_csv().unwrap();
        let lines = ["2,0,10,1,ddim,uniform,1,10,0,ddim,uniform,1", "2,,20,1,ddim,uniform,1,20,0,ddim,uniform,1"];
        assert!(csv.lines().count() == 5 && csv.lines().skip(1).zip(lines).all(|(found, expected)| found == expected), "{csv}");
        // Cells of other numbers of images have no pairs.
        table.without[2] = Some(vec![5.0; 4]);
        assert_eq!(table.difference([1, 0], [0, 0]), (2.0, None));
        let alone =
            Table { steps: vec![10], rows: table.rows[..1].to_vec(), results: table.results[..1].to_vec(), without: vec![None], ..table };
        assert!(alone.to_differences_csv().is_none() && !alone.to_markdown(None, None, &[]).contains("Difference in FID"));
    }
}
