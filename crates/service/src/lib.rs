//! The service behind every transport: it answers each operation of the table
//! in `exokit-wire`, runs the operations that may start, and publishes events.
//!
//! Nothing here opens a connection: NATS, HTTP and the command line bring
//! requests here, and a simulated bus can stand in their place.

mod access;
pub mod admission;
pub mod bus;
mod change;
mod checks;
mod explain;
mod lookup;
mod planning;
pub mod progress;
pub mod publisher;
mod queries;
mod run;
pub mod service;
mod views;
mod vote;
pub mod worker;

pub use explain::chain;
pub use service::{Caller, Service};
