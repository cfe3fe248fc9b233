//! Signals that ask for an end: Ctrl-C, SIGTERM, SIGHUP (a terminal that closes) and SIGUSR1 (Slurm's `--signal=USR1@60`).
//!
//! The exit code is the shell's, 128 and the number of the signal: 130, 143, 129, 138 on Linux.

use ddim_engine::Control;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// The first signal that came, and how long the work may take to end then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal {
    first: Arc<AtomicI32>,
    waits: Arc<AtomicBool>,
}

impl Signal {
    pub(crate) fn get(&self) -> Option<i32> {
        Some(self.first.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    fn set(&self, signal: i32) {
        self.first.store(signal, Ordering::SeqCst);
    }

    /// From here on the work ends by itself, however long that takes: it has something to save, or to say.
    pub(crate) fn wait(&self) {
        self.waits.store(true, Ordering::SeqCst);
    }

    /// Ends the process where the work has not ended within [`PATIENCE`]: an evaluation of a large network takes minutes. Files are whole or not
    /// there.
    fn lose_patience(&self, signal: i32) {
        std::thread::sleep(PATIENCE);
        if !self.waits.load(Ordering::SeqCst) {
            end_at_once(signal);
        }
    }
}

/// How long work may take to notice that it should end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Watches for signals from here on. The first asks; whoever sends another means it, and ends the process at once.
pub(crate) fn watch(control: Control) -> io::Result<Signal> {
    let first = Signal::default();
    handle(control, first.clone())?;
    Ok(first)
}

#[cfg(unix)]
fn handle(control: Control, first: Signal) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use std::time::Instant;

    /// `timeout` and other wrappers send a signal to the process and to its group: within this time it is the same one.
    const ECHO: Duration = Duration::from_millis(100);

    let mut watched = vec![SIGINT, SIGTERM, SIGUSR1];
    // `nohup` has a process ignore that its terminal closes.
    if !is_ignored(SIGHUP) {
        watched.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(watched)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut since: Option<Instant> = None;
        for signal in signals.forever() {
            match since {
                None => {
                    since = Some(Instant::now());
                    first.set(signal);
                    control.cancel();
                    let first = first.clone();
                    std::thread::spawn(move || first.lose_patience(signal));
                }
                Some(since) if since.elapsed() > ECHO => end_at_once(signal),
                Some(_) => {}
            }
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn handle(control: Control, first: Signal) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::atomic::AtomicUsize;

    // There are no threads for signals: the last one is left here, and asked for.
    let last = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
    }
    std::thread::spawn(move || {
        loop {
            match last.swap(0, Ordering::SeqCst) as i32 {
                0 => std::thread::sleep(Duration::from_millis(50)),
                signal if first.get().is_none() => {
                    first.set(signal);
                    control.cancel();
                    let first = first.clone();
                    std::thread::spawn(move || first.lose_patience(signal));
                }
                signal => end_at_once(signal),
            }
        }
    });
    Ok(())
}

/// Whether a signal was ignored when the process began, where the system says so.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Without saving: what is being written is finished first, the rest is as it was.
#[allow(clippy::exit)]
fn end_at_once(signal: i32) {
    let _held = ddim_engine::no_more_writes();
    let _ = end(signal);
    std::process::exit(128 + signal);
}

/// Ends the process of a signal that it has answered. Of Ctrl-C it dies indeed, so that a shell ends the loop or script around it as well.
pub(crate) fn end(signal: i32) -> ExitCode {
    #[cfg(unix)]
    if signal == signal_hook::consts::SIGINT && std::process::id() != 1 {
        // Comes back only if it fails.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))
}
