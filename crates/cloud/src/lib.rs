//! The way to the cloud: one tower seam, request signing, configuration, API budget.
//!
//! From the bottom up:
//! - [`transport`] is the seam; [`network`] is its implementation over TLS;
//! - [`signing`] holds the credentials and signs for the Exoscale API;
//!   [`request`] builds signed requests, for object storage too;
//! - [`config`] and [`endpoint`] find credentials and addresses in texts that
//!   the caller has read;
//! - [`budget`] spaces the calls, [`clock`] tells the time and the skew;
//! - [`public_prices`] fetches what Exoscale publishes, without credentials;
//! - [`cluster`] reaches the API server of a Kubernetes cluster;
//! - [`client`] reads; [`change`] sends changes, the only place that does, and
//!   asks for a permit first; [`reply`] and [`outcome`] are what they come to.
//!   Each call is a span.

mod account_file;
pub mod budget;
pub mod change;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod cluster_identity;
pub mod config;
pub mod endpoint;
pub mod network;
pub mod outcome;
pub mod public_prices;
pub mod reply;
pub mod request;
pub mod secret_values;
pub mod signing;
mod span;
mod storage;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
pub mod transport;
mod xml;
