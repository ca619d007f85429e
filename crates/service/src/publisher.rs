//! Publishing the ledger: each record becomes an event on the bus, in order,
//! at least once, however often process or bus go away in between.
//!
//! How far it has come is kept beside the ledger and not in it. It moves only
//! after the bus has confirmed, so what may have been lost is published again,
//! under the same message id. Over a new connection the last record comes once
//! more: where a stream keeps it shows whether the stream has lost others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use exokit_ledger::Filter;
use exokit_model::event::{Event, Record};
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::event::{APPROVAL_REQUESTED, ApprovalRequested, EventMessage, subject};
use exokit_wire::failure::Failure;
use serde::Serialize;

use crate::bus::{Bus, BusError, Publication};
use crate::explain::Doing as _;
use crate::progress::Progress;
use crate::service::Service;
use crate::views;

/// Most records between two confirmations.
const BATCH: usize = 256;

/// How often the ledger is looked at for what other processes wrote.
const LOOK: Duration = Duration::from_millis(250);

/// How long more is waited for once something was recorded here: it is published
/// together then, and the answer that it follows on leaves first.
const GATHER: Duration = Duration::from_millis(10);

/// Pause after the bus did not take something.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Where it is kept how far publishing has come.
#[async_trait]
pub trait Cursor: Send + Sync {
    /// How far it has come; none when nothing was ever kept.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn read(&self) -> std::io::Result<Option<Progress>>;

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written; the records are published again then.
    async fn write(&self, progress: Progress) -> std::io::Result<()>;
}

/// Why a round of publishing ended early.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The ledger.
    #[error("{}: {}", .0.doing, .0.why)]
    Ledger(Box<Failure>),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The cursor.
    #[error("keeping how far events were published")]
    Cursor(#[from] std::io::Error),
}

impl From<Failure> for PublishError {
    fn from(failure: Failure) -> Self {
        PublishError::Ledger(Box::new(failure))
    }
}

/// Publishes what one service records.
pub struct Publisher<'a> {
    service: &'a Service,
    bus: &'a dyn Bus,
    cursor: &'a dyn Cursor,
    /// The connection over which something was confirmed last.
    connection: AtomicU64,
}

/// No connection: they are counted from the first.
const NO_CONNECTION: u64 = u64::MAX;

/// Keeps that nothing is to be caught up on, where nothing was ever kept:
/// nobody has listened before.
///
/// # Errors
/// When ledger or cursor cannot be read or written.
pub async fn begin(service: &Service, cursor: &dyn Cursor) -> Result<Progress, PublishError> {
    match cursor.read().await? {
        Some(progress) => Ok(progress),
        None => {
            let ledger = &service.engine().parts().ledger;
            let head = Progress::at(ledger.head().await.doing("reading", "the ledger")?.seq);
            cursor.write(head).await?;
            Ok(head)
        }
    }
}

impl<'a> Publisher<'a> {
    /// A publisher. At most one may run on a ledger at once, or events come
    /// twice.
    #[must_use]
    pub fn new(service: &'a Service, bus: &'a dyn Bus, cursor: &'a dyn Cursor) -> Self {
        Self { service, bus, cursor, connection: AtomicU64::new(NO_CONNECTION) }
    }

    /// Publishes for ever.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(true) => {}
                Ok(false) => self.wait().await,
                Err(error) => {
                    tracing::warn!(error = %crate::explain::chain(&error), "events wait to be published");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Waits until there may be something to publish.
    async fn wait(&self) {
        tokio::select! {
            () = self.service.engine().news() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    /// Publishes what was recorded since the last round, at most a batch; over a
    /// new connection the last record once more. Says whether there may be more
    /// to publish at once.
    ///
    /// # Errors
    /// When something did not take part; the next round begins where this one
    /// began.
    pub async fn round(&self) -> Result<bool, PublishError> {
        let ledger = &self.service.engine().parts().ledger;
        let progress = begin(self.service, self.cursor).await?;
        let connection = self.bus.connection();
        let (from, most) = match self.connection.load(Ordering::Relaxed) == connection {
            true => (progress.published, BATCH),
            false => (progress.published.saturating_sub(1), 1),
        };
        let records = ledger.page(Filter::All, from, most).await.doing("reading", "the ledger")?;
        let Some(last) = records.last().map(|record| record.seq) else { return Ok(false) };
        for record in &records {
            self.publish(record).await?;
        }
        let kept = self.bus.confirm().await?;
        let next = progress.after(from, last, kept);
        if next.published < from {
            let (after, until) = (next.published, last);
            tracing::warn!(after, until, "the stream lacks events; they are published again");
        }
        self.cursor.write(next).await?;
        self.connection.store(connection, Ordering::Relaxed);
        Ok(records.len() == most || next.published < last)
    }

    async fn publish(&self, record: &Record) -> Result<(), PublishError> {
        let entry = &record.entry;
        let event = EventMessage::of(record);
        let subject = subject(entry.environment.as_ref(), &entry.event);
        self.send(subject, record.hash.to_string(), &event).await?;
        if let Event::PlanProposed { .. } = &entry.event {
            self.announce(record).await?;
        }
        Ok(())
    }

    /// Announces a plan that needs approval, also when it has been decided
    /// before its turn came.
    async fn announce(&self, record: &Record) -> Result<(), PublishError> {
        let Some(operation) = &record.entry.operation else { return Ok(()) };
        let view = self.service.operation(operation).await?;
        if view.plan.level.persons() == 0 {
            return Ok(());
        }
        let roster = self.service.engine().roster().await.doing("reading", "the roster")?;
        let announced = ApprovalRequested {
            schema_version: SCHEMA_VERSION,
            plan: views::plan(&view.plan, view.digest),
            operation: views::operation(&view),
            page: exokit_text::decision::announcement(&view.plan, &view.digest, &roster),
            deadline: view.plan.not_after,
        };
        self.send(APPROVAL_REQUESTED.to_owned(), format!("approval-{}", record.hash), &announced).await
    }

    async fn send(&self, subject: String, id: String, body: &impl Serialize) -> Result<(), PublishError> {
        let body = serde_json::to_vec(body).map_err(std::io::Error::other)?;
        Ok(self.bus.publish(Publication { subject, id: Some(id), body }).await?)
    }
}
