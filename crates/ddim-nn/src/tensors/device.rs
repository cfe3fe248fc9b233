//! A device as networks use it, and its faults.

use crate::error::{Error, ErrorKind, Result};
use crate::precision::Precision;
use burn::tensor::{Device, ExecutionError, FloatDType, Tensor, Transaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

/// An open device, the number of values that a buffer of it holds, and the faults recorded on it.
#[derive(Debug, Clone)]
pub struct TensorDevice {
    /// The framework's device.
    pub device: Device,
    /// The number of f32 values that a buffer holds.
    pub most: usize,
    /// The format of values and of the factors of products, which the device supports.
    pub precision: Precision,
    /// Filled by the code that opened the device.
    pub faults: Arc<Faults>,
}

/// Seconds from which on a product is no longer, and the most rows that one has.
const LONG: f64 = 0.03;
const MOST_SIDE: usize = 8192;

/// The faults of a device.
///
/// When memory cannot be allocated, the framework carries on with numbers that were never computed. The code that opens a device therefore
/// records here what its driver reports, and no number computed while something was recorded is used.
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
    /// Records a message of the driver, and whether it reports that memory has run out.
    pub fn record(&self, message: impl std::fmt::Display, out_of_memory: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fault { message: message.to_string(), out_of_memory });
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether the device is being asked for something.
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

    /// Returns the count of faults so far that belong to no call; data on the device that was not waited for is checked against it.
    pub fn mark(&self) -> u64 {
        self.faults.count.load(Ordering::SeqCst)
    }

    /// Checks that nothing has gone wrong since a [`mark`](Self::mark), as far as the device has got.
    ///
    /// # Errors
    /// Returns what has gone wrong; [`ErrorKind::Memory`](crate::ErrorKind::Memory) if the device has run out of memory.
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

    /// Runs `work` on the device and waits for it, while no other caller uses the device. Returns its result if nothing went wrong
    /// meanwhile. A fault belongs to this call alone, and the memory that the work took is released.
    ///
    /// # Errors
    /// As [`check`](Self::check), the errors of `work`, and an error if it panics, as the framework does when a driver refuses it memory.
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

    /// Runs `work` with data that has been on the device since a [`mark`](Self::mark), and fails for good if that data went wrong. If
    /// `waits` is false, the work is not waited for, so that the next call can continue with it and both share one wait.
    ///
    /// # Errors
    /// As [`guarded`](Self::guarded), as far as the device has got.
    pub fn continued<T>(&self, since: u64, waits: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut pending = self.faults.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let found = caught(work);
        *pending = !waits;
        match (found, self.check(since)) {
            (Err(error), Err(fault)) if fault.kind() != ErrorKind::Memory => Err(error),
            (found, checked) => checked.and(found),
        }
    }

    /// Returns the values of tensors, once they are available.
    ///
    /// # Errors
    /// Returns the device's errors.
    pub fn fetch(&self, tensors: impl IntoIterator<Item = Tensor<1>>) -> Result<Vec<Vec<f32>>> {
        let all = tensors.into_iter().fold(Transaction::default(), Transaction::register);
        let found = all.try_execute().map_err(|e| said(&e))?;
        found.into_iter().map(|data| data.try_into_vec().map_err(|e| Error::device(format!("{e:?}")))).collect()
    }

    /// Waits for all outstanding work.
    ///
    /// # Errors
    /// Returns the device's errors.
    pub fn sync(&self) -> Result<()> {
        self.device.sync().map_err(|e| said(&e))
    }

    /// Returns the bytes of memory that the framework has taken, if it reports them.
    pub fn memory(&self) -> Option<u64> {
        self.device.memory_pool_usage().map(|usage| usage.bytes_reserved)
    }

    /// Measures the throughput of products of square matrices, of the size that is fastest, in 10⁹ floating-point operations per second.
    ///
    /// # Errors
    /// Returns the device's errors.
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
