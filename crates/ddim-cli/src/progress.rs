//! Progress on standard error: a bar with the time left on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    label: &'static str,
    started: Instant,
    last_line: Cell<Instant>,
}

impl Progress {
    /// `total` network evaluations, counted by images.
    pub(crate) fn new(label: &'static str, total: usize, quiet: bool) -> Self {
        Self::counting("image steps", label, total, quiet)
    }

    /// `total` of what `unit` says.
    pub(crate) fn counting(unit: &str, label: &'static str, total: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.set_length(total as u64);
        let style = ProgressStyle::with_template(&format!("{{prefix}} {{wide_bar}} {{percent:>3}}%  {unit} {{per_sec}}  {{eta}} left"));
        bar.set_style(style.expect("the template is valid"));
        bar.set_prefix(label);
        let now = Instant::now();
        Self { bar, plain: !quiet && !terminal, label, started: now, last_line: Cell::new(now) }
    }

    pub(crate) fn advance(&self, evaluations: usize) {
        self.bar.inc(evaluations as u64);
        if self.plain && self.last_line.get().elapsed() >= EVERY {
            self.last_line.set(Instant::now());
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0).max(1));
            let left = self.started.elapsed().mul_f64((total - done.min(total)) as f64 / done.max(1) as f64);
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{}: {}%, about {} s left", self.label, 100 * done / total, left.as_secs());
        }
    }

    /// A line that stays, above the bar.
    pub(crate) fn line(&self, text: &str) {
        if self.plain {
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Clears the bar; returns the seconds since the start.
    pub(crate) fn finish(self) -> f64 {
        self.bar.finish_and_clear();
        self.started.elapsed().as_secs_f64()
    }
}
