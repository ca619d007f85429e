//! The ledger in an SQLite file: the default, for one machine.
//!
//! One thread owns the writing connection. It takes what has queued up, up to
//! 256 jobs, into one transaction, and answers after the commit has reached
//! the disk, so that many waiters share one fsync. After a failed write it
//! writes nothing more: only a new process may judge what is on the disk. Where
//! nobody waits for it, it brings the tables that are computed from the records
//! in line with them. Another thread copies the write-ahead logs into the
//! databases, a third one reads.

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
use crate::ledger::{Audit, CommitWatcher, Condition, Filter, Head, Lease, Ledger};
use crate::plans::Plans;
use crate::projection::{EnvironmentView, Environments, Holdings, OperationSummary, Operations, Request};

use derived::{Filling, Reply};
use high_water::HighWater;
use keeper::Gauge;
pub use store::Tell;
use store::{Files, Place, Trouble};
use writer::{Desk, Order, Sees, Task, Writer};

type ReadJob = Box<dyn FnOnce(&Files) + Send>;

/// A ledger in the file `ledger.db` of a folder; what is computed from it is in
/// `derived.db` beside it, and can be removed. Several processes of one
/// machine may open it at once; network file systems are not supported.
pub struct SqliteLedger {
    place: Place,
    writes: Option<mpsc::Sender<Order>>,
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
    /// [`LedgerError::NewerFormat`], [`LedgerError::InUse`],
    /// [`LedgerError::RolledBack`], [`LedgerError::Damaged`] when the last
    /// records are not what was written, or another error of the storage.
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
        let (files, liveness) = store::open(&place, &plans, tell)?;
        if let Err(trouble) = high_water.check(&place, &files.records) {
            liveness.leave(&files.records);
            return Err(place.explain("opening", trouble));
        }
        let reader = store::open_reader(&place)?;
        let (writes, orders) = mpsc::channel();
        let (reads, read_jobs) = mpsc::channel::<ReadJob>();
        let (at, read) = (place.clone(), plans.clone());
        let (kept_at, (gauge, due)) = (place.clone(), Gauge::new());
        let commits = Arc::new(OnceLock::new());
        let sees = Sees { high_water, gauge, commits: commits.clone() };
        let writer = Writer { files, liveness, place: at, plans: read, sees, failed: None, owed: 0 };
        let threads = vec![
            spawn(&place, "ledger-writer", move || writer.serve(&orders))?,
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
        let order = Order::Commit(Box::new(Task::new(work, reply)));
        let sent = self.writes.as_ref().is_some_and(|to| to.send(order).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer,
            _ => Err(stopped()),
        }
    }

    /// Lets the writer do `work` between two of its transactions.
    async fn between<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Writer) -> Result<T, Trouble> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let order = Order::Between(Box::new(move |writer| {
            // Whoever asked may have gone away.
            let _ = reply.send(work(writer));
        }));
        let sent = self.writes.as_ref().is_some_and(|to| to.send(order).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => answer.map_err(|trouble| self.place.explain("bringing in line", trouble)),
            _ => Err(stopped()),
        }
    }

    async fn query<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Files) -> Result<T, Trouble> + Send + 'static,
    {
        self.look(work).await?.map_err(|trouble| self.place.explain("reading", trouble))
    }

    /// Lets the reader look.
    async fn look<T, W>(&self, work: W) -> Result<Result<T, Trouble>, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Files) -> Result<T, Trouble> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |files| {
            // Whoever asked may have gone away.
            let _ = reply.send(work(files));
        });
        let sent = self.reads.as_ref().is_some_and(|to| to.send(job).is_ok());
        match (sent, answer.await) {
            (true, Ok(answer)) => Ok(answer),
            _ => Err(stopped()),
        }
    }

    /// Asks the derived tables. Where they do not stand for all records they
    /// are filled first, and where they are behind again each time the writer
    /// asks them, between two of its transactions.
    async fn ask<T, W>(&self, question: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, Trouble> + Clone + Send + 'static,
    {
        for _ in 0..FILLS_MAX {
            let asked = question.clone();
            match self.look(move |files| derived::ask(files, asked)).await? {
                Ok(Reply::Known(answer)) => return Ok(answer),
                Ok(Reply::Behind(filling)) => self.fill(filling).await?,
                Err(trouble) => return Err(self.place.explain("reading", trouble)),
            }
        }
        self.between(move |writer| writer.ask(question)).await
    }

    /// Fills the derived tables, and lets others append after each step.
    async fn fill(&self, mut filling: Filling) -> Result<(), LedgerError> {
        loop {
            let step = move |writer: &Writer| Ok((writer.fill(&mut filling)?, filling));
            match self.between(step).await? {
                (true, _) => return Ok(()),
                (false, rest) => filling = rest,
            }
        }
    }
}

/// How often the derived tables are filled for one question before the writer
/// asks it while nobody appends, and then again: while much is appended they are
/// behind most of the time.
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
        self.query(move |files| store::select(&files.records, &filter, after, most)).await
    }

    fn watch_commits(&self, see: CommitWatcher) {
        // The first one stays.
        let _ = self.commits.set(see);
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.write(|_| Ok(())).await
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.query(|files| store::head(&files.records)).await
    }

    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        self.audit_apart(anchor).await
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
