//! Spans on their way to a collector: OTLP over HTTP, bounded and counted.
//! Traced code never waits for the collector.
//!
//! Code opens spans with `tracing` at the level TRACE. [`exporter`] takes the
//! spans of our crates and no events: what the log says stays in the log.
//! [`request`] continues a trace that began in another process, and has the span
//! of a NATS message that is received. The queue bounds and counts; the collector client sends
//! batches through the transport that calls to the cloud take.

mod collector_client;
pub mod exporter;
mod queue;
pub mod request;
