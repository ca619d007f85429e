//! Scenarios against the simulated cluster, through its API alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod admission;
mod apply;
mod clients;
mod fixture;
mod garbage;
mod hostile;
mod objects;
mod scheduling;
mod state;
mod workloads;
