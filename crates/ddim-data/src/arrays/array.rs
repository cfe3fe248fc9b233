//! An array, starting with its header.

use super::header::Header;
use super::numbers::Numbers;
use crate::batch::Step;
use std::io::Read;

/// An array of which the header was read.
pub(super) struct Opened<R> {
    pub(super) header: Header,
    /// Its numbers, and perhaps more.
    reader: R,
    /// Bytes after the header, as the file or archive says.
    available: u64,
}

impl<R: Read> Opened<R> {
    pub(super) fn new(mut reader: R, total: u64) -> Step<Self> {
        let header = Header::read(&mut reader)?;
        let available = total.saturating_sub(header.len);
        Ok(Self { header, reader, available })
    }

    /// The type of numbers, of which as many are there as the header says.
    pub(super) fn checked(&self, expected: &str) -> Step<Numbers> {
        let numbers = self.header.numbers.ok_or_else(|| format!("numbers of type {}: expected {expected}", self.header.descr))?;
        if self.header.bytes(numbers.size) > u128::from(self.available) {
            return Err(self.header.short(self.available, numbers));
        }
        Ok(numbers)
    }

    /// The next `len` bytes; memory grows with what is there.
    pub(super) fn take(&mut self, len: u64, before: u64, numbers: Numbers, out: &mut Vec<u8>) -> Step<()> {
        let found = self.reader.by_ref().take(len).read_to_end(out).map_err(|e| e.to_string())?;
        if (found as u64) < len {
            return Err(self.header.short(before + found as u64, numbers));
        }
        Ok(())
    }

    /// The whole array in C order, of numbers that were checked.
    pub(super) fn whole(&mut self, numbers: Numbers) -> Step<Vec<u8>> {
        let (mut bytes, len) = (Vec::new(), self.header.bytes(numbers.size) as u64);
        self.take(len, 0, numbers, &mut bytes)?;
        self.end()?;
        if self.header.fortran {
            bytes = from_fortran(&bytes, &self.header.shape, numbers.size);
        }
        Ok(bytes)
    }

    /// Reads on by a byte: an archive compares its checksum when an entry ends.
    pub(super) fn end(&mut self) -> Step<()> {
        self.reader.read(&mut [0]).map(|_| ()).map_err(|e| e.to_string())
    }
}

/// An array whose first index runs fastest, as one whose last does.
fn from_fortran(bytes: &[u8], shape: &[u64], size: usize) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new(); // of a shape whose other numbers may be anything
    }
    let shape: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
    let strides: Vec<usize> = shape
        .iter()
        .scan(size, |stride, n| {
            let here = *stride;
            *stride *= n;
            Some(here)
        })
        .collect();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    while out.len() < bytes.len() {
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}
