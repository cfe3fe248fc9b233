//! Connections: accepted, limited, and closed when the server is asked to stop.

use crate::config::{Config, Limits};
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::routes::{AppState, router};
use crate::store::Store;
use crate::{models, worker};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// Bytes of a request's head.
const LONGEST_HEAD: usize = 32 << 10;

/// Threads for connections: they compute nothing.
const NETWORK_THREADS: usize = 2;

/// Threads that wait for the disk and parse bodies: more would only take memory.
const WAITING_THREADS: usize = 4;

/// How often [`Studio::serve`] looks whether it should stop.
const OFTEN: Duration = Duration::from_millis(50);

/// After a connection could not be accepted, as where there are no more file descriptors.
const AGAIN: Duration = Duration::from_millis(50);

/// A server that is bound to its address and has read its models.
#[derive(Debug)]
pub struct Studio {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
    room: Arc<AppState>,
}

impl Studio {
    /// Binds the address and reads what the models are. Blocks.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; [`Error::Engine`] for a device or a model that is not available; [`Error::Runs`] for a path that is not
    /// a folder of runs; [`Error::Io`] for an address that cannot be bound; [`Error::Store`] for a job store that cannot be used.
    pub fn bind(config: Config) -> Result<Self> {
        config.check()?;
        let what = || format!("`listen` {}", config.listen);
        let listener = TcpListener::bind(config.listen).map_err(Error::io(what()))?;
        listener.set_nonblocking(true).map_err(Error::io(what()))?;
        let address = listener.local_addr().map_err(Error::io(what()))?;
        let models = models::read(&config.models, &config.engine)?;
        let limits = config.limits.clone();
        let store = config.store.as_deref().map(Store::open).transpose()?;
        let (jobs, large) = (Arc::new(Jobs::new(limits.clone(), store)?), Arc::new(Semaphore::new(limits.large_bodies)));
        let room = Arc::new(AppState { models, jobs, runs: config.runs.clone(), engine: config.engine.clone(), large, limits });
        Ok(Self { listener, address, config, room })
    }

    /// The address that the server listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs the server on a Tokio runtime of its own until `stop` is set. Blocks.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn serve(self, stop: &AtomicBool) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .max_blocking_threads(WAITING_THREADS)
            .enable_all()
            .build();
        let stopped = async {
            while !stop.load(Ordering::SeqCst) {
                tokio::time::sleep(OFTEN).await;
            }
        };
        runtime.map_err(Error::io("threads for connections"))?.block_on(self.run(stopped))
    }

    /// Serves requests until `stop` completes; then jobs are cancelled between two steps, responses in progress are ended, and it returns.
    ///
    /// Must be called within a Tokio runtime that has time and I/O enabled.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not provide a thread or does not let the server listen.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { listener, address, config, room } = self;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::io("listening"))?;
        let jobs = Arc::clone(&room.jobs);
        let worker = std::thread::Builder::new().name("jobs".to_owned()).spawn({
            let (jobs, engine) = (Arc::clone(&jobs), config.engine.clone());
            move || worker::work(&jobs, &engine)
        });
        let worker = worker.map_err(Error::io("a thread for jobs"))?;
        let router = router(room, Guard::new(&config, address));
        accept(&listener, &router, &config.limits, stop, move || jobs.close()).await;
        // It ends after the step that it is at.
        let _ = tokio::task::spawn_blocking(move || worker.join()).await;
        Ok(())
    }
}

/// Accepts connections until `stop` is there, calls `close`, and waits for those that are open.
async fn accept(
    listener: &tokio::net::TcpListener,
    router: &Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
    close: impl FnOnce() + Send + 'static,
) {
    let (room, graceful) = (Arc::new(Semaphore::new(limits.connections)), GracefulShutdown::new());
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        // Who comes when there are too many finds the connection closed.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.stall));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.request).max_buf_size(LONGEST_HEAD);
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What goes wrong with a connection is its client's to know.
            let _ = connection.await;
            drop(place);
        });
    }
    let _ = tokio::task::spawn_blocking(close).await;
    let _ = tokio::time::timeout(limits.shutdown, graceful.shutdown()).await;
}
