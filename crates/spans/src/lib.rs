//! Spans on their way to a collector: OTLP over HTTP, bounded and counted.
//! Traced code never waits for the collector.
//!
//! Code opens spans with `tracing` at the level TRACE. [`exporter`] takes the
//! spans of our crates and no events: what the log says stays in the log.
//! [`TraceContext`] continues a trace that began in another process. [`request`]
//! has the spans of NATS messages. [`queue`] bounds and counts; the collector
//! client sends batches through the transport that calls to the cloud take.

mod collector_client;
mod context;
pub mod exporter;
pub mod queue;
pub mod request;

pub use context::{TRACEPARENT, TraceContext};
