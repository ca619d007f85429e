//! Mistakes planted between the publisher and the bus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use exokit_mutant::{Mutant, planted};
use exokit_service::Service;
use exokit_service::bus::{Bus, BusError, Kept, Publication};
use exokit_service::progress::Progress;
use exokit_service::publisher::Cursor;
use exokit_wire::event::EventMessage;

/// A bus as a publisher with a planted mistake uses it. Without one it passes
/// everything on.
pub(in crate::swarm) struct MutantBus<'a> {
    inner: &'a dyn Bus,
    cursor: &'a dyn Cursor,
    /// The last record that was handed over.
    last: AtomicU64,
    /// Handed over here, and not yet to the bus.
    held_back: Mutex<Vec<Publication>>,
}

impl<'a> MutantBus<'a> {
    /// Wraps the bus of one process.
    pub(in crate::swarm) fn new(inner: &'a dyn Bus, cursor: &'a dyn Cursor) -> Self {
        Self { inner, cursor, last: AtomicU64::new(0), held_back: Mutex::default() }
    }

    /// What a process does before it publishes: nothing, without a planted
    /// mistake.
    pub(in crate::swarm) async fn begin(&self, service: &Service) {
        if planted(Mutant::FromTheHead)
            && let Ok(head) = service.engine().parts().ledger.head().await
        {
            drop(self.cursor.write(Progress::at(head.seq)).await);
        }
    }

    /// Plans first, then what is older.
    async fn publish_held_back(&self) -> Result<(), BusError> {
        let mut held_back =
            std::mem::take(&mut *self.held_back.lock().unwrap_or_else(PoisonError::into_inner));
        held_back.sort_by_key(|publication| !publication.subject.ends_with(".plan-proposed"));
        for publication in held_back {
            self.inner.publish(publication).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for MutantBus<'_> {
    async fn publish(&self, publication: Publication) -> Result<(), BusError> {
        if let Ok(event) = serde_json::from_slice::<EventMessage>(&publication.body) {
            self.last.store(event.seq, Ordering::Relaxed);
        }
        if planted(Mutant::PlansFirst) {
            self.held_back.lock().unwrap_or_else(PoisonError::into_inner).push(publication);
            return Ok(());
        }
        let id = publication.id.filter(|_| !planted(Mutant::NoMessageId));
        self.inner.publish(Publication { id, ..publication }).await
    }

    async fn confirm(&self) -> Result<Option<Kept>, BusError> {
        self.publish_held_back().await?;
        if planted(Mutant::CursorFirst)
            && let Ok(Some(progress)) = self.cursor.read().await
        {
            let published = self.last.load(Ordering::Relaxed);
            drop(self.cursor.write(Progress { published, ..progress }).await);
        }
        let kept = self.inner.confirm().await?;
        Ok(kept.filter(|_| !planted(Mutant::StreamIsWhole)))
    }

    fn connection(&self) -> u64 {
        self.inner.connection()
    }
}
