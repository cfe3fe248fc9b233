//! What the engine tells, on standard error: a bar with the time left on a terminal, a line now and then elsewhere; notes in any case.

use crate::error::in_flags;
use crate::terminal::say;
use ddim_engine::Event;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    quiet: bool,
    terminal: bool,
    bar: ProgressBar,
    label: &'static str,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, bar: ProgressBar::hidden(), label: "", last_line: Instant::now() }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Note { kind, text } => self.bar.suspend(|| say(&format!("{kind}: {}", in_flags(text)))),
            Event::Began { phase, unit, total } => self.begin(phase, unit, *total),
            Event::Progress { done, total, eta_seconds, .. } => {
                self.bar.set_position(*done);
                if !self.quiet && !self.terminal && self.last_line.elapsed() >= EVERY {
                    self.last_line = Instant::now();
                    let (percent, left) = (100 * done / (*total).max(1), eta_seconds.unwrap_or(0.0) as u64);
                    say(&format!("{}: {percent}%, about {left} s left", self.label));
                }
            }
            Event::Line { text } if !self.quiet => self.bar.suspend(|| say(text)),
            Event::Ended { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    fn begin(&mut self, phase: &'static str, unit: &str, total: u64) {
        self.bar.finish_and_clear();
        (self.label, self.last_line) = (phase, Instant::now());
        self.bar = if self.quiet || !self.terminal { ProgressBar::hidden() } else { ProgressBar::new(total) };
        let style = ProgressStyle::with_template(&format!("{{prefix}} {{wide_bar}} {{percent:>3}}%  {unit} {{per_sec}}  {{eta}} left"));
        self.bar.set_style(style.expect("the template is valid"));
        self.bar.set_prefix(phase);
    }
}

impl Drop for Progress {
    /// An error is written where the bar was.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
