//! A device as networks use it, and what went wrong on it.

use crate::error::{Error, ErrorKind, Result};
use crate::precision::Precision;
use burn::tensor::{Device, ExecutionError, FloatDType, Tensor, Transaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

/// A device that is open, how many numbers a buffer of it holds, and what goes wrong on it.
#[derive(Debug, Clone)]
pub struct TensorDevice {
    /// The framework's.
    pub device: Device,
    /// Numbers of f32 that a buffer holds.
    pub most: usize,
    /// What values and factors of products are, which the device has.
    pub precision: Precision,
    /// Filled by whoever opened it.
    pub faults: Arc<Faults>,
}

/// Seconds from which on a product is no longer, and the most rows that one has.
const LONG: f64 = 0.03;
const MOST_SIDE: usize = 8192;

/// What went wrong on a device. The framework goes on where memory could not be had, and then gives numbers that nobody computed: so whoever opens a
/// device records here what its driver says, and no number is taken that was computed while something was recorded.
#[derive(Debug, Default)]
pub struct Faults {
    count: AtomicU64,
    last: Mutex<Option<Fault>>,
    /// Held by whoever asks something of the device, so that what goes wrong is theirs; whether something was asked for that nobody has waited for.
    turn: Mutex<bool>,
}

#[derive(Debug, Clone)]
struct Fault {
    message: String,
    out_of_memory: bool,
}

impl Faults {
    /// Records what the driver says, and whether it is that there is no memory.
    pub fn record(&self, message: impl std::fmt::Display, out_of_memory: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fault { message: message.to_string(), out_of_memory });
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether something is being asked of the device.
    pub fn is_busy(&self) -> bool {
        matches!(self.turn.try_lock(), Err(TryLockError::WouldBlock))
    }
}

impl TensorDevice {
    pub(super) fn dtype(&self) -> FloatDType {
        match self.precision {
            Precision::F32 => FloatDType::F32,
            Precision::F16 => FloatDType::F16,
            Precision::Bf16 => FloatDType::BF16,
        }
    }

    /// How much has gone wrong so far that is nobody's: what lies on the device and was not waited for is checked against it.
    pub fn mark(&self) -> u64 {
        self.faults.count.load(Ordering::SeqCst)
    }

    /// Whether nothing has gone wrong since a [`mark`](Self::mark), as far as the device has come.
    ///
    /// # Errors
    /// What has; [`ErrorKind::Memory`](crate::ErrorKind::Memory) where the device has no memory left.
    pub fn check(&self, since: u64) -> Result<()> {
        if self.mark() == since {
            return Ok(());
        }
        let last = self.faults.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(match last {
            Some(Fault { out_of_memory: true, .. }) => Error::memory("the device is out of memory"),
            Some(Fault { message, .. }) => Error::device(format!("the device's driver says: {message}")),
            None => Error::device("something went wrong on the device"),
        })
    }

    /// Does something with the device and waits for it, while nobody else does: what comes of it, if nothing went wrong meanwhile. What did is its own, and
    /// the memory that it took is given back.
    ///
    /// # Errors
    /// As [`check`](Self::check), or those of `work`; and where it panics, as the framework does when a driver refuses it memory.
    pub fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut pending = self.faults.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *pending) {
            // What goes wrong with that is not ours.
            let _ = caught(|| self.sync());
        }
        let before = self.mark();
        let found = match (caught(work), self.check(before)) {
            (Ok(found), Ok(())) => return Ok(found),
            // After the device itself was lost, its driver objects to whatever is asked of it.
            (Err(error), Err(fault)) if fault.kind() != ErrorKind::Memory => Err(error),
            (_, Err(error)) | (Err(error), Ok(())) => Err(error),
        };
        let _ = caught(|| {
            let _ = self.sync();
            self.device.memory_cleanup();
            self.sync()
        });
        self.faults.count.store(before, Ordering::SeqCst);
        found
    }

    /// Does something with what lies on the device since a [`mark`](Self::mark), and goes wrong for good where that did. Where `waits` is false, what is asked
    /// for is not waited for, so that the next of these goes on with it and both have one wait.
    ///
    /// # Errors
    /// As [`guarded`](Self::guarded), as far as the device has come.
    pub fn continued<T>(&self, since: u64, waits: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut pending = self.faults.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let found = caught(work);
        *pending = !waits;
        match (found, self.check(since)) {
            (Err(error), Err(fault)) if fault.kind() != ErrorKind::Memory => Err(error),
            (found, checked) => checked.and(found),
        }
    }

    /// The numbers of tensors, once they are there.
    ///
    /// # Errors
    /// What the device says.
    pub fn fetch(&self, tensors: impl IntoIterator<Item = Tensor<1>>) -> Result<Vec<Vec<f32>>> {
        let all = tensors.into_iter().fold(Transaction::default(), Transaction::register);
        let found = all.try_execute().map_err(|e| said(&e))?;
        found.into_iter().map(|data| data.try_into_vec().map_err(|e| Error::device(format!("{e:?}")))).collect()
    }

    /// Waits for all that was asked for.
    ///
    /// # Errors
    /// What the device says.
    pub fn sync(&self) -> Result<()> {
        self.device.sync().map_err(|e| said(&e))
    }

    /// Bytes of memory that the framework has taken, where it says so.
    pub fn memory(&self) -> Option<u64> {
        self.device.memory_pool_usage().map(|usage| usage.bytes_reserved)
    }

    /// What products of square matrices reach, of the size that is fastest, in 10⁹ floating-point operations per second.
    ///
    /// # Errors
    /// What the device says.
    pub fn product_gflops(&self) -> Result<f64> {
        self.guarded(|| {
            let (mut best, mut n) = (0f64, 512);
            loop {
                let matrix = (Tensor::<2>::ones([n, n], &self.device) / n as f64).cast(self.dtype());
                let run = || {
                    let begin = Instant::now();
                    let _product = matrix.clone().matmul(matrix.clone());
                    self.sync().map(|()| begin.elapsed().as_secs_f64())
                };
                // The first is compiled.
                run()?;
                let shortest = run()?.min(run()?);
                best = best.max(2e-9 * (n as f64).powi(3) / shortest);
                if shortest > LONG || n >= MOST_SIDE || 4 * n * n > self.most {
                    return Ok(best);
                }
                n *= 2;
            }
        })
    }
}

/// A panic is an error.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::device("the device's framework panicked")))
}

/// An error of the framework, without where in it that was.
fn said(error: &ExecutionError) -> Error {
    let reason = error.reason();
    let reason = reason.split("Backtrace:").next().unwrap_or(reason).trim_end_matches(|c: char| c.is_whitespace() || c == ':');
    match error.is_device_poisoned() {
        true if reason.contains("Out of memory") => {
            Error::device("the device ran out of memory where its driver cannot go on, and is lost")
        }
        true => Error::device(format!("the device is lost: {}", reason.rsplit("Caused by:").next().unwrap_or(reason).trim())),
        false => Error::device(reason),
    }
}
