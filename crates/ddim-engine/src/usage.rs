//! CPU time and memory of this process.

/// What this process has used so far.
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    /// Bytes.
    pub(crate) peak_memory: u64,
}

#[cfg(unix)]
pub(crate) fn usage() -> Option<Usage> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 * 1e-6;
    // Bytes on macOS, kibibytes elsewhere.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Some(Usage { cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()), peak_memory: usage.max_rss() as u64 * unit })
}

#[cfg(not(unix))]
pub(crate) fn usage() -> Option<Usage> {
    None
}
