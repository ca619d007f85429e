//! The room for spans that wait: bounded, and what finds none is counted.
//!
//! The library's queue is bounded too, but does not tell what it drops. So the
//! places are counted here, from the end of a span until its batch was taken or
//! refused, and the library's queue is never the first that is full.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

/// Most spans that wait or are on their way: some two megabytes.
pub(crate) const WAITING_MAX: usize = 2_048;

/// How many spans were lost. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// How many so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, spans: usize) {
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

/// The places, shared by who fills and who empties them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken: AtomicUsize,
    dropped: Dropped,
}

impl Room {
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }

    /// Whether there was a place for one more span; if not, it is counted.
    fn take(&self) -> bool {
        let more = |taken| (taken < WAITING_MAX).then_some(taken + 1);
        let found = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !found {
            self.dropped.add(1);
        }
        found
    }

    fn leave(&self, spans: usize, arrived: bool) {
        self.taken.fetch_sub(spans, Ordering::Relaxed);
        if !arrived {
            self.dropped.add(spans);
        }
    }

    /// Counts what still waits when nobody carries it any more.
    pub(crate) fn give_up(&self) -> usize {
        let left = self.taken.swap(0, Ordering::Relaxed);
        self.dropped.add(left);
        left
    }
}

/// Lets spans into the library's queue as long as there is room.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) room: Arc<Room>,
    pub(crate) inner: BatchSpanProcessor,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.room.take() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what an exporter could not deliver, and says so once each time that
/// it begins.
pub(crate) struct Counted<E> {
    inner: E,
    room: Arc<Room>,
    failing: AtomicBool,
}

impl<E> Counted<E> {
    pub(crate) fn new(inner: E, room: Arc<Room>) -> Self {
        Self { inner, room, failing: AtomicBool::new(false) }
    }

    fn note(&self, outcome: &OTelSdkResult) {
        match (outcome, self.failing.swap(outcome.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "the collector takes no spans; they are lost"),
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
}

/// Not derived: the exporter holds headers.
impl<E> fmt::Debug for Counted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.inner.export(batch).await;
        self.room.leave(spans, outcome.is_ok());
        self.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_room_comes_back() {
        let room = Room::default();
        let taken = (0..WAITING_MAX + 3).filter(|_| room.take()).count();
        assert_eq!((taken, room.dropped().count()), (WAITING_MAX, 3));
        room.leave(500, true);
        assert_eq!(room.dropped().count(), 3);
        room.leave(500, false);
        assert_eq!(room.dropped().count(), 503);
        assert!(room.take());
        assert_eq!(room.give_up(), WAITING_MAX - 999);
        assert_eq!(room.dropped().count(), 503 + (WAITING_MAX - 999) as u64);
    }
}
