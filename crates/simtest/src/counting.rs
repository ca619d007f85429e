//! A ledger that counts what is read from it, so that a test can show what
//! work costs without a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use exokit_ledger::{
    Audit, Condition, EnvironmentView, Environments, Filter, Head, Holdings, Lease, Ledger, LedgerError,
    OperationSummary, Operations, Plans, Request,
};
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{OperationId, Zone};
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::civil::Date;

/// Counts the records and rows that answers of another ledger have.
pub struct Counting {
    inner: Arc<dyn Ledger>,
    read: AtomicU64,
}

impl Counting {
    /// Counts what is read from `inner` through it.
    #[must_use]
    pub fn new(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, read: AtomicU64::new(0) }
    }

    /// How many records and rows were read since this was last asked.
    pub fn take(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }

    fn count<T>(&self, answer: Result<Vec<T>, LedgerError>) -> Result<Vec<T>, LedgerError> {
        let length = answer.as_ref().map_or(0, Vec::len);
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        answer
    }
}

#[async_trait]
impl Ledger for Counting {
    fn plans(&self) -> &Plans {
        self.inner.plans()
    }

    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        self.inner.append(condition, entries).await
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        self.count(self.inner.page(filter, after, most).await)
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
        self.inner.acquire(operation, holder, now).await
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Lease, LedgerError> {
        self.inner.renew(lease, now).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.inner.release(lease).await
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.count(self.inner.environments(which).await)
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.count(self.inner.operations(which).await)
    }

    async fn requested(&self, day: Date) -> Result<Vec<Request>, LedgerError> {
        self.count(self.inner.requested(day).await)
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.count(self.inner.ready_times(zone).await)
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        let holdings = self.inner.holdings(ids, marks).await?;
        self.read.fetch_add((holdings.live.len() + holdings.marks.len()) as u64, Ordering::Relaxed);
        Ok(holdings)
    }
}
