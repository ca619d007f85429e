//! Spans on their way to a collector: OTLP over HTTP, bounded, counted, and
//! never waited for by what they tell of.
//!
//! Code that is worth a span opens it with `tracing`, at the level TRACE, and
//! knows nothing of this crate: [`exporter`] takes what crates of ours open
//! there, and without one such a span costs a comparison. [`place`] joins a
//! span to a trace that came from elsewhere. [`queue`] bounds and counts;
//! `way` is the way out, through the transport that calls to the cloud take.
//!
//! Nothing is taken from events: what the log says stays in the log.

pub mod exporter;
pub mod place;
pub mod queue;
mod way;
