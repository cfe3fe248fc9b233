//! Models from the Hugging Face hub, downloaded into the same cache that Python's `huggingface_hub` uses.
//!
//! The client is our own, built on ureq. The crate `hf-hub` verifies no checksums and cannot be cancelled; up to 0.5 its partial files have names of their own
//! and nothing ends a wait for a dead server, and from 1.0 it depends on tokio, reqwest and xet: 280 crates.

mod cache;
mod choose;
mod client;
mod download;
mod id;
mod options;
mod progress;

pub use id::{HubId, is_hub_id};
pub use options::Options;
pub use progress::Progress;

use crate::error::{Error, ErrorKind, Result};
use cache::Repository;
use choose::TRAINING_STATE;
use client::{Client, Patience, Trouble};
use ddim_nn::UNetConfig;
use download::{Checksum, Tally, Wanted};
use progress::{Observer, tell};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A model from the hub, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// The snapshot folder, which [`ddim_nn::Pipeline::load_with`] loads.
    pub folder: PathBuf,
    /// The commit of the snapshot.
    pub commit: String,
    /// What was assumed or chosen, one line each: that the hub was not asked, or what could not be checked.
    pub notes: Vec<String>,
}

/// Downloads the files of a model on the hub that are not in the cache yet.
///
/// These are its configuration files and those weights that [`ddim_nn::Pipeline::load_with`] reads. If the revision is a commit and the cache has all of it,
/// the hub is not contacted. For a branch or tag it is; if it does not answer, the commit that the revision last referred to is used, with a note.
///
/// An interrupted download is resumed by the next call, however it ended. Several processes may fetch the same model at once. `observe` can cancel between
/// pieces and while waiting, but not while a server is silent, which may last up to [`Options::timeout`].
///
/// # Errors
/// [`ErrorKind::Hub`] if there is no such model, it is private, gated or not supported here, the hub cannot be reached, or files are damaged; [`ErrorKind::Io`]
/// if the cache cannot be written; [`ErrorKind::Request`] for an invalid endpoint or token; [`ErrorKind::Cancelled`] if `observe` breaks off.
pub fn fetch(id: &HubId, options: &Options, observe: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<Fetched> {
    let repository = Repository::new(&options.cache, id, options.symlinks);
    let cached = || {
        let commit = repository.commit(id.revision()).filter(|commit| repository.is_whole(commit, options))?;
        let unknown = repository.unknown(&commit);
        let doubt = || format!("{id}: {} may be missing from the cache: expected access to the hub to check", unknown.join(", "));
        let notes = if unknown.is_empty() { Vec::new() } else { vec![doubt()] };
        Some(Fetched { folder: repository.snapshot(&commit), commit, notes })
    };
    if id::is_commit(id.revision())
        && let Some(cached) = cached().filter(|cached| cached.notes.is_empty())
    {
        return Ok(cached);
    }
    if options.offline {
        let missing = || {
            Error::hub(format!(
                "{id}: incomplete in {}, and HF_HUB_OFFLINE is set: expected all of its files there, or access to the hub",
                options.cache.display()
            ))
        };
        return cached().ok_or_else(missing).map(|cached| cached.noted(format!("{id}: offline, using the last download")));
    }
    let client = Client::new(id, options)?;
    let mut patience = Patience::new(options);
    let listing = loop {
        match client.list() {
            Ok(listing) => break listing,
            Err(trouble) => {
                if let (Trouble::Passing(error, _), Some(cached)) = (&trouble, cached()) {
                    return Ok(cached.noted(format!("{id}: using the last download, because the hub cannot be reached ({error})")));
                }
                patience.pause(trouble, &id.to_string(), observe)?;
            }
        }
    };
    let commit = listing.commit;
    let mut job = Job { id, options, client, repository, commit, tally: Tally { come: 0, total: Some(0) }, notes: Vec::new() };
    job.run(&listing.files, observe)?;
    job.repository.remember_missing(&job.commit, &listing.files);
    // Last, so that what it leads to is whole, and a cache that is only read stays as it is.
    if let Err(error) = job.repository.remember(id.revision(), &job.commit) {
        job.notes.push(format!("{id}: it will not be found offline: {error}"));
    }
    Ok(Fetched { folder: job.repository.snapshot(&job.commit), commit: job.commit, notes: job.notes })
}

impl Fetched {
    fn noted(mut self, note: String) -> Self {
        self.notes.push(format!("{note}, commit {}", self.commit.get(..8).unwrap_or(&self.commit)));
        self
    }
}

/// One model at one commit on its way.
struct Job<'a> {
    id: &'a HubId,
    options: &'a Options,
    client: Client<'a>,
    repository: Repository,
    commit: String,
    tally: Tally,
    notes: Vec<String>,
}

/// A file that is not in the snapshot.
struct Missing {
    file: String,
    metadata: client::Metadata,
}

impl Job<'_> {
    fn run(&mut self, files: &[String], observe: &mut Observer<'_>) -> Result<()> {
        let id = self.id;
        if self.options.state && !files.iter().any(|file| file == TRAINING_STATE) {
            return Err(Error::field("ema", format!("{id} has no {TRAINING_STATE}: expected a checkpoint of ddim train")));
        }
        let choice = choose::choose(files, self.options.raw || self.options.state).map_err(|what| {
            Error::hub(format!(
                "{id} is not a model that ddim can read: {what}: expected a diffusers pipeline with a UNet2DModel, or its U-Net"
            ))
        })?;
        let mut small = self.missing(&choice.small, observe)?;
        let mut weights = self.missing(&choice.weights, observe)?;
        self.download(&mut small, observe)?;
        // Before the weights of another kind of network come.
        let path = self.repository.pointer(&self.commit, &choice.config);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        UNetConfig::from_json(&text, Path::new(&format!("{id}: {}", choice.config)))
            .map_err(|e| Error::new(ErrorKind::Hub, &e).because(e))?;
        self.download(&mut weights, observe)?;
        if let Some(index) = &choice.index {
            let shards = choose::shards(&self.repository.pointer(&self.commit, index), index)?;
            if let Some(shard) = shards.iter().find(|shard| !files.contains(shard)) {
                return Err(Error::hub(format!("{id}: {shard} is missing: {index} lists it as a shard")));
            }
            let mut shards = self.missing(&shards, observe)?;
            self.download(&mut shards, observe)?;
        }
        Ok(())
    }

    /// Those of some files that are not in the snapshot, and what the hub knows of them.
    fn missing(&mut self, files: &[String], observe: &mut Observer<'_>) -> Result<Vec<Missing>> {
        let mut missing = Vec::new();
        for file in files {
            if self.repository.pointer(&self.commit, file).is_file() {
                continue;
            }
            let mut patience = Patience::new(self.options);
            let metadata = loop {
                match self.client.metadata(&self.commit, file) {
                    Ok(metadata) => break metadata,
                    Err(trouble) => patience.pause(trouble, file, observe)?,
                }
            };
            self.tally.total = self.tally.total.zip(metadata.size).map(|(total, size)| total + size);
            tell(observe, Progress::Bytes { file, come: self.tally.come, total: self.tally.total })?;
            if Checksum::of(&metadata.etag).is_none() {
                self.notes.push(format!("{}: {file} is not verified: the hub gives no checksum for it", self.id));
            }
            missing.push(Missing { file: file.clone(), metadata });
        }
        Ok(missing)
    }

    fn download(&mut self, files: &mut Vec<Missing>, observe: &mut Observer<'_>) -> Result<()> {
        for Missing { file, metadata } in files.drain(..) {
            let wanted = Wanted { commit: &self.commit, file: &file, metadata: &metadata, options: self.options };
            wanted.fetch(&self.client, &self.repository, &self.tally, observe)?;
            self.tally.come += match metadata.size {
                Some(size) => size,
                None => self.repository.pointer(&self.commit, &file).metadata().map_or(0, |found| found.len()),
            };
            tell(observe, Progress::Bytes { file: &file, come: self.tally.come, total: self.tally.total })?;
        }
        Ok(())
    }
}
