//! What is read back from a ledger: entries and whole exports.

use exokit_ledger::export::{self, import, read};
use exokit_ledger::history::history;
use exokit_ledger::testing::memory::holdings;
use exokit_ledger::{Environments, Head, Ledger, MemoryLedger, OperationState, Operations, Plans, Registry};
use exokit_model::canonical::to_canonical_bytes;
use exokit_model::event::{Entry, Record};

use crate::{check_refusal, recorded};

/// Entries, as the rows of the database hold them, in any order and with any
/// content: the folds take them or refuse them.
pub(crate) fn entries(data: &[u8]) -> bool {
    let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(data) else { return false };
    let records = chained(entries);
    if let Err(illegal) = Registry::fold(&records) {
        check_refusal(&illegal.to_string(), illegal.hint());
    }
    check_prefix(&records);
    for line in history(&records) {
        assert!(!format!("{line:?}").is_empty());
    }
    !records.is_empty()
}

/// The chain over what can be written; what has two forms is refused.
fn chained(entries: Vec<Entry>) -> Vec<Record> {
    let mut head = Head::EMPTY;
    let mut records = Vec::new();
    for entry in entries {
        let Ok(bytes) = to_canonical_bytes("a ledger entry", &entry) else { continue };
        let back: Entry = serde_json::from_slice(&bytes).expect("a canonical entry can be read");
        assert_eq!(back, entry, "entries that differ have canonical forms that differ");
        let record = Record::chain(head.hash, head.seq + 1, entry).expect("it has a canonical form");
        head = Head::after(&record);
        records.push(record);
    }
    records
}

/// What a registry made of the records that fit can be asked.
fn check_prefix(records: &[Record]) {
    let mut registry = Registry::default();
    let fit = records.iter().take_while(|record| registry.apply(record).is_ok()).count();
    assert_eq!(registry.find_environments(&Environments::All).len(), registry.environments().len());
    let marks = ["", "-", "\u{10ffff}", "zzzzzzzzzz"].map(str::to_owned);
    let _ = holdings(&registry, &marks, &marks);
    for summary in registry.operations().values() {
        let id = &summary.operation;
        assert_eq!(registry.find_operations(&Operations::Named(id.clone())), std::slice::from_ref(summary));
        // An entry that names no operation is in the registry and not here.
        let Ok(Some(view)) = OperationState::fold(&Plans::default(), id, &records[..fit]) else { continue };
        assert_eq!(view.operation, *id);
    }
    if let Some(first) = records.first() {
        let _ = registry.find_environments(&Environments::Expired(first.entry.at));
    }
}

pub(crate) fn entries_seeds() -> Vec<Vec<u8>> {
    let all = recorded::entries();
    let seed = |entries: &[Entry]| serde_json::to_vec(entries).expect("entries have a JSON form");
    let mut seeds = vec![seed(&all)];
    seeds.extend(all.chunks(12).map(seed));
    seeds
}

/// An export that is accepted is put into an empty ledger and comes out as it was.
pub(crate) fn export(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let document = match read(text) {
        Ok(document) => document,
        Err(error) => {
            check_refusal(&error.to_string(), error.hint());
            return false;
        }
    };
    let again = serde_json::to_string_pretty(&document).expect("an accepted export can be written");
    block_on(async {
        let ledger = MemoryLedger::default();
        let head = import(&ledger, text).await.expect("an accepted export can be imported");
        assert_eq!(head, document.head);
        assert_eq!(export::export(&ledger).await.expect("it can be exported"), again);
    });
    true
}

pub(crate) fn export_seeds() -> Vec<Vec<u8>> {
    let beginning = |count: usize| {
        block_on(async {
            let ledger = MemoryLedger::default();
            let entries = recorded::entries().into_iter().take(count).collect();
            ledger.append(&Default::default(), entries).await.expect("recorded entries can be appended");
            export::export(&ledger).await.expect("the ledger can be exported").into_bytes()
        })
    };
    vec![beginning(usize::MAX), beginning(3), beginning(12)]
}

/// Runs what only waits for memory.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime can be made").block_on(work)
}
