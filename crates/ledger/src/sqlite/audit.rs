//! The audit: every record of the file, one after the other, and whether the
//! tables that are computed from them say the same.

use rusqlite::Connection;

use super::derived::Filling;
use super::store::{Files, Trouble, damaged, each};
use super::{SqliteLedger, derived};
use crate::error::LedgerError;
use crate::ledger::Head;
use crate::projection::Registry;

/// What an audit of a whole ledger found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The end of the chain.
    pub head: Head,
    /// How many environments were ever planned.
    pub environments: usize,
    /// How many plans were ever proposed.
    pub operations: usize,
    /// Whether the computed tables said what the records say, up to the one that
    /// they stand for. Where they did not, they were computed again.
    pub tables_agreed: bool,
}

impl SqliteLedger {
    /// Checks the chain from its first record and what the records say, holding
    /// one record in memory at a time, then the computed tables. With an
    /// anchor, also that the chain passes through it.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] with the first record that is not as it was
    /// written, [`LedgerError::Misfit`] with the first that cannot follow, and
    /// when the storage cannot be read.
    pub async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        let (audit, mending) = self.query(move |files| audit(files, anchor)).await?;
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
