//! A write-ahead log that a crash left half written, or a disk changed: torn
//! and flipped at every byte of its last two transactions.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use exokit_model::event::Record;
use rusqlite::config::DbConfig;

use super::*;
use crate::condition::Condition;
use crate::testing::fixtures::entry;
use crate::verify::verify;

/// Copies of the files as they were on the disk, with the ends of the last
/// three transactions in the log.
struct Whole {
    folder: PathBuf,
    wal: Vec<u8>,
    written: Vec<Record>,
    ends: [usize; 3],
}

async fn append(ledger: &SqliteLedger, number: u64) {
    ledger.append(&Condition::default(), vec![entry(number)]).await.unwrap();
}

fn wal_of(folder: &Path) -> PathBuf {
    folder.join("ledger.db-wal")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Ten transactions of one record each.
async fn whole(folder: &Path) -> Whole {
    let running = folder.join("running");
    let ledger = SqliteLedger::open(&running).unwrap();
    let mut lengths = Vec::new();
    for number in 0..10 {
        append(&ledger, number).await;
        lengths.push(usize::try_from(fs::metadata(wal_of(&running)).unwrap().len()).unwrap());
    }
    let copied = folder.join("whole");
    copy(&running, &copied);
    let wal = fs::read(wal_of(&copied)).unwrap();
    let written = ledger.read(Filter::All, 0).await.unwrap();
    let ends = [lengths[7], lengths[8], lengths[9]];
    assert!(ends.is_sorted() && ends[2] == wal.len(), "{lengths:?}");
    Whole { folder: copied, wal, written, ends }
}

impl Whole {
    /// How many records must be left when nothing from `place` on is sound.
    fn sound_before(&self, place: usize) -> usize {
        self.written.len() - self.ends.iter().filter(|end| place < **end).count()
    }

    /// Reads the files as they are and leaves them so. Opening the ledger
    /// itself would move the log into the database when it is closed.
    fn read(&self) -> Vec<Record> {
        let connection = Connection::open(self.folder.join("ledger.db")).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        records::select(&connection, &Filter::All, 0, usize::MAX).unwrap()
    }

    fn file(&self) -> File {
        OpenOptions::new().write(true).open(wal_of(&self.folder)).unwrap()
    }

    fn put(&self, place: usize, byte: u8) {
        let mut file = self.file();
        file.seek(SeekFrom::Start(place as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    }

    fn expect(&self, place: usize, what: &str) {
        let found = self.read();
        assert_eq!(found.len(), self.sound_before(place), "{what} at {place}, ends {:?}", self.ends);
        assert_eq!(found, self.written[..found.len()], "{what} at {place}");
    }
}

#[tokio::test]
async fn a_log_torn_at_any_byte_of_the_last_two_transactions_leaves_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path()).await;
    whole.expect(whole.wal.len(), "whole");
    for length in (whole.ends[0]..whole.wal.len()).rev() {
        whole.file().set_len(length as u64).unwrap();
        whole.expect(length, "torn");
    }
}

#[tokio::test]
async fn a_byte_flipped_anywhere_in_the_last_two_transactions_leaves_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path()).await;
    for place in whole.ends[0]..whole.wal.len() {
        whole.put(place, whole.wal[place] ^ 0x15);
        whole.expect(place, "flipped");
        whole.put(place, whole.wal[place]);
    }
    whole.expect(whole.wal.len(), "restored");
}

#[tokio::test]
async fn a_ledger_with_a_torn_log_is_opened_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path()).await;
    let [two, one, none] = whole.ends;
    for length in [two, two + 1, usize::midpoint(two, one), one - 1, one, one + 1, none - 1, none] {
        let torn = folder.path().join(format!("torn-{length}"));
        copy(&whole.folder, &torn);
        OpenOptions::new().write(true).open(wal_of(&torn)).unwrap().set_len(length as u64).unwrap();
        let ledger = SqliteLedger::open(&torn).unwrap();
        append(&ledger, 77).await;
        let records = ledger.read(Filter::All, 0).await.unwrap();
        let kept = whole.sound_before(length);
        assert_eq!(records[..kept], whole.written[..kept], "{length}");
        assert_eq!(verify(&records).unwrap().seq, kept as u64 + 1, "{length}");
    }
}
