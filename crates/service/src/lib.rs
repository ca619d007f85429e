//! What can be asked of exokit, by whomever and by whatever way: every
//! operation of the table in `exokit-wire`, the rounds that take up work, and
//! the events that are published.
//!
//! Nothing here opens a connection: NATS, HTTP and the command line bring
//! requests here, and a simulated bus can stand in their place.

pub mod admission;
mod ask;
pub mod bus;
mod change;
mod explain;
mod look;
pub mod progress;
pub mod publisher;
pub mod service;
mod target;
pub mod views;
mod vote;
pub mod worker;

pub use ask::Planned;
pub use explain::{Doing, Explain, chain};
pub use service::{Caller, RequestKey, Service};
