//! The bound of the span queue, and a count of the spans that it drops.
//!
//! The library's queue is bounded too, but does not report what it drops. So
//! slots are counted here, from the end of a span until its batch is exported or
//! refused, and the library's queue never fills first.

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

/// Slots of the queue, shared by the processor that takes and the exporter that
/// frees them.
#[derive(Debug, Default)]
pub(crate) struct QueueSlots {
    taken: AtomicUsize,
    pub(crate) dropped: Arc<AtomicU64>,
}

impl QueueSlots {
    fn drop_spans(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Takes a slot. Returns false and counts the span when none is free.
    fn take(&self) -> bool {
        let more = |taken| (taken < WAITING_MAX).then_some(taken + 1);
        let found = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !found {
            self.drop_spans(1);
        }
        found
    }

    fn free(&self, spans: usize, is_exported: bool) {
        self.taken.fetch_sub(spans, Ordering::Relaxed);
        if !is_exported {
            self.drop_spans(spans);
        }
    }

    /// Counts all waiting spans as dropped, at the end of the exporter.
    pub(crate) fn give_up(&self) -> usize {
        let left = self.taken.swap(0, Ordering::Relaxed);
        self.drop_spans(left);
        left
    }
}

/// Passes spans to the library's queue while a slot is free.
#[derive(Debug)]
pub(crate) struct BoundedProcessor {
    pub(crate) slots: Arc<QueueSlots>,
    pub(crate) inner: BatchSpanProcessor,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.slots.take() {
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

/// Counts spans that an exporter could not deliver, and logs when that begins and
/// ends.
pub(crate) struct CountingExporter<E> {
    inner: E,
    slots: Arc<QueueSlots>,
    failing: AtomicBool,
}

impl<E> CountingExporter<E> {
    pub(crate) fn new(inner: E, slots: Arc<QueueSlots>) -> Self {
        Self { inner, slots, failing: AtomicBool::new(false) }
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
impl<E> fmt::Debug for CountingExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountingExporter").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.inner.export(batch).await;
        self.slots.free(spans, outcome.is_ok());
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
    fn a_span_without_a_slot_is_counted_and_slots_are_freed() {
        let slots = QueueSlots::default();
        let taken = (0..WAITING_MAX + 3).filter(|_| slots.take()).count();
        assert_eq!((taken, slots.dropped.load(Ordering::Relaxed)), (WAITING_MAX, 3));
        slots.free(500, true);
        assert_eq!(slots.dropped.load(Ordering::Relaxed), 3);
        slots.free(500, false);
        assert_eq!(slots.dropped.load(Ordering::Relaxed), 503);
        assert!(slots.take());
        assert_eq!(slots.give_up(), WAITING_MAX - 999);
        assert_eq!(slots.dropped.load(Ordering::Relaxed), 503 + (WAITING_MAX - 999) as u64);
    }
}
