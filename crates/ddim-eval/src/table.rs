//! Table 1 as text.

use crate::cell::{Cell, CellResult, ClassResult, Row, sigma_name};
use ddim::{Sigma, Solver};
use std::ops::Range;

/// Returns η or σ̂ in characters that any font has.
pub fn sigma_label(sigma: &Sigma) -> String {
    match sigma {
        Sigma::Hat => "σ hat".to_owned(),
        other => format!("η = {}", sigma_name(other)),
    }
}

/// Formats a number with its error, if it is known.
pub fn plus_minus(value: f64, error: Option<f64>, decimals: usize) -> String {
    match error {
        Some(error) => format!("{value:.decimals$} ± {error:.decimals$}"),
        None => format!("{value:.decimals$}"),
    }
}

/// The cells of a table: rows of solver, trajectory, noise and guidance, columns of S, and in each place one cell per seed.
///
/// ```
/// use ddim::{Sigma, Solver};
/// use ddim_eval::{CellResult, Row, Table};
///
/// let rows = vec![Row { solver: Solver::Ddim, trajectory: "uniform".into(), sigma: Sigma::Eta(0.0), guidance: 1.0 }];
/// let result = |steps, seed, fid| {
///     let (evaluations, solver, trajectory, eta, guidance, count) = (steps, "ddim".into(), "uniform".into(), "0".into(), 1.0, 1000);
///     CellResult {
///         steps, evaluations, solver, trajectory, eta, guidance, seed, count, fid, fid_error: Some(0.25), kid: None, kid_error: None,
///         accuracy: None, classes: vec![],
///     }
/// };
/// let results = vec![result(10, 0, 13.5), result(20, 0, 6.75)];
/// let table = Table { steps: vec![10, 20], rows: rows.clone(), seeds: vec![0], results, without: vec![None; 2] };
/// assert!(table.to_markdown(None, None, &[]).contains("13.50 ± 0.25"));
/// assert_eq!(table.to_csv().lines().count(), 3);
/// // Of more seeds, the mean and how far they lie apart.
/// let table = Table { steps: vec![10], rows, seeds: vec![0, 1], results: vec![result(10, 0, 13.0), result(10, 1, 14.0)], without: vec![None; 2] };
/// assert!(table.to_markdown(None, None, &[]).contains("13.50 ± 0.71"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns.
    pub steps: Vec<usize>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The seeds, one for each cell of a place.
    pub seeds: Vec<u64>,
    /// The results in nested order: by row, then by column, then by seed.
    pub results: Vec<CellResult>,
    /// FID without each image, of the same cells if known ([`Sweep::fid_without`](crate::Sweep::fid_without)), for the errors of
    /// differences.
    pub without: Vec<Option<Vec<f64>>>,
}

/// One place of a table.
///
/// With one seed it is that cell, with the standard error over images; with several, the mean of their cells, with the standard deviation
/// over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// S.
    pub steps: usize,
    /// Network evaluations per image.
    pub evaluations: usize,
    /// FID.
    pub fid: f64,
    /// The error shown after ±.
    pub fid_error: Option<f64>,
    /// KID, if all cells have it.
    pub kid: Option<f64>,
    /// The error shown after ±.
    pub kid_error: Option<f64>,
    /// The share of images that show their class, if all cells have it.
    pub accuracy: Option<f64>,
    /// The error shown after ±.
    pub accuracy_error: Option<f64>,
}

impl Table {
    /// Returns the cells of a table, in the order of [`results`](Self::results).
    pub fn cells(steps: &[usize], rows: &[Row], seeds: &[u64]) -> Vec<Cell> {
        let places = rows.iter().flat_map(|row| steps.iter().map(move |&steps| (row, steps)));
        places.flat_map(|(row, steps)| seeds.iter().map(move |&seed| row.cell(steps, seed))).collect()
    }

    /// Returns the entries of row `row`, in the order of `steps`.
    ///
    /// # Panics
    /// Panics if there is no such row, or if its results are missing.
    pub fn row(&self, row: usize) -> Vec<Entry> {
        let width = self.steps.len() * self.seeds.len();
        self.results[row * width..][..width].chunks(self.seeds.len()).map(Entry::of).collect()
    }

    /// Returns what distinguishes each row from the others, in characters that any font has: only the noise, if all rows have one solver
    /// and one trajectory. Noise, a solver other than DDIM and guidance are always named.
    pub fn labels(&self) -> Vec<String> {
        let differ = |same: fn(&Row, &Row) -> bool| self.rows.iter().any(|row| !same(row, &self.rows[0]));
        let solvers = differ(|a, b| a.solver == b.solver) || self.rows.iter().any(|row| row.solver != Solver::Ddim);
        let trajectories = differ(|a, b| a.trajectory == b.trajectory);
        let guidances = self.rows.iter().any(|row| row.guidance != 1.0);
        let alike = !(solvers || trajectories || differ(|a, b| a.guidance == b.guidance));
        let sigmas = alike || self.rows.iter().any(|row| row.sigma != self.rows[0].sigma || row.sigma != Sigma::Eta(0.0));
        let label = |row: &Row| {
            let parts = [
                solvers.then(|| row.solver.to_string()),
                trajectories.then(|| row.trajectory.clone()),
                sigmas.then(|| sigma_label(&row.sigma)),
                guidances.then(|| format!("guidance {}", row.guidance)),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        self.rows.iter().map(label).collect()
    }

    /// Formats the table in Markdown, as the paper prints it: FID, KID times 1000 if there is one, and how many images show their class, if
    /// they have one; with ± one standard error over images or, with several seeds, ± the standard deviation over seeds. `against` is the
    /// number of images of the reference, if known, and `held_out` how well the classifier finds the classes of real images; `warnings` are
    /// listed below.
    pub fn to_markdown(&self, against: Option<usize>, held_out: Option<f64>, warnings: &[String]) -> String {
        let mut text = self.numbers(|entry| plus_minus(entry.fid, entry.fid_error, 2));
        let n = self.results.first().map_or(0, |cell| cell.count);
        let of = against.map_or("statistics".to_owned(), |m| format!("{m} images"));
        let seeds = self.seeds.len();
        let [errors, kid_errors, accuracy_errors] = if seeds > 1 {
            let all = format!(": the mean of {seeds} seeds ± the standard deviation over seeds");
            [all, ", likewise over seeds".to_owned(), ", likewise over seeds".to_owned()]
        } else {
            let over = ["the images of the cell", "the images of both", "the images of those classes"];
            over.map(|images| format!(", ± one standard error over {images}"))
        };
        text += &format!("\nFID of N = {n} images per cell against {of}{errors}.\n");
        text += &self.differences();
        if self.results.iter().any(|cell| cell.kid.is_some()) {
            let thousandths =
                |entry: &Entry| entry.kid.map_or(String::new(), |kid| plus_minus(1e3 * kid, entry.kid_error.map(|error| 1e3 * error), 2));
            text += &format!("\n{}\nKID × 1000 of the same{kid_errors}.\n", self.numbers(thousandths));
        }
        if self.results.iter().any(|cell| cell.accuracy.is_some()) {
            let percent = |entry: &Entry| {
                entry.accuracy.map_or(String::new(), |share| plus_minus(100.0 * share, entry.accuracy_error.map(|error| 100.0 * error), 1))
            };
            let real = |share| format!(" It gets {:.1} % of the real images right in ten-fold cross-validation.", 100.0 * share);
            text += &format!(
                "\n{}\nAccuracy in percent: images that a linear classifier, trained on the reference's features, assigns to the class that \
                 they were drawn for{accuracy_errors}.{}\n",
                self.numbers(percent),
                held_out.map_or(String::new(), real)
            );
        }
        text += &self.evaluations();
        warnings.iter().for_each(|warning| text += &format!("\nWarning: {warning}.\n"));
        text
    }

    /// Rows that evaluate the network more or less than S times for an image, among others.
    fn evaluations(&self) -> String {
        let first = &self.rows[0];
        let other = |row: &Row| row.solver != Solver::Ddim || row.trajectory != first.trajectory || row.guidance != 1.0;
        let compared = self.rows.iter().any(other);
        let of = |(row, label): (usize, &String)| {
            let entries = self.row(row);
            let counts: Vec<String> = entries.iter().map(|entry| entry.evaluations.to_string()).collect();
            entries.iter().any(|entry| entry.evaluations != entry.steps).then(|| format!("{label} ({})", counts.join(", ")))
        };
        let others: Vec<String> = self.labels().iter().enumerate().filter_map(of).filter(|_| compared).collect();
        match others.is_empty() {
            true => String::new(),
            false => format!("\nThe network is evaluated S times per image, except for: {}.\n", others.join("; ")),
        }
    }

    /// A row for each, a column for each S.
    fn numbers(&self, show: impl Fn(&Entry) -> String) -> String {
        self.lines(0..self.rows.len(), 0..self.steps.len(), |row, column| show(&self.row(row)[column]))
    }

    /// A table of some rows and columns.
    pub(crate) fn lines(&self, rows: Range<usize>, columns: Range<usize>, show: impl Fn(usize, usize) -> String) -> String {
        let mut text = String::from("| S |");
        self.steps[columns.clone()].iter().for_each(|s| text += &format!(" {s} |"));
        text += "\n|---|";
        columns.clone().for_each(|_| text += "---|");
        let labels = self.labels();
        for row in rows {
            text += &format!("\n| {} |", labels[row]);
            columns.clone().for_each(|column| text += &format!(" {} |", show(row, column)));
        }
        text + "\n"
    }

    /// Returns one line per cell, for every seed, with unknown values left empty.
    pub fn to_csv(&self) -> String {
        let shown = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
        let line = |cell: &CellResult| {
            let CellResult { steps, evaluations, eta, count, fid, solver, trajectory, seed, guidance, .. } = cell;
            let [fid_error, kid, kid_error] = [cell.fid_error, cell.kid, cell.kid_error].map(shown);
            format!("{steps},{evaluations},{eta},{count},{fid},{fid_error},{kid},{kid_error},{solver},{trajectory},{seed},{guidance}\n")
        };
        let head = "steps,evaluations,eta,count,fid,fid_error,kid,kid_error,solver,trajectory,seed,guidance\n".to_owned();
        std::iter::once(head).chain(self.results.iter().map(line)).collect()
    }

    /// Returns one line per class of each cell, for every seed, with its name if `names` has one. `None` if images have no classes.
    pub fn to_classes_csv(&self, names: &[String]) -> Option<String> {
        let lines = self.results.iter().flat_map(|cell| cell.classes.iter().map(move |class| (cell, class)));
        let line = |(cell, of): (&CellResult, &ClassResult)| {
            let CellResult { steps, eta, solver, trajectory, seed, guidance, .. } = cell;
            let ClassResult { class, count, .. } = of;
            let [accuracy, kid, kid_error] = [of.accuracy, of.kid, of.kid_error].map(|x| x.map_or(String::new(), |x| x.to_string()));
            let name = names.get(*class).map_or(String::new(), |name| format!("\"{}\"", name.replace('"', "\"\"")));
            format!("{class},{name},{count},{accuracy},{kid},{kid_error},{steps},{eta},{solver},{trajectory},{seed},{guidance}\n")
        };
        let head = "class,name,count,accuracy,kid,kid_error,steps,eta,solver,trajectory,seed,guidance\n";
        let text: String = lines.map(line).collect();
        (!text.is_empty()).then(|| head.to_owned() + &text)
    }
}

impl Entry {
    /// Of the cells of one place, a seed each.
    fn of(cells: &[CellResult]) -> Self {
        let CellResult { steps, evaluations, fid, fid_error, kid, kid_error, accuracy, .. } = cells[0];
        if let [cell] = cells {
            // Of those whose class the reference has. None at 0 and 1, where the estimate says that there is no error.
            let known: usize = cell.classes.iter().filter(|class| class.accuracy.is_some()).map(|class| class.count).sum();
            let accuracy_error = accuracy
                .filter(|share| known > 0 && *share > 0.0 && *share < 1.0)
                .map(|share| (share * (1.0 - share) / known as f64).sqrt());
            return Self { steps, evaluations, fid, fid_error, kid, kid_error, accuracy, accuracy_error };
        }
        let over_seeds = |of: fn(&CellResult) -> Option<f64>| {
            let values = cells.iter().map(of).collect::<Option<Vec<_>>>();
            values.map(|values| mean_and_deviation(&values)).unzip()
        };
        let (fid, fid_error) = mean_and_deviation(&cells.iter().map(|cell| cell.fid).collect::<Vec<_>>());
        let ((kid, kid_error), (accuracy, accuracy_error)) = (over_seeds(|cell| cell.kid), over_seeds(|cell| cell.accuracy));
        Self { steps, evaluations, fid, fid_error: Some(fid_error), kid, kid_error, accuracy, accuracy_error }
    }
}

/// Of two numbers or more, with n - 1 in the denominator.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(solver: Solver, trajectory: &str, sigma: Sigma) -> Row {
        Row { solver, trajectory: trajectory.to_owned(), sigma, guidance: 1.0 }
    }

    pub(crate) fn table(steps: &[usize], rows: Vec<Row>, seeds: &[u64]) -> Table {
        let result = |(i, cell): (usize, Cell)| CellResult {
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
            kid: Some(0.0625),
            kid_error: Some(0.001),
            accuracy: None,
            classes: Vec::new(),
        };
        let results = Table::cells(steps, &rows, seeds).into_iter().enumerate().map(result).collect();
        let without = vec![None; rows.len() * steps.len() * seeds.len()];
        Table { steps: steps.to_vec(), rows, seeds: seeds.to_vec(), results, without }
    }

    #[test]
    fn a_table_reads_as_the_papers() {
        let sigmas = [Sigma::Eta(0.0), Sigma::Eta(0.2), Sigma::Hat];
        let mut table = table(&[10, 20], sigmas.map(|sigma| row(Solver::Ddim, "uniform", sigma)).into(), &[0]);
        assert_eq!(
            table.to_markdown(Some(40), None, &["few".into()]),
            "| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 1.12 | 2.12 ± 0.25 |\n| η = 0.2 | 3.12 ± 0.25 | 4.12 ± 0.25 |\n\
             | σ hat | 5.12 ± 0.25 | 6.12 ± 0.25 |\n\nFID of N = 7 images per cell against 40 images, ± one standard error over the images of the \
             cell.\n\n| S | 10 | 20 |\n|---|---|---|\n| η = 0 | 62.50 ± 1.00 | 62.50 ± 1.00 |\n| η = 0.2 | 62.50 ± 1.00 | 62.50 ± 1.00 |\n\
             | σ hat | 62.50 ± 1.00 | 62.50 ± 1.00 |\n\nKID × 1000 of the same, ± one standard error over the images of both.\n\n\
             Warning: few.\n"
        );
        let head = "steps,evaluations,eta,count,fid,fid_error,kid,kid_error,solver,trajectory,seed,guidance\n";
        let csv = table.to_csv();
        let lines = "10,10,0,7,1.125,,0.0625,0.001,ddim,uniform,0,1\n20,20,0,7,2.125,0.25,0.0625,0.001,ddim,uniform,0,1\n10,10,0.2,7,";
        assert!(csv.starts_with(&format!("{head}{lines}")), "{csv}");
        table.results.iter_mut().for_each(|cell| (cell.kid, cell.kid_error) = (None, None));
        let text = table.to_markdown(None, None, &[]);
        assert!(text.ends_with("per cell against statistics, ± one standard error over the images of the cell.\n"), "{text}");
    }

    #[test]
    fn labels_say_what_differs() {
        let labels = |rows: &[Row]| table(&[5], rows.to_vec(), &[0]).labels().join("; ");
        let (zero, fifth) = (Sigma::Eta(0.0), Sigma::Eta(0.2));
        let [ddim, ipndm] = [Solver::Ddim, Solver::Ipndm].map(|solver| row(solver, "uniform", zero.clone()));
        let power = row(Solver::Ipndm, "power:1.5", zero.clone());
        assert_eq!(labels(std::slice::from_ref(&ddim)), "η = 0");
        assert_eq!(labels(std::slice::from_ref(&ipndm)), "ipndm");
        assert_eq!(labels(&[ddim.clone(), ipndm.clone()]), "ddim; ipndm");
        assert_eq!(labels(&[ipndm.clone(), power]), "ipndm, uniform; ipndm, power:1.5");
        assert_eq!(labels(&[ddim.clone(), row(Solver::Ddim, "linspace", zero)]), "uniform; linspace");
        assert_eq!(labels(&[row(Solver::Dpmpp2mSde, "uniform", fifth), ddim, ipndm]), "dpmpp-2m-sde, η = 0.2; ddim, η = 0; ipndm, η = 0");
        assert_eq!(labels(&[]), "");
        let guided = |guidance| Row { guidance, ..row(Solver::Ddim, "uniform", Sigma::Eta(0.5)) };
        assert_eq!(labels(&[guided(1.0), guided(1.5)]), "η = 0.5, guidance 1; η = 0.5, guidance 1.5");
        let even = |guidance| Row { sigma: Sigma::Eta(0.0), ..guided(guidance) };
        assert_eq!(labels(&[even(1.0), even(1.5)]), "guidance 1; guidance 1.5");
        assert_eq!(labels(&[guided(3.0)]), "η = 0.5, guidance 3");
        assert_eq!(
            labels(&[guided(2.0), row(Solver::Ipndm, "uniform", Sigma::Eta(0.0))]),
            "ddim, η = 0.5, guidance 2; ipndm, η = 0, guidance 1"
        );
    }

    #[test]
    fn several_seeds_have_a_mean_and_a_deviation() {
        let rows = vec![row(Solver::Ddim, "uniform", Sigma::Eta(0.0)), row(Solver::Heun, "uniform", Sigma::Eta(0.0))];
        let mut table = table(&[10, 20], rows, &[4, 2, 9]);
        // FID of 1.125, 2.125, 3.125.
        let first = table.row(0)[0];
        assert_eq!((first.fid, first.fid_error, first.kid, first.evaluations), (2.125, Some(1.0), Some(0.0625), 10));
        assert!(table.row(1)[1] == Entry { steps: 20, evaluations: 39, fid: 11.125, fid_error: Some(1.0), ..first }, "{:?}", table.row(1));
        let text = table.to_markdown(Some(40), None, &[]);
        assert!(text.contains("| ddim | 2.12 ± 1.00 | 5.12 ± 1.00 |\n| heun | 8.12 ± 1.00 | 11.12 ± 1.00 |\n"), "{text}");
        let less = "| S | 10 | 20 |\n|---|---|---|\n| heun | 6.00 ± 0.00 | 6.00 ± 0.00 |\n\nDifference in FID from ddim at the same S, ± the standard deviation over 3 seeds.";
        assert!(text.contains(less), "{text}");
        assert!(text.contains("7 images per cell against 40 images: the mean of 3 seeds ± the standard deviation over seeds."), "{text}");
        assert!(
            text.contains("of the same, likewise over seeds.\n\nThe network is evaluated S times per image, except for: heun (19, 39).\n")
        );
        assert!(table.to_csv().lines().skip(1).map(|line| line.rsplit(',').nth(1).unwrap()).eq(["4", "2", "9"].repeat(4)));
        assert_eq!(table.to_classes_csv(&[]), None);
        // Of images with classes, the share that shows them.
        for (i, cell) in table.results.iter_mut().enumerate() {
            cell.accuracy = Some(0.5 + 0.1 * (i % 3) as f64);
            cell.classes = vec![ClassResult { class: 1, count: 7, accuracy: Some(0.5), kid: Some(0.25), kid_error: None }];
        }
        assert!((table.row(0)[0].accuracy.unwrap() - 0.6).abs() < 1e-12);
        let text = table.to_markdown(Some(40), Some(0.875), &[]);
        assert!(
            text.contains("| ddim | 60.0 ± 10.0 | 60.0 ± 10.0 |\n| heun | 60.0 ± 10.0 | 60.0 ± 10.0 |\n")
                && text.contains("for, likewise over seeds. It gets 87.5 % of the real images right"),
            "{text}"
        );
        // Of one seed, the standard error of a share of those whose class the reference has: √(0.5 · 0.5 / 7).
        let unknown = ClassResult { class: 2, count: 5, accuracy: None, kid: None, kid_error: None };
        let mut one =
            Table { seeds: vec![4], results: table.results.iter().step_by(3).cloned().collect(), without: vec![None; 4], ..table.clone() };
        one.results.iter_mut().for_each(|cell| cell.classes.push(unknown.clone()));
        assert!((one.row(0)[0].accuracy_error.unwrap() - (0.25_f64 / 7.0).sqrt()).abs() < 1e-15);
        assert!(one.to_markdown(None, None, &[]).contains("| ddim | 50.0 ± 18.9 | 50.0 ± 18.9 |"));
        let csv = table.to_classes_csv(&["a".into(), "a \"b\"".into()]).unwrap();
        assert!(csv.lines().count() == 13 && csv.contains("\n1,\"a \"\"b\"\"\",7,0.5,0.25,,10,0,ddim,uniform,2,1\n"), "{csv}");
        // One cell without KID leaves its place without.
        table.results[0].kid = None;
        assert_eq!((table.row(0)[0].kid, table.row(0)[1].kid.is_some()), (None, true));
    }
}
