//! What a ledger finds when it is opened: foreign files, damage, other writers.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use super::tests::{all, append, copy, file, filled, folder, open};
use super::*;
use crate::testing::fixtures::life;

#[tokio::test]
async fn an_older_ledger_that_was_put_back_is_refused() {
    let folder = folder();
    let (path, saved) = (folder.path(), folder.path().join("saved"));
    let first = open(path);
    append(&first, 1).await.unwrap();
    copy(path, &saved);
    append(&first, 2).await.unwrap();
    drop(first);
    let later = path.join("later");
    fs::create_dir(&later).unwrap();
    fs::copy(path.join("ledger.db"), later.join("ledger.db")).unwrap();
    let put_back = |from: &Path| {
        for name in ["ledger.db", "ledger.db-wal"] {
            let _ = fs::remove_file(path.join(name));
            let _ = fs::copy(from.join(name), path.join(name));
        }
    };

    put_back(&saved);
    let refused = SqliteLedger::open(path).unwrap_err();
    assert!(matches!(refused, LedgerError::RolledBack { noted: 2, found: 1, .. }), "{refused:?}");
    put_back(Path::new("nothing is there"));
    let refused = SqliteLedger::open(path).unwrap_err();
    assert!(matches!(refused, LedgerError::RolledBack { noted: 2, found: 0, .. }), "{refused:?}");

    // Another second record: as long, and not the same.
    let other = open(&saved);
    append(&other, 7).await.unwrap();
    drop(other);
    put_back(&saved);
    let refused = SqliteLedger::open(path).unwrap_err();
    assert!(matches!(refused, LedgerError::Damaged { seq: 2, .. }), "{refused:?}");

    put_back(&later);
    assert_eq!(append(&open(path), 3).await.unwrap()[0].seq, 3);
    // Without the note the older ledger opens.
    fs::remove_file(path.join("ledger.head")).unwrap();
    put_back(&later);
    assert_eq!(append(&open(path), 4).await.unwrap()[0].seq, 3);
}

#[tokio::test]
async fn a_note_that_was_not_written_to_its_end_counts_as_none() {
    let folder = folder();
    let ledger = open(folder.path());
    for number in 0..12 {
        append(&ledger, number).await.unwrap();
    }
    drop(ledger);
    let note = folder.path().join("ledger.head");
    let whole = fs::read(&note).unwrap();
    for text in [&whole[..20], b"", &[0; 120], b"[]"] {
        fs::write(&note, text).unwrap();
        assert_eq!(all(&open(folder.path())).await.len(), 12);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_a_hint() {
    type Prepare = fn(&Path);
    let cases: [(&str, Prepare); 4] = [
        ("NotALedger", |path| {
            fs::write(path.join("ledger.db"), "This is no database. ".repeat(100)).unwrap();
        }),
        ("NotALedger", |path| {
            let other = Connection::open(path.join("ledger.db")).unwrap();
            other.execute_batch("CREATE TABLE other (x)").unwrap();
        }),
        ("NewerFormat", |path| {
            drop(open(path));
            let file = Connection::open(path.join("ledger.db")).unwrap();
            file.pragma_update(None, "user_version", 99).unwrap();
        }),
        ("NotWritable", |path| {
            fs::write(path.join("leases"), "not a folder").unwrap();
        }),
    ];
    for (expected, prepare) in cases {
        let folder = folder();
        prepare(folder.path());
        let error = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert!(!error.hint().is_empty());
    }
}

#[tokio::test]
async fn rows_that_do_not_stand_for_the_records_stop_the_start() {
    for damage in [
        "DELETE FROM rows_head",
        "UPDATE rows_head SET seq = seq - 1",
        "UPDATE rows_head SET hash = zeroblob(32)",
    ] {
        let folder = filled().await;
        file(folder.path()).execute_batch(damage).unwrap();
        let refused = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(matches!(refused, LedgerError::Rows { .. }), "{damage}: {refused:?}");
        assert!(refused.hint().contains("registry export"), "{damage}");
    }
    // A row that cannot be read is told when it is asked for.
    let folder = filled().await;
    file(folder.path()).execute_batch("UPDATE environments SET row = 'x'").unwrap();
    let asked = open(folder.path()).environments(Environments::All).await;
    assert!(matches!(asked, Err(LedgerError::Rows { .. })), "{asked:?}");
}

#[tokio::test]
async fn records_that_were_changed_or_cut_off_at_the_end_stop_the_start() {
    for (damage, seq) in [
        (
            "UPDATE records SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM records)",
            life().len() as u64,
        ),
        ("UPDATE records SET entry = replace(entry, 'id-cluster', 'id-clustex') WHERE seq = 10", 10),
        ("DELETE FROM records WHERE seq = 10", 11),
    ] {
        let folder = filled().await;
        let connection = file(folder.path());
        connection.execute_batch("DROP TRIGGER records_unchanged; DROP TRIGGER records_kept").unwrap();
        assert_eq!(connection.execute(damage, []).unwrap(), 1, "{damage}");
        drop(connection);
        let found = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(matches!(found, LedgerError::Damaged { seq: at, .. } if at == seq), "{damage}: {found:?}");
    }
}

/// How often a ledger is opened while another one writes.
const OPENS: usize = 300;

#[test]
fn a_ledger_opens_while_another_one_writes() {
    let folder = folder();
    let writer = open(folder.path());
    let opened = AtomicI64::new(0);
    let written = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut number = 0;
            while opened.load(Ordering::Relaxed) < OPENS as i64 {
                number += 1;
                runtime.block_on(append(&writer, number)).unwrap();
            }
            number
        });
        for _ in 0..OPENS {
            let another = SqliteLedger::open(folder.path());
            // The writer ends, whatever comes of this one.
            opened.fetch_add(if another.is_ok() { 1 } else { OPENS as i64 }, Ordering::Relaxed);
            drop(another.unwrap());
        }
        writing.join().unwrap()
    });
    assert!(written > 50, "{written} records were written meanwhile");
}
