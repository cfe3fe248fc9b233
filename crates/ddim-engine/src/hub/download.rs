//! Downloads one file from the hub into the blobs: resumable, verified, and either complete or absent.

use super::cache::{Repository, make_folder_of};
use super::client::{Client, Metadata, Patience, Trouble, passing};
use super::options::Options;
use super::progress::{Observer, Progress, tell};
use crate::error::{Error, Result};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use ureq::http::{Response, StatusCode, header};

/// Bytes read at once.
const PIECE: usize = 1 << 17;

/// The bytes of all files of a model.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Those of files that are there.
    pub(super) come: u64,
    /// Those of all; none where the server does not say one's.
    pub(super) total: Option<u64>,
}

/// A file that is to come.
pub(super) struct Wanted<'a> {
    pub(super) commit: &'a str,
    pub(super) file: &'a str,
    pub(super) metadata: &'a Metadata,
    pub(super) options: &'a Options,
}

impl Wanted<'_> {
    /// Makes the blob of the file, unless it is there, and the snapshot's link to it.
    ///
    /// # Errors
    /// A connection that stays away, contents of another checksum, a disk that is full; the observer's end of it, after which what has come
    /// is kept for the next time.
    pub(super) fn fetch(&self, client: &Client<'_>, repository: &Repository, tally: &Tally, observe: &mut Observer<'_>) -> Result<()> {
        let &Self { commit, file, metadata: Metadata { etag, size }, .. } = self;
        let blob = repository.blob(etag);
        // One of another size was damaged since.
        let is_there = || blob.metadata().is_ok_and(|found| found.is_file() && size.is_none_or(|size| found.len() == size));
        let _lock = repository.lock(etag, file, observe)?;
        // Another process may have been faster.
        if repository.pointer(commit, file).is_file() {
            return Ok(());
        }
        let new = !is_there();
        if new {
            make_folder_of(&blob)?;
            let path = repository.incomplete(etag);
            self.complete(&path, &client.url(commit, file), client, tally, observe)?;
            std::fs::rename(&path, &blob).map_err(|e| Error::io(&blob, e))?;
            // The new name is on the disk when its folder is.
            #[cfg(unix)]
            if let Some(folder) = blob.parent() {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io(folder, e))?;
            }
        }
        repository.link(etag, commit, file, new)
    }

    /// Completes a partial file, which is right and on the disk then.
    fn complete(&self, path: &PathBuf, url: &str, client: &Client<'_>, tally: &Tally, observe: &mut Observer<'_>) -> Result<()> {
        let mut partial = Partial::open(path)?;
        // Once more from the beginning where not all of it came now: who began may have been interrupted by more than its own end.
        let mut again = partial.length > 0;
        let mut patience = Patience::new(self.options);
        loop {
            let before = partial.length;
            match self.receive(&mut partial, url, client, tally, observe) {
                Ok(()) => {}
                Err(trouble) => {
                    if partial.length > before {
                        patience.renew();
                    }
                    patience.pause(trouble, self.file, observe)?;
                    continue;
                }
            }
            partial.file.sync_all().map_err(|e| Error::io(path, e))?;
            match self.check(&mut partial, url, tally, observe)? {
                None => return Ok(()),
                Some(_) if again => {
                    again = false;
                    partial.restart()?;
                }
                Some(error) => {
                    std::fs::remove_file(path).map_err(|e| Error::io(path, e))?;
                    return Err(error);
                }
            }
        }
    }

    /// Receives what a partial file lacks.
    fn receive(
        &self,
        partial: &mut Partial,
        url: &str,
        client: &Client<'_>,
        tally: &Tally,
        observe: &mut Observer<'_>,
    ) -> std::result::Result<(), Trouble> {
        let size = self.metadata.size;
        if size.is_some_and(|size| partial.length > size) {
            partial.restart()?;
        }
        tell(observe, self.progress(tally, partial.length))?;
        if size == Some(partial.length) {
            return Ok(());
        }
        let mut response = client.open(url, partial.length)?;
        if partial.length > 0 && !goes_on(&response, partial.length) {
            partial.restart()?;
            // A server without ranges has sent the whole.
            if response.status() != StatusCode::OK {
                response = client.open(url, 0)?;
            }
        }
        let mut reader = response.body_mut().as_reader();
        let mut piece = vec![0; PIECE];
        loop {
            let n = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(passing(url, e.into())),
            };
            partial.append(&piece[..n], size)?;
            tell(observe, self.progress(tally, partial.length))?;
            // More than there should be has a checksum of its own.
            if size.is_some_and(|size| partial.length > size) {
                break;
            }
        }
        match size {
            Some(size) if partial.length < size => {
                let error = Error::hub(format!("{url}: the connection ended after {} bytes: expected {size}", partial.length));
                Err(Trouble::Passing(error, None))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with a file that has all come.
    fn check(&self, partial: &mut Partial, url: &str, tally: &Tally, observe: &mut Observer<'_>) -> Result<Option<Error>> {
        let Metadata { etag, size } = self.metadata;
        let found = partial.length;
        if let Some(size) = size.filter(|size| *size != found) {
            return Ok(Some(Error::hub(format!("{url}: received {found} bytes: expected {size}; the download is removed"))));
        }
        let (kind, sum) = match Checksum::of(etag) {
            Some(Checksum::Sha256) => ("SHA-256", partial.digest(Sha256::new(), &mut || tell(observe, self.progress(tally, found)))?),
            Some(Checksum::GitBlob) => {
                let digest = Sha1::new_with_prefix(format!("blob {found}\0"));
                ("git checksum", partial.digest(digest, &mut || tell(observe, self.progress(tally, found)))?)
            }
            None => return Ok(None),
        };
        Ok((sum != *etag)
            .then(|| Error::hub(format!("{url}: damaged in transit: its {kind} is {sum}: expected {etag}; the download is removed"))))
    }

    fn progress(&self, tally: &Tally, length: u64) -> Progress<'_> {
        Progress::Bytes { file: self.file, come: tally.come + length, total: tally.total }
    }
}

/// The checksums that are ETags of the hub's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// Of the contents, for large files.
    Sha256,
    /// SHA-1 of the contents as an object of git, for others.
    GitBlob,
}

impl Checksum {
    pub(super) fn of(etag: &str) -> Option<Self> {
        let hex = etag.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match etag.len() {
            64 if hex => Some(Self::Sha256),
            40 if hex => Some(Self::GitBlob),
            _ => None,
        }
    }
}

/// Whether an answer goes on at the byte that it was asked for.
fn goes_on<T>(response: &Response<T>, from: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
    response.status() == StatusCode::PARTIAL_CONTENT && start == Some(from)
}

/// A file that comes.
struct Partial {
    file: File,
    path: PathBuf,
    /// Bytes that are there.
    length: u64,
}

impl Partial {
    fn open(path: &PathBuf) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { file, path: path.clone(), length })
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|e| Error::io(&self.path, e))?;
        self.length = 0;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], size: Option<u64>) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| {
            let room = size.map_or(String::new(), |size| format!(": expected room for {} more bytes", size.saturating_sub(self.length)));
            Error::new(crate::ErrorKind::Io, format!("{}: {e}{room}", self.path.display())).because(e)
        })?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The digest of the whole file as it is now, in hexadecimal digits.
    fn digest<D: Digest>(&mut self, mut digest: D, go_on: &mut dyn FnMut() -> Result<()>) -> Result<String> {
        let io = |e| Error::io(&self.path, e);
        self.file.rewind().map_err(io)?;
        let mut piece = vec![0; 8 * PIECE];
        loop {
            match self.file.read(&mut piece).map_err(io)? {
                0 => break,
                n => digest.update(&piece[..n]),
            }
            go_on()?;
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_that_are_checksums() {
        assert_eq!(Checksum::of(&"0a".repeat(32)), Some(Checksum::Sha256));
        assert_eq!(Checksum::of(&"0a".repeat(20)), Some(Checksum::GitBlob));
        for other in ["0A".repeat(20), "0g".repeat(32), "0a".repeat(16), "d41d8cd98f-12".to_owned()] {
            assert_eq!(Checksum::of(&other), None);
        }
    }

    #[test]
    fn an_answer_that_goes_on() {
        let answer = |status: u16, range: &str| Response::builder().status(status).header("content-range", range).body(()).unwrap();
        assert!(goes_on(&answer(206, "bytes 10-99/100"), 10));
        assert!(goes_on(&answer(206, "bytes 10-99/*"), 10));
        for (status, range) in [(200, "bytes 10-99/100"), (206, "bytes 0-99/100"), (206, ""), (416, "bytes */100")] {
            assert!(!goes_on(&answer(status, range), 10));
        }
    }
}
