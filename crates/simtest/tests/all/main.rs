//! The engine, the service and the ledger under faults, in one program:
//! each further one would be linked with all of them again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod administrator;
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
mod step_limit;
mod steps;
mod swarm;
mod torn;
mod verify;
mod workload;

/// The work is made of small allocations; the product keeps the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
