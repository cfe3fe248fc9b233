//! Stores jobs and their results in a file for the next start of the server. The file mirrors what is in memory, which is bounded.

use crate::error::{Error, Problem, Result};
use crate::request::JobRequest;
use crate::state::State;
use axum::http::StatusCode;
use ddim_jobs::JobOutput;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`Record`] in JSON by the job's number.
const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs");

/// Results by the job's number and the place among its files.
const FILES: TableDefinition<'_, (u64, &str, u64), &[u8]> = TableDefinition::new("files");

/// Bytes of the file that are held in memory: jobs are in memory themselves.
const CACHE: usize = 8 << 20;

/// What is known of a job besides its pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) kind: String,
    /// As requests know it.
    pub(crate) model: String,
    /// As it can be sent again.
    pub(crate) request: Value,
    pub(crate) previews: usize,
    /// How far it was when this was written.
    state: String,
    /// Why it failed.
    error: Option<(u16, String, Option<String>)>,
    report: Option<Value>,
    /// The number of the first picture.
    first: usize,
}

impl Record {
    pub(crate) fn new(JobRequest { work, model, told, previews, .. }: &JobRequest) -> Self {
        Self {
            kind: work.kind().to_owned(),
            model: model.clone(),
            request: told.clone(),
            previews: *previews,
            state: State::Queued.name().to_owned(),
            error: None,
            report: None,
            first: 0,
        }
    }

    /// The same when the job is over.
    pub(crate) fn ended(&self, state: &State) -> Self {
        let mut ended = Self { state: state.name().to_owned(), ..self.clone() };
        match state {
            State::Failed(Problem { status, message, field }) => ended.error = Some((status.as_u16(), message.clone(), field.clone())),
            State::Done(drawn) => (ended.report, ended.first) = (Some(drawn.report.clone()), drawn.first),
            _ => {}
        }
        ended
    }

    /// How far a job of this record is, at the next start: what was not over then never will be.
    pub(crate) fn state(&self, drawn: JobOutput) -> State {
        match (&*self.state, &self.error, &self.report) {
            ("done", _, Some(report)) => State::Done(Arc::new(JobOutput { report: report.clone(), first: self.first, ..drawn })),
            ("cancelled", ..) => State::Cancelled,
            ("failed", Some((status, message, field)), _) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                State::Failed(Problem { status, message: message.clone(), field: field.clone() })
            }
            _ => State::Failed(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server ended before the job did: send it again")),
        }
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// None after an error of the disk, after which the library refuses all that comes: it is opened anew for the next write.
    database: Mutex<Option<Database>>,
}

impl Store {
    /// Opens the file, or makes it, in a folder that is there.
    ///
    /// # Errors
    /// A file of another kind, one that another server uses, or that cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let store = Self { path: path.to_owned(), database: Mutex::default() };
        store.write(|_| Ok(()))?;
        Ok(store)
    }

    fn database(&self) -> MutexGuard<'_, Option<Database>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Result<Database> {
        Database::builder().set_cache_size(CACHE).create(&self.path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                Error::store(&self.path, "another server keeps its jobs there: expected a file for this server alone")
            }
            error => Error::store(&self.path, error),
        })
    }

    /// One transaction, with both tables there.
    fn write(&self, change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), redb::Error>) -> Result<()> {
        let mut held = self.database();
        let database = held.take().map_or_else(|| self.opened(), Ok)?;
        let all = || -> std::result::Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(JOBS)?;
            transaction.open_table(FILES)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        all().map_err(|error| Error::store(&self.path, error))?;
        *held = Some(database);
        Ok(())
    }

    /// A job that has come.
    pub(crate) fn put(&self, id: u64, record: &Record) -> Result<()> {
        let record = serde_json::to_vec(record).map_err(|error| Error::store(&self.path, error))?;
        self.write(|transaction| {
            transaction.open_table(JOBS)?.insert(id, &record[..])?;
            Ok(())
        })
    }

    /// A job that is over, with its results.
    pub(crate) fn finish(&self, id: u64, record: &Record, state: &State) -> Result<()> {
        let record = serde_json::to_vec(record).map_err(|error| Error::store(&self.path, error))?;
        self.write(|transaction| {
            transaction.open_table(JOBS)?.insert(id, &record[..])?;
            let State::Done(drawn) = state else { return Ok(()) };
            let mut files = transaction.open_table(FILES)?;
            for (i, image) in (0..).zip(&drawn.images) {
                files.insert((id, "image", i), &image[..])?;
            }
            for (name, file) in [("array", &drawn.array), ("grid", &drawn.grid)] {
                if let Some(file) = file {
                    files.insert((id, name, 0), &file[..])?;
                }
            }
            Ok(())
        })
    }

    /// Forgets jobs.
    pub(crate) fn remove(&self, ids: &[u64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            for id in ids {
                transaction.open_table(JOBS)?.remove(id)?;
                transaction.open_table(FILES)?.retain_in((*id, "", 0)..(id.saturating_add(1), "", 0), |_, _| false)?;
            }
            Ok(())
        })
    }

    /// All jobs, in order. What is in the record is not in the results.
    ///
    /// # Errors
    /// A file that is damaged, or was written by another version.
    pub(crate) fn read(&self) -> Result<Vec<(u64, Record, JobOutput)>> {
        let damaged = |error: &dyn std::fmt::Display| Error::store(&self.path, error);
        let mut held = self.database();
        if held.is_none() {
            *held = Some(self.opened()?);
        }
        let database = held.as_ref().expect("it is open");
        let all = || -> std::result::Result<Vec<(u64, Vec<u8>, JobOutput)>, redb::Error> {
            let transaction = database.begin_read()?;
            let (jobs, files) = (transaction.open_table(JOBS)?, transaction.open_table(FILES)?);
            let mut all = Vec::new();
            for job in jobs.iter()? {
                let (id, record) = job?;
                let (id, mut drawn) = (id.value(), JobOutput::default());
                for file in files.range((id, "", 0)..(id.saturating_add(1), "", 0))? {
                    let (key, bytes) = file?;
                    let bytes = Arc::<[u8]>::from(bytes.value());
                    match key.value().1 {
                        "image" => drawn.images.push(bytes),
                        "array" => drawn.array = Some(bytes),
                        _ => drawn.grid = Some(bytes),
                    }
                }
                all.push((id, record.value().to_vec(), drawn));
            }
            Ok(all)
        };
        let read = |(id, record, drawn): (u64, Vec<u8>, JobOutput)| {
            let record = serde_json::from_slice(&record).map_err(|error| damaged(&format!("job {id}: {error}")))?;
            Ok((id, record, drawn))
        };
        all().map_err(|error| damaged(&error))?.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_disk_is_not_the_end_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jobs.redb")).unwrap();
        let put = |id: u64| {
            let insert = |transaction: &WriteTransaction| {
                transaction.open_table(JOBS)?.insert(id, &b"a job"[..])?;
                Ok(())
            };
            store.write(insert).unwrap();
        };
        put(1);
        // As where the disk is full.
        let full = |transaction: &WriteTransaction| {
            transaction.open_table(JOBS)?.insert(2, &b"2"[..])?;
            Err(redb::Error::Io(std::io::Error::other("no space left")))
        };
        let error = store.write(full).unwrap_err();
        assert_eq!(error.without_path(), "I/O error: no space left");
        assert!(error.to_string().contains("jobs.redb"), "{error}");
        put(3);
        let held = store.database();
        let transaction = held.as_ref().unwrap().begin_read().unwrap();
        let there = transaction.open_table(JOBS).unwrap().iter().unwrap().map(|job| job.unwrap().0.value()).collect::<Vec<_>>();
        assert_eq!(there, [1, 3]);
    }
}
