//! The ledger in an SQLite file: the default, for one machine.
//!
//! One thread owns the writing connection. It takes what has queued up, up to
//! 256 jobs, into one transaction, and answers after the commit has reached
//! the disk, so that many waiters share one fsync. After a failed write it
//! writes nothing more: only a new process may judge what is on the disk. Another
//! thread copies the write-ahead log into the database, a third one reads.

mod audit;
mod derived;
mod high_water;
mod keeper;
mod liveness;
mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torn;
mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{OperationId, Zone};
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::check::check_entries;
use crate::error::LedgerError;
use crate::ledger::{CommitWatcher, Condition, Filter, Head, Lease, Ledger};
use crate::plans::Plans;
use crate::projection::{EnvironmentView, Environments, Holdings, OperationSummary, Operations, Request};

pub use audit::Audit;
use derived::Reply;
use high_water::HighWater;
use keeper::Gauge;
pub use store::Tell;
use store::{Place, Trouble};
use writer::{Desk, Job, Sees, Task};

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A ledger in the file `ledger.db` of a folder. Several processes of one
/// machine may open it at once; network file systems are not supported.
pub struct SqliteLedger {
    place: Place,
    writes: Option<mpsc::Sender<Box<dyn Job>>>,
    reads: Option<mpsc::Sender<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
    commits: Arc<OnceLock<CommitWatcher>>,
    plans: Plans,
}

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLedger").field("place", &self.place).finish_non_exhaustive()
    }
}

impl SqliteLedger {
    /// Opens the ledger in `folder`, or makes an empty one.
    ///
    /// # Errors
    /// [`LedgerError::NotWritable`], [`LedgerError::NotALedger`],
    /// [`LedgerError::NewerFormat`], [`LedgerError::RolledBack`],
    /// [`LedgerError::Damaged`] when the last records are not what was written,
    /// or another error of the storage.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        Self::open_telling(folder, &mut |_, _| {})
    }

    /// As [`SqliteLedger::open`], and tells how far it has come where it must
    /// first compute from the records what it keeps in tables.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`].
    pub fn open_telling(folder: &Path, tell: Tell<'_>) -> Result<Self, LedgerError> {
        let place = Place::prepare(folder)?;
        let high_water = HighWater::open(&place)?;
        let plans = Plans::default();
        let (writer, liveness) = store::open(&place, &plans, tell)?;
        if let Err(trouble) = high_water.check(&place, &writer) {
            liveness.leave(&writer);
            return Err(place.explain("opening", trouble));
        }
        let reader = store::open_reader(&place)?;
        let (writes, write_jobs) = mpsc::channel();
        let (reads, read_jobs) = mpsc::channel::<ReadJob>();
        let (at, read) = (place.clone(), plans.clone());
        let (kept_at, (gauge, due)) = (place.clone(), Gauge::new());
        let commits = Arc::new(OnceLock::new());
        let see = commits.clone();
        let threads = vec![
            spawn(&place, "ledger-writer", move || {
                let sees = Sees { high_water, gauge, commits: &see };
                writer::serve(writer, (liveness, at, read), sees, &write_jobs);
            })?,
            spawn(&place, "ledger-keeper", move || keeper::serve(&kept_at, &due))?,
            spawn(&place, "ledger-reader", move || {
                for job in read_jobs {
                    job(&reader);
                }
            })?,
        ];
        Ok(Self { place, writes: Some(writes), reads: Some(reads), threads, commits, plans })
    }

    /// Runs `work` in a transaction of the writer and waits for its commit.
    async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Desk<'_>) -> Result<T, Trouble> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Task::new(work, reply));
        let sent = self.writes.as_ref().is_some_and(|to| to.send(job).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer,
            _ => Err(stopped()),
        }
    }

    async fn query<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            // Whoever asked may have gone away.
            let _ = reply.send(work(connection));
        });
        let sent = self.reads.as_ref().is_some_and(|to| to.send(job).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer.map_err(|trouble| self.place.explain("reading", trouble)),
            _ => Err(stopped()),
        }
    }

    /// Asks the derived tables. Where they do not stand for all records they
    /// are filled first.
    async fn ask<T, W>(&self, question: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, Trouble> + Clone + Send + 'static,
    {
        for _ in 0..FILLS_MAX {
            let asked = question.clone();
            match self.query(move |connection| derived::ask(connection, asked)).await? {
                Reply::Known(answer) => return Ok(answer),
                Reply::Behind { afresh } => self.fill(afresh).await?,
            }
        }
        Err(self.place.explain("reading", Trouble::Spoiled))
    }

    async fn fill(&self, mut afresh: bool) -> Result<(), LedgerError> {
        while !self.write(move |desk| desk.catch_up(afresh, store::STEP)).await? {
            afresh = false;
        }
        Ok(())
    }
}

/// How often the derived tables are filled for one question. More than once is
/// needed only when another process empties them meanwhile.
const FILLS_MAX: usize = 3;

fn spawn(
    place: &Place,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LedgerError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|error| LedgerError::Storage {
        doing: "starting a thread for",
        path: place.file(),
        why: error.to_string(),
    })
}

fn stopped() -> LedgerError {
    LedgerError::Failed { why: "its thread has stopped".to_owned() }
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
    fn plans(&self) -> &Plans {
        &self.plans
    }

    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        check_entries(condition, &entries)?;
        let condition = condition.clone();
        self.write(move |desk| desk.append(&condition, entries)).await
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        self.query(move |connection| store::select(connection, &filter, after, most)).await
    }

    fn watch_commits(&self, see: CommitWatcher) {
        // The first one stays.
        let _ = self.commits.set(see);
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.write(|_| Ok(())).await
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.query(store::head).await
    }

    async fn acquire(
        &self,
        operation: &OperationId,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, LedgerError> {
        let (operation, holder) = (operation.clone(), holder.to_owned());
        self.write(move |desk| desk.acquire(operation, holder, now)).await
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Lease, LedgerError> {
        let lease = lease.clone();
        self.write(move |desk| desk.renew(lease, now)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        let lease = lease.clone();
        self.write(move |desk| desk.release(&lease)).await
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.ask(move |connection| derived::environments(connection, &which)).await
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.ask(move |connection| derived::operations(connection, &which)).await
    }

    async fn active(&self) -> Result<usize, LedgerError> {
        self.ask(derived::active).await
    }

    async fn requested(&self, day: Date) -> Result<Vec<Request>, LedgerError> {
        self.ask(move |connection| derived::requested(connection, day)).await
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.ask(move |connection| derived::ready_times(connection, &zone)).await
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.ask(move |connection| derived::holdings(connection, &ids, &marks)).await
    }
}
