//! Running jobs: controlling them, receiving their events, and the thread that a job may have to itself.

use crate::clock::Instant;
use crate::device::{self, Chosen};
use crate::error::{Error, Result};
use crate::event::{Event, NoteKind, Tell};
use crate::pool;
use ddim_nn::{Device, Network, Pipeline, Precision};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Controls running work from any thread. Clones control the same work.
///
/// ```
/// use ddim_engine::{Control, Engine, ErrorKind, Event, Sample};
///
/// let control = Control::default();
/// let asked = control.clone();
/// let error = Engine::default().run(&Sample::default(), &control, &mut |event| {
///     if let Event::Step { step: 1, .. } = event {
///         asked.cancel();
///     }
/// });
/// assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    preview: Arc<AtomicBool>,
}

impl Control {
    /// Requests cancellation. The work ends between two network evaluations with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); training saves a
    /// checkpoint and returns the report of an unfinished run.
    pub fn cancel(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether cancellation was requested.
    pub fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The flag behind [`cancel`](Self::cancel), for code that only sets flags, such as a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Requests one [`Event::Preview`] after the next sampling step.
    pub fn preview(&self) {
        self.preview.store(true, Ordering::SeqCst);
    }
}

/// What work sees of whoever waits for it.
pub(crate) struct Watch<'a> {
    control: Control,
    device: Option<Arc<dyn Device>>,
    /// Whether the end that was asked for is why the work ended.
    stopped: AtomicBool,
    inner: Mutex<Inner<'a>>,
}

struct Inner<'a> {
    tell: Tell<'a>,
    began: Instant,
    done: u64,
    total: u64,
    /// Notes that were told.
    noted: BTreeSet<String>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(control: Control, device: Option<Arc<dyn Device>>, tell: Tell<'a>) -> Self {
        Self {
            control,
            device,
            stopped: AtomicBool::new(false),
            inner: Mutex::new(Inner { tell, began: Instant::now(), done: 0, total: 0, noted: BTreeSet::new() }),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inner<'a>) -> R) -> R {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell(&self, event: Event) {
        self.with(|inner| (inner.tell)(event));
    }

    /// Where networks run, if not on the processor.
    pub(crate) fn device(&self) -> Option<&Arc<dyn Device>> {
        self.device.as_ref()
    }

    /// What networks compute with.
    pub(crate) fn precision(&self) -> Precision {
        self.device.as_ref().map_or(Precision::F32, |device| device.precision())
    }

    /// A network, where networks run.
    pub(crate) fn network(&self, pipeline: Pipeline) -> Result<Network> {
        Ok(match &self.device {
            Some(device) => Network::on(pipeline, &**device)?,
            None => Network::new(pipeline)?,
        })
    }

    /// What an end is asked by, for work that sees to it itself.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// # Errors
    /// Where an end was asked for.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.control.is_cancelled() {
            return Ok(());
        }
        self.stopped.store(true, Ordering::SeqCst);
        Err(Error::cancelled("stopped"))
    }

    /// Tells a note, once: what is said of a class may be found for each image of it.
    pub(crate) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        if self.with(|inner| inner.noted.insert(text.clone())) {
            self.tell(Event::Note { kind: NoteKind::Note, text });
        }
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.tell(Event::Note { kind: NoteKind::Warning, text: text.into() });
    }

    pub(crate) fn line(&self, text: impl Into<String>) {
        self.tell(Event::Line { text: text.into() });
    }

    pub(crate) fn begin(&self, phase: &'static str, unit: &'static str, total: usize) {
        self.with(|inner| {
            (inner.began, inner.done, inner.total) = (Instant::now(), 0, total as u64);
            (inner.tell)(Event::Began { phase, unit, total: total as u64 });
        });
    }

    pub(crate) fn advance(&self, n: usize) {
        self.with(|inner| {
            inner.done += n as u64;
            let (done, total, seconds) = (inner.done, inner.total, inner.began.elapsed().as_secs_f64());
            let eta_seconds = (done > 0).then(|| seconds * total.saturating_sub(done) as f64 / done as f64);
            (inner.tell)(Event::Progress { done, total, seconds, eta_seconds });
        });
    }

    /// Ends the part that was begun; the seconds that it took.
    pub(crate) fn end(&self) -> f64 {
        self.with(|inner| {
            let seconds = inner.began.elapsed().as_secs_f64();
            (inner.tell)(Event::Ended { seconds });
            seconds
        })
    }

    /// Tells of a step at `timestep`, and shows the batch where somebody has asked for it: x and the predicted x_0.
    pub(crate) fn step(
        &self,
        timestep: usize,
        (step, steps): (usize, usize),
        [first, count]: [usize; 2],
        batch: [&[f32]; 2],
        shape: [usize; 3],
    ) {
        let first = first as u64;
        self.tell(Event::Step { timestep, step, steps, first, count });
        if self.control.preview.swap(false, Ordering::SeqCst) {
            let [x, x_0] = batch.map(<[f32]>::to_vec);
            self.tell(Event::Preview { timestep, first, shape, x, x_0 });
        }
    }
}

/// A request to the [`Engine`]: plain data that serde reads and writes. Sealed: this crate defines all requests.
pub trait Request: Send + Sync + 'static {
    /// The result: numbers, arrays, and the names of files written.
    type Report: Send + 'static;

    #[doc(hidden)]
    fn work(&self, within: Within<'_, '_>) -> Result<Self::Report>;
}

/// The context in which a request runs. Only this crate can name it, which keeps others from implementing [`Request`].
pub struct Within<'a, 'b>(pub(crate) &'a Watch<'b>);

/// Runs requests, on a given device and number of threads.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    threads: usize,
    chosen: Chosen,
}

/// Threads beyond which a number is a typing error.
const MOST_THREADS: usize = 1024;

impl Engine {
    /// Creates an engine that runs on `device`: `cpu` or, in builds with the feature `gpu`, also `gpu`, `gpu:N`, and `auto` for the first GPU or else the CPU.
    ///
    /// Each job gets this many threads, by default as many as there are processors. No result depends on the number of threads.
    ///
    /// # Errors
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) for an unknown device name or an invalid number of threads;
    /// [`ErrorKind::Other`](crate::ErrorKind::Other) for a device that is not available.
    pub fn new(device: &str, threads: Option<usize>) -> Result<Self> {
        match threads {
            Some(n) if !(1..=MOST_THREADS).contains(&n) => Err(Error::field("threads", format!("{n}: expected 1 to {MOST_THREADS}"))),
            threads => Ok(Self { threads: threads.unwrap_or(0), chosen: device::open(device)? }),
        }
    }

    /// Sets the number format that networks compute in, f32 by default. The network behind FID always computes in f32, and training state is always f32.
    ///
    /// # Errors
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) for a format that the device does not support; the CPU supports only f32.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        Ok(Self { chosen: self.chosen.in_precision(precision)?, ..self })
    }

    /// Runs a request to its end, in a thread pool of its own. `tell` is called on one of those threads with events in order.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) if `control` requested it; otherwise whatever is wrong with the request or went wrong while
    /// running it.
    pub fn run<R: Request>(&self, request: &R, control: &Control, tell: &mut (dyn FnMut(Event) + Send)) -> Result<R::Report> {
        ddim_nn::check_vectors().map_err(Error::request)?;
        let watch = Watch::new(control.clone(), self.chosen.device.clone(), tell);
        match (&self.chosen.said, &self.chosen.device) {
            (Some(said), Some(_)) => watch.note(said.as_str()),
            // Never silently.
            (Some(said), None) => watch.warn(said.as_str()),
            (None, _) => {}
        }
        let result = pool::run(self.threads, || request.work(Within(&watch)))?;
        // Rooms below say in their own words that they were stopped; what went wrong on the way there is an error.
        let stopped = watch.stopped.load(Ordering::SeqCst);
        result.map_err(|error| if stopped { Error::cancelled("stopped") } else { error })
    }

    /// Starts a request on a thread of its own. On wasm, which has no threads, use [`run`](Self::run).
    ///
    /// ```
    /// use ddim_engine::{Engine, Event, Sample};
    ///
    /// let request = Sample { count: Some(2), steps: 3, ..Sample::default() };
    /// let job = Engine::default().start(request);
    /// for event in job.events() {
    ///     if let Event::Step { step, steps, .. } = event {
    ///         println!("{step} of {steps}");
    ///     }
    /// }
    /// let drawn = job.wait()?;
    /// assert_eq!(drawn.images.len(), 2 * 3 * 32 * 32); // two images in colour, [-1, 1]
    /// # Ok::<(), ddim_engine::Error>(())
    /// ```
    pub fn start<R: Request>(&self, request: R) -> Job<R::Report> {
        let (engine, control, (sender, events)) = (self.clone(), Control::default(), channel());
        let asked = control.clone();
        let thread = std::thread::spawn(move || {
            engine.run(&request, &asked, &mut |event| {
                // Nobody may be listening.
                let _ = sender.send(event);
            })
        });
        Job { control, events, thread: Some(thread) }
    }
}

/// A running request. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "dropped, it is cancelled"]
pub struct Job<R> {
    control: Control,
    events: Receiver<Event>,
    thread: Option<JoinHandle<Result<R>>>,
}

impl<R> Job<R> {
    /// Controls the job.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Iterates over the job's events until it ends, blocking for each.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.iter()
    }

    /// Whether [`wait`](Self::wait) would return immediately.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// Those of [`Engine::run`], and [`ErrorKind::Other`](crate::ErrorKind::Other) if the job panicked.
    pub fn wait(mut self) -> Result<R> {
        let thread = self.thread.take().expect("waited for once");
        thread.join().unwrap_or_else(|_| Err(Error::failure("the job panicked: please report it")))
    }
}

impl<R> Drop for Job<R> {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.control.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_told_once() {
        let mut told = Vec::new();
        let mut tell = |event: Event| told.push(event);
        let watch = Watch::new(Control::default(), None, &mut tell);
        ["one", "two", "one", "two"].into_iter().for_each(|text| watch.note(text));
        ["three", "three"].into_iter().for_each(|text| watch.warn(text));
        drop(watch);
        let texts = told.iter().map(|event| if let Event::Note { text, .. } = event { text.as_str() } else { "" });
        assert_eq!(texts.collect::<Vec<_>>(), ["one", "two", "three", "three"]);
    }
}
