//! What every verb does around its request: the engine is asked, what it tells is shown on standard error, signals end the work, and the report goes
//! to standard output.

use crate::error::{Error, Result};
use crate::flags::{Machine, Output};
use crate::progress::Progress;
use crate::signals;
use crate::terminal::for_stdout;
use ddim_engine::{Control, Engine, ErrorKind, Event, Request};
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;

/// Works on a request as the flags of every verb say; Ctrl-C ends it.
pub(crate) fn work<R: Request>(request: &R, machine: &Machine) -> Result<R::Report> {
    work_on(&engine(machine)?, request, &machine.output)
}

/// The engine that the flags of every verb ask for.
pub(crate) fn engine(machine: &Machine) -> Result<Engine> {
    Ok(Engine::new(&machine.device, machine.threads)?.with_precision(machine.precision)?)
}

/// The same on an engine.
pub(crate) fn work_on<R: Request>(engine: &Engine, request: &R, output: &Output) -> Result<R::Report> {
    let mut progress = Progress::new(output.quiet);
    Ok(ask(engine, request, &mut |event| progress.show(&event))?.0)
}

/// Works on a request; `tell` shows what happens. Also the signal that asked for an end, where the work ended well all the same.
pub(crate) fn ask<R: Request>(engine: &Engine, request: &R, tell: &mut (dyn FnMut(Event) + Send)) -> Result<(R::Report, Option<i32>)> {
    let control = Control::default();
    let asked = signals::watch(control.clone()).map_err(|e| Error::failure(format!("signals cannot be handled: {e}")))?;
    let result = engine.run(request, &control, &mut |event| {
        // Training saves what it has done; while it loads there is nothing yet.
        if matches!(event, Event::TrainingBegan { .. }) {
            asked.wait();
        }
        tell(event);
    });
    asked.wait();
    match (result, asked.get()) {
        (Err(error), Some(signal)) if error.kind() == ErrorKind::Cancelled => Err(Error::Interrupted(signal)),
        (result, signal) => Ok((result?, signal)),
    }
}

/// Prints a report: `human` lines, or one JSON object.
pub(crate) fn report(output: &Output, report: &impl Serialize, human: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if output.json {
        serde_json::to_writer(&mut out, report).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        write!(out, "{}", for_stdout(human))
    };
    written.and_then(|()| out.flush()).map_err(Error::stdout)
}

/// Items as text, with `separator` between.
pub(crate) fn joined<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

/// Files that were written, a line each.
pub(crate) fn lines(files: &[String]) -> String {
    files.iter().map(|file| format!("{file}\n")).collect()
}

/// So many images, in words.
pub(crate) fn images(n: usize) -> String {
    counted(n, "image")
}

/// So many steps, in words.
pub(crate) fn steps(n: usize) -> String {
    counted(n, "step")
}

/// So many of something, in words.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
