//! The ledger in an SQLite file: the default, for one machine.
//!
//! One thread owns the connection that writes. It carries out what has queued
//! up, up to 256 changes, in one transaction, and answers after the commit has
//! reached the disk, so that many waiters share one flush. After a failed write
//! it writes nothing more: only a new process may judge what is on the disk. A
//! second thread reads.

mod audit;
#[cfg(test)]
mod conversion_tests;
mod database;
mod high_water;
#[cfg(test)]
mod lease_tests;
mod liveness;
#[cfg(test)]
mod opening_tests;
mod paths;
mod records;
mod schema;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torn;
mod write_ahead_log;
mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use exokit_model::event::Record;
use exokit_model::ids::Zone;
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::change::{Change, ChangeOutcome};
use crate::condition::Filter;
use crate::error::LedgerError;
use crate::head::Head;
use crate::ledger::{Audit, CommitWatcher, Ledger};
use crate::plans::Plans;
use crate::rows::environment::EnvironmentView;
use crate::rows::operation::OperationSummary;
use crate::rows::query::{Environments, Holdings, Operations};
use crate::store::StoreClock;

use database::Database;
use high_water::HighWater;
use paths::{LedgerPaths, SqliteError};
use schema::Progress;
use writer::{Job, Writer};

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A ledger in the file `ledger.db` of a folder. Several processes of one
/// machine may open it at once; network file systems are not supported.
pub struct SqliteLedger {
    paths: LedgerPaths,
    writes: Option<mpsc::Sender<Job>>,
    reads: Option<mpsc::Sender<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
    watcher: Arc<OnceLock<CommitWatcher>>,
    plans: Plans,
}

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLedger").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl SqliteLedger {
    /// Opens the ledger in `folder`, or makes an empty one.
    ///
    /// # Errors
    /// [`LedgerError::NotWritable`], [`LedgerError::NotALedger`],
    /// [`LedgerError::NewerFormat`], [`LedgerError::InUse`],
    /// [`LedgerError::RolledBack`], [`LedgerError::Damaged`] when the last
    /// records are not what was written, or another error of the storage.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        Self::open_with_progress(folder, &mut |_, _| {})
    }

    /// As [`SqliteLedger::open`], and tells how far it has come where it must
    /// convert a file of an earlier format.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`].
    pub fn open_with_progress(folder: &Path, progress: Progress<'_>) -> Result<Self, LedgerError> {
        Self::open_with(folder, system_clock(), progress)
    }

    /// As [`SqliteLedger::open_with_progress`]; leases end by `clock`. All processes
    /// that share the file must have the same clock, that of the machine.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`].
    pub(crate) fn open_with(
        folder: &Path,
        clock: StoreClock,
        progress: Progress<'_>,
    ) -> Result<Self, LedgerError> {
        let paths = LedgerPaths::prepare(folder)?;
        let plans = Plans::default();
        let explain = |error| paths.explain("opening", error);
        let (mut database, high_water) = open_database(&paths, clock, &plans, progress).map_err(explain)?;
        let log = database.take_over_log().map_err(explain)?;
        let reader = open_reader(&paths).map_err(explain)?;
        let watcher = Arc::new(OnceLock::new());
        let writer = Writer {
            database,
            log,
            plans: plans.clone(),
            high_water,
            watcher: watcher.clone(),
            failed: None,
        };
        let (writes, jobs) = mpsc::channel();
        let (reads, read_jobs) = mpsc::channel::<ReadJob>();
        let threads = vec![
            spawn(&paths, "ledger-writer", move || writer.serve(&jobs))?,
            spawn(&paths, "ledger-reader", move || {
                for job in read_jobs {
                    job(&reader);
                }
            })?,
        ];
        Ok(Self { paths, writes: Some(writes), reads: Some(reads), threads, watcher, plans })
    }

    /// Lets the reader do `work`, which sees one state of the file whatever is
    /// written meanwhile.
    async fn query<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            // The caller may have gone away.
            let _ = reply.send(in_one_view(connection, work));
        });
        let sent = self.reads.as_ref().is_some_and(|reads| reads.send(job).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer.map_err(|error| self.paths.explain("reading", error)),
            _ => Err(stopped()),
        }
    }
}

fn in_one_view<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let _view = connection.unchecked_transaction()?;
    work(connection)
}

/// The clock of the machine, which all processes that share the file have.
#[expect(clippy::disallowed_methods, reason = "the clock of the store, by which leases end")]
fn system_clock() -> StoreClock {
    Arc::new(Timestamp::now)
}

/// Opens the file for writing, makes or converts it where necessary, and shows
/// from then on that this process has it open.
fn open_database(
    paths: &LedgerPaths,
    clock: StoreClock,
    plans: &Plans,
    progress: Progress<'_>,
) -> Result<(Database, HighWater), SqliteError> {
    // Before the ledger is read: what others append meanwhile is then behind it.
    let high_water = HighWater::open(paths)?;
    let _lock = paths.lock()?;
    let connection = Connection::open(paths.database())?;
    schema::configure(&connection)?;
    let mut database = Database::new(connection, paths.clone(), clock);
    schema::prepare(paths, &mut database, plans, progress)?;
    high_water.check(paths, database.connection())?;
    database.enter()?;
    Ok((database, high_water))
}

/// Opens the file a second time, for reading only.
fn open_reader(paths: &LedgerPaths) -> Result<Connection, SqliteError> {
    let connection = Connection::open(paths.database())?;
    schema::configure(&connection)?;
    connection.pragma_update(None, "query_only", "on")?;
    Ok(connection)
}

fn spawn(
    paths: &LedgerPaths,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LedgerError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|error| LedgerError::Storage {
        doing: "starting a thread for",
        path: paths.file(),
        why: error.to_string(),
    })
}

fn stopped() -> LedgerError {
    LedgerError::Failed("its thread has stopped".to_owned())
}

impl Drop for SqliteLedger {
    /// Lets queued work end and frees the file and all leases.
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to free.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.writes.as_ref().is_some_and(|writes| writes.send(Job { change, reply }).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer,
            _ => Err(stopped()),
        }
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        self.query(move |connection| records::select(connection, &filter, after, most)).await
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.query(records::head).await
    }

    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        self.audit_apart(anchor).await
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.query(move |connection| tables::environments(connection, &which)).await
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.query(move |connection| tables::operations(connection, &which)).await
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.query(move |connection| tables::ready_times(connection, &zone, None)).await
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.query(move |connection| tables::holdings(connection, &ids, &marks)).await
    }

    fn plans(&self) -> &Plans {
        &self.plans
    }

    fn watch_commits(&self, watcher: CommitWatcher) {
        // The first one stays.
        let _ = self.watcher.set(watcher);
    }
}
