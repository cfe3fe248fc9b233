//! What a download says while it goes on.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// What [`fetch`](super::fetch) is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Bytes come, or are checked.
    Bytes {
        /// The path in the repository.
        file: &'a str,
        /// Bytes of all files that are here, those of an earlier, interrupted download among them. It falls where a server starts again.
        come: u64,
        /// Bytes of all files that were not in the cache, where the server says them. It grows while the hub is asked for each, before any
        /// comes, and once more where weights are in shards, which their index names.
        total: Option<u64>,
    },
    /// Another process downloads the same file. Told ten times a second.
    Waiting {
        /// The path in the repository.
        file: &'a str,
    },
    /// A request failed, and is made again after a while. Told ten times a second until then.
    Retrying {
        /// The path in the repository, or the model's id where its files are not known yet.
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
        ControlFlow::Break(()) => Err(Error::cancelled("the download was ended: what has come of it is kept, and the next goes on there")),
    }
}
