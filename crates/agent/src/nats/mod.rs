//! NATS: requests of the platform come in, events go out. Losing the server
//! never stops or repeats work: everything that matters is in the ledger.

mod acks;
mod bus;
mod door;
mod micro;
pub mod presence;

use async_nats::HeaderMap;

use crate::trace::Trace;

pub use bus::NatsBus;
pub use door::Door;
pub use micro::{Counts, Described, permissions as description_permissions};

/// Headers with which a trace travels.
pub(crate) fn headers(trace: &Trace) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", trace.header());
    headers
}
