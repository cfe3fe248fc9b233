//! Progress of a download.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// What [`fetch`](super::fetch) is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Bytes are being received or verified.
    Bytes {
        /// The path in the repository.
        file: &'a str,
        /// Bytes of all files present so far, including those of an earlier, interrupted download. Decreases when a server starts a file over.
        come: u64,
        /// Bytes of all files that were not in the cache, if the server reports their sizes. Grows while the hub is asked about each file, before any is
        /// downloaded, and once more for sharded weights, whose files are listed in an index.
        total: Option<u64>,
    },
    /// Another process is downloading the same file. Reported ten times a second.
    Waiting {
        /// The path in the repository.
        file: &'a str,
    },
    /// A request failed and will be retried. Reported ten times a second until then.
    Retrying {
        /// The path in the repository, or the model's id while its files are not known yet.
        file: &'a str,
        /// What failed, in one line.
        problem: &'a str,
    },
}

/// Who is told of progress, and may end it.
pub(super) type Observer<'o> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'o;

/// Tells the observer, and takes its word for an error.
pub(super) fn tell(observe: &mut Observer<'_>, progress: Progress<'_>) -> Result<()> {
    match observe(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Error::cancelled("the download was cancelled: what has arrived is kept, and the next download resumes there"))
        }
    }
}
