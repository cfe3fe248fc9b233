//! The thread pool of one job.

use crate::error::Result;

/// Works in a pool of so many threads, or of as many as there are processors where `threads` is 0. One pool per job: in a shared one, a thread that waits for
/// its own part would take up the whole of another job.
///
/// # Errors
/// Threads that the system does not give.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn run<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(8 << 20).build();
    Ok(pool.map_err(|e| crate::error::Error::field("threads", e))?.install(work))
}

/// Works on the one thread that there is: rayon makes do with it.
#[cfg(target_family = "wasm")]
pub(crate) fn run<R>(_threads: usize, work: impl FnOnce() -> R) -> Result<R> {
    Ok(work())
}
