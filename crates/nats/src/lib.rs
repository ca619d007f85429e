//! Connections to a NATS server, as the agent, its client and the orchestrator
//! use them: login, TLS, a private inbox, a round trip, a check of permissions
//! at the start and a flush at the end.
//!
//! This crate knows no operation and no subject of the agent.

mod connection;
mod error;
mod inbox;
mod permissions;
mod round_trip;

pub use connection::{Connection, Login, NatsOptions, connect, flush, watch};
pub use error::NatsError;
pub use inbox::is_inbox;
pub use permissions::{Permission, connect_with_permissions};
pub use round_trip::{UNUSED_SUBJECT, round_trip};
