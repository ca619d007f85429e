//! The changes of a ledger: what each checks and writes, for every store.

use exokit_model::event::{Entry, Record};
use exokit_model::ids::OperationId;

use crate::condition::Condition;
use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::{Fence, Lease, LeaseRow, lease_end};
use crate::plans::Plans;
use crate::rows::step::project;
use crate::store::Transaction;

/// A change, carried out in one transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// Puts entries behind the head, all or none.
    Append {
        /// The conditions.
        condition: Condition,
        /// The entries, in order.
        entries: Vec<Entry>,
    },
    /// Acquires the lease of an operation with a new epoch.
    Acquire {
        /// The operation.
        operation: OperationId,
        /// The process that acquires it.
        holder: String,
    },
    /// Renews a lease.
    Renew(Lease),
    /// Releases a lease.
    Release(Lease),
}

/// The outcome of a change.
#[derive(Debug, Clone)]
pub enum ChangeOutcome {
    /// The appended records.
    Records(Vec<Record>),
    /// The lease that was acquired or renewed.
    Lease(Lease),
    /// A lease was released, or was no longer held.
    Released,
}

impl Change {
    /// Carries the change out in a transaction, which the caller commits. After
    /// an error the caller rolls it back, at least to where it began.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`], [`LedgerError::Used`], [`LedgerError::Stale`]
    /// and [`LedgerError::HeadMoved`] when a condition does not hold, in this
    /// order when several do not; [`LedgerError::IllegalRecord`] when an entry cannot
    /// follow the records before it; [`LedgerError::LeaseHeld`]; errors of the
    /// storage.
    pub(crate) async fn apply<T: Transaction>(
        self,
        transaction: &mut T,
        plans: &Plans,
    ) -> Result<ChangeOutcome, LedgerError> {
        match self {
            Change::Append { condition, entries } => {
                check_entries(&condition, &entries)?;
                check(transaction, &condition).await?;
                Ok(ChangeOutcome::Records(append(transaction, plans, entries).await?))
            }
            Change::Acquire { operation, holder } => {
                Ok(ChangeOutcome::Lease(acquire(transaction, operation, holder).await?))
            }
            Change::Renew(lease) => Ok(ChangeOutcome::Lease(renew(transaction, lease).await?)),
            Change::Release(lease) => {
                release(transaction, &lease).await?;
                Ok(ChangeOutcome::Released)
            }
        }
    }
}

/// Under a fence, every entry carries its epoch.
fn check_entries(condition: &Condition, entries: &[Entry]) -> Result<(), LedgerError> {
    let Some(fence) = &condition.fence else { return Ok(()) };
    match entries.iter().find(|entry| entry.epoch != fence.epoch) {
        None => Ok(()),
        Some(entry) => Err(LedgerError::Entry(format!(
            "{} carries epoch {}, the fence {}",
            entry.event.name(),
            entry.epoch,
            fence.epoch
        ))),
    }
}

async fn check<T: Transaction>(transaction: &mut T, condition: &Condition) -> Result<(), LedgerError> {
    if let Some(fence) = &condition.fence {
        check_fence(transaction, fence).await?;
    }
    if let Some(operation) = &condition.unused
        && transaction.newest_epoch(operation).await?.is_some()
    {
        return Err(LedgerError::Used(operation.clone()));
    }
    if let Some((environment, expected)) = condition.environment_head.clone() {
        let found = transaction.environment_head(&environment).await?;
        if found != expected {
            return Err(LedgerError::Stale { environment, expected, found });
        }
    }
    if let Some(expected) = condition.head {
        let found = transaction.head().await?.seq;
        if found != expected {
            return Err(LedgerError::HeadMoved { expected, found });
        }
    }
    Ok(())
}

/// Checks that a lease is held with the epoch of the fence, and returns it.
async fn check_fence<T: Transaction>(transaction: &mut T, fence: &Fence) -> Result<LeaseRow, LedgerError> {
    let row = transaction.lease(&fence.operation).await?;
    let current = row.as_ref().map_or(0, |row| row.epoch);
    match row.filter(|row| row.holder.is_some() && row.epoch == fence.epoch) {
        Some(row) => Ok(row),
        None => Err(LedgerError::Fenced { operation: fence.operation.clone(), epoch: fence.epoch, current }),
    }
}

async fn append<T: Transaction>(
    transaction: &mut T,
    plans: &Plans,
    entries: Vec<Entry>,
) -> Result<Vec<Record>, LedgerError> {
    let mut head = transaction.head().await?;
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let bytes = entry.to_bytes()?;
        let (prev, seq) = (head.hash, head.seq + 1);
        let record = Record { seq, prev, hash: Record::hash_of_bytes(prev, seq, &bytes), entry };
        // Canonical JSON is UTF-8.
        transaction.insert(&record, &String::from_utf8_lossy(&bytes)).await?;
        project(transaction, plans, &record).await?;
        head = Head::after(&record);
        records.push(record);
    }
    Ok(records)
}

async fn acquire<T: Transaction>(
    transaction: &mut T,
    operation: OperationId,
    holder: String,
) -> Result<Lease, LedgerError> {
    let now = transaction.now().await?;
    let old = transaction.lease(&operation).await?;
    if let Some(LeaseRow { holder: Some(other), until, dead: false, .. }) = &old
        && *other != holder
        && now < *until
    {
        return Err(LedgerError::LeaseHeld { operation, holder: other.clone(), until: *until });
    }
    // Records may come from another ledger, with epochs of its own.
    let recorded = transaction.newest_epoch(&operation).await?;
    let epoch = recorded.max(old.map(|old| old.epoch)).unwrap_or(0) + 1;
    let until = lease_end(now);
    let row = LeaseRow { epoch, holder: Some(holder.clone()), until, dead: false };
    transaction.put_lease(&operation, &row).await?;
    Ok(Lease { operation, epoch, holder, until })
}

async fn renew<T: Transaction>(transaction: &mut T, lease: Lease) -> Result<Lease, LedgerError> {
    let row = check_fence(transaction, &lease.fence()).await?;
    let until = lease_end(transaction.now().await?);
    transaction.put_lease(&lease.operation, &LeaseRow { until, ..row }).await?;
    Ok(Lease { until, ..lease })
}

/// Releases a lease. One that was taken over is left alone.
async fn release<T: Transaction>(transaction: &mut T, lease: &Lease) -> Result<(), LedgerError> {
    match transaction.lease(&lease.operation).await?.filter(|row| row.epoch == lease.epoch) {
        Some(row) => transaction.put_lease(&lease.operation, &LeaseRow { holder: None, ..row }).await,
        None => Ok(()),
    }
}
