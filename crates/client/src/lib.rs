//! A client of the operations of the table in `exokit-wire`, over any
//! [`Transport`].
//!
//! # Guarantees
//! - A request that may have arrived is repeated only where a repetition has no
//!   second effect.
//! - A reply is decoded strictly. Nothing that it claims about a plan is
//!   trusted: a voter computes from the plan's own text.

mod address;
mod client;
mod http;
mod nats;
mod reply;
mod transport;

pub use address::{Address, AddressError};
pub use client::Client;
pub use http::Http;
pub use nats::Nats;
pub use transport::{Request, Transport, TransportError};
