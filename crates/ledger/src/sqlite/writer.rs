//! The thread that writes. It carries out what has queued up in one
//! transaction, so that many waiters share one flush of the disk.

use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::oneshot;

use super::database::Database;
use super::high_water::HighWater;
use super::write_ahead_log::WriteAheadLog;
use crate::change::{Change, ChangeOutcome};
use crate::error::LedgerError;
use crate::head::Head;
use crate::ledger::CommitWatcher;
use crate::plans::Plans;
use crate::poll::ready;

/// Most changes in one transaction.
const CHANGES_MAX: usize = 256;

/// A change, and where the answer goes after its commit.
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Result<ChangeOutcome, LedgerError>>,
}

/// The writer: it owns the connection that writes.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) log: WriteAheadLog,
    pub(super) plans: Plans,
    pub(super) high_water: HighWater,
    pub(super) watcher: Arc<OnceLock<CommitWatcher>>,
    /// Why nothing is written any more: only a new process may judge what is
    /// on the disk after a failed write.
    pub(super) failed: Option<String>,
}

impl Writer {
    /// Carries out changes until nobody can ask for any more.
    pub(super) fn serve(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let group = std::iter::once(first).chain(jobs.try_iter().take(CHANGES_MAX - 1));
            self.commit(group.collect());
        }
        // After a failed write nobody knows which leases the disk has.
        if self.failed.is_none() {
            self.database.leave();
        }
    }

    /// Carries out changes in one transaction, and answers.
    pub(super) fn commit(&mut self, group: Vec<Job>) {
        let (changes, replies): (Vec<Change>, Vec<_>) =
            group.into_iter().map(|job| (job.change, job.reply)).unzip();
        let done = match &self.failed {
            Some(why) => Err(LedgerError::Failed(why.clone())),
            None => self.timed(changes),
        };
        match done {
            Ok(answers) => {
                let head = answers.iter().rev().find_map(last_record);
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // The caller may have gone away; what is written stays.
                    let _ = reply.send(answer);
                }
                if let Some(head) = head {
                    self.high_water.note(head);
                }
                self.log.copy_if_long(self.database.connection());
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
                if !matches!(error, LedgerError::Busy { .. }) {
                    self.failed.get_or_insert_with(|| error.to_string());
                }
            }
        }
    }

    /// As [`Writer::transaction`], and shows how long it took, which is for the
    /// most part the disk's time.
    #[expect(clippy::disallowed_methods, reason = "how long a disk takes is measured, and decides nothing")]
    fn timed(
        &mut self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<ChangeOutcome, LedgerError>>, LedgerError> {
        let began = self.watcher.get().is_some().then(Instant::now);
        let done = self.transaction(changes);
        if let (Some(watcher), Some(began)) = (self.watcher.get(), began) {
            watcher(began.elapsed());
        }
        done
    }

    /// Carries out changes in one transaction. A refusal is the answer to its
    /// change; an error of the storage is the answer to all of them.
    fn transaction(
        &mut self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<ChangeOutcome, LedgerError>>, LedgerError> {
        self.execute("BEGIN IMMEDIATE")?;
        let answers = changes.into_iter().map(|change| self.carry_out(change)).collect();
        match answers {
            // From here on the outcome of an error is not known.
            Ok(_) => self.execute("COMMIT").map_err(|error| LedgerError::Failed(error.to_string()))?,
            // The error itself is told, not one of the rollback: SQLite rolls
            // back when the connection is closed, at the latest.
            Err(_) => drop(self.execute("ROLLBACK")),
        }
        answers
    }

    /// Carries out one change, or nothing of it.
    fn carry_out(&mut self, change: Change) -> Result<Result<ChangeOutcome, LedgerError>, LedgerError> {
        self.execute("SAVEPOINT change")?;
        let answer = ready(change.apply(&mut self.database, &self.plans));
        match &answer {
            Ok(_) => {}
            Err(error) if error.is_refusal() => self.execute("ROLLBACK TO change")?,
            Err(error) => return Err(error.clone()),
        }
        self.execute("RELEASE change")?;
        Ok(answer)
    }

    fn execute(&self, sql: &str) -> Result<(), LedgerError> {
        let done = self.database.connection().prepare_cached(sql).and_then(|mut sql| sql.execute([]));
        done.map(drop).map_err(|error| self.database.paths().explain("writing", error))
    }
}

/// How far the ledger is after a change, if that appended something.
fn last_record(answer: &Result<ChangeOutcome, LedgerError>) -> Option<Head> {
    match answer {
        Ok(ChangeOutcome::Records(records)) => records.last().map(Head::after),
        _ => None,
    }
}
