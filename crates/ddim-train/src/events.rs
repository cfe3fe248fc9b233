//! TensorBoard's event files: protocol buffer records, framed and checksummed as TensorFlow does. Scalars only.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file of its own for each process; TensorBoard reads all files of a folder as one run.
pub(crate) struct EventFile(File);

impl EventFile {
    /// Begins a file in `folder`; what earlier files say of steps after `step` no longer counts.
    pub(crate) fn create(folder: &Path, step: u64) -> io::Result<Self> {
        let now = now();
        // Files are read in the order of their names: after all that are there, however short the last process was and whatever the clock.
        let mut number = now as u64;
        for entry in folder.read_dir()? {
            let known = entry?.file_name().to_str().and_then(number_of);
            number = number.max(known.map_or(0, |known| known + 1));
        }
        let name = format!("{PREFIX}{number:010}.{}.ddim", std::process::id());
        let mut file = Self(File::create(folder.join(name))?);
        let mut version = header(now, None);
        bytes_field(&mut version, 3, b"brain.Event:2");
        file.record(&version)?;
        // SessionLog { status: START }: TensorBoard drops what it knows of this step and of later ones.
        let mut start = header(now, Some(step + 1));
        bytes_field(&mut start, 7, &[1 << 3, 1]);
        file.record(&start)?;
        Ok(file)
    }

    /// One event with some scalars.
    pub(crate) fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes());
            entry.push((2 << 3) | 5);
            entry.extend((*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut event = header(now(), Some(step));
        bytes_field(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked(data).to_le_bytes());
        self.0.write_all(&record)
    }
}

const PREFIX: &str = "events.out.tfevents.";

/// The seconds in the name of a file.
fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// TensorFlow's masked CRC-32C.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Event { wall_time, step }
fn header(time: f64, step: Option<u64>) -> Vec<u8> {
    let mut event = vec![(1 << 3) | 1];
    event.extend(time.to_le_bytes());
    if let Some(step) = step {
        event.push(2 << 3);
        varint(&mut event, step);
    }
    event
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push((field << 3) | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
