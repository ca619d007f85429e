//! The engine, the service and the ledger under faults, in one program: each
//! program that links them all takes as long to compile as one of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crash;
mod expiry;
mod faults;
mod idempotency;
mod life;
mod long_ledger;
mod oracle;
mod races;
mod ready;
mod service;
mod slots;
mod steps;
mod swarm;
mod torn;

/// The tests allocate most of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
