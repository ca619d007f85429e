//! Tests of damage to the files: the tables are made again, the records are told.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use tempfile::TempDir;

use super::tests::{filled, insert, loaded, many, records_of, tables};
use super::*;
use crate::ledger::Ledger as _;
use crate::projection::{Environments, Operations, Registry};
use crate::sqlite::SqliteLedger;
use crate::testing::{at, life};

/// Writes over a page of a database that nobody has open.
fn damage(file: &Path, page: u64, bytes: u32) {
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start((page - 1) * u64::from(bytes))).unwrap();
    file.write_all(&vec![0xa5; bytes as usize]).unwrap();
}

/// Copies the databases of a ledger that nobody has open.
fn copied(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "derived.db", "ledger.head"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_damaged_page_anywhere_in_the_tables_is_made_again() {
    let (records, whole) = (many(), tempfile::tempdir().unwrap());
    let (known, missed) = records.split_at(records.len() - 5);
    drop(SqliteLedger::open(whole.path()).unwrap());
    insert(whole.path(), known);
    fs::write(whole.path().join("ledger.head"), "").unwrap();
    drop(SqliteLedger::open(whole.path()).unwrap());
    let pages = fs::metadata(whole.path().join("derived.db")).unwrap().len() / u64::from(PAGE_BYTES);
    assert!(pages > 100, "{pages}");
    let mut unreadable = [0, 0];
    let places = (1..16).chain((16..pages).step_by(29)).chain([pages]);
    for (page, behind) in places.flat_map(|page| [(page, false), (page, true)]) {
        let folder = copied(whole.path());
        damage(&folder.path().join("derived.db"), page, PAGE_BYTES);
        unreadable[usize::from(behind)] += u32::from(load(&tables(folder.path())).is_err());
        let length = if behind { records.len() } else { known.len() };
        if behind {
            insert(folder.path(), missed);
        }
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let fold = Registry::fold(&records[..length]).unwrap();
        let operations = ledger.operations(Operations::All).await.unwrap();
        assert!(operations.iter().eq(fold.operations().values()), "{page} {behind}");
        // What no question reads is found by an audit, and then made again.
        ledger.audit(None).await.unwrap();
        assert!(ledger.audit(None).await.unwrap().tables_agreed, "{page} {behind}");
        assert_eq!(loaded(folder.path()), fold, "{page} {behind}");
    }
    assert!(unreadable.iter().all(|count| *count > 10), "{unreadable:?}");
}

#[tokio::test]
async fn a_table_that_is_gone_is_made_again_when_it_is_asked_for() {
    for name in NAMES {
        let folder = filled().await;
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        tables(folder.path()).execute_batch(&format!("DROP TABLE derived_{name}")).unwrap();
        ledger.environments(Environments::All).await.unwrap();
        ledger.operations(Operations::All).await.unwrap();
        ledger.requested(at(0).to_zoned(jiff::tz::TimeZone::UTC).date()).await.unwrap();
        ledger.ready_times("fi-hel1".parse().unwrap()).await.unwrap();
        ledger.holdings(vec!["x".to_owned()], vec!["y".to_owned()]).await.unwrap();
        assert_eq!(loaded(folder.path()), Registry::fold(&life()).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn trouble_is_told_of_the_file_that_has_it() {
    let (records, whole) = (many(), tempfile::tempdir().unwrap());
    drop(SqliteLedger::open(whole.path()).unwrap());
    insert(whole.path(), &records);
    fs::write(whole.path().join("ledger.head"), "").unwrap();
    drop(SqliteLedger::open(whole.path()).unwrap());

    let folder = copied(whole.path());
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    tables(folder.path()).execute_batch("DROP TABLE derived_holdings").unwrap();
    let audit = ledger.audit(None).await.unwrap();
    assert_eq!((audit.head.seq, audit.tables_agreed), (records.len() as u64, false));
    assert!(ledger.audit(None).await.unwrap().tables_agreed);
    drop(ledger);

    // The first record is not of those that each start looks at, but the tables
    // are computed from it.
    let leaf: u64 = records_of(whole.path())
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'records'", [], |row| {
            Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap())
        })
        .unwrap();
    let folder = copied(whole.path());
    fs::remove_file(folder.path().join("derived.db")).unwrap();
    let second_leaf = leaf_of(&folder.path().join("ledger.db"), leaf);
    damage(&folder.path().join("ledger.db"), second_leaf, 4096);
    let opened = SqliteLedger::open(folder.path()).unwrap_err();
    assert!(matches!(opened, LedgerError::NotALedger { .. }), "{opened:?}");
    assert!(opened.to_string().contains("ledger.db"), "{opened}");
}

/// The page of the second child of an inner page of a database.
fn leaf_of(file: &Path, page: u64) -> u64 {
    let bytes = fs::read(file).unwrap();
    let page = &bytes[usize::try_from(page - 1).unwrap() * 4096..][..4096];
    assert_eq!(page[0], 5, "an inner page");
    let cell = usize::from(u16::from_be_bytes([page[14], page[15]]));
    u64::from(u32::from_be_bytes(page[cell..cell + 4].try_into().unwrap()))
}
