//! The objects of the templates that are shipped, and of environments that
//! combine their traits in other ways.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod capacity;
mod configuration;
mod connectivity;
mod environments;
mod graph;
mod ingress;
mod pod_security;
mod quantities;
mod references;
mod schemas;
mod table;
