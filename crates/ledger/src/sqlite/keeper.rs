//! The thread that copies what was committed from the write-ahead logs into the
//! databases, so that no commit has to. SQLite would let every thousandth page
//! do it for all before it, and whoever waited for that commit waited for
//! several flushes of the disk instead of one.

use std::sync::mpsc;

use rusqlite::Connection;

use super::store::{self, Place};

/// After so many bytes it is copied. The log is read when the ledger is opened
/// after a crash, so it must not grow for ever.
const BYTES: usize = 16 << 20;

/// What a commit puts into the log of the records besides them, for their
/// indexes. What is computed from it is no longer than that in its own log.
const COMMIT_BYTES: usize = 32 << 10;

/// With a log of so many pages commits copy it after all: other processes write,
/// too, and none of them may have written much. 64 MiB of the records, a quarter
/// of that of the tables, whose pages are smaller.
pub(super) const PAGES_MAX: u32 = 16_384;

/// Counts what is committed, and says when it is time.
pub(super) struct Gauge {
    due: mpsc::Sender<()>,
    bytes: usize,
}

impl Gauge {
    /// A gauge, and what hears when it is time.
    pub(super) fn new() -> (Self, mpsc::Receiver<()>) {
        let (due, heard) = mpsc::channel();
        (Self { due, bytes: 0 }, heard)
    }

    /// Notes a commit with so many bytes of records.
    pub(super) fn note(&mut self, bytes: usize) {
        self.bytes += bytes + COMMIT_BYTES;
        if self.bytes >= BYTES {
            self.bytes = 0;
            // Without the thread it is copied when the ledger is closed.
            let _ = self.due.send(());
        }
    }
}

/// Copies each time that it is due. What cannot be copied stays in the log, is
/// read from there, and is copied the next time.
pub(super) fn serve(place: &Place, due: &mpsc::Receiver<()>) {
    let mut opened = None;
    while due.recv().is_ok() {
        opened = opened.or_else(|| store::open_keeper(place).ok());
        for connection in opened.iter().flat_map(|files| [&files.records, &files.tables]) {
            let _ = copy(connection);
        }
    }
}

/// Copies as much as can be copied without waiting for anybody.
fn copy(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Condition, Ledger as _};
    use crate::sqlite::SqliteLedger;
    use crate::testing::{at, entry, operation};
    use exokit_model::event::{Entry, Event};

    #[tokio::test]
    async fn what_was_committed_reaches_the_database_without_a_commit_that_copies_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let length = || std::fs::metadata(folder.path().join("ledger.db")).unwrap().len();
        let before = length();
        let long = |number| {
            let signed = "x".repeat(1 << 20);
            Entry { event: Event::RosterInstalled { version: number, signed }, ..entry(number) }
        };
        for number in 1..16 {
            ledger.append(&Condition::default(), vec![long(number)]).await.unwrap();
        }
        assert_eq!(length(), before, "by no commit");
        ledger.append(&Condition::default(), vec![long(16)]).await.unwrap();
        let copied = async {
            while length() < 16 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), copied).await.unwrap();
        assert_eq!(ledger.head().await.unwrap().seq, 16);
    }

    #[tokio::test]
    async fn leases_count_although_they_append_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let length = || std::fs::metadata(folder.path().join("ledger.db")).unwrap().len();
        let before = length();
        let lease = ledger.acquire(&operation(1), "one", at(0)).await.unwrap();
        for _ in 2..BYTES / COMMIT_BYTES {
            ledger.renew(&lease, at(1)).await.unwrap();
        }
        assert_eq!(length(), before);
        ledger.renew(&lease, at(1)).await.unwrap();
        let copied = async {
            while length() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), copied).await.unwrap();
    }

    #[test]
    fn a_gauge_says_once_that_it_is_time() {
        let (mut gauge, due) = Gauge::new();
        gauge.note(BYTES - COMMIT_BYTES - 1);
        assert!(due.try_recv().is_err());
        gauge.note(0);
        assert!(due.try_recv().is_ok() && due.try_recv().is_err());
    }
}
