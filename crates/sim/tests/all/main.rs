//! The simulated cloud, asked over its own interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod faults;
mod in_process;
mod kinds;
mod routes;
mod storage;
mod watches;
