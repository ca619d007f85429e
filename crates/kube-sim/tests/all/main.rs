//! Scenarios against the simulated cluster, through its API alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;
mod objects;
mod workloads;
