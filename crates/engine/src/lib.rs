//! The engine: observes, walks and acts under a lease, exactly once.
//!
//! It owns no rule: what may be done is decided by `exokit-core` (the walk)
//! and `exokit-approval` (the permit). It brings time, the ledger and the
//! cloud to them and records what came of it.

pub mod access;
pub mod catalog;
mod certificate;
mod cluster_access;
mod cluster_additions;
mod contention_backoff;
mod daily_requests;
pub mod drift;
mod drive;
pub mod engine;
pub mod entropy;
pub mod environment;
pub mod error;
mod expiry;
mod held_lease;
pub mod idempotency;
pub mod keyring;
pub mod observe;
pub mod outputs;
mod prior_approval;
pub mod propose;
pub mod registry_logins;
pub mod roster_cache;
mod run;
mod sealed_plan;
mod secrets;
mod start;
mod step_limit;
mod steps;
mod survey;
pub mod sweep;
pub mod timing;
pub mod verify;
pub mod vote;
