//! A simulated Exoscale: API, object storage, faults, latencies and quotas.
//!
//! [`World`] is the cloud: a synchronous, deterministic state machine that
//! maps (time, request) to a reply. [`InProcess`] puts it behind a `tower`
//! service whose latencies run on tokio's clock, [`serve`] behind loopback
//! listeners that the official clients accept. It imports nothing of this
//! project, so that it can be the oracle for the rest of it.

mod auth;
mod codec;
mod config;
mod connection;
mod control_plane;
mod error;
mod fault;
mod inprocess;
mod latency;
mod price;
mod record;
mod rng;
mod serve;
mod shared;
mod sos;
mod spec;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod tls;
mod watch_body;
mod world;

pub use config::{Config, EndpointUrls, Policies};
pub use control_plane::ControlPlane;
pub use error::SimError;
pub use fault::{Fault, FaultRule, Matcher, Schedule};
pub use inprocess::{InProcess, RoundTrip};
pub use latency::{LatencyTable, Range};
pub use record::Recorder;
pub use serve::{Running, ServeOptions, Speed, serve};
pub use shared::{NowMs, SharedWorld};
pub use spec::{Operation, operations};
#[cfg(any(test, feature = "testing"))]
pub use testing::{exo2_message, exo2_signature};
pub use world::{
    ClientCertificate, Effect, JournalEntry, Kind, LiveResource, Outcome, World, served_operations,
};
