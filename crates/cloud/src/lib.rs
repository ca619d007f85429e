//! The way to the cloud: one tower seam, request signing, configuration, API budget.
//!
//! From the bottom up:
//! - [`transport`] is the seam; [`network`] is its implementation over TLS;
//! - [`signing`] signs for the Exoscale API, [`storage`] for object storage;
//! - [`config`] finds credentials and endpoints from texts that the caller read;
//! - [`budget`] spaces the calls, [`poll`] says when to look at an operation;
//! - [`client`] ties them together. It is the only place that can send a
//!   request which changes something, and it asks for a permit first.

mod account_file;
pub mod budget;
pub mod clock;
pub mod config;
pub mod endpoint;
pub mod network;
pub mod poll;
pub mod signing;
pub mod storage;
pub mod transport;
pub mod xml;
