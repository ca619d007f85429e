//! The ledger as one process sees it: watched, and on a disk that fails when
//! it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use exokit_ledger::projection::EnvironmentView;
use exokit_ledger::{
    Audit, Condition, Environments, Filter, Head, Holdings, Lease, Ledger, LedgerError, MemoryLedger,
    OperationSummary, Operations, Plans, Request,
};
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{OperationId, Zone};
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::civil::Date;

use super::schedule::DiskFailure;
use super::witness::Witness;

/// One process' view of the ledger.
pub(super) struct Disk {
    inner: MemoryLedger,
    witness: Arc<Witness>,
    /// After a failed flush a process writes nothing more, as the real ledger.
    stopped: AtomicBool,
}

impl Disk {
    /// A view of `inner` for one process.
    #[must_use]
    pub(super) fn new(inner: MemoryLedger, witness: Arc<Witness>) -> Self {
        Self { inner, witness, stopped: AtomicBool::new(false) }
    }

    fn failed(&self) -> LedgerError {
        self.stopped.store(true, Ordering::Relaxed);
        self.witness.lock().stopped = true;
        LedgerError::Failed { why: "input/output error".to_owned() }
    }

    async fn write(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        match self.witness.next_write() {
            _ if self.stopped.load(Ordering::Relaxed) => Err(self.failed()),
            None => self.inner.append(condition, entries).await,
            Some(DiskFailure::Full { .. }) => {
                self.witness.note("disk full");
                Err(LedgerError::Full { path: "memory".to_owned() })
            }
            Some(DiskFailure::FailedKept) => {
                self.inner.append(condition, entries).await?;
                self.witness.note("write failed, kept");
                Err(self.failed())
            }
            Some(DiskFailure::FailedLost) => {
                self.witness.note("write failed, lost");
                Err(self.failed())
            }
        }
    }
}

#[async_trait]
impl Ledger for Disk {
    fn plans(&self) -> &Plans {
        self.inner.plans()
    }

    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        let written = self.write(condition, entries).await;
        match &written {
            Ok(records) => self.witness.acknowledge(records),
            Err(LedgerError::Fenced { .. }) => self.witness.note("zombie refused by the ledger"),
            Err(_) => {}
        }
        written
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        self.inner.page(filter, after, most).await
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.inner.head().await
    }

    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        self.inner.audit(anchor).await
    }

    async fn acquire(
        &self,
        operation: &OperationId,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, LedgerError> {
        let lease = self.inner.acquire(operation, holder, now).await?;
        self.witness.leased(&lease);
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Lease, LedgerError> {
        let renewed = self.inner.renew(lease, now).await;
        match &renewed {
            Ok(lease) => self.witness.leased(lease),
            Err(LedgerError::Fenced { .. }) => self.witness.note("zombie refused by the ledger"),
            Err(_) => {}
        }
        renewed
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.inner.release(lease).await
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.inner.environments(which).await
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.inner.operations(which).await
    }

    async fn requested(&self, day: Date) -> Result<Vec<Request>, LedgerError> {
        self.inner.requested(day).await
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.inner.ready_times(zone).await
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.inner.holdings(ids, marks).await
    }
}
