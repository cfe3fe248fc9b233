//! The event log of a job, for clients that listen now or come back later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// An event of a job, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without gaps, from 1 on but for jobs of an earlier server.
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    /// JSON in one line.
    pub(crate) data: Arc<str>,
}

impl Entry {
    /// As a server-sent event.
    pub(crate) fn frame(&self) -> String {
        format!("id: {}\nevent: {}\ndata: {}\n\n", self.id, self.name, self.data)
    }
}

/// Events in order, the last ones of them within a number of bytes.
#[derive(Debug)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    /// The number of events told so far, and whether there are no more to come.
    told: watch::Sender<(u64, bool)>,
    /// The number of the first event.
    first: u64,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// What an entry takes besides its text.
const OVERHEAD: usize = 64;

impl Log {
    /// Whose first event has the number `first`, 1 or more.
    pub(crate) fn new(first: u64, most_bytes: usize) -> Self {
        Self { inner: Mutex::default(), told: watch::Sender::new((first - 1, false)), first, most_bytes }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event, unless the log has ended.
    pub(crate) fn push(&self, name: &'static str, data: &serde_json::Value) {
        let data: Arc<str> = data.to_string().into();
        let mut inner = self.inner();
        let (told, ended) = *self.told.borrow();
        if ended {
            return;
        }
        inner.bytes += data.len() + OVERHEAD;
        inner.entries.push_back(Entry { id: told + 1, name, data });
        // The newest stays, however long.
        while inner.bytes > self.most_bytes && inner.entries.len() > 1 {
            let gone = inner.entries.pop_front().expect("more than one");
            inner.bytes -= gone.data.len() + OVERHEAD;
        }
        // Under the lock: nobody ends the log in between.
        self.told.send_replace((told + 1, false));
        drop(inner);
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.inner().bytes
    }

    /// There are no more to come.
    pub(crate) fn end(&self) {
        let _inner = self.inner();
        self.told.send_modify(|(_, ended)| *ended = true);
    }

    /// Events after `id`, at most `most`, as far as they are remembered; and how many were forgotten before the first of them.
    pub(crate) fn after(&self, id: u64, most: usize) -> (u64, Vec<Entry>) {
        let inner = self.inner();
        let next = id.saturating_add(1);
        let oldest = inner.entries.front().map_or(next, |entry| entry.id);
        let skip = usize::try_from(next.saturating_sub(oldest)).unwrap_or(usize::MAX);
        // Whoever asks for all misses what came since the first.
        let wanted = if id == 0 { self.first } else { next };
        (oldest.saturating_sub(wanted), inner.entries.iter().skip(skip).take(most).cloned().collect())
    }

    /// Whoever waits for more.
    pub(crate) fn listen(&self) -> watch::Receiver<(u64, bool)> {
        self.told.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let log = Log::new(1, 3 * (OVERHEAD + 1));
        (1..=5).for_each(|i| log.push("step", &json!(i)));
        let ids = |(gone, entries): (u64, Vec<Entry>)| (gone, entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>());
        assert_eq!(ids(log.after(0, 9)), (2, vec![3, 4, 5]));
        assert_eq!(ids(log.after(2, 9)), (0, vec![3, 4, 5]));
        assert_eq!(ids(log.after(3, 1)), (0, vec![4]));
        assert_eq!(ids(log.after(5, 9)), (0, vec![]));
        assert_eq!(ids(log.after(u64::MAX, 9)), (0, vec![]));
    }

    #[test]
    fn nothing_follows_the_end() {
        let log = Log::new(1, 1000);
        log.push("a", &json!({}));
        log.end();
        log.push("b", &json!({}));
        assert_eq!(log.after(0, 9).1.len(), 1);
        assert_eq!(*log.listen().borrow(), (1, true));
        assert_eq!(log.after(0, 9).1[0].frame(), "id: 1\nevent: a\ndata: {}\n\n");
    }
}
