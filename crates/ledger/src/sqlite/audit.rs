//! The audit: every record of the file, one after the other, and whether the
//! tables that are computed from them say the same.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::derived::Filling;
use super::store::{Files, Trouble, damaged, each};
use super::{SqliteLedger, derived, spawn, stopped, store};
use crate::error::LedgerError;
use crate::ledger::{Audit, Head};
use crate::projection::Registry;

impl SqliteLedger {
    /// Audits on a thread and a connection of its own: a long ledger takes many
    /// seconds, and other readers must not wait for it.
    pub(super) async fn audit_apart(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        let files = store::open_reader(&self.place)?;
        let (reply, found) = oneshot::channel();
        let work = move || {
            // Nobody may wait for it any more.
            let _ = reply.send(audit(&files, anchor));
        };
        // Ends with the audit, also when the ledger is closed before.
        drop(spawn(&self.place, "ledger-audit", work)?);
        let found = found.await.map_err(|_| stopped())?;
        let (audit, mending) = found.map_err(|trouble| self.place.explain("reading", trouble))?;
        if let Some(filling) = mending {
            self.fill(filling).await?;
        }
        Ok(audit)
    }
}

/// What was found, and how tables that do not agree are mended. Whatever is the
/// matter with them, the records are looked at.
fn audit(files: &Files, anchor: Option<Head>) -> Result<(Audit, Option<Filling>), Trouble> {
    let tables = files.tables.unchecked_transaction().map_err(Trouble::of_tables)?;
    let mut registry = Registry::default();
    // The newest records may not have been taken into them yet.
    let (making, standing) = (derived::making(&tables), derived::stands_at(&tables).unwrap_or_default());
    let mut tables_agreed = standing == Some(Head::EMPTY) && agree(&tables, &registry);
    each(&files.records, Head::EMPTY, u64::MAX, |record| {
        if let Some(anchor) = anchor.filter(|anchor| anchor.seq == record.seq)
            && anchor != Head::after(record)
        {
            return Err(damaged(record.seq, "it is not the record that was anchored"));
        }
        registry.apply(record).map_err(LedgerError::from)?;
        if standing == Some(registry.head()) {
            tables_agreed = agree(&tables, &registry);
        }
        Ok(())
    })?;
    let head = registry.head();
    if let Some(anchor) = anchor.filter(|anchor| anchor.seq > head.seq) {
        let why = format!("it is missing: the ledger ends at {}, the anchor is {}", head.seq, anchor.seq);
        return Err(damaged(head.seq + 1, &why));
    }
    let audit = Audit {
        head,
        environments: registry.environments().len(),
        operations: registry.operations().len(),
        tables_agreed,
    };
    let mending = (!tables_agreed).then(|| Filling::new(files, Some(making)));
    Ok((audit, mending.transpose()?))
}

/// Whether the tables can be read and say the same as what was folded.
fn agree(tables: &Connection, registry: &Registry) -> bool {
    derived::load(tables).is_ok_and(|loaded| loaded.as_ref() == Some(registry))
}
