//! Streams a job's events as server-sent events.

use crate::log::Log;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Something is sent at least so often: connections that carry nothing are closed on the way.
const ALIVE: Duration = Duration::from_secs(15);

/// Events that are taken out of the log at once, and those that wait for a slow client: what else it has not read stays in the log.
const TOGETHER: usize = 4;

struct Frames(mpsc::Receiver<Bytes>);

impl Stream for Frames {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// The events after the one that `Last-Event-ID` names, or all, to the end of the job. Where events between were forgotten, an event `gap` says so.
pub(crate) fn events(log: Arc<Log>, headers: &HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.trim().parse().ok()).unwrap_or(0);
    let (sender, receiver) = mpsc::channel(TOGETHER);
    tokio::spawn(send(log, last, sender));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(Frames(receiver))).into_response()
}

/// Sends until the job is over and all is sent, or nobody listens.
async fn send(log: Arc<Log>, mut last: u64, to: mpsc::Sender<Bytes>) {
    let mut told = log.listen();
    loop {
        // Looked at before what there is: what comes later is seen the next time around.
        let (_, ended) = *told.borrow_and_update();
        let (gone, entries) = log.after(last, TOGETHER);
        if gone > 0 && to.send(format!("event: gap\ndata: {{\"events\":{gone}}}\n\n").into()).await.is_err() {
            return;
        }
        let sent = !entries.is_empty();
        for entry in entries {
            last = entry.id;
            if to.send(entry.frame().into()).await.is_err() {
                return;
            }
        }
        match (sent, ended) {
            (true, _) => {}
            (false, true) => return,
            (false, false) => match tokio::time::timeout(ALIVE, told.changed()).await {
                Ok(_) if to.is_closed() => return,
                Ok(_) => {}
                Err(_) if to.send(Bytes::from_static(b":\n\n")).await.is_err() => return,
                Err(_) => {}
            },
        }
    }
}
