//! The thread that writes: group commit, what is computed from it, and the
//! leases.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use exokit_model::event::{Entry, Record};
use exokit_model::ids::OperationId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::FILLS_MAX;
use super::derived::{self, Filling, Reply};
use super::high_water::HighWater;
use super::keeper::Gauge;
use super::liveness::{Holder, Liveness};
use super::store::{self, Files, Place, Trouble, check, from_column, to_column};
use crate::error::LedgerError;
use crate::ledger::{CommitWatcher, Condition, Head, Lease, lease_end};
use crate::plans::Plans;

/// Most jobs in one transaction.
const JOBS_MAX: usize = 256;

/// Nothing is asked for so long, and then the derived tables are brought in
/// line: the answers that were just given leave first. Who asks for the tables
/// earlier has them brought in line earlier.
const QUIET: Duration = Duration::from_millis(2);

/// Where there is no such pause, they are brought in line after so many records.
const OWED_MAX: usize = 1_000;

/// What the writer is asked to do.
pub(super) enum Order {
    /// In a transaction with others.
    Commit(Box<dyn Job>),
    /// Between two transactions.
    Between(Box<dyn FnOnce(&Writer) + Send>),
}

/// What a job works with, inside the transaction of its group.
pub(super) struct Desk<'a> {
    pub(super) connection: &'a Connection,
    liveness: &'a Liveness,
    place: &'a Place,
    appended: Appended,
}

/// One piece of work for the writer: done in a transaction with others,
/// answered after its commit.
pub(super) trait Job: Send {
    /// Does the work. Only trouble with the storage is an error; a refusal is
    /// kept as the answer.
    fn run(&mut self, desk: &mut Desk<'_>) -> Result<(), rusqlite::Error>;

    /// Gives the answer, or `error` when the transaction did not succeed.
    fn answer(self: Box<Self>, error: Option<LedgerError>);
}

/// A [`Job`] made of a function and the place that its result goes to.
pub(super) struct Task<T, W> {
    work: Option<W>,
    result: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, W> Task<T, W> {
    pub(super) fn new(work: W, reply: oneshot::Sender<Result<T, LedgerError>>) -> Self {
        Self { work: Some(work), result: None, reply }
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnOnce(&mut Desk<'_>) -> Result<T, Trouble> + Send,
{
    fn run(&mut self, desk: &mut Desk<'_>) -> Result<(), rusqlite::Error> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        self.result = match work(desk) {
            Ok(value) => Some(Ok(value)),
            Err(Trouble::Refused(error)) => Some(Err(error)),
            Err(Trouble::Storage(error)) => return Err(error),
            // No job looks at what is computed.
            Err(Trouble::Tables(_) | Trouble::Spoiled) => None,
        };
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<LedgerError>) {
        let result = match (error, self.result) {
            (None, Some(result)) => result,
            (Some(error), _) => Err(error),
            (None, None) => Err(LedgerError::Failed { why: "the work was not done".to_owned() }),
        };
        // Whoever asked may have gone away; what is written stays written.
        let _ = self.reply.send(result);
    }
}

/// Who sees what was committed.
pub(super) struct Sees {
    pub(super) high_water: HighWater,
    pub(super) gauge: Gauge,
    pub(super) commits: Arc<OnceLock<CommitWatcher>>,
}

/// The writer: it owns the connections that write.
pub(super) struct Writer {
    pub(super) files: Files,
    pub(super) liveness: Liveness,
    pub(super) place: Place,
    pub(super) plans: Plans,
    pub(super) sees: Sees,
    /// Why nothing is written any more.
    pub(super) failed: Option<String>,
    /// How many records are not taken into the derived tables yet.
    pub(super) owed: usize,
}

impl Writer {
    /// Does what is ordered until nobody can order any more.
    pub(super) fn serve(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            match self.next(orders) {
                Ok(first) => self.work(first, orders),
                Err(RecvTimeoutError::Timeout) => self.follow(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.settle();
        // After a failed write nobody knows which leases the disk has.
        if self.failed.is_none() {
            self.liveness.leave(&self.files.records);
        }
    }

    fn next(&self, orders: &mpsc::Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        match self.owed {
            0 => Ok(orders.recv()?),
            _ => orders.recv_timeout(QUIET),
        }
    }

    /// Does what has queued up: jobs in one transaction, then the rest.
    fn work(&mut self, first: Order, orders: &mpsc::Receiver<Order>) {
        let (mut group, mut between) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(orders.try_iter().take(JOBS_MAX - 1)) {
            match order {
                Order::Commit(job) => group.push(job),
                Order::Between(work) => between.push(work),
            }
        }
        if !group.is_empty() {
            self.commit(group);
        }
        between.into_iter().for_each(|work| work(self));
        if self.owed >= OWED_MAX {
            self.follow();
        }
    }

    /// Does jobs in one transaction, and answers.
    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) {
        let committed = match &self.failed {
            Some(why) => Err(LedgerError::Failed { why: why.clone() }),
            None => timed(&self.sees.commits, || {
                commit(&mut self.files.records, &self.liveness, &self.place, &mut group)
            }),
        };
        for job in group {
            job.answer(committed.as_ref().err().cloned());
        }
        match committed {
            Ok(Appended { head, count, bytes }) => {
                // Leases fill the log, too.
                self.sees.gauge.note(bytes);
                self.owed += count;
                if let Some(head) = head {
                    self.sees.high_water.note(head);
                }
            }
            Err(LedgerError::Busy { .. }) => {}
            Err(error) => {
                self.failed.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Takes what was appended into the derived tables, a step at a time. Where
    /// that fails they stay behind, and whoever asks for them hears of it: what
    /// is computed keeps no record from being written.
    fn follow(&mut self) {
        let done = derived::follow(&self.files, &self.plans).unwrap_or(true);
        self.owed = usize::from(!done);
    }

    /// Takes in what is owed before the end, in no more steps than all records
    /// need: another process may append without end.
    fn settle(&mut self) {
        let head = store::head(&self.files.records).map_or(0, |head| head.seq);
        for _ in 0..=head / store::STEP {
            if self.owed > 0 {
                self.follow();
            }
        }
    }

    /// Goes a step on with a filling of the derived tables. Says whether that
    /// was all.
    pub(super) fn fill(&self, filling: &mut Filling) -> Result<bool, Trouble> {
        Ok(filling.step(&self.files, &self.plans)?.1)
    }

    /// Asks the derived tables while nobody appends, here or in another process.
    /// Whoever has the tables waits for nobody who has the records, so that no
    /// two wait for each other.
    pub(super) fn ask<T>(&self, question: impl Fn(&Connection) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let _nobody_appends =
            Transaction::new_unchecked(&self.files.records, TransactionBehavior::Immediate)?;
        // Once behind, once broken; another process may have found that, too.
        for _ in 0..FILLS_MAX {
            match derived::ask(&self.files, &question)? {
                Reply::Known(answer) => return Ok(answer),
                Reply::Behind(mut filling) => while !self.fill(&mut filling)? {},
            }
        }
        Err(Trouble::Spoiled)
    }
}

/// Shows how long a commit took, which is for the most part the disk's time.
#[expect(clippy::disallowed_methods, reason = "how long a disk takes is measured, and decides nothing")]
fn timed<T>(see: &OnceLock<CommitWatcher>, commit: impl FnOnce() -> T) -> T {
    let Some(see) = see.get() else { return commit() };
    let begin = Instant::now();
    let outcome = commit();
    see(begin.elapsed());
    outcome
}

/// What one transaction appended.
#[derive(Debug, Default)]
struct Appended {
    /// How far the ledger is, if something was appended.
    head: Option<Head>,
    /// How many records were appended, and how many bytes they have.
    count: usize,
    bytes: usize,
}

/// Does a group of jobs in one transaction.
fn commit(
    connection: &mut Connection,
    liveness: &Liveness,
    place: &Place,
    group: &mut [Box<dyn Job>],
) -> Result<Appended, LedgerError> {
    let explain = |error: rusqlite::Error| place.explain("writing", error.into());
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    let mut desk = Desk { connection: &transaction, liveness, place, appended: Appended::default() };
    for job in group {
        job.run(&mut desk).map_err(explain)?;
    }
    let appended = desk.appended;
    // From here on the outcome of an error is not known.
    transaction.commit().map_err(|error| LedgerError::Failed { why: error.to_string() })?;
    Ok(appended)
}

struct Seat {
    epoch: u64,
    holder: Option<Holder>,
    until: Timestamp,
}

impl Desk<'_> {
    /// Puts entries behind the head if the condition holds.
    pub(super) fn append(
        &mut self,
        condition: &Condition,
        entries: Vec<Entry>,
    ) -> Result<Vec<Record>, Trouble> {
        check(self.connection, condition)?;
        let before = store::head(self.connection)?;
        let (records, bytes) = store::insert(self.connection, before, entries)?;
        self.appended.bytes += bytes;
        self.appended.count += records.len();
        self.appended.head = records.last().map(Head::after).or(self.appended.head);
        Ok(records)
    }

    fn seat(&self, operation: &OperationId) -> Result<Option<Seat>, Trouble> {
        let row = self
            .connection
            .prepare_cached("SELECT epoch, holder, until FROM leases WHERE operation = ?1")?
            .query_row([operation.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?))
            })
            .optional()?;
        let Some((epoch, holder, until)) = row else {
            return Ok(None);
        };
        let until = until.parse().map_err(|error: jiff::Error| {
            Trouble::Refused(LedgerError::Storage {
                doing: "reading a lease in",
                path: self.place.file(),
                why: error.to_string(),
            })
        })?;
        let holder = holder.map(|text| Holder::read(&text));
        Ok(Some(Seat { epoch: from_column(epoch), holder, until }))
    }

    /// Highest epoch in the records, which may come from another ledger.
    fn recorded_epoch(&self, operation: &OperationId) -> Result<u64, Trouble> {
        let epoch: i64 = self
            .connection
            .prepare_cached("SELECT coalesce(max(epoch), 0) FROM records WHERE operation = ?1")?
            .query_row([operation.as_str()], |row| row.get(0))?;
        Ok(from_column(epoch))
    }

    pub(super) fn acquire(
        &mut self,
        operation: OperationId,
        holder: String,
        now: Timestamp,
    ) -> Result<Lease, Trouble> {
        let seat = self.seat(&operation)?;
        if let Some(seat) = &seat
            && let Some(other) = &seat.holder
            && other.name != holder
            && now < seat.until
            && !self.liveness.is_dead(other)
        {
            return Err(Trouble::Refused(LedgerError::LeaseHeld {
                operation,
                holder: other.name.clone(),
                until: seat.until,
            }));
        }
        let old = seat.map_or(0, |seat| seat.epoch);
        let epoch = self.recorded_epoch(&operation)?.max(old) + 1;
        let until = lease_end(now);
        self.connection
            .prepare_cached(
                "INSERT INTO leases (operation, epoch, holder, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (operation) DO UPDATE SET
                     epoch = excluded.epoch, holder = excluded.holder, until = excluded.until",
            )?
            .execute(params![
                operation.as_str(),
                to_column(epoch),
                self.liveness.sign(&holder),
                until.to_string()
            ])?;
        Ok(Lease { operation, epoch, holder, until })
    }

    pub(super) fn renew(&mut self, lease: Lease, now: Timestamp) -> Result<Lease, Trouble> {
        check(self.connection, &Condition::fenced(&lease))?;
        let until = lease_end(now);
        self.connection
            .prepare_cached("UPDATE leases SET until = ?2 WHERE operation = ?1")?
            .execute([lease.operation.as_str(), &until.to_string()])?;
        Ok(Lease { until, ..lease })
    }

    pub(super) fn release(&mut self, lease: &Lease) -> Result<(), Trouble> {
        self.connection
            .prepare_cached("UPDATE leases SET holder = NULL WHERE operation = ?1 AND epoch = ?2")?
            .execute(params![lease.operation.as_str(), to_column(lease.epoch)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::store;
    use crate::testing::{at, operation};

    /// A job that ends its group in an error of the storage.
    fn failing() -> Box<dyn Job> {
        let (reply, _) = oneshot::channel::<Result<(), LedgerError>>();
        Box::new(Task::new(|_: &mut Desk<'_>| Err(rusqlite::Error::InvalidQuery.into()), reply))
    }

    fn task<T: Send + 'static>(
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Box<dyn Job> {
        Box::new(Task::new(work, oneshot::channel().0))
    }

    #[test]
    fn a_holder_can_be_proven_dead_until_the_end_of_its_lease_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::prepare(folder.path()).unwrap();
        let plans = Plans::default();
        let open = || {
            let (files, liveness) = store::open(&place, &plans, &mut |_, _| {}).unwrap();
            (files.records, liveness)
        };
        let acquire =
            |holder: &'static str| task(move |desk| desk.acquire(operation(1), holder.to_owned(), at(1)));
        let holder = |connection: &Connection| {
            let sql = "SELECT holder FROM leases";
            Holder::read(&connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap())
        };
        let (mut connection, first) = open();
        commit(&mut connection, &first, &place, &mut [acquire("first")]).unwrap();
        first.leave(&connection);

        let (mut connection, second) = open();
        // What ends the lease never becomes durable: by a takeover, by a release.
        commit(&mut connection, &second, &place, &mut [acquire("second"), failing()]).unwrap_err();
        assert!(second.is_dead(&holder(&connection)), "its file is still there");
        commit(&mut connection, &second, &place, &mut [acquire("second")]).unwrap();
        assert!(!second.is_dead(&holder(&connection)), "nobody is dead to itself");
        let lease = Lease { operation: operation(1), epoch: 2, holder: "second".to_owned(), until: at(9) };
        let release = || {
            let lease = lease.clone();
            task(move |desk| desk.release(&lease))
        };
        commit(&mut connection, &second, &place, &mut [release(), failing()]).unwrap_err();
        second.leave(&connection);

        let (mut connection, third) = open();
        let dead = holder(&connection);
        assert!(third.is_dead(&dead), "its file is still there");
        commit(&mut connection, &third, &place, &mut [release()]).unwrap();
        let (_, fourth) = open();
        assert!(!fourth.is_dead(&dead), "its file is gone after its lease");
    }
}
