//! Signals that ask a run to save and end: Ctrl-C, SIGTERM, SIGHUP (a terminal that closes) and SIGUSR1 (Slurm's `--signal=USR1@60`).
//!
//! The exit code is the shell's, 128 and the number of the signal: 130, 143, 129, 138 on Linux.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What a signal sets.
pub(crate) struct Asked {
    pub(crate) stop: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
}

impl Asked {
    /// The first signal that came.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}

/// Watches for signals from here on. The first asks; whoever sends another means it, and ends the process at once.
pub(crate) fn watch() -> io::Result<Asked> {
    let asked = Asked { stop: Arc::new(AtomicBool::new(false)), signal: Arc::new(AtomicI32::new(0)) };
    handle(&asked)?;
    Ok(asked)
}

#[cfg(unix)]
fn handle(asked: &Asked) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use std::time::{Duration, Instant};

    /// `timeout` and other wrappers send a signal to the process and to its group: within this time it is the same one.
    const ECHO: Duration = Duration::from_millis(100);

    let mut watched = vec![SIGINT, SIGTERM, SIGUSR1];
    // `nohup` has a process ignore that its terminal closes.
    if !is_ignored(SIGHUP) {
        watched.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(watched)?;
    let (stop, first) = (Arc::clone(&asked.stop), Arc::clone(&asked.signal));
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut since: Option<Instant> = None;
        for signal in signals.forever() {
            match since {
                None => {
                    since = Some(Instant::now());
                    first.store(signal, Ordering::SeqCst);
                    stop.store(true, Ordering::SeqCst);
                }
                Some(since) if since.elapsed() > ECHO => end_at_once(signal),
                Some(_) => {}
            }
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn handle(asked: &Asked) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked.stop))?;
        signal_hook::flag::register(signal, Arc::clone(&asked.stop))?;
    }
    asked.signal.store(SIGINT, Ordering::SeqCst);
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

/// Without saving: the last checkpoint is whole.
#[cfg(unix)]
#[allow(clippy::exit)]
fn end_at_once(signal: i32) {
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
