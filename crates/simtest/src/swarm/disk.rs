//! The ledger as one process sees it: watched, and on a disk that fails when
//! it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use exokit_ledger::{
    Audit, Change, ChangeOutcome, EnvironmentView, Environments, Filter, Head, Holdings, Ledger, LedgerError,
    MemoryLedger, OperationSummary, Operations, Plans,
};
use exokit_model::event::Record;
use exokit_model::ids::Zone;
use exokit_model::ready_time::ReadyTime;

use super::process::HostClock;
use super::schedule::DiskFailure;
use super::witness::Witness;

/// One process' view of the ledger.
pub(super) struct Disk {
    inner: MemoryLedger,
    witness: Arc<Witness>,
    clock: HostClock,
    /// After a failed flush a process writes nothing more, as the real ledger.
    stopped: AtomicBool,
}

impl Disk {
    /// A view of `inner` for one process on a host with this clock.
    #[must_use]
    pub(super) fn new(inner: MemoryLedger, witness: Arc<Witness>, clock: HostClock) -> Self {
        Self { inner, witness, clock, stopped: AtomicBool::new(false) }
    }

    fn failed(&self) -> LedgerError {
        self.stopped.store(true, Ordering::Relaxed);
        self.witness.lock().stopped = true;
        LedgerError::Failed("input/output error".to_owned())
    }

    async fn append(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        match self.witness.next_write() {
            _ if self.stopped.load(Ordering::Relaxed) => Err(self.failed()),
            None => self.inner.commit(change).await,
            Some(DiskFailure::Full { .. }) => {
                self.witness.note("disk full");
                Err(LedgerError::Full("memory".to_owned()))
            }
            Some(DiskFailure::FailedKept) => {
                self.inner.commit(change).await?;
                self.witness.note("write failed, kept");
                Err(self.failed())
            }
            Some(DiskFailure::FailedLost) => {
                self.witness.note("write failed, lost");
                Err(self.failed())
            }
        }
    }

    /// Notes what came of a change.
    fn note(&self, changed: &Result<ChangeOutcome, LedgerError>) {
        match changed {
            Ok(ChangeOutcome::Records(records)) => self.witness.acknowledge(records),
            // The judge compares it with times of this host.
            Ok(ChangeOutcome::Lease(lease)) => self.witness.leased(lease, self.clock.ahead()),
            Err(LedgerError::Fenced { .. }) => self.witness.note("zombie refused by the ledger"),
            Err(LedgerError::IllegalRecord(illegal)) => self.witness.illegal(illegal),
            Ok(ChangeOutcome::Released) | Err(_) => {}
        }
    }
}

#[async_trait]
impl Ledger for Disk {
    fn plans(&self) -> &Plans {
        self.inner.plans()
    }

    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        let changed = match change {
            Change::Append { .. } => self.append(change).await,
            Change::Acquire { .. } | Change::Renew(_) | Change::Release(_) => self.inner.commit(change).await,
        };
        self.note(&changed);
        changed
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

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.inner.environments(which).await
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.inner.operations(which).await
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.inner.ready_times(zone).await
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.inner.holdings(ids, marks).await
    }
}
