//! A ledger that counts what is read from it, so that a test can show what
//! work costs without a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use exokit_ledger::{
    Audit, Change, ChangeOutcome, EnvironmentView, Environments, Filter, Head, Holdings, Ledger, LedgerError,
    OperationSummary, Operations, Plans,
};
use exokit_model::event::Record;
use exokit_model::ids::Zone;
use exokit_model::ready_time::ReadyTime;

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

    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        self.inner.commit(change).await
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

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.count(self.inner.environments(which).await)
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.count(self.inner.operations(which).await)
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
