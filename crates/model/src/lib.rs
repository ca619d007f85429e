//! Plain data shared by every crate: names, requests, graphs, plans, events.
//!
//! Nothing here reads a clock, a file, the network or randomness, and nothing
//! here decides anything: decisions are in `exokit-core`. The types are the
//! contract between the crates; serialised events and plans are also the
//! contract with ledgers written by earlier versions.

pub mod access;
pub mod additions;
pub mod approval;
pub mod break_glass;
pub mod candidate;
pub mod canonical;
pub mod catalog;
pub mod certificate;
pub mod cost;
pub mod event;
pub mod fixed_plan;
pub mod graph;
pub mod ids;
pub mod kind;
pub mod needs_human;
pub mod outputs;
pub mod phase;
pub mod plan;
pub mod quantity;
pub mod ready_time;
pub mod request;
pub mod secret_slot;
pub mod selection;
pub mod spec;
pub mod text;
pub mod verification;
